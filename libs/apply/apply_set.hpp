// Applies a set of objects as one owner, and prunes what left the set. On the loop.
//
// Each stage (stages.hpp) is dry-run as a whole before any of it is written, so
// an object that the server refuses stops its stage with nothing half done.
// What was written before an error is reported along with it: the caller keeps
// it in the inventory, so nothing is ever lost to pruning. An object that stands
// as it was left, by the live records, costs no request.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/inventory.hpp"
#include "api/object_meta.hpp"
#include "apply/live_objects.hpp"
#include "apply/manifest.hpp"
#include "apply/vanished.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"
#include "kube/rest_mapper.hpp"
#include "rt/runtime.hpp"

namespace sluice::apply {

// held: to be deleted, but not now; its owner must not forget it.
enum class Action { created, configured, unchanged, skipped, deleted, held };
std::string_view to_string(Action action) noexcept;

struct Change {
  api::ObjectId id;     // without a namespace for cluster-scoped objects
  std::string version;  // of its apiVersion
  Action action = Action::unchanged;
  std::string resource_version;  // after the write; empty for skipped, deleted and held
  std::string uid;
  std::string why = {};  // it was skipped or held by prune(), for people
  bool is_news = false;  // nobody could know from the object alone that it would be
  // False: skipped by apply(), and no record shows that this owner ever applied it. It proves nothing, and
  // there is nothing to prune: a manifest that is only there to be skipped can be written of anything.
  bool is_ours = true;
  // Fields of the manifest that its kind does not have, as the server writes their paths: they were not applied.
  std::vector<std::string> left_out = {};
  std::string origin = {};  // of the manifest, where there are any

  api::InventoryEntry entry() const { return {id.str(), version}; }
};

struct Outcome {
  std::vector<Change> changes;       // all that is known to be in the cluster, or deleted from it
  std::optional<base::Error> error;  // what stopped it; names the object, and no value of a Secret
};

struct ApplyOptions {
  bool force = false;   // recreate objects whose immutable fields changed
  bool verify = false;  // ask the server about every object, also those that stand by the records
  std::size_t concurrency = 16;
  std::chrono::milliseconds stage_timeout{60'000};  // for a stage's objects to become ready
  std::set<api::GroupKind> custom_stage;
  // Take the fields of kubectl and its kind over before the dry run, not after it: for
  // objects on which their entries in managedFields make the dry run fail.
  bool take_over_before_dry_run = false;
  // For how long after its creation an object that has done its work and vanished is left
  // gone, unless its manifest changes; and that it is wanted now.
  base::Duration vanished_rest{};
  bool renew_vanished = false;
  // Called with a stage's objects when they have passed the dry run and before
  // any of them is written: for an inventory that must be known first. An error
  // stops the set.
  std::function<rt::Task<base::Result<void>>(std::vector<api::InventoryEntry>)> before_write;
};

// What applying needs, besides the objects.
struct ApplyServices {
  rt::Runtime& runtime;
  std::shared_ptr<kube::Client> client;  // speaks as whoever applies
  std::shared_ptr<kube::RestMapper> mapper;
  std::shared_ptr<LiveObjects> live;
  std::shared_ptr<Vanished> vanished = {};  // null: what vanished is created again by the next apply
};

struct PruneOptions {
  std::string propagation = "Background";
  // Why an object of ours is not to be deleted now; "" lets it be deleted. Others may be about to take it over.
  std::function<std::string(const api::InventoryEntry&, const doc::Json& live)> hold;
  // Nobody comes back for what stays: what holds it is left, and not held.
  bool is_final = false;
};

class ApplySet {
 public:
  ApplySet(ApplyServices services, Owner owner);

  // Namespaced objects need their namespace; no two objects may have one id.
  // Honours the per-object annotations ssa, force and reconcile.
  rt::Task<Outcome> apply(std::shared_ptr<const std::vector<Manifest>> objects, ApplyOptions options);

  // Deletes what carries our owner labels; leaves (and reports as skipped) what
  // another owner has taken over, what is annotated `prune: disabled`, `reconcile:
  // disabled` or `ssa: Ignore`, and what is not ours to delete (adoption.hpp). An
  // object, or a whole kind, that is gone counts as deleted. Never touches an object
  // that is in `kept`, under whatever id. Deletes an object only in the state in
  // which it was found so: whoever relabels it meanwhile keeps it. A Namespace or a definition
  // goes only after what of `entries` and `kept` is in it: with one that stays, it stays
  // (held, and the other with it, so that both are known to the next call; left where that is final).
  // Goes on after a failure and reports the first one.
  rt::Task<Outcome> prune(std::vector<api::InventoryEntry> entries, std::vector<Change> kept, PruneOptions options);

 private:
  struct Job;
  rt::Task<Outcome> apply_all(std::shared_ptr<const std::vector<Manifest>> objects, ApplyOptions options);
  rt::Task<std::optional<base::Error>> apply_stage(std::vector<Job>& jobs, std::size_t late_from,
                                                   const ApplyOptions& options, Outcome& outcome);
  rt::Task<void> check_jobs(std::vector<Job>& jobs, const ApplyOptions& options);
  rt::Task<void> write_jobs(std::vector<Job>& jobs, std::size_t from, std::size_t to, std::size_t concurrency);
  rt::Task<void> check_some(std::vector<Job>& jobs, std::size_t& next, const ApplyOptions& options);
  rt::Task<void> write_some(std::vector<Job>& jobs, std::size_t& next, std::size_t to);
  rt::Task<base::Result<void>> locate(Job& job);
  bool settle_by_records(Job& job, const ApplyOptions& options);
  rt::Task<base::Result<doc::Json>> try_out(Job& job, kube::ApplyOptions options);
  rt::Task<base::Result<void>> check(Job& job, const ApplyOptions& options);
  rt::Task<base::Result<void>> judge_answer(Job& job, const ApplyOptions& options, doc::Json seen);
  rt::Task<base::Result<bool>> would_change_nothing(Job& job, doc::Json seen);
  rt::Task<base::Result<void>> look_whose(Job& job);
  rt::Task<base::Result<void>> write(Job& job);
  rt::Task<base::Result<void>> prepare_write(Job& job);
  rt::Task<base::Result<void>> mark_adopted(const Job& job);
  bool is_known_ours(const Job& job) const;
  bool is_known_absent(const Job& job) const;
  void skip(Job& job, std::string version = {}, std::string uid = {}) const;
  rt::Task<base::Result<void>> take_over(const Job& job);
  rt::Task<base::Result<void>> take_over_early(const Job& job);
  rt::Task<base::Result<void>> await_stage(std::vector<Job>& jobs, std::chrono::milliseconds timeout);
  // recreate.cpp
  rt::Task<base::Result<void>> judge_refusal(Job& job, const ApplyOptions& options, base::Error refused);
  rt::Task<base::Result<void>> try_creation(const Job& job);
  rt::Task<base::Result<std::string>> find_lost_removal(const Job& job);
  rt::Task<base::Result<void>> remove_to_recreate(const Job& job);
  // prune.cpp
  struct Pruning;
  rt::Task<void> prune_some(Pruning& pruning);
  rt::Task<base::Result<Change>> prune_one(const Pruning& pruning, api::InventoryEntry entry);
  rt::Task<base::Result<Change>> delete_if_ours(const Pruning& pruning, Change change, kube::Resource resource,
                                                api::ObjectKey key);

  ApplyServices services_;
  Owner owner_;
};

// What is in `before` and no longer in `after`, in the order in which to delete
// it. Versions do not count: an object that moved from v1beta1 to v1 stays.
std::vector<api::InventoryEntry> entries_to_prune(const api::ResourceInventory& before,
                                                  const api::ResourceInventory& after);

}  // namespace sluice::apply
