// Applies a set of objects as one owner, and prunes what left the set. On the loop.
//
// Each stage (stages.hpp) is dry-run as a whole before any of it is written, so
// an object that the server refuses stops its stage with nothing half done.
// What was written before an error is reported along with it: the caller keeps
// it in the inventory, so nothing is ever lost to pruning.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/inventory.hpp"
#include "api/object_meta.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"
#include "kube/client.hpp"
#include "kube/rest_mapper.hpp"
#include "rt/runtime.hpp"

namespace sluice::apply {

// Who owns what is applied; its two labels are put on every object.
struct Owner {
  std::string group;          // label prefix, "kustomize.toolkit.fluxcd.io"
  std::string name;           // value of label `<group>/name`
  std::string namespace_;     // value of label `<group>/namespace`
  std::string field_manager;  // "kustomize-controller"
};

enum class Action { created, configured, unchanged, skipped, deleted };
std::string_view to_string(Action action) noexcept;

struct Change {
  api::ObjectId id;
  std::string version;  // of its apiVersion
  Action action = Action::unchanged;
  std::string resource_version;  // after the write; empty for skipped and deleted
  std::string uid;
};

struct Outcome {
  std::vector<Change> changes;       // all that is known to be in the cluster, or deleted from it
  std::optional<base::Error> error;  // what stopped it; names the object
};

struct ApplyOptions {
  bool force = false;  // recreate objects whose immutable fields changed
  std::size_t concurrency = 16;
  std::chrono::milliseconds stage_timeout{60'000};  // for a stage's objects to become ready
  std::set<api::GroupKind> custom_stage;
};

class ApplySet {
 public:
  ApplySet(rt::Runtime& runtime, std::shared_ptr<kube::Client> client, std::shared_ptr<kube::RestMapper> mapper,
           Owner owner);

  // Objects need apiVersion, kind and name; namespaced ones their namespace.
  // Honours the per-object annotations ssa, force and reconcile.
  rt::Task<Outcome> apply(std::vector<doc::Json> objects, ApplyOptions options);

  // Deletes what carries our owner labels; leaves (and reports as skipped) what
  // another owner has taken over or what is annotated `prune: disabled`,
  // `reconcile: disabled` or `ssa: Ignore`. An object, or a whole kind, that is
  // gone counts as deleted. Goes on after a failure and reports the first one.
  rt::Task<Outcome> prune(std::vector<api::InventoryEntry> entries, std::string propagation);

 private:
  struct Job;
  rt::Task<void> run_jobs(std::vector<Job>& jobs, std::size_t concurrency, bool dry_run);
  rt::Task<void> work(std::vector<Job>& jobs, std::size_t& next, bool dry_run);
  rt::Task<void> dry_run_one(Job& job);
  rt::Task<void> write_one(Job& job);
  rt::Task<base::Result<void>> recreate(Job& job);
  rt::Task<base::Result<void>> await_stage(std::vector<Job>& jobs, std::chrono::milliseconds timeout);
  rt::Task<base::Result<Change>> prune_one(api::InventoryEntry entry, std::string propagation);

  rt::Runtime& runtime_;
  std::shared_ptr<kube::Client> client_;
  std::shared_ptr<kube::RestMapper> mapper_;
  Owner owner_;
};

// What is in `before` and no longer in `after`, in the order in which to delete
// it. Versions do not count: an object that moved from v1beta1 to v1 stays.
std::vector<api::InventoryEntry> entries_to_prune(const api::ResourceInventory& before,
                                                  const api::ResourceInventory& after);

}  // namespace sluice::apply
