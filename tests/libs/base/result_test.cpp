#include "base/result.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <memory>
#include <set>
#include <string>

using namespace sluice::base;

namespace {

Result<int> positive(int value) {
  if (value > 0) return value;
  return unexpected(ErrorKind::invalid, "not positive");
}

Result<std::unique_ptr<int>> boxed(int value) {
  SLUICE_TRY(const int checked, positive(value));
  return std::make_unique<int>(checked);
}

Result<void> all_positive(int a, int b) {
  SLUICE_CHECK(positive(a));
  if (b != 0) SLUICE_CHECK(positive(b));
  return {};
}

// True if `action` ends its process by abort().
template <class Action>
bool aborts(Action action) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(2);
    std::signal(SIGABRT, SIG_DFL);
    action();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

}  // namespace

TEST_CASE("SLUICE_TRY gives the value, moved if it must be, or returns the error as it is") {
  auto good = boxed(3);
  REQUIRE(good);
  CHECK(**good == 3);
  const auto bad = boxed(-1);
  REQUIRE_FALSE(bad);
  CHECK(bad.error().kind == ErrorKind::invalid);
  CHECK(bad.error().message == "not positive");
}

TEST_CASE("SLUICE_CHECK returns the first error and may stand alone in an if") {
  CHECK(all_positive(1, 2));
  CHECK(all_positive(1, 0));
  CHECK_FALSE(all_positive(-1, 2));
  CHECK_FALSE(all_positive(1, -2));
}

TEST_CASE("context comes before the message and keeps the rest of an error") {
  Error error;
  error.kind = ErrorKind::rate_limited;
  error.message = "slow down";
  error.http_status = 429;
  error.reason = "TooManyRequests";
  error.retry_after = std::chrono::seconds(3);
  const Error outer = error.with_context("apply");
  CHECK(error.message == "slow down");
  CHECK(outer.message == "apply: slow down");
  CHECK(outer.http_status == 429);
  CHECK(outer.reason == "TooManyRequests");
  CHECK(outer.retry_after == std::chrono::seconds(3));
  CHECK(std::move(error).with_context("x").with_context("y").message == "y: x: slow down");
}

TEST_CASE("value_or and assignment choose between value and error") {
  CHECK(positive(2).value_or(7) == 2);
  CHECK(positive(-2).value_or(7) == 7);
  Result<std::string> text = "short";
  text = unexpected(ErrorKind::io, "lost");
  REQUIRE_FALSE(text);
  text = std::string("back");
  CHECK(*text == "back");
}

TEST_CASE("reading what a result does not hold is a broken invariant and aborts") {
  CHECK(aborts([] { static_cast<void>(*positive(-1)); }));
  CHECK(aborts([] { static_cast<void>(positive(1).error()); }));
  CHECK(aborts([] { static_cast<void>(Result<void>().error()); }));
  CHECK_FALSE(aborts([] { static_cast<void>(*positive(1)); }));
}

TEST_CASE("only what an edit must mend is not worth a retry, and every kind has a name of its own") {
  using enum ErrorKind;
  std::set<std::string_view> names;
  for (const ErrorKind kind : {invalid, unsupported, not_found, already_exists, conflict, gone, unauthorized, forbidden,
                               untrusted, rate_limited, unavailable, timeout, cancelled, too_large, io, internal}) {
    names.insert(to_string(kind));
    const bool final_kind = kind == invalid || kind == unsupported || kind == already_exists || kind == untrusted ||
                            kind == too_large;
    CHECK(is_retryable(kind) == !final_kind);
  }
  CHECK(names.size() == 16);
}
