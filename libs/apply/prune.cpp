// Pruning: the half of ApplySet that deletes.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "api/names.hpp"
#include "apply/adoption.hpp"
#include "apply/apply_set.hpp"
#include "apply/detail/job.hpp"
#include "apply/stages.hpp"

namespace sluice::apply {

using base::ErrorKind;
using base::Result;
using doc::Json;

namespace {

constexpr std::size_t kConcurrency = 16;
constexpr int kConflictTries = 10;
constexpr std::chrono::milliseconds kConflictPause{20};

base::Error about(const api::ObjectId& id, std::string_view doing, base::Error error) {
  return std::move(error).with_context(fmt::format("{} {}", id.display(), doing));
}

bool is_kept_by_switch(const Json& object) {
  return has_switch(object, api::annotation::kPrune, api::annotation_value::kDisabled) || is_switched_off(object);
}

// One object may have several ids: under another version's group, or with a
// namespace that a cluster-scoped object does not have.
bool is_kept(const Json& live, const api::ObjectId& id, const std::vector<Change>& kept) {
  const std::string_view uid = api::uid_of(live);
  return std::any_of(kept.begin(), kept.end(), [&](const Change& change) {
    return change.id == id || (!change.uid.empty() && change.uid == uid);
  });
}

// Why an object is not ours to delete; "" if it is.
std::string why_to_leave(const Json& live, const api::ObjectId& id, const Owner& owner,
                         const std::vector<Change>& kept) {
  const std::string_view name = api::label_of(live, owner.group + "/name");
  const std::string_view space = api::label_of(live, owner.group + "/namespace");
  if (name != owner.name || space != owner.namespace_) {
    return name.empty() ? "it has no owner any more" : fmt::format("it belongs to {}/{}", space, name);
  }
  if (is_kept_by_switch(live)) return "it is switched off";
  if (is_kept(live, id, kept)) return "it is applied under another name of its kind";
  if (!is_to_outlive_us(live)) return {};
  return fmt::format("it was there before it was first applied; annotate it with '{}: {}' to have it deleted",
                     api::annotation::kPrune, api::annotation_value::kEnabled);
}

int rank_of(const api::InventoryEntry& entry) {
  const auto id = api::ObjectId::parse(entry.id);
  return id ? deletion_rank(id->group_kind()) : 0;
}

bool is_namespace(const api::ObjectId& id) { return id.group.empty() && id.kind == "Namespace"; }

// What stays in the cluster, by what would take it along: a Namespace, or the definition of its kind.
class Staying {
 public:
  void add(const api::ObjectId& id, bool is_held) {
    const Stay stay{id.display(), is_held};
    if (!id.namespace_.empty()) note(in_namespace_[id.namespace_], stay);
    note(of_kind_[id.group_kind()], stay);
  }
  struct Stay {
    std::string name;
    bool is_held = false;  // somebody comes back for it
  };
  // Null: nothing known stays in it.
  const Stay* in(const api::ObjectId& id, const Json& live) const {
    if (is_namespace(id)) return find(in_namespace_, id.name);
    if (!is_definition(id.group_kind())) return nullptr;
    const api::GroupKind kind{std::string(doc::find_string(live, {"spec", "group"})),
                              std::string(doc::find_string(live, {"spec", "names", "kind"}))};
    return find(of_kind_, kind);
  }

 private:
  static void note(Stay& noted, const Stay& stay) {
    if (noted.name.empty() || (stay.is_held && !noted.is_held)) noted = stay;
  }
  template <class Map>
  static const Stay* find(const Map& map, const typename Map::key_type& key) {
    const auto found = map.find(key);
    return found == map.end() ? nullptr : &found->second;
  }
  std::map<std::string, Stay> in_namespace_;
  std::map<api::GroupKind, Stay> of_kind_;
};

// Of what is not deleted because of what is in it.
std::string why_with(const Staying::Stay& stay) {
  return fmt::format("it would take {} with it, which stays", stay.name);
}

}  // namespace

// One call of prune().
struct ApplySet::Pruning {
  std::vector<api::InventoryEntry> entries;
  std::vector<Change> kept;
  PruneOptions options;
  std::size_t next = 0;
  std::size_t to = 0;
  Staying staying;  // of what was looked at so far
  Outcome outcome;

  // Looks again at what was done with the entries before this one, if what comes next could take it along.
  void note_staying(std::size_t before) {
    const auto holds = [](const api::InventoryEntry& entry) {
      const auto id = api::ObjectId::parse(entry.id);
      return id && (is_namespace(*id) || is_definition(id->group_kind()));
    };
    const auto at = [this](std::size_t i) { return entries.begin() + static_cast<std::ptrdiff_t>(i); };
    if (std::none_of(at(before), at(to), holds)) return;
    std::map<std::string, const Change*> done;
    for (const Change& change : outcome.changes) done.emplace(change.id.str(), &change);
    staying = Staying();
    for (const Change& change : kept) staying.add(change.id, true);
    for (std::size_t i = 0; i < before; ++i) {
      const auto id = api::ObjectId::parse(entries[i].id);
      const auto found = done.find(entries[i].id);
      if (!id || (found != done.end() && found->second->action == Action::deleted)) continue;
      staying.add(*id, found == done.end() || found->second->action == Action::held);  // or it failed
    }
  }
  // What stays in a container that is held is to be known to the next call as well.
  void hold_what_stays() {
    std::set<std::string> settled;
    for (const Change& change : outcome.changes) {
      if (change.action != Action::held) settled.insert(change.id.str());
    }
    std::set<std::string> namespaces;
    bool is_any_definition = false;
    for (const auto& entry : entries) {
      const auto id = api::ObjectId::parse(entry.id);
      if (!id || settled.contains(entry.id)) continue;
      if (is_namespace(*id)) namespaces.insert(id->name);
      is_any_definition = is_any_definition || is_definition(id->group_kind());
    }
    for (Change& change : outcome.changes) {
      const bool is_inside = namespaces.contains(change.id.namespace_) || is_any_definition;
      if (change.action == Action::skipped && is_inside) change.action = Action::held;
    }
  }
};

rt::Task<Outcome> ApplySet::prune(std::vector<api::InventoryEntry> entries, std::vector<Change> kept,
                                  PruneOptions options) {
  Pruning pruning{std::move(entries), std::move(kept), std::move(options), 0, 0, {}, {}};
  const std::vector<api::InventoryEntry>& all = pruning.entries;
  // Kinds one after the other, in their order; objects of one rank together.
  while (pruning.to < all.size()) {
    const std::size_t from = pruning.to;
    while (pruning.to < all.size() && rank_of(all[pruning.to]) == rank_of(all[from])) ++pruning.to;
    pruning.note_staying(from);
    rt::TaskGroup workers;
    for (std::size_t i = 0; i < std::min(kConcurrency, pruning.to - from); ++i) {
      workers.spawn(services_.runtime.context(), prune_some(pruning));
    }
    co_await workers.join();
  }
  pruning.hold_what_stays();
  co_return std::move(pruning.outcome);
}

rt::Task<void> ApplySet::prune_some(Pruning& pruning) {
  while (pruning.next < pruning.to) {
    const api::InventoryEntry entry = pruning.entries[pruning.next++];
    auto change = co_await prune_one(pruning, entry);
    if (change) {
      pruning.outcome.changes.push_back(*std::move(change));
    } else if (!pruning.outcome.error) {
      pruning.outcome.error = std::move(change).error();
    }
  }
}

rt::Task<Result<Change>> ApplySet::prune_one(const Pruning& pruning, api::InventoryEntry entry) {
  SLUICE_CO_TRY(const api::ObjectId id, api::ObjectId::parse(entry.id));
  Change change{id, entry.version, Action::deleted, {}, {}};
  api::GroupVersionKind kind{id.group, entry.version, id.kind};
  auto resource = co_await services_.mapper->resource_for(std::move(kind));
  if (!resource && resource.error().kind == ErrorKind::not_found) {
    // The version may have been retired; the kind under any version will do.
    resource = co_await services_.mapper->resource_for_group_kind(id.group, id.kind);
    if (!resource && resource.error().kind == ErrorKind::not_found) co_return change;  // the kind itself is gone
  }
  if (!resource) co_return base::unexpected(about(id, "cannot be mapped", std::move(resource).error()));
  api::ObjectKey key = id.key();
  if (!resource->namespaced) key.namespace_.clear();
  auto done = co_await delete_if_ours(pruning, std::move(change), *std::move(resource), std::move(key));
  co_return done;
}

rt::Task<Result<Change>> ApplySet::delete_if_ours(const Pruning& pruning, Change change, kube::Resource resource,
                                                  api::ObjectKey key) {
  const PruneOptions& options = pruning.options;
  const api::ObjectId id = change.id;
  const api::ObjectId canonical{key.namespace_, key.name, id.group, id.kind};
  for (int attempt = 1;; ++attempt) {
    auto live = co_await services_.client->get(resource, key);
    if (!live && live.error().kind == ErrorKind::not_found) co_return change;
    if (!live) co_return base::unexpected(about(id, "query failed", std::move(live).error()));
    change.why = why_to_leave(*live, canonical, owner_, pruning.kept);
    if (!change.why.empty()) {
      change.action = Action::skipped;
      change.is_news = is_to_outlive_us(*live);
      co_return change;
    }
    if (options.hold) change.why = options.hold({id.str(), change.version}, *live);
    if (!change.why.empty()) {
      change.action = Action::held;
      change.is_news = true;
      co_return change;
    }
    if (const auto* stay = pruning.staying.in(canonical, *live)) {
      const bool is_left = options.is_final && !stay->is_held;
      change.why = why_with(*stay);
      change.action = is_left ? Action::skipped : Action::held;
      change.is_news = true;
      co_return change;
    }
    // Neither a namesake that came meanwhile, nor what another owner has labelled since we looked.
    kube::DeleteOptions request;
    request.propagation = options.propagation;
    request.uid = std::string(api::uid_of(*live));
    request.resource_version = std::string(api::resource_version_of(*live));
    change.uid = request.uid;
    services_.live->disown(resource, key);
    auto removed = co_await services_.client->remove(resource, key, request);
    if (removed || removed.error().kind == ErrorKind::not_found) co_return change;
    if (removed.error().kind != ErrorKind::conflict || attempt == kConflictTries) {
      co_return base::unexpected(about(id, "delete failed", std::move(removed).error()));
    }
    co_await rt::sleep_for(kConflictPause * attempt);
  }
}

std::vector<api::InventoryEntry> entries_to_prune(const api::ResourceInventory& before,
                                                  const api::ResourceInventory& after) {
  std::set<std::string_view> kept;
  for (const api::InventoryEntry& entry : after.entries) kept.insert(entry.id);
  std::vector<std::tuple<int, std::string, const api::InventoryEntry*>> ranked;
  for (const api::InventoryEntry& entry : before.entries) {
    if (!kept.contains(entry.id)) ranked.emplace_back(-rank_of(entry), entry.id, &entry);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<api::InventoryEntry> out;
  out.reserve(ranked.size());
  for (const auto& [rank, id, entry] : ranked) out.push_back(*entry);
  return out;
}

}  // namespace sluice::apply
