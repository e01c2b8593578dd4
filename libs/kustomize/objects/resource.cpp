#include "kustomize/objects/resource.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace sluice::kustomize {
namespace {

constexpr std::array<std::string_view, 16> kNotes{
    "previousKinds",   "previousNames",   "prefixes",  "suffixes", "previousNamespaces",
    "allowNameChange", "allowKindChange", "refBy",     "path",     "generatorBehavior",
    "needsHashSuffix", "index",           "seqindent", "id",       "annotations-migration-resource-id",
    "helm-generated"};
constexpr std::array<const char*, 3> kLegacyNotes{"config.kubernetes.io/path", "config.kubernetes.io/index",
                                                  "config.k8s.io/id"};

std::vector<std::string> split(const std::optional<std::string>& text) {
  // Past any number of layers; what follows stays one part, not one for each byte.
  constexpr std::size_t kMaxParts = 10'000;
  std::vector<std::string> parts;
  for (std::size_t start = 0; text && start <= text->size();) {
    const bool last = parts.size() == kMaxParts;
    const std::size_t end = last ? text->size() : std::min(text->find(',', start), text->size());
    parts.push_back(text->substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

}  // namespace

void Resource::set_ns(const std::string& ns) {
  if (!ns.empty()) {
    value["metadata"]["namespace"] = ns;
  } else if (const auto meta = value.find("metadata"); meta != value.end() && meta->is_object()) {
    meta->erase("namespace");
  }
}

std::vector<ResId> Resource::past_ids() const {
  std::vector<ResId> ids;
  ids.reserve(past.size());
  const Gvk now = gvk();
  for (const PastId& id : past) ids.push_back({{now.group, now.version, id.kind}, id.name, id.ns});
  return ids;
}

ResId Resource::original_id() const {
  if (past.empty()) return id();
  const Gvk now = gvk();
  return {{now.group, now.version, past.front().kind}, past.front().name, past.front().ns};
}

std::string Resource::key() const {
  const GvkView gvk = GvkView::of(value);
  return id_key(gvk, name(), effective_ns(gvk, ns()));
}

GvkView Resource::original_gvk() const {
  GvkView gvk = GvkView::of(value);
  if (!past.empty()) gvk.kind = past.front().kind;
  return gvk;
}

void Resource::remember_id() {
  past.push_back({name_text(), std::string(effective_ns(GvkView::of(value), ns())), kind_text()});
}

std::string Resource::name_text() const {
  const doc::Json* name = doc::find(value, {"metadata", "name"});
  return name == nullptr || name->is_null() ? std::string() : scalar_text(*name);
}

std::string Resource::kind_text() const {
  const doc::Json* kind = doc::find(value, {"kind"});
  return kind == nullptr || kind->is_null() ? std::string() : scalar_text(*kind);
}

base::Result<void> Resource::check_identity() const {
  const auto missing = [&](const char* field) {
    return base::unexpected(base::ErrorKind::invalid,
                            fmt::format("{}: a patch left an object without {}", describe(), field));
  };
  // kustomize keeps each part in a list of its own, without the empty ones, and stumbles over lists of
  // different length; an object that never had a name has no list of names.
  const auto named = std::count_if(past.begin(), past.end(), [](const PastId& id) { return !id.name.empty(); });
  for (const PastId& id : past) {
    if (named > 0 && id.kind.empty()) return missing("kind");
    if (named > 0 && id.name.empty()) return missing("metadata.name");
  }
  const std::string kind = kind_text();
  if (kind.empty()) return missing("kind");
  if (!kind.ends_with("List") && name_text().empty()) return missing("metadata.name");
  return {};
}

void Resource::read_notes() {
  const doc::Json* annotations = doc::find(value, {"metadata", "annotations"});
  if (annotations == nullptr || !annotations->is_object()) return;
  const auto& map = annotations->get_ref<const doc::Json::object_t&>();
  const auto first = map.lower_bound(kNotePrefix);
  if (first == map.end() || !first->first.starts_with(kNotePrefix)) return;
  const auto note = [&](const char* name) {
    return metadata_text(value, "annotations", std::string(kNotePrefix) + name);
  };
  wants_hash = wants_hash || note("needsHashSuffix") == "enabled";
  allow_name_change = allow_name_change || note("allowNameChange") == "enabled";
  allow_kind_change = allow_kind_change || note("allowKindChange") == "enabled";
  if (note("prefixes")) prefixes = split(note("prefixes"));
  if (note("suffixes")) suffixes = split(note("suffixes"));
  const auto names = split(note("previousNames")), namespaces = split(note("previousNamespaces")),
             kinds = split(note("previousKinds"));
  if (names.size() != namespaces.size() || names.size() != kinds.size()) return;
  for (std::size_t i = 0; i < names.size(); ++i) past.push_back({names[i], namespaces[i], kinds[i]});
}

void drop_notes(doc::Json& annotations) {
  for (auto it = annotations.begin(); it != annotations.end();) {
    const std::string_view key = it.key();
    const bool note = key.starts_with(kNotePrefix) &&
                      std::find(kNotes.begin(), kNotes.end(), key.substr(kNotePrefix.size())) != kNotes.end();
    it = note ? annotations.erase(it) : std::next(it);
  }
  for (const char* key : kLegacyNotes) annotations.erase(key);
}

void Resource::settle_empty_nulls() {
  for (const doc::EmptyNull& null : empty_nulls) {
    const bool annotation = null.place.to_string().starts_with("/metadata/annotations/");
    if ((!null.in_flow && !annotation) || !value.contains(null.place)) continue;
    if (doc::Json& found = value.at(null.place); found.is_null()) found = "";
  }
  empty_nulls.clear();
}

void Resource::settle_for_json() {
  std::erase_if(empty_nulls, [](const doc::EmptyNull& null) { return !null.in_flow; });
  settle_empty_nulls();
  static const doc::Json::json_pointer kAnnotations("/metadata/annotations");
  std::erase_if(plain_texts, [&](const doc::PlainText& written) {
    if (written.place.parent_pointer() != kAnnotations) return false;
    if (value.contains(written.place) && value[written.place] == written.text) {
      value[written.place] = scalar_text(written.value);
    }
    return true;
  });
}

std::string Resource::describe() const {
  constexpr std::size_t kLongest = 300;  // of a part; Kubernetes takes no more than 253
  std::string text(kind().substr(0, kLongest));
  if (!ns().empty()) text.append("/").append(ns().substr(0, kLongest));
  text.append("/").append(name().substr(0, kLongest));
  if (!file.empty()) text += line > 0 ? fmt::format(" ({}:{})", file, line) : fmt::format(" ({})", file);
  return text;
}

std::string scalar_text(const doc::Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "null";
  if (value.is_number_float()) {
    std::string text = doc::print_yaml(value);
    text.pop_back();
    return text;
  }
  return value.is_structured() ? std::string() : value.dump();
}

std::optional<std::string> metadata_text(const doc::Json& object, const char* map, const std::string& key) {
  const doc::Json* entries = doc::find(object, {"metadata", map});
  if (entries == nullptr || !entries->is_object()) return std::nullopt;
  const auto found = entries->find(key);
  if (found == entries->end() || found->is_structured()) return std::nullopt;
  return scalar_text(*found);
}

}  // namespace sluice::kustomize
