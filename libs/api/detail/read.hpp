// Reading a Json value into a struct by its field table. Every error is
// `invalid` and starts with the path of the field. Unknown fields are passed
// over, as the API server prunes them. Internal to libs/api.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/conditions.hpp"
#include "api/detail/fields.hpp"
#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"

namespace sluice::api::detail {

// Where a value stands. A chain on the stack, so a path costs nothing until an
// error needs its text.
class FieldPath {
 public:
  explicit FieldPath(std::string_view root) : name_(root) {}
  FieldPath(const FieldPath& parent, std::string_view name) : parent_(&parent), name_(name) {}
  FieldPath(const FieldPath& parent, std::size_t index) : parent_(&parent), index_(index), is_index_(true) {}
  FieldPath(const FieldPath&) = delete;
  FieldPath& operator=(const FieldPath&) = delete;

  std::string str() const;  // "spec.patches[2].target"

 private:
  const FieldPath* parent_ = nullptr;
  std::string_view name_;
  std::size_t index_ = 0;
  bool is_index_ = false;
};

// `invalid`, "<path>: <what>".
base::Unexpected field_error(const FieldPath& at, std::string_view what);
// "<path>: must be <wanted>, got <the value's type>".
base::Unexpected type_error(const FieldPath& at, std::string_view wanted, const doc::Json& got);
base::Result<void> check_allowed(const FieldPath& at, std::string_view value,
                                 std::span<const std::string_view> allowed);

base::Result<void> read(const doc::Json& value, const FieldPath& at, std::string& out);
base::Result<void> read(const doc::Json& value, const FieldPath& at, bool& out);
base::Result<void> read(const doc::Json& value, const FieldPath& at, std::int64_t& out);
base::Result<void> read(const doc::Json& value, const FieldPath& at, base::Duration& out);
base::Result<void> read(const doc::Json& value, const FieldPath& at, base::TimePoint& out);
base::Result<void> read(const doc::Json& value, const FieldPath& at, StringMap& out);
base::Result<void> read(const doc::Json& value, const FieldPath& at, Conditions& out);
template <class T>
base::Result<void> read(const doc::Json& value, const FieldPath& at, std::optional<T>& out);
template <class T>
base::Result<void> read(const doc::Json& value, const FieldPath& at, std::vector<T>& out);

template <class E>
  requires std::is_enum_v<E>
base::Result<void> read(const doc::Json& value, const FieldPath& at, E& out) {
  std::string text;
  SLUICE_CHECK(read(value, at, text));
  std::array<std::string_view, EnumNames<E>::values.size()> names;
  for (std::size_t i = 0; i < names.size(); ++i) {
    names[i] = EnumNames<E>::values[i].second;
    if (names[i] == text) {
      out = EnumNames<E>::values[i].first;
      return {};
    }
  }
  return check_allowed(at, text, names);
}

inline base::Result<void> check_values(const FieldPath& at, const std::string& value,
                                       std::span<const std::string_view> allowed) {
  return check_allowed(at, value, allowed);
}
base::Result<void> check_values(const FieldPath& at, const std::vector<std::string>& values,
                                std::span<const std::string_view> allowed);

template <class Owner, class T>
base::Result<void> read_field(const doc::Json& object, const FieldPath& parent, Owner& out,
                              const Field<Owner, T>& field) {
  const FieldPath at(parent, field.name);
  const auto found = object.find(field.name);
  if (found == object.end() || found->is_null()) {
    if (field.is_required) return field_error(at, "is required");
    return {};
  }
  SLUICE_CHECK(read(*found, at, out.*field.member));
  if constexpr (requires { check_values(at, out.*field.member, field.allowed); }) {
    if (!field.allowed.empty()) return check_values(at, out.*field.member, field.allowed);
  }
  return {};
}

template <Described T>
base::Result<void> read(const doc::Json& value, const FieldPath& at, T& out) {
  if (!value.is_object()) return type_error(at, "an object", value);
  base::Result<void> outcome;
  std::apply([&](const auto&... fields) { (void)(... && (outcome = read_field(value, at, out, fields)).has_value()); },
             Table<T>::fields);
  return outcome;
}

template <class T>
base::Result<void> read(const doc::Json& value, const FieldPath& at, std::optional<T>& out) {
  T inner{};
  SLUICE_CHECK(read(value, at, inner));
  out = std::move(inner);
  return {};
}

template <class T>
base::Result<void> read(const doc::Json& value, const FieldPath& at, std::vector<T>& out) {
  if (!value.is_array()) return type_error(at, "a list", value);
  out.clear();
  out.reserve(value.size());
  for (std::size_t i = 0; i < value.size(); ++i) {
    SLUICE_CHECK(read(value[i], FieldPath(at, i), out.emplace_back()));
  }
  return {};
}

// Reads `object`, whose apiVersion and kind must be of `gvk`'s group and kind,
// into its metadata, spec and status.
template <class Object>
base::Result<Object> read_object(const doc::Json& object, std::string_view group, std::string_view kind);

base::Result<void> check_group_kind(const doc::Json& object, std::string_view group, std::string_view kind);

template <class Object>
base::Result<Object> read_object(const doc::Json& object, std::string_view group, std::string_view kind) {
  SLUICE_CHECK(check_group_kind(object, group, kind));
  Object out;
  out.metadata = read_meta(object);
  const FieldPath spec_path("spec");
  const auto* spec = doc::find(object, {"spec"});
  if (spec == nullptr) return field_error(spec_path, "is required");
  SLUICE_CHECK(read(*spec, spec_path, out.spec));
  const auto* status = doc::find(object, {"status"});
  if (status != nullptr && !status->is_null()) SLUICE_CHECK(read(*status, FieldPath("status"), out.status));
  return out;
}

}  // namespace sluice::api::detail
