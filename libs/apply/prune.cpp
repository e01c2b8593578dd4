// Pruning: the half of ApplySet that deletes.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "api/names.hpp"
#include "apply/apply_set.hpp"
#include "apply/stages.hpp"

namespace sluice::apply {

using base::ErrorKind;
using base::Result;
using doc::Json;

namespace {

constexpr std::size_t kConcurrency = 16;

base::Error about(const api::ObjectId& id, std::string_view doing, base::Error error) {
  return std::move(error).with_context(fmt::format("{} {}", id.display(), doing));
}

bool has_switch(const Json& object, std::string_view key, std::string_view value) {
  return api::annotation_of(object, key) == value || api::label_of(object, key) == value;
}

bool is_kept_by_switch(const Json& object) {
  return has_switch(object, api::annotation::kPrune, api::annotation_value::kDisabled) ||
         has_switch(object, api::annotation::kReconcile, api::annotation_value::kDisabled) ||
         has_switch(object, api::annotation::kSsa, api::annotation_value::kSsaIgnore);
}

// One object may have several ids: under another version's group, or with a
// namespace that a cluster-scoped object does not have.
bool is_kept(const Json& live, const api::ObjectId& id, const std::vector<Change>& kept) {
  const std::string_view uid = api::uid_of(live);
  return std::any_of(kept.begin(), kept.end(), [&](const Change& change) {
    return change.id == id || (!change.uid.empty() && change.uid == uid);
  });
}

int rank_of(const api::InventoryEntry& entry) {
  const auto id = api::ObjectId::parse(entry.id);
  return id ? deletion_rank(id->group_kind()) : 0;
}

}  // namespace

rt::Task<Outcome> ApplySet::prune(std::vector<api::InventoryEntry> entries, std::vector<Change> kept,
                                  std::string propagation) {
  Outcome outcome;
  // Kinds one after the other, in their order; objects of one rank together.
  for (std::size_t from = 0; from < entries.size();) {
    std::size_t to = from;
    while (to < entries.size() && rank_of(entries[to]) == rank_of(entries[from])) ++to;
    std::size_t next = from;
    rt::TaskGroup workers;
    for (std::size_t i = 0; i < std::min(kConcurrency, to - from); ++i) {
      workers.spawn(services_.runtime.context(), prune_some(entries, next, to, kept, propagation, outcome));
    }
    co_await workers.join();
    from = to;
  }
  co_return outcome;
}

rt::Task<void> ApplySet::prune_some(std::vector<api::InventoryEntry>& entries, std::size_t& next, std::size_t to,
                                    const std::vector<Change>& kept, const std::string& propagation,
                                    Outcome& outcome) {
  while (next < to) {
    const api::InventoryEntry entry = entries[next++];
    auto change = co_await prune_one(entry, kept, propagation);
    if (change) {
      outcome.changes.push_back(*std::move(change));
    } else if (!outcome.error) {
      outcome.error = std::move(change).error();
    }
  }
}

rt::Task<Result<Change>> ApplySet::prune_one(api::InventoryEntry entry, const std::vector<Change>& kept,
                                             std::string propagation) {
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

  auto live = co_await services_.client->get(*resource, key);
  if (!live && live.error().kind == ErrorKind::not_found) co_return change;
  if (!live) co_return base::unexpected(about(id, "query failed", std::move(live).error()));
  const bool ours = api::label_of(*live, owner_.group + "/name") == owner_.name &&
                    api::label_of(*live, owner_.group + "/namespace") == owner_.namespace_;
  const api::ObjectId canonical{key.namespace_, key.name, id.group, id.kind};
  if (!ours || is_kept_by_switch(*live) || is_kept(*live, canonical, kept)) {
    change.action = Action::skipped;
    co_return change;
  }
  kube::DeleteOptions options;
  options.propagation = std::move(propagation);
  options.uid = std::string(api::uid_of(*live));  // never a namesake that came meanwhile
  change.uid = options.uid;
  services_.live->disown(*resource, key);
  auto removed = co_await services_.client->remove(*resource, key, options);
  if (!removed && removed.error().kind != ErrorKind::not_found) {
    co_return base::unexpected(about(id, "delete failed", std::move(removed).error()));
  }
  co_return change;
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
