#include "kustomize/patches/patches.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "kustomize/objects/json_passage.hpp"
#include "kustomize/objects/notes.hpp"
#include "kustomize/objects/selector.hpp"
#include "kustomize/objects/steps.hpp"
#include "kustomize/patches/strategic_merge.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using base::unexpected;
using doc::Json;

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

auto at(const Resource& resource, base::Error error) {
  return unexpected(std::move(error).with_context(resource.describe()));
}

// A JSON patch in JSON, or its first document in YAML.
Result<std::vector<PatchOperation>> read_operations(std::string_view text, const doc::YamlLimits& limits) {
  if (text.starts_with('[')) return parse_json_patch_text(text);
  doc::YamlReading reading;
  reading.limits = limits;
  reading.stop = Steps::token();
  reading.version_1_1 = true;
  reading.first_document_only = true;
  SLUICE_TRY(const Json value, doc::parse_yaml(text, reading));
  return parse_json_patch(value);
}

// kustomize writes labels and annotations anew as text, so that no null in a
// patch deletes one.
void metadata_as_text(const Resource& patch, Json& content) {
  for (const doc::EmptyNull& null : patch.empty_nulls) {
    const std::string place = null.place.to_string();
    if (place.starts_with("/metadata/labels/") || place.starts_with("/metadata/annotations/")) content[null.place] = "";
  }
  const auto meta = content.find("metadata");
  if (meta == content.end() || !meta->is_object()) return;
  for (const char* name : {"labels", "annotations"}) {
    const auto map = meta->find(name);
    if (map == meta->end()) continue;
    if (!map->is_object() || map->empty()) {
      meta->erase(map);
      continue;
    }
    for (auto& [key, value] : map->items()) {
      if (!value.is_string()) value = value.is_structured() ? std::string() : scalar_text(value);
    }
  }
}

// True of a patch after which the annotations are not what they were and more.
bool replaces_annotations(const Json& patch) {
  if (patch.contains("$patch")) return true;
  const auto meta = patch.find("metadata");
  if (meta == patch.end()) return false;
  if (!meta->is_object() || meta->contains("$patch")) return true;
  const auto annotations = meta->find("annotations");
  return annotations != meta->end() && (!annotations->is_object() || annotations->contains("$patch"));
}

Result<void> merge_into(Resource& target, const Resource& patch, Json content, const Schema& schema) {
  const bool rename = patch.allow_name_change, rekind = patch.allow_kind_change;
  const auto copy_of = [&](std::initializer_list<std::string_view> path) {
    const Json* found = doc::find(target.value, path);
    return found == nullptr ? Json() : *found;
  };
  Json name = copy_of({"metadata", "name"}), ns = copy_of({"metadata", "namespace"}), kind = copy_of({"kind"});
  if (rename || rekind) target.remember_id();
  ++target.patched;
  const Notes own = replaces_annotations(content) ? notes_of(target) : Notes{};
  put_notes(target, own);
  MergeNotes notes;
  notes.take(target);
  notes.read(patch, content);
  auto alive = strategic_merge(target.value, std::move(content), schema, notes);
  if (!alive) return unexpected(std::move(alive).error());
  notes.give_back(target);
  if (!*alive) {
    target.value = Json();
    return {};
  }
  take_notes(target, own, Gone::forgotten);
  target.allow_name_change = target.allow_name_change || rename;
  target.allow_kind_change = target.allow_kind_change || rekind;
  if (!rekind) target.value["kind"] = std::move(kind);
  Json& meta = target.value["metadata"];
  if (!rename) meta["name"] = std::move(name);
  if (ns.is_null() || ns.is_structured() || ns == "") {
    meta.erase("namespace");
  } else {
    meta["namespace"] = std::move(ns);
  }
  return {};
}

// How a patch finds its object: by a target, or by the id that it carries in
// `patches` or in `patchesStrategicMerge`.
enum class Aim { target, id, legacy_id };

Result<void> apply_merge(ResourceSet& set, const Resource& patch, const std::vector<Resource*>& targets, Aim aim,
                         const Schema& schema) {
  const bool renames = patch.allow_name_change || patch.allow_kind_change;
  const std::size_t weight = targets.size() > 1 ? Growth::weight(patch.value) : 0;
  for (Resource* target : targets) {
    SLUICE_CHECK(set.growth().spend(weight));
    Json content = patch.value;
    if (aim != Aim::id) {
      content["apiVersion"] = target->gvk().api_version();
      metadata_as_text(patch, content);
    }
    // One that says no version as text stays as it is.
    const Json* version = doc::find(target->value, {"apiVersion"});
    const bool no_version = target->gvk().api_version().empty();
    Json kept = version == nullptr ? Json() : *version;
    auto done = merge_into(*target, patch, std::move(content), schema);
    if (!done) return at(*target, std::move(done).error().with_context(fmt::format("patch {}", patch.describe())));
    if (aim != Aim::id && no_version && !target->value.is_null()) target->value["apiVersion"] = std::move(kept);
  }
  const bool deleted = std::any_of(targets.begin(), targets.end(), [](const Resource* target) {
    return target->value.is_null() || target->value.empty();
  });
  if (deleted) set.drop_empty();
  if (replaces_annotations(patch.value)) set.changed_all();  // what they were called may be forgotten
  if (renames) {
    set.changed_all();
    SLUICE_CHECK(set.check_unique());
  }
  return {};
}

Result<Resource*> unique_target(const ResourceSet& set, const Resource& patch) {
  const ResId id = patch.id();
  const std::vector<Resource*> found = set.find_any(id);
  if (found.size() == 1) return found[0];
  if (found.empty()) {
    const std::vector<Resource*> elsewhere = set.find_any_namespace(id);
    const std::string hint =
        elsewhere.empty() ? "" : fmt::format("; {} is in another namespace", elsewhere.front()->describe());
    return unexpected(ErrorKind::not_found,
                      fmt::format("no object matches the patch {}: {}{}", patch.describe(), id.str(), hint));
  }
  return unexpected(ErrorKind::invalid, fmt::format("several objects match the patch {}: {} and {}", patch.describe(),
                                                    found[0]->describe(), found[1]->describe()));
}

void find_empty(const Json& value, std::uint64_t place, std::vector<std::uint64_t>& found) {
  if (!value.is_structured()) return;
  if (value.empty()) found.push_back(place);
  if (value.is_object()) {
    for (const auto& [key, child] : value.items()) find_empty(child, doc::place_of(place, key), found);
  } else {
    for (std::size_t i = 0; i < value.size(); ++i) find_empty(value[i], doc::place_of(place, i), found);
  }
}

// What JSON leaves of flow style: maps and lists with nothing in them have no other.
std::vector<std::uint64_t> empty_places(const Json& value) {
  std::vector<std::uint64_t> found;
  find_empty(value, 0, found);
  return found;
}

Result<void> spend_on(const Notes& notes, Growth& growth) {
  for (const auto& [key, text] : notes) SLUICE_CHECK(growth.add_text(key.size() + text.size()));
  return {};
}

// kustomize puts its notes into the annotations of what a JSON patch left.
Result<void> check_metadata(Json& object) {
  const auto meta = object.find("metadata");
  if (meta == object.end()) return {};
  if (!meta->is_object()) return unexpected(ErrorKind::invalid, "the patch left metadata that is no map");
  const auto annotations = meta->find("annotations");
  if (annotations == meta->end() || annotations->is_object()) return {};
  if (annotations->is_array()) return unexpected(ErrorKind::invalid, "the patch left annotations that are a list");
  meta->erase(annotations);
  return {};
}

// What the API server says against the object may have come with it.
void note_spec(const std::vector<Resource*>& targets, const LoadedPatch& patch) {
  if (patch.from_spec.empty()) return;
  for (Resource* target : targets) target->patched_by.push_back(patch.from_spec);
}

Result<void> apply_by_id(ResourceSet& set, const Resource& merge, const LoadedPatch& patch, Aim aim,
                         const Schema& schema) {
  SLUICE_CHECK(take_step());
  SLUICE_TRY(Resource * target, unique_target(set, merge));
  note_spec({target}, patch);
  return apply_merge(set, merge, {target}, aim, schema);
}

Result<void> apply_operations(ResourceSet& set, const LoadedPatch& patch) {
  if (!patch.target) return unexpected(ErrorKind::invalid, "a JSON patch needs a target");
  SLUICE_TRY(const auto targets, select(set, *patch.target));
  note_spec(targets, patch);
  const bool with_notes = touches(patch.operations, {"metadata", "annotations"});
  for (Resource* target : targets) {
    SLUICE_CHECK(take_step());
    if (!patch.by_id_only) target->remember_id();
    // kustomize goes through JSON here.
    if (auto done = check_numbers(target->value); !done) return at(*target, std::move(done).error());
    ++target->patched;
    target->settle_for_json();
    target->shared.clear();
    target->quoted.clear();
    target->written.clear();
    target->plain_texts.clear();
    const Notes notes = with_notes ? notes_of(*target) : Notes{};
    put_notes(*target, notes);
    SLUICE_CHECK(spend_on(notes, set.growth()));
    if (auto done = apply_json_patch(target->value, patch.operations, set.growth()); !done)
      return at(*target, std::move(done).error());
    if (!target->value.is_object() || target->value.empty())
      return unexpected(ErrorKind::invalid, target->describe() + ": the patch left no object");
    if (auto done = check_metadata(target->value); !done) return at(*target, std::move(done).error());
    take_notes(*target, notes, Gone::kept);
    target->flow = empty_places(target->value);
    if (with_notes) target->read_notes();  // which the patch may bring
  }
  set.changed_all();
  return {};
}

}  // namespace

Result<LoadedPatch> load_patch(const PatchSpec& spec, const Folder& folder, bool must_be_json) {
  LoadedPatch loaded;
  loaded.target = spec.target;
  loaded.from_spec = spec.from_spec;
  const std::string inline_text(trim(spec.patch));
  if (inline_text.empty() == spec.path.empty()) {
    return unexpected(ErrorKind::invalid,
                      inline_text.empty() ? "one of patch and path is needed" : "patch and path exclude each other");
  }
  std::string text = inline_text;
  std::string file;
  if (!spec.path.empty()) {
    SLUICE_TRY(text, folder.load(spec.path));
    file = folder.path_of(spec.path);
  }
  const auto in_file = [&](base::Error error) {
    return unexpected(file.empty() ? std::move(error) : std::move(error).with_context(file));
  };
  auto operations = read_operations(text, folder.budget().limits.yaml);
  if (must_be_json) {
    if (!operations) return in_file(std::move(operations).error());
    if (operations->empty()) return unexpected(ErrorKind::invalid, "the patch is empty");
    if (!spec.target || spec.target->name.empty()) return unexpected(ErrorKind::invalid, "target.name is needed");
    loaded.operations = *std::move(operations);
    loaded.by_id_only = true;
    return loaded;
  }
  if (operations && !operations->empty()) {
    loaded.operations = *std::move(operations);
    return loaded;
  }
  auto merges = folder.parse(text, file, Folder::For::patches);
  if (!merges) {
    // kustomize takes an empty list of operations, and nothing else, for no patch.
    if (operations) return loaded;
    if (text.starts_with('[') && merges.error().kind == ErrorKind::invalid) {
      return in_file(std::move(operations).error().with_context("a patch that begins with [ must be strict JSON"));
    }
    return unexpected(std::move(merges).error().with_context("neither a strategic merge nor a JSON patch"));
  }
  for (auto& merge : *merges) {
    merge->allow_name_change = spec.allow_name_change;
    merge->allow_kind_change = spec.allow_kind_change;
    loaded.merges.push_back(std::move(merge));
  }
  if (loaded.target && loaded.merges.size() > 1) {
    return unexpected(ErrorKind::invalid, "several strategic merge patches in one entry can't have a target");
  }
  return loaded;
}

Result<LoadedPatch> load_merge_patch(const std::string& entry, const Folder& folder) {
  LoadedPatch loaded;
  loaded.by_id_only = true;
  // What parses as objects is the patch itself, all else a path.
  auto objects = folder.inline_objects(entry, "", Folder::For::patches);
  if (objects) {
    loaded.merges = *std::move(objects);
  } else {
    SLUICE_TRY(loaded.merges, folder.resources(entry, Folder::For::patches));
  }
  return loaded;
}

Result<void> apply_patch(ResourceSet& set, const LoadedPatch& patch, const Schema& schema) {
  if (!patch.operations.empty()) return apply_operations(set, patch);
  if (patch.target && !patch.merges.empty()) {
    SLUICE_TRY(const auto targets, select(set, *patch.target));
    note_spec(targets, patch);
    return apply_merge(set, *patch.merges.front(), targets, Aim::target, schema);
  }
  const Aim aim = patch.by_id_only ? Aim::legacy_id : Aim::id;
  for (std::size_t i = 0; i < patch.merges.size(); ++i) {
    auto done = apply_by_id(set, *patch.merges[i], patch, aim, schema);
    if (done) continue;
    if (patch.entries.empty()) return done;
    return unexpected(std::move(done).error().with_context(patch.entries[i]));
  }
  return {};
}

}  // namespace sluice::kustomize
