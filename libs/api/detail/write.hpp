// Printing a struct as Json by its field table, with Go's `omitempty`: what is
// empty and not required is left out. Internal to libs/api.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/conditions.hpp"
#include "api/detail/fields.hpp"
#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "doc/json.hpp"

namespace sluice::api::detail {

inline doc::Json write(const std::string& value) { return value; }
inline doc::Json write(bool value) { return value; }
inline doc::Json write(std::int64_t value) { return value; }
inline doc::Json write(base::Duration value) { return base::format_duration(value); }
inline doc::Json write(base::TimePoint value) { return base::format_time(value); }
inline doc::Json write(const StringMap& value) {
  auto object = doc::Json::object();
  for (const auto& [key, text] : value) object.emplace(key, text);
  return object;
}
doc::Json write(const Conditions& value);
template <class T>
doc::Json write(const std::optional<T>& value);
template <class T>
doc::Json write(const std::vector<T>& values);

template <class E>
  requires std::is_enum_v<E>
doc::Json write(E value) {
  for (const auto& [item, name] : EnumNames<E>::values) {
    if (item == value) return std::string(name);
  }
  return nullptr;
}

template <class T>
bool is_empty(const T& value) {
  if constexpr (requires { value.has_value(); }) {
    return !value.has_value();
  } else if constexpr (requires { value.empty(); }) {
    return value.empty();
  } else if constexpr (std::is_arithmetic_v<T>) {
    return value == T{};
  } else {
    return false;
  }
}

template <Described T>
doc::Json write(const T& value) {
  auto object = doc::Json::object();
  const auto write_field = [&](const auto& field) {
    const auto& member = value.*field.member;
    if (field.is_required || !is_empty(member)) object.emplace(std::string(field.name), write(member));
  };
  std::apply([&](const auto&... fields) { (write_field(fields), ...); }, Table<T>::fields);
  return object;
}

template <class T>
doc::Json write(const std::optional<T>& value) {
  return value ? write(*value) : doc::Json();
}

template <class T>
doc::Json write(const std::vector<T>& values) {
  auto list = doc::Json::array();
  for (const auto& value : values) list.push_back(write(value));
  return list;
}

}  // namespace sluice::api::detail
