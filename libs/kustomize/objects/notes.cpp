#include "kustomize/objects/notes.hpp"

#include <fmt/format.h>

#include <vector>

namespace sluice::kustomize {
namespace {

using doc::Json;

std::string key_of(const char* name) { return fmt::format("{}{}", kNotePrefix, name); }

// A list as kustomize writes it, without what is empty.
void put_list(Notes& notes, const char* name, const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) {
    if (part.empty()) continue;
    if (!text.empty()) text += ',';
    text += part;
  }
  if (!text.empty()) notes[key_of(name)] = std::move(text);
}

void put_past(Notes& notes, const char* name, const std::vector<PastId>& past, std::string PastId::*part) {
  std::vector<std::string> parts;
  parts.reserve(past.size());
  for (const PastId& id : past) parts.push_back(id.*part);
  put_list(notes, name, parts);
}

const char* text_of(Behavior behavior) {
  switch (behavior) {
    case Behavior::create: return "create";
    case Behavior::merge: return "merge";
    case Behavior::replace: return "replace";
    case Behavior::unspecified: break;
  }
  return "unspecified";
}

// The annotations, if they are a map.
Json* annotations_of(Resource& resource) {
  const auto meta = resource.value.find("metadata");
  if (meta == resource.value.end() || !meta->is_object()) return nullptr;
  const auto annotations = meta->find("annotations");
  return annotations == meta->end() || !annotations->is_object() ? nullptr : &*annotations;
}

void forget(Resource& resource, const std::string& key) {
  const auto is = [&](const char* name) { return key == key_of(name); };
  if (is("previousNames") || is("previousNamespaces") || is("previousKinds")) resource.past.clear();
  if (is("prefixes")) resource.prefixes.clear();
  if (is("suffixes")) resource.suffixes.clear();
  if (is("needsHashSuffix")) resource.wants_hash = false;
  if (is("generatorBehavior")) resource.generated = false;
  if (is("allowNameChange")) resource.allow_name_change = false;
  if (is("allowKindChange")) resource.allow_kind_change = false;
}

}  // namespace

Notes notes_of(const Resource& resource) {
  Notes notes;
  put_past(notes, "previousNames", resource.past, &PastId::name);
  put_past(notes, "previousNamespaces", resource.past, &PastId::ns);
  put_past(notes, "previousKinds", resource.past, &PastId::kind);
  put_list(notes, "prefixes", resource.prefixes);
  put_list(notes, "suffixes", resource.suffixes);
  if (resource.wants_hash) notes[key_of("needsHashSuffix")] = "enabled";
  if (resource.generated) notes[key_of("generatorBehavior")] = text_of(resource.behavior);
  if (resource.allow_name_change) notes[key_of("allowNameChange")] = "enabled";
  if (resource.allow_kind_change) notes[key_of("allowKindChange")] = "enabled";
  return notes;
}

bool has_notes(const Resource& resource) {
  return !resource.past.empty() || !resource.prefixes.empty() || !resource.suffixes.empty() || resource.wants_hash ||
         resource.generated || resource.allow_name_change || resource.allow_kind_change;
}

void put_notes(Resource& resource, const Notes& notes) {
  if (notes.empty() || !resource.value.is_object()) return;
  Json& meta = resource.value["metadata"];
  if (meta.is_null()) meta = Json::object();
  if (!meta.is_object()) return;
  Json& annotations = meta["annotations"];
  if (annotations.is_null()) annotations = Json::object();
  if (!annotations.is_object()) return;
  for (const auto& [key, text] : notes) annotations[key] = text;
}

void take_notes(Resource& resource, const Notes& notes, Gone gone) {
  if (notes.empty()) return;
  Json* annotations = resource.value.is_object() ? annotations_of(resource) : nullptr;
  for (const auto& [key, text] : notes) {
    const bool there = annotations != nullptr && annotations->erase(key) > 0;
    if (!there && gone == Gone::forgotten) forget(resource, key);
  }
  if (annotations != nullptr && annotations->empty()) resource.value["metadata"].erase("annotations");
}

}  // namespace sluice::kustomize
