// Pruning: the half of ApplySet that deletes.
#include <fmt/format.h>

#include <algorithm>
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

}  // namespace

rt::Task<Outcome> ApplySet::prune(std::vector<api::InventoryEntry> entries, std::vector<Change> kept,
                                  PruneOptions options) {
  Outcome outcome;
  // Kinds one after the other, in their order; objects of one rank together.
  for (std::size_t from = 0; from < entries.size();) {
    std::size_t to = from;
    while (to < entries.size() && rank_of(entries[to]) == rank_of(entries[from])) ++to;
    std::size_t next = from;
    rt::TaskGroup workers;
    for (std::size_t i = 0; i < std::min(kConcurrency, to - from); ++i) {
      workers.spawn(services_.runtime.context(), prune_some(entries, next, to, kept, options, outcome));
    }
    co_await workers.join();
    from = to;
  }
  co_return outcome;
}

rt::Task<void> ApplySet::prune_some(std::vector<api::InventoryEntry>& entries, std::size_t& next, std::size_t to,
                                    const std::vector<Change>& kept, const PruneOptions& options,
                                    Outcome& outcome) {
  while (next < to) {
    const api::InventoryEntry entry = entries[next++];
    auto change = co_await prune_one(entry, kept, options);
    if (change) {
      outcome.changes.push_back(*std::move(change));
    } else if (!outcome.error) {
      outcome.error = std::move(change).error();
    }
  }
}

rt::Task<Result<Change>> ApplySet::prune_one(api::InventoryEntry entry, const std::vector<Change>& kept,
                                             const PruneOptions& options) {
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
  auto done = co_await delete_if_ours(std::move(change), *std::move(resource), std::move(key), kept, options);
  co_return done;
}

rt::Task<Result<Change>> ApplySet::delete_if_ours(Change change, kube::Resource resource, api::ObjectKey key,
                                                  const std::vector<Change>& kept, const PruneOptions& options) {
  const api::ObjectId id = change.id;
  const api::ObjectId canonical{key.namespace_, key.name, id.group, id.kind};
  for (int attempt = 1;; ++attempt) {
    auto live = co_await services_.client->get(resource, key);
    if (!live && live.error().kind == ErrorKind::not_found) co_return change;
    if (!live) co_return base::unexpected(about(id, "query failed", std::move(live).error()));
    change.why = why_to_leave(*live, canonical, owner_, kept);
    if (!change.why.empty()) {
      change.action = Action::skipped;
      change.is_news = is_to_outlive_us(*live);
      co_return change;
    }
    if (options.hold) change.why = options.hold({id.str(), change.version});
    if (!change.why.empty()) {
      change.action = Action::held;
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
