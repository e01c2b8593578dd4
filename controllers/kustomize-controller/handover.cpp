#include "handover.hpp"

#include <fmt/format.h>

#include <utility>

#include "api/names.hpp"
#include "apply/adoption.hpp"
#include "apply/ownership.hpp"

namespace sluice::kustomize_controller {

namespace {

// How far a Kustomization that brings along another is followed; variables could make it go on for ever.
constexpr int kDeepest = 3;

bool is_kustomization(const api::ObjectId& id) {
  return id.group == api::group::kKustomize && id.kind == api::kind::kKustomization;
}

bool is_true(const doc::Json& object, std::string_view field) {
  const doc::Json* value = doc::find(object, {"spec", field});
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

// What is to be deleted, found by what a build may call it: a manifest may give a namespace to an object that has none.
class Wanted {
 public:
  explicit Wanted(const std::vector<api::InventoryEntry>& entries) {
    for (const api::InventoryEntry& entry : entries) {
      const auto id = api::ObjectId::parse(entry.id);
      if (id) ids_[{std::string(), id->name, id->group, id->kind}].emplace_back(id->namespace_, entry.id);
    }
  }
  void claim(const Rendered& rendered, const api::ObjectKey& who, Claims& claims) const {
    for (const apply::Manifest& manifest : *rendered.manifests) {
      const api::ObjectId& id = manifest.id;
      const auto found = ids_.find({std::string(), id.name, id.group, id.kind});
      if (found == ids_.end() || manifest.skip) continue;
      for (const auto& [space, entry] : found->second) {
        if (space.empty() || space == id.namespace_) claims.by.try_emplace(entry, who);
      }
    }
  }

 private:
  std::map<api::ObjectId, std::vector<std::pair<std::string, std::string>>> ids_;
};

// The siblings still to be built; those that a build brings along join them, with the spec that they will have.
class Siblings {
 public:
  explicit Siblings(const HandoverInput& input) : input_(input) {
    for (const controller::Object& object : input.kustomizations) add(object, 0);
  }
  void add(controller::Object object, int depth) {
    api::ObjectKey key = api::key_of(*object);
    if (key == input_.self || api::is_being_deleted(*object) || source_text(*object) != input_.source) return;
    if (doc::find(*object, {"spec", "kubeConfig"}) != nullptr) return;  // its objects are in another cluster
    if (input_.is_deletion && is_true(*object, "suspend")) return;
    const doc::Json* spec = doc::find(*object, {"spec"});
    if (spec == nullptr || !seen_.emplace(std::move(key), apply::hash_of(*spec)).second) return;
    queue_.emplace_back(std::move(object), depth);
  }
  // Of the one that next() gave out last.
  void add_built(const Rendered& rendered) {
    const int depth = queue_[at_ - 1].second + 1;
    if (depth > kDeepest) return;
    for (const apply::Manifest& manifest : *rendered.manifests) {
      if (!is_kustomization(manifest.id) || manifest.skip) continue;
      auto object = doc::parse_json(manifest.text);
      if (object) add(std::make_shared<const doc::Json>(*std::move(object)), depth);
    }
  }
  controller::Object next() { return at_ < queue_.size() ? queue_[at_++].first : nullptr; }

 private:
  const HandoverInput& input_;
  std::set<std::pair<api::ObjectKey, std::uint64_t>> seen_;  // with the hash of the spec
  std::vector<std::pair<controller::Object, int>> queue_;
  std::size_t at_ = 0;
};

}  // namespace

std::string source_text(const doc::Json& kustomization) {
  std::string_view space = doc::find_string(kustomization, {"spec", "sourceRef", "namespace"});
  if (space.empty()) space = api::namespace_of(kustomization);
  return fmt::format("{}/{}/{}", doc::find_string(kustomization, {"spec", "sourceRef", "kind"}), space,
                     doc::find_string(kustomization, {"spec", "sourceRef", "name"}));
}

rt::Task<Claims> find_claims(HandoverInput input) {
  Claims claims;
  const Wanted wanted(input.entries);
  for (const controller::Object& object : input.kustomizations) {
    const api::ObjectKey key = api::key_of(*object);
    if (key == input.self || api::is_being_deleted(*object) || source_text(*object) == input.source) continue;
    if (input.is_deletion && is_true(*object, "suspend")) continue;
    if (const auto last = input.last_build(key)) wanted.claim(*last, key, claims);
  }
  Siblings siblings(input);
  while (claims.by.size() < input.entries.size()) {
    controller::Object sibling = siblings.next();
    if (!sibling) break;
    api::ObjectKey key = api::key_of(*sibling);
    rt::Task<base::Result<std::shared_ptr<const Rendered>>> task = input.build(std::move(sibling));
    const auto built = co_await std::move(task);
    if (built) {
      wanted.claim(**built, key, claims);
      siblings.add_built(**built);
    } else if (!input.is_deletion) {
      claims.unknown.push_back(std::move(key));
    }
  }
  co_return claims;
}

std::string Claims::why_held(const api::InventoryEntry& entry, bool is_patient) const {
  const auto found = by.find(entry.id);
  if (found != by.end()) return fmt::format("Kustomization/{} builds it and is to take it over", found->second.str());
  if (unknown.empty()) return {};
  const auto id = api::ObjectId::parse(entry.id);
  if (!is_patient && !(id && apply::holds_others(id->group_kind()))) return {};
  return fmt::format("Kustomization/{} of the same source may be about to take it over, and does not build",
                     unknown.front().str());
}

std::set<api::ObjectKey> Claims::holders(const std::vector<api::InventoryEntry>& entries) const {
  std::set<api::ObjectKey> all(unknown.begin(), unknown.end());
  for (const api::InventoryEntry& entry : entries) {
    if (const auto found = by.find(entry.id); found != by.end()) all.insert(found->second);
  }
  return all;
}

bool decides_claims(const doc::Json& before, const doc::Json& now) {
  const auto differs = [&](std::string_view field) {
    return doc::find_string(before, {"status", field}) != doc::find_string(now, {"status", field});
  };
  return differs("lastAppliedRevision") || differs("lastAttemptedRevision") ||
         api::generation_of(before) != api::generation_of(now);
}

}  // namespace sluice::kustomize_controller
