#include "api/kind.hpp"

#include <algorithm>

#include "api/detail/kinds.hpp"

namespace sluice::api {

namespace {

// Nothing is asked for by a field that is absent or holds its zero value.
bool asks_for_something(const doc::Json& value) {
  switch (value.type()) {
    case doc::Json::value_t::null: return false;
    case doc::Json::value_t::boolean: return value.get<bool>();
    case doc::Json::value_t::string: return !value.get_ref<const std::string&>().empty();
    case doc::Json::value_t::array:
    case doc::Json::value_t::object: return !value.empty();
    default: return true;
  }
}

bool is_supported_value(const FieldInfo& field, const doc::Json& value) {
  const auto* text = value.get_ptr<const std::string*>();
  const auto& values = field.supported_values;
  return text != nullptr && std::find(values.begin(), values.end(), *text) != values.end();
}

std::string values_note(const FieldInfo& field) {
  std::string out = field.unsupported_note + " (only";
  for (const auto& value : field.supported_values)
    out += (value == field.supported_values.front() ? " " : ", ") + value;
  return out + ")";
}

std::string note_of(const FieldInfo& field) {
  return field.supported_values.empty() ? field.unsupported_note : values_note(field);
}

void list_all(const std::vector<FieldInfo>& fields, const std::string& prefix, std::vector<UnsupportedField>& out) {
  for (const auto& field : fields) {
    const auto path = prefix + "." + field.name;
    if (!field.unsupported_note.empty()) {
      out.push_back({path, note_of(field)});
      continue;  // what stands below is not honoured either
    }
    list_all(field.fields, path + (field.is_list ? "[]" : ""), out);
  }
}

void list_used(const std::vector<FieldInfo>& fields, const doc::Json& object, const std::string& prefix,
               std::vector<UnsupportedField>& out);

void list_used_field(const FieldInfo& field, const doc::Json& value, const std::string& path,
                     std::vector<UnsupportedField>& out) {
  if (!field.unsupported_note.empty()) {
    if (!is_supported_value(field, value)) out.push_back({path, note_of(field)});
    return;
  }
  if (!field.is_list) return list_used(field.fields, value, path, out);
  if (!value.is_array()) return;
  for (std::size_t i = 0; i < value.size(); ++i) {
    list_used(field.fields, value[i], path + "[" + std::to_string(i) + "]", out);
  }
}

void list_used(const std::vector<FieldInfo>& fields, const doc::Json& object, const std::string& prefix,
               std::vector<UnsupportedField>& out) {
  if (!object.is_object()) return;
  for (const auto& field : fields) {
    const auto found = object.find(field.name);
    if (found == object.end() || !asks_for_something(*found)) continue;
    list_used_field(field, *found, prefix + "." + field.name, out);
  }
}

}  // namespace

std::string_view to_string(FieldType type) noexcept {
  switch (type) {
    case FieldType::string: return "string";
    case FieldType::boolean: return "boolean";
    case FieldType::integer: return "integer";
    case FieldType::duration: return "duration";
    case FieldType::time: return "time";
    case FieldType::string_map: return "map of strings";
    case FieldType::object: return "object";
  }
  return "object";
}

const std::vector<KindInfo>& all_kinds() {
  static const std::vector<KindInfo> kinds{detail::describe_git_repository(), detail::describe_kustomization(),
                                           detail::describe_provider(), detail::describe_alert()};
  return kinds;
}

const KindInfo* find_kind(std::string_view kind) {
  for (const auto& info : all_kinds()) {
    if (info.gvk.kind == kind) return &info;
  }
  return nullptr;
}

std::vector<UnsupportedField> unsupported_fields(std::string_view kind) {
  std::vector<UnsupportedField> out;
  if (const auto* info = find_kind(kind)) list_all(info->spec, "spec", out);
  return out;
}

std::vector<UnsupportedField> unsupported_fields_of(const doc::Json& object) {
  std::vector<UnsupportedField> out;
  const auto* info = find_kind(kind_of(object));
  const auto* spec = doc::find(object, {"spec"});
  if (info != nullptr && spec != nullptr) list_used(info->spec, *spec, "spec", out);
  return out;
}

std::string unsupported_message(const doc::Json& object) {
  std::string out;
  for (const auto& field : unsupported_fields_of(object)) {
    out += out.empty() ? "not supported yet: " : "; ";
    out += field.path + " (" + field.note + ")";
  }
  return out;
}

}  // namespace sluice::api
