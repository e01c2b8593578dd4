#include "api/object_meta.hpp"

#include <algorithm>

#include "api/names.hpp"

namespace sluice::api {

namespace {

StringMap read_string_map(const doc::Json* value) {
  StringMap out;
  if (value == nullptr || !value->is_object()) return out;
  for (const auto& [key, item] : value->items()) {
    if (const auto* text = item.get_ptr<const std::string*>()) out.emplace(key, *text);
  }
  return out;
}

std::vector<std::string> read_string_list(const doc::Json* value) {
  std::vector<std::string> out;
  if (value == nullptr || !value->is_array()) return out;
  for (const auto& item : *value) {
    if (const auto* text = item.get_ptr<const std::string*>()) out.push_back(*text);
  }
  return out;
}

std::optional<base::TimePoint> read_time(std::string_view text) {
  if (text.empty()) return std::nullopt;
  auto time = base::parse_time(text);
  if (!time) return std::nullopt;
  return *time;
}

std::optional<std::string_view> lookup(const StringMap& map, std::string_view key) {
  const auto found = map.find(key);
  if (found == map.end()) return std::nullopt;
  return found->second;
}

void mix(std::size_t& seed, std::string_view text) noexcept {
  // The golden-ratio step of boost::hash_combine.
  seed ^= std::hash<std::string_view>{}(text) + 0x9e3779b97f4a7c15ULL + (seed << 6U) + (seed >> 2U);
}

}  // namespace

std::string ObjectKey::str() const { return namespace_.empty() ? name : namespace_ + "/" + name; }

std::string GroupKind::str() const { return group.empty() ? kind : kind + "." + group; }

std::string GroupVersionKind::api_version() const { return group.empty() ? version : group + "/" + version; }

std::string GroupVersionKind::str() const { return api_version() + "/" + kind; }

base::Result<GroupVersionKind> GroupVersionKind::parse(std::string_view api_version, std::string_view kind) {
  if (kind.empty()) return base::unexpected(base::ErrorKind::invalid, "kind: is required");
  if (api_version.empty()) return base::unexpected(base::ErrorKind::invalid, "apiVersion: is required");
  const auto slash = api_version.find('/');
  if (slash == std::string_view::npos) return GroupVersionKind{"", std::string(api_version), std::string(kind)};
  const auto group = api_version.substr(0, slash);
  const auto version = api_version.substr(slash + 1);
  if (group.empty() || version.empty() || version.find('/') != std::string_view::npos) {
    return base::unexpected(base::ErrorKind::invalid, "apiVersion: must be \"version\" or \"group/version\", got \"" +
                                                          std::string(api_version) + "\"");
  }
  return GroupVersionKind{std::string(group), std::string(version), std::string(kind)};
}

bool ObjectMeta::has_finalizer(std::string_view finalizer) const {
  return std::find(finalizers.begin(), finalizers.end(), finalizer) != finalizers.end();
}

std::optional<std::string_view> ObjectMeta::annotation(std::string_view key) const { return lookup(annotations, key); }

std::optional<std::string_view> ObjectMeta::label(std::string_view key) const { return lookup(labels, key); }

ObjectMeta read_meta(const doc::Json& object) {
  ObjectMeta meta;
  meta.name = name_of(object);
  meta.namespace_ = namespace_of(object);
  meta.uid = uid_of(object);
  meta.resource_version = resource_version_of(object);
  meta.generation = generation_of(object);
  meta.labels = read_string_map(doc::find(object, {"metadata", "labels"}));
  meta.annotations = read_string_map(doc::find(object, {"metadata", "annotations"}));
  meta.finalizers = read_string_list(doc::find(object, {"metadata", "finalizers"}));
  meta.creation_timestamp = read_time(doc::find_string(object, {"metadata", "creationTimestamp"}));
  meta.deletion_timestamp = read_time(doc::find_string(object, {"metadata", "deletionTimestamp"}));
  return meta;
}

std::string_view name_of(const doc::Json& object) noexcept { return doc::find_string(object, {"metadata", "name"}); }

std::string_view namespace_of(const doc::Json& object) noexcept {
  return doc::find_string(object, {"metadata", "namespace"});
}

std::string_view uid_of(const doc::Json& object) noexcept { return doc::find_string(object, {"metadata", "uid"}); }

std::string_view resource_version_of(const doc::Json& object) noexcept {
  return doc::find_string(object, {"metadata", "resourceVersion"});
}

std::string_view kind_of(const doc::Json& object) noexcept { return doc::find_string(object, {"kind"}); }

std::int64_t generation_of(const doc::Json& object) noexcept {
  const auto* value = doc::find(object, {"metadata", "generation"});
  if (value == nullptr || !value->is_number_integer()) return 0;
  return value->get<std::int64_t>();
}

std::string_view annotation_of(const doc::Json& object, std::string_view key) noexcept {
  return doc::find_string(object, {"metadata", "annotations", key});
}

std::string_view label_of(const doc::Json& object, std::string_view key) noexcept {
  return doc::find_string(object, {"metadata", "labels", key});
}

bool is_being_deleted(const doc::Json& object) noexcept {
  return !doc::find_string(object, {"metadata", "deletionTimestamp"}).empty();
}

ObjectKey key_of(const doc::Json& object) { return {std::string(namespace_of(object)), std::string(name_of(object))}; }

base::Result<GroupVersionKind> gvk_of(const doc::Json& object) {
  return GroupVersionKind::parse(doc::find_string(object, {"apiVersion"}), kind_of(object));
}

bool is_reconcile_requested(const ObjectMeta& meta, std::string_view last_handled) {
  const auto requested = meta.annotation(annotation::kReconcileRequestedAt);
  return requested && *requested != last_handled;
}

}  // namespace sluice::api

std::size_t std::hash<sluice::api::ObjectKey>::operator()(const sluice::api::ObjectKey& key) const noexcept {
  std::size_t seed = 0;
  sluice::api::mix(seed, key.namespace_);
  sluice::api::mix(seed, key.name);
  return seed;
}

std::size_t std::hash<sluice::api::GroupKind>::operator()(const sluice::api::GroupKind& kind) const noexcept {
  std::size_t seed = 0;
  sluice::api::mix(seed, kind.group);
  sluice::api::mix(seed, kind.kind);
  return seed;
}

std::size_t std::hash<sluice::api::GroupVersionKind>::operator()(
    const sluice::api::GroupVersionKind& kind) const noexcept {
  std::size_t seed = 0;
  sluice::api::mix(seed, kind.group);
  sluice::api::mix(seed, kind.version);
  sluice::api::mix(seed, kind.kind);
  return seed;
}
