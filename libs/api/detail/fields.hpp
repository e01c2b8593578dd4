// Field tables: one list of descriptors per struct, from which reading,
// printing and describing follow (read.hpp, write.hpp, describe.hpp).
//
//   template <>
//   struct Table<SecretKeyReference> {
//     static constexpr auto fields = std::tuple{field("name", &SecretKeyReference::name).required(),
//                                               field("key", &SecretKeyReference::key)};
//   };
//
// Internal to libs/api.
#pragma once

#include <array>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace sluice::api::detail {

template <class Owner, class T>
struct Field {
  std::string_view name;
  T Owner::*member;
  bool is_required = false;
  bool has_default = false;  // the CRD's default is what the struct's initialiser says
  std::span<const std::string_view> allowed{};
  std::span<const std::string_view> supported{};
  std::string_view unsupported_note{};

  constexpr Field required() const {
    Field copy = *this;
    copy.is_required = true;
    return copy;
  }
  constexpr Field defaulted() const {
    Field copy = *this;
    copy.has_default = true;
    return copy;
  }
  constexpr Field one_of(std::span<const std::string_view> values) const {
    Field copy = *this;
    copy.allowed = values;
    return copy;
  }
  // No daemon honours the field yet; the note goes into the object's Stalled condition.
  constexpr Field unsupported(std::string_view note) const {
    Field copy = *this;
    copy.unsupported_note = note;
    return copy;
  }
  // Only these values are honoured; the note is about all others.
  constexpr Field only(std::span<const std::string_view> values, std::string_view note) const {
    Field copy = *this;
    copy.supported = values;
    copy.unsupported_note = note;
    return copy;
  }
};

template <class Owner, class T>
constexpr Field<Owner, T> field(std::string_view name, T Owner::*member) {
  return {.name = name, .member = member};
}

// Specialised for each struct of the API: `static constexpr auto fields = std::tuple{field(...), ...}`.
template <class T>
struct Table;

template <class T>
concept Described = requires { Table<T>::fields; };

// Specialised for each enum: `static constexpr std::array values{std::pair{E::x, "X"sv}, ...}`.
template <class E>
struct EnumNames;

}  // namespace sluice::api::detail
