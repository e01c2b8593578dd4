#include "kustomize/objects/written_texts.hpp"

#include "doc/yaml_scalar.hpp"
#include "kustomize/objects/resource.hpp"

namespace sluice::kustomize {
namespace {

using doc::Json;

bool is_at(const Resource& resource, const Json::json_pointer& place, const Json& value, const Json& scalar) {
  return value == scalar && resource.value.contains(place) && &resource.value.at(place) == &scalar;
}

}  // namespace

Json untyped_value(const std::string& text) {
  if (const auto time = doc::timestamp_as_json(text)) return *time;
  return doc::resolve_plain_scalar(text);
}

ScalarState state_of(const Resource& resource, const Json& scalar) {
  for (const WrittenText& note : resource.written) {
    if (is_at(resource, note.place, note.value, scalar)) return {note.text, note.untyped, false};
  }
  for (const doc::PlainText& note : resource.plain_texts) {
    if (is_at(resource, note.place, note.value, scalar)) return {note.text, false, note.value.is_string()};
  }
  return {scalar_text(scalar), false, false};
}

void note_written(Resource& resource, const Json::json_pointer& place, const ScalarState& before,
                  const std::string& text) {
  std::erase_if(resource.written, [&](const WrittenText& note) { return note.place == place; });
  std::erase_if(resource.plain_texts, [&](const doc::PlainText& note) { return note.place == place; });
  if (!resource.value.contains(place)) return;
  const Json& value = resource.value.at(place);
  if (value.is_structured()) return;
  const bool in_quotes = value.is_string() && (doc::is_ambiguous_string(text) || text.find('\n') != std::string::npos);
  if (before.untyped || (in_quotes && !before.is_time)) {
    resource.written.push_back({place, value, text, before.untyped});
  } else if (scalar_text(value) != text) {
    resource.plain_texts.push_back({place, value, text});
  }
}

void settle_untyped(const Resource& resource, Json& scalar) {
  if (resource.written.empty() || scalar.is_structured()) return;
  if (scalar.is_string() && !doc::timestamp_as_json(scalar.get_ref<const std::string&>())) return;
  if (const ScalarState state = state_of(resource, scalar); state.untyped) scalar = state.text;
}

}  // namespace sluice::kustomize
