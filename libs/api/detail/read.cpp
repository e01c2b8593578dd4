#include "api/detail/read.hpp"

#include "api/detail/common_tables.hpp"

namespace sluice::api::detail {

std::string FieldPath::str() const {
  if (parent_ == nullptr) return std::string(name_);
  auto text = parent_->str();
  if (is_index_) return text + "[" + std::to_string(index_) + "]";
  if (!text.empty()) text += '.';
  return text.append(name_);
}

base::Unexpected field_error(const FieldPath& at, std::string_view what) {
  return base::unexpected(base::ErrorKind::invalid, at.str() + ": " + std::string(what));
}

base::Unexpected type_error(const FieldPath& at, std::string_view wanted, const doc::Json& got) {
  return field_error(at, "must be " + std::string(wanted) + ", got " + got.type_name());
}

base::Result<void> check_allowed(const FieldPath& at, std::string_view value,
                                 std::span<const std::string_view> allowed) {
  std::string choices;
  for (const auto& choice : allowed) {
    if (choice == value) return {};
    if (!choices.empty()) choices += ", ";
    choices += choice;
  }
  return field_error(at, "must be one of " + choices + ", got \"" + std::string(value) + "\"");
}

base::Result<void> check_values(const FieldPath& at, const std::vector<std::string>& values,
                                std::span<const std::string_view> allowed) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    SLUICE_CHECK(check_allowed(FieldPath(at, i), values[i], allowed));
  }
  return {};
}

base::Result<void> read(const doc::Json& value, const FieldPath& at, std::string& out) {
  const auto* text = value.get_ptr<const std::string*>();
  if (text == nullptr) return type_error(at, "a string", value);
  out = *text;
  return {};
}

base::Result<void> read(const doc::Json& value, const FieldPath& at, bool& out) {
  const auto* flag = value.get_ptr<const bool*>();
  if (flag == nullptr) return type_error(at, "true or false", value);
  out = *flag;
  return {};
}

base::Result<void> read(const doc::Json& value, const FieldPath& at, std::int64_t& out) {
  if (!value.is_number_integer()) return type_error(at, "an integer", value);
  out = value.get<std::int64_t>();
  return {};
}

base::Result<void> read(const doc::Json& value, const FieldPath& at, base::Duration& out) {
  std::string text;
  SLUICE_CHECK(read(value, at, text));
  const auto parsed = base::parse_duration(text);
  if (!parsed && parsed.error().reason == "TooLarge") {
    const std::string most = base::format_duration(base::Duration::max());
    return field_error(at, "is too large, must be at most " + most + ", got \"" + text + "\"");
  }
  if (!parsed) return field_error(at, "must be a duration such as \"1h30m\", got \"" + text + "\"");
  if (*parsed < base::Duration::zero()) return field_error(at, "must not be negative, got \"" + text + "\"");
  out = *parsed;
  return {};
}

base::Result<void> read(const doc::Json& value, const FieldPath& at, base::TimePoint& out) {
  std::string text;
  SLUICE_CHECK(read(value, at, text));
  const auto parsed = base::parse_time(text);
  if (!parsed) return field_error(at, "must be a time such as \"2026-01-31T10:00:00Z\", got \"" + text + "\"");
  out = *parsed;
  return {};
}

base::Result<void> read(const doc::Json& value, const FieldPath& at, StringMap& out) {
  if (!value.is_object()) return type_error(at, "an object of strings", value);
  out.clear();
  for (const auto& [key, item] : value.items()) {
    std::string text;
    SLUICE_CHECK(read(item, FieldPath(at, key), text));
    out.emplace(key, std::move(text));
  }
  return {};
}

base::Result<void> read(const doc::Json& value, const FieldPath& at, Conditions& out) {
  std::vector<Condition> list;
  SLUICE_CHECK(read(value, at, list));
  out = Conditions(std::move(list));
  return {};
}

base::Result<void> check_group_kind(const doc::Json& object, std::string_view group, std::string_view kind) {
  SLUICE_TRY(const auto gvk, gvk_of(object));
  if (gvk.kind != kind) {
    return field_error(FieldPath("kind"), "must be " + std::string(kind) + ", got \"" + gvk.kind + "\"");
  }
  if (gvk.group != group) {
    return field_error(FieldPath("apiVersion"),
                       "must be of the group " + std::string(group) + ", got \"" + gvk.api_version() + "\"");
  }
  return {};
}

}  // namespace sluice::api::detail
