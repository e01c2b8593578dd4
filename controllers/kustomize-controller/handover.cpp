#include "handover.hpp"

#include <fmt/format.h>

#include <string_view>
#include <unordered_set>
#include <utility>

#include "api/names.hpp"
#include "apply/adoption.hpp"
#include "apply/ownership.hpp"

namespace sluice::kustomize_controller {

namespace {

// How far a Kustomization that brings along another is followed; variables could make it go on for ever.
constexpr int kDeepest = 3;
// Entries of inventories that are looked at before the loop is given to others.
constexpr std::size_t kAtOnce = 5000;

bool is_kustomization(const api::ObjectId& id) {
  return id.group == api::group::kKustomize && id.kind == api::kind::kKustomization;
}

bool is_true(const doc::Json& object, std::string_view field) {
  const doc::Json* value = doc::find(object, {"spec", field});
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

std::string_view source_namespace_of(const doc::Json& kustomization) {
  const std::string_view space = doc::find_string(kustomization, {"spec", "sourceRef", "namespace"});
  return space.empty() ? api::namespace_of(kustomization) : space;
}

bool may_use_source(const doc::Json& kustomization, const sources::AccessRules& rules) {
  api::CrossNamespaceSourceReference ref;
  ref.kind = doc::find_string(kustomization, {"spec", "sourceRef", "kind"});
  ref.name = doc::find_string(kustomization, {"spec", "sourceRef", "name"});
  const api::ObjectKey key{std::string(source_namespace_of(kustomization)), ref.name};
  return sources::check_access(ref, key, api::namespace_of(kustomization), rules).has_value();
}

// Whether a Kustomization applies anything here, or is to.
bool may_claim(const HandoverInput& input, const doc::Json& object) {
  if (api::key_of(object) == input.self || api::is_being_deleted(object)) return false;
  if (doc::find(object, {"spec", "kubeConfig"}) != nullptr) return false;  // its objects are in another cluster
  if (input.is_deletion && is_true(object, "suspend")) return false;
  return may_use_source(object, input.rules);
}

// What another namespace or source builds proves nothing: anybody can write a manifest of anything.
bool is_sibling(const HandoverInput& input, const doc::Json& object) {
  return input.build && api::namespace_of(object) == input.self.namespace_ && source_text(object) == input.source;
}

bool is_of_a_kind_that_holds_others(const api::InventoryEntry& entry) {
  const auto id = api::ObjectId::parse(entry.id);
  return id && apply::holds_others(id->group_kind());
}

// What is to be deleted, found by what a build may call it: a manifest may give a namespace to an object that has none.
class Wanted {
 public:
  explicit Wanted(const std::vector<api::InventoryEntry>& entries) {
    for (const api::InventoryEntry& entry : entries) {
      const auto id = api::ObjectId::parse(entry.id);
      if (id) ids_[{std::string(), id->name, id->group, id->kind}].emplace_back(id->namespace_, entry.id);
      if (id && id->group.empty() && id->kind == "Namespace") namespaces_.emplace(id->name, entry.id);
      has_definition_ = has_definition_ || (id && apply::is_definition(id->group_kind()));
      entries_.insert(entry.id);
    }
  }
  void claim(const Rendered& rendered, const api::ObjectKey& who, Claims& claims) const {
    for (const apply::Manifest& manifest : *rendered.manifests) {
      const api::ObjectId& id = manifest.id;
      const auto found = ids_.find({std::string(), id.name, id.group, id.kind});
      const auto space = manifest.skip ? namespaces_.end() : namespaces_.find(id.namespace_);
      if (has_definition_ && !manifest.skip) {
        claims.of_kind.try_emplace(id.group_kind(), Claim{who, false, id.display()});
      }
      if (space != namespaces_.end()) claims.by.try_emplace(space->second, Claim{who, false, id.display()});
      // An object that is there is never taken over by a manifest that is for want of one.
      if (found == ids_.end() || manifest.skip || manifest.if_not_present) continue;
      for (const auto& [owner, entry] : found->second) {
        if (owner.empty() || owner == id.namespace_) claims.by.try_emplace(entry, Claim{who, false, {}});
      }
    }
  }
  // Of what the server has let it apply; how many entries that are. `is_neighbour`: it is of the same namespace.
  std::size_t claim_applied(const doc::Json& kustomization, const api::ObjectKey& who, bool is_neighbour,
                            Claims& claims) const {
    const doc::Json* list = doc::find(kustomization, {"status", "inventory", "entries"});
    if (list == nullptr || !list->is_array()) return 0;
    for (const doc::Json& listed : *list) {
      const std::string id(doc::find_string(listed, {"id"}));
      if (!entries_.contains(id) || !(is_neighbour || is_of_a_kind_that_holds_others({id, {}}))) continue;
      claims.by.try_emplace(id, Claim{who, true, {}});
    }
    return list->size();
  }

 private:
  std::unordered_set<std::string> entries_;
  std::map<std::string, std::string> namespaces_;  // entries, by the name of the Namespace
  bool has_definition_ = false;
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
    if (!is_sibling(input_, *object) || !may_claim(input_, *object)) return;
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

bool is_passing(const base::Error& error) {
  switch (error.kind) {
    case base::ErrorKind::rate_limited:
    case base::ErrorKind::unauthorized:
    case base::ErrorKind::unavailable:
    case base::ErrorKind::timeout:
    case base::ErrorKind::cancelled:
    case base::ErrorKind::io: return true;
    default: return false;
  }
}

std::string source_text(const doc::Json& kustomization) {
  return fmt::format("{}/{}/{}", doc::find_string(kustomization, {"spec", "sourceRef", "kind"}),
                     source_namespace_of(kustomization),
                     doc::find_string(kustomization, {"spec", "sourceRef", "name"}));
}

rt::Task<Claims> find_claims(HandoverInput input) {
  Claims claims;
  const Wanted wanted(input.entries);
  std::size_t looked_at = 0;
  for (const controller::Object& object : input.kustomizations) {
    if (is_sibling(input, *object) || !may_claim(input, *object)) continue;
    const api::ObjectKey who = api::key_of(*object);
    looked_at += wanted.claim_applied(*object, who, who.namespace_ == input.self.namespace_, claims);
    if (looked_at < kAtOnce) continue;
    looked_at = 0;
    co_await rt::sleep_for(std::chrono::nanoseconds(0));
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
    } else if (is_passing(built.error()) || (input.is_deletion && built.error().reason == kNotYet)) {
      claims.not_now = fmt::format(
          "Kustomization/{} of the same source may be about to take it over, and cannot be "
          "built now: {}",
          key.str(), built.error().message);
    } else {
      claims.unknown.push_back(std::move(key));
    }
  }
  co_return claims;
}

std::string Claims::why_held(const api::InventoryEntry& entry, const doc::Json& live, bool is_patient) const {
  const auto found = by.find(entry.id);
  if (found != by.end() && !found->second.inside.empty()) {
    return fmt::format("Kustomization/{} builds {} in it", found->second.who.str(), found->second.inside);
  }
  if (found != by.end()) {
    return fmt::format("Kustomization/{} {}", found->second.who.str(),
                       found->second.is_applied ? "applies it too" : "builds it and is to take it over");
  }
  const auto id = api::ObjectId::parse(entry.id);
  if (id && apply::is_definition(id->group_kind())) {
    const auto one = of_kind.find({std::string(doc::find_string(live, {"spec", "group"})),
                                   std::string(doc::find_string(live, {"spec", "names", "kind"}))});
    if (one != of_kind.end()) {
      return fmt::format("Kustomization/{} builds {}, which is of its kind", one->second.who.str(), one->second.inside);
    }
  }
  if (!not_now.empty()) return not_now;
  if (unknown.empty() || !(is_patient || is_of_a_kind_that_holds_others(entry))) return {};
  return fmt::format("Kustomization/{} of the same source may be about to take it over, and does not build",
                     unknown.front().str());
}

std::string Claims::why_left(const api::InventoryEntry& entry, const doc::Json& live, bool is_over) const {
  std::string why = why_held(entry, live, false);
  if (is_over && !is_of_a_kind_that_holds_others(entry)) why.clear();
  return why;
}

std::set<api::ObjectKey> Claims::holders(const std::vector<api::InventoryEntry>& entries) const {
  std::set<api::ObjectKey> all(unknown.begin(), unknown.end());
  for (const api::InventoryEntry& entry : entries) {
    if (const auto found = by.find(entry.id); found != by.end()) all.insert(found->second.who);
    // Of which kind it is the definition is not asked here: to be woken in vain does no harm.
    const auto id = api::ObjectId::parse(entry.id);
    if (!id || !apply::is_definition(id->group_kind())) continue;
    for (const auto& [kind, claim] : of_kind) all.insert(claim.who);
  }
  return all;
}

bool decides_claims(const doc::Json& before, const doc::Json& now) {
  const auto differs = [&](std::string_view field) {
    return doc::find_string(before, {"status", field}) != doc::find_string(now, {"status", field});
  };
  const auto inventory_of = [](const doc::Json& object) {
    const doc::Json* inventory = doc::find(object, {"status", "inventory"});
    return inventory == nullptr ? doc::Json() : *inventory;
  };
  return differs("lastAppliedRevision") || differs("lastAttemptedRevision") ||
         api::generation_of(before) != api::generation_of(now) ||
         api::is_being_deleted(before) != api::is_being_deleted(now) || inventory_of(before) != inventory_of(now);
}

}  // namespace sluice::kustomize_controller
