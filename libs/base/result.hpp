// Result<T>: a value or an Error. Spelled like C++23's std::expected, so that
// it can become an alias of it; g++ 12 does not have that yet.
//
//   Result<int> parse(std::string_view);
//   auto n = parse(text);
//   if (!n) return unexpected(std::move(n).error().with_context("replicas"));
//   use(*n);
//
// SLUICE_TRY(auto n, parse(text)) does the middle line for you; SLUICE_CO_TRY
// does it in a coroutine, where the expression may be one co_await.
#pragma once

#include <cstdlib>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/error.hpp"

namespace sluice::base {

struct Unexpected {
  Error error;
};

[[nodiscard]] inline Unexpected unexpected(Error error) { return Unexpected{std::move(error)}; }
[[nodiscard]] inline Unexpected unexpected(ErrorKind kind, std::string message) {
  Error error;
  error.kind = kind;
  error.message = std::move(message);
  return Unexpected{std::move(error)};
}

template <class T>
class [[nodiscard]] Result {
  static_assert(!std::is_reference_v<T>, "return a pointer or a reference_wrapper");

 public:
  using value_type = T;

  Result(const T& value) : state_(std::in_place_index<0>, value) {}
  Result(T&& value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Unexpected failure) : state_(std::in_place_index<1>, std::move(failure.error)) {}
  template <class U>
    requires(std::is_constructible_v<T, U &&> && !std::is_same_v<std::remove_cvref_t<U>, Result> &&
             !std::is_same_v<std::remove_cvref_t<U>, T> && !std::is_same_v<std::remove_cvref_t<U>, Unexpected> &&
             std::is_convertible_v<U &&, T>)
  Result(U&& value) : state_(std::in_place_index<0>, std::forward<U>(value)) {}

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  // Reading the value of a failed Result (or the error of a good one) is a
  // broken invariant and aborts.
  T& value() & { return check(0), *std::get_if<0>(&state_); }
  const T& value() const& { return check(0), *std::get_if<0>(&state_); }
  T&& value() && { return check(0), std::move(*std::get_if<0>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  Error& error() & { return check(1), *std::get_if<1>(&state_); }
  const Error& error() const& { return check(1), *std::get_if<1>(&state_); }
  Error&& error() && { return check(1), std::move(*std::get_if<1>(&state_)); }

  template <class U>
  T value_or(U&& other) && {
    return has_value() ? std::move(*this).value() : static_cast<T>(std::forward<U>(other));
  }

 private:
  void check(std::size_t index) const {
    if (state_.index() != index) std::abort();
  }
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;
  Result(Unexpected failure) : error_(std::move(failure.error)) {}

  bool has_value() const noexcept { return !error_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }
  void value() const {
    if (error_) std::abort();
  }

  Error& error() & { return check(), *error_; }
  const Error& error() const& { return check(), *error_; }
  Error&& error() && { return check(), std::move(*error_); }

 private:
  void check() const {
    if (!error_) std::abort();
  }
  std::optional<Error> error_;
};

}  // namespace sluice::base

#define SLUICE_CONCAT_INNER(a, b) a##b
#define SLUICE_CONCAT(a, b) SLUICE_CONCAT_INNER(a, b)
#define SLUICE_TRY_IMPL(tmp, declaration, expression, ret)          \
  auto tmp = (expression);                                          \
  if (!tmp) ret ::sluice::base::unexpected(std::move(tmp).error()); \
  declaration = *std::move(tmp)
#define SLUICE_CHECK_IMPL(tmp, expression, ret) \
  if (auto tmp = (expression); !tmp) ret ::sluice::base::unexpected(std::move(tmp).error())

// Declares a variable from a Result<T>, or returns its error.
#define SLUICE_TRY(declaration, expression) \
  SLUICE_TRY_IMPL(SLUICE_CONCAT(sluice_try_, __LINE__), declaration, expression, return)
#define SLUICE_CO_TRY(declaration, expression) \
  SLUICE_TRY_IMPL(SLUICE_CONCAT(sluice_try_, __LINE__), declaration, expression, co_return)
// Returns the error of a Result<void> (or drops the value of another).
#define SLUICE_CHECK(expression) SLUICE_CHECK_IMPL(SLUICE_CONCAT(sluice_check_, __LINE__), expression, return)
// In a coroutine: g++ 12 mishandles co_await in a condition, so this one binds first.
#define SLUICE_CO_CHECK(expression)                           \
  auto SLUICE_CONCAT(sluice_check_, __LINE__) = (expression); \
  if (!SLUICE_CONCAT(sluice_check_, __LINE__))                \
  co_return ::sluice::base::unexpected(std::move(SLUICE_CONCAT(sluice_check_, __LINE__)).error())
