// Describing a struct by its field table, for KindInfo. Internal to libs/api.
#pragma once

#include "api/detail/fields.hpp"
#include "api/detail/write.hpp"
#include "api/kind.hpp"

namespace sluice::api::detail {

template <class T>
struct Shape {
  static constexpr bool is_list = false;
  using Element = T;
};
template <class T>
struct Shape<std::optional<T>> : Shape<T> {};
template <class T>
struct Shape<std::vector<T>> {
  static constexpr bool is_list = true;
  using Element = T;
};
template <>
struct Shape<Conditions> : Shape<std::vector<Condition>> {};

template <class T>
constexpr FieldType type_of() {
  if constexpr (std::is_same_v<T, bool>) {
    return FieldType::boolean;
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    return FieldType::integer;
  } else if constexpr (std::is_same_v<T, base::Duration>) {
    return FieldType::duration;
  } else if constexpr (std::is_same_v<T, base::TimePoint>) {
    return FieldType::time;
  } else if constexpr (std::is_same_v<T, StringMap>) {
    return FieldType::string_map;
  } else if constexpr (std::is_same_v<T, std::string> || std::is_enum_v<T>) {
    return FieldType::string;
  } else {
    static_assert(Described<T>, "a field's type needs a Table");
    return FieldType::object;
  }
}

template <class T>
std::vector<FieldInfo> describe();

template <class Owner, class T>
FieldInfo describe_field(const Field<Owner, T>& field) {
  using Element = typename Shape<T>::Element;
  FieldInfo info;
  info.name = field.name;
  info.type = type_of<Element>();
  info.is_list = Shape<T>::is_list;
  info.is_required = field.is_required;
  if (field.has_default) info.fallback = write(Owner{}.*field.member);
  info.allowed_values.assign(field.allowed.begin(), field.allowed.end());
  if constexpr (std::is_enum_v<Element>) {
    for (const auto& [value, name] : EnumNames<Element>::values) info.allowed_values.emplace_back(name);
  }
  if constexpr (Described<Element>) info.fields = describe<Element>();
  info.unsupported_note = field.unsupported_note;
  info.supported_values.assign(field.supported.begin(), field.supported.end());
  return info;
}

template <class T>
std::vector<FieldInfo> describe() {
  std::vector<FieldInfo> out;
  std::apply([&](const auto&... fields) { (out.push_back(describe_field(fields)), ...); }, Table<T>::fields);
  return out;
}

}  // namespace sluice::api::detail
