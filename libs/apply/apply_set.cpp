#include "apply/apply_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "api/names.hpp"
#include "apply/readiness.hpp"
#include "apply/stages.hpp"

namespace sluice::apply {

using base::ErrorKind;
using base::Result;
using doc::Json;

namespace {

constexpr std::chrono::milliseconds kDeletionPoll{200};
constexpr std::chrono::seconds kDeletionLimit{60};
constexpr std::chrono::milliseconds kReadinessPoll{250};

// "Deployment/apps/web" with apply's verb in front of the server's words.
base::Error about(const api::ObjectId& id, std::string_view doing, base::Error error) {
  return std::move(error).with_context(fmt::format("{} {}", id.display(), doing));
}

// The API server answers a change of an immutable field with 422 and a cause
// that says so; there is no reason of its own for it.
bool is_immutable_field(const base::Error& error) {
  if (error.http_status != 422 && error.http_status != 400) return false;
  return error.message.find("field is immutable") != std::string::npos ||
         error.message.find("is immutable") != std::string::npos ||
         error.message.find("updates to statefulset spec for fields other than") != std::string::npos;
}

bool is_switched_off(const Json& object, std::string_view annotation) {
  return api::annotation_of(object, annotation) == api::annotation_value::kDisabled;
}

void strip_server_fields(Json& object) {
  object.erase("status");
  Json& metadata = object["metadata"];
  for (const char* field : {"managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"}) {
    metadata.erase(field);
  }
}

void strip_legacy_annotations(Json& object) {
  const auto found = object["metadata"].find("annotations");
  if (found == object["metadata"].end() || !found->is_object()) return;
  for (const std::string_view key : {api::annotation::kLegacyKustomizeChecksum, api::annotation::kLegacySyncChecksum,
                                     api::annotation::kLegacySyncGcMark}) {
    found->erase(std::string(key));
  }
  if (found->empty()) object["metadata"].erase("annotations");
}

}  // namespace

std::string_view to_string(Action action) noexcept {
  switch (action) {
    case Action::created: return "created";
    case Action::configured: return "configured";
    case Action::unchanged: return "unchanged";
    case Action::skipped: return "skipped";
    case Action::deleted: return "deleted";
  }
  return "unchanged";
}

// One object on its way through a stage.
struct ApplySet::Job {
  Json object;
  api::ObjectId id;
  api::GroupVersionKind gvk;
  kube::Resource resource;
  bool force = false;
  bool may_override = true;  // ssa: Merge leaves fields of others alone
  bool skip = false;
  bool exists = false;       // as the dry run saw it
  std::string live_version;  // its resourceVersion before the write
  std::optional<Change> change;
  std::optional<base::Error> error;
};

ApplySet::ApplySet(rt::Runtime& runtime, std::shared_ptr<kube::Client> client, std::shared_ptr<kube::RestMapper> mapper,
                   Owner owner)
    : runtime_(runtime), client_(std::move(client)), mapper_(std::move(mapper)), owner_(std::move(owner)) {}

rt::Task<Outcome> ApplySet::apply(std::vector<Json> objects, ApplyOptions options) {
  Outcome outcome;
  std::vector<Stage> stages = split_stages(std::move(objects), options.custom_stage);
  for (Stage& stage : stages) {
    std::vector<Job> jobs;
    jobs.reserve(stage.objects.size());
    for (Json& object : stage.objects) {
      Job job;
      auto id = api::ObjectId::of(object);
      auto gvk = api::gvk_of(object);
      if (!id || !gvk) {
        outcome.error = id ? std::move(gvk).error() : std::move(id).error();
        co_return outcome;
      }
      job.id = *std::move(id);
      job.gvk = *std::move(gvk);
      strip_server_fields(object);
      strip_legacy_annotations(object);
      Json& labels = object["metadata"]["labels"];
      if (!labels.is_object()) labels = Json::object();
      labels[owner_.group + "/name"] = owner_.name;
      labels[owner_.group + "/namespace"] = owner_.namespace_;
      job.force =
          options.force || api::annotation_of(object, api::annotation::kForce) == api::annotation_value::kEnabled;
      job.object = std::move(object);
      jobs.push_back(std::move(job));
    }

    co_await run_jobs(jobs, options.concurrency, true);
    for (Job& job : jobs) {
      if (job.error && !outcome.error) outcome.error = about(job.id, "dry-run failed", *job.error);
    }
    if (outcome.error) {
      // Nothing of this stage was written. What recreate() deleted comes back with the next attempt.
      co_return outcome;
    }

    co_await run_jobs(jobs, options.concurrency, false);
    for (Job& job : jobs) {
      if (job.change) outcome.changes.push_back(*job.change);
      if (job.error && !outcome.error) outcome.error = about(job.id, "apply failed", *job.error);
    }
    if (outcome.error) co_return outcome;

    if (stage.await_ready) {
      auto ready = co_await await_stage(jobs, options.stage_timeout);
      if (!ready) {
        outcome.error = std::move(ready).error();
        co_return outcome;
      }
      // A CRD that just became established brings kinds that discovery has not seen.
      const bool has_crd = std::any_of(jobs.begin(), jobs.end(),
                                       [](const Job& job) { return job.gvk.kind == "CustomResourceDefinition"; });
      if (has_crd) mapper_->invalidate();
    }
  }
  co_return outcome;
}

rt::Task<void> ApplySet::run_jobs(std::vector<Job>& jobs, std::size_t concurrency, bool dry_run) {
  std::size_t next = 0;
  rt::TaskGroup workers;
  const std::size_t count = std::min(std::max<std::size_t>(concurrency, 1), jobs.size());
  for (std::size_t i = 0; i < count; ++i) workers.spawn(runtime_.context(), work(jobs, next, dry_run));
  co_await workers.join();
}

rt::Task<void> ApplySet::work(std::vector<Job>& jobs, std::size_t& next, bool dry_run) {
  while (next < jobs.size()) {
    Job& job = jobs[next++];
    if (dry_run) {
      co_await dry_run_one(job);
    } else if (!job.skip) {
      co_await write_one(job);
    }
  }
}

rt::Task<void> ApplySet::dry_run_one(Job& job) {
  auto resource = co_await mapper_->resource_for(job.gvk);
  if (!resource) {
    job.error = std::move(resource).error();
    co_return;
  }
  job.resource = *std::move(resource);
  if (job.resource.namespaced && job.id.namespace_.empty()) {
    job.error = base::Error{ErrorKind::invalid, "a namespaced object without metadata.namespace", 0, {}, {}};
    co_return;
  }
  if (!job.resource.namespaced && !job.id.namespace_.empty()) {
    // A cluster-scoped object has no namespace in the inventory, whatever its manifest says.
    job.id.namespace_.clear();
    job.object["metadata"].erase("namespace");
  }
  const std::string policy(api::annotation_of(job.object, api::annotation::kSsa));
  job.may_override = policy != api::annotation_value::kSsaMerge;
  job.skip = policy == api::annotation_value::kSsaIgnore || is_switched_off(job.object, api::annotation::kReconcile);

  kube::ApplyOptions options;
  options.field_manager = owner_.field_manager;
  options.force = true;
  options.dry_run = true;
  if (!job.skip) {
    auto seen = co_await client_->apply(job.resource, job.object, options);
    if (!seen && job.force && is_immutable_field(seen.error())) {
      auto replaced = co_await recreate(job);
      if (!replaced) {
        job.error = std::move(replaced).error();
        co_return;
      }
      seen = co_await client_->apply(job.resource, job.object, options);
    }
    if (!seen) {
      job.error = std::move(seen).error();
      co_return;
    }
    job.live_version = std::string(api::resource_version_of(*seen));
    job.exists = !job.live_version.empty();
    // The dry run's answer is the merge with the live object, so switches that
    // were set in the cluster show here.
    job.skip = (job.exists && policy == api::annotation_value::kSsaIfNotPresent) ||
               (job.exists && is_switched_off(*seen, api::annotation::kReconcile)) ||
               (job.exists && api::annotation_of(*seen, api::annotation::kSsa) == api::annotation_value::kSsaIgnore);
  }
  if (job.skip) job.change = Change{job.id, job.gvk.version, Action::skipped, {}, {}};
}

rt::Task<void> ApplySet::write_one(Job& job) {
  kube::ApplyOptions options;
  options.field_manager = owner_.field_manager;
  options.force = true;
  auto written = co_await client_->apply(job.resource, job.object, options);
  if (!written) {
    job.error = std::move(written).error();
    co_return;
  }
  const std::string version(api::resource_version_of(*written));
  // The server leaves the resourceVersion alone when an apply changes nothing.
  const Action action =
      !job.exists ? Action::created : (version == job.live_version ? Action::unchanged : Action::configured);
  job.change = Change{job.id, job.gvk.version, action, version, std::string(api::uid_of(*written))};
}

rt::Task<Result<void>> ApplySet::recreate(Job& job) {
  auto live = co_await client_->get(job.resource, job.id.key());
  if (!live && live.error().kind != ErrorKind::not_found) co_return base::unexpected(std::move(live).error());
  if (live) {
    kube::DeleteOptions options;
    options.uid = std::string(api::uid_of(*live));
    auto removed = co_await client_->remove(job.resource, job.id.key(), options);
    if (!removed && removed.error().kind != ErrorKind::not_found) {
      co_return base::unexpected(
          std::move(removed).error().with_context("immutable field changed, deleting to recreate"));
    }
  }
  // Finalizers may hold it for a while.
  const auto deadline = std::chrono::steady_clock::now() + kDeletionLimit;
  while (std::chrono::steady_clock::now() < deadline) {
    auto still = co_await client_->get(job.resource, job.id.key());
    if (!still && still.error().kind == ErrorKind::not_found) co_return Result<void>();
    if (!still) co_return base::unexpected(std::move(still).error());
    co_await rt::sleep_for(kDeletionPoll);
  }
  co_return base::unexpected(ErrorKind::timeout,
                             "immutable field changed; the old object is still being deleted, see its finalizers");
}

rt::Task<Result<void>> ApplySet::await_stage(std::vector<Job>& jobs, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (Job& job : jobs) {
    if (job.skip) continue;
    while (true) {
      auto live = co_await client_->get(job.resource, job.id.key());
      if (!live) co_return base::unexpected(about(job.id, "cannot be read", std::move(live).error()));
      const Readiness readiness = assess(*live);
      if (readiness.health == Health::current) break;
      if (readiness.health == Health::failed || std::chrono::steady_clock::now() >= deadline) {
        const ErrorKind kind = readiness.health == Health::failed ? ErrorKind::invalid : ErrorKind::timeout;
        co_return base::unexpected(kind, fmt::format("{} is not ready ({}): {}", job.id.display(),
                                                     to_string(readiness.health), readiness.message));
      }
      co_await rt::sleep_for(kReadinessPoll);
    }
  }
  co_return Result<void>();
}

rt::Task<Outcome> ApplySet::prune(std::vector<api::InventoryEntry> entries, std::string propagation) {
  Outcome outcome;
  for (api::InventoryEntry& entry : entries) {
    auto change = co_await prune_one(entry, propagation);
    if (change) {
      outcome.changes.push_back(*std::move(change));
    } else if (!outcome.error) {
      outcome.error = std::move(change).error();
    }
  }
  co_return outcome;
}

rt::Task<Result<Change>> ApplySet::prune_one(api::InventoryEntry entry, std::string propagation) {
  SLUICE_CO_TRY(const api::ObjectId id, api::ObjectId::parse(entry.id));
  Change change{id, entry.version, Action::deleted, {}, {}};
  api::GroupVersionKind kind{id.group, entry.version, id.kind};
  auto resource = co_await mapper_->resource_for(std::move(kind));
  if (!resource && resource.error().kind == ErrorKind::not_found) {
    // The version may have been retired; the kind under any version will do.
    resource = co_await mapper_->resource_for_group_kind(id.group, id.kind);
    if (!resource && resource.error().kind == ErrorKind::not_found) co_return change;  // the kind itself is gone
  }
  if (!resource) co_return base::unexpected(about(id, "cannot be mapped", std::move(resource).error()));

  auto live = co_await client_->get(*resource, id.key());
  if (!live && live.error().kind == ErrorKind::not_found) co_return change;
  if (!live) co_return base::unexpected(about(id, "cannot be read", std::move(live).error()));
  const bool ours = api::label_of(*live, owner_.group + "/name") == owner_.name &&
                    api::label_of(*live, owner_.group + "/namespace") == owner_.namespace_;
  const bool kept = is_switched_off(*live, api::annotation::kPrune) ||
                    is_switched_off(*live, api::annotation::kReconcile) ||
                    api::annotation_of(*live, api::annotation::kSsa) == api::annotation_value::kSsaIgnore;
  if (!ours || kept) {
    change.action = Action::skipped;
    co_return change;
  }
  kube::DeleteOptions options;
  options.propagation = std::move(propagation);
  options.uid = std::string(api::uid_of(*live));  // never a namesake that came meanwhile
  auto removed = co_await client_->remove(*resource, id.key(), options);
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
    if (kept.contains(entry.id)) continue;
    const auto id = api::ObjectId::parse(entry.id);
    ranked.emplace_back(id ? -deletion_rank(id->group_kind()) : 0, entry.id, &entry);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<api::InventoryEntry> out;
  out.reserve(ranked.size());
  for (const auto& [rank, id, entry] : ranked) out.push_back(*entry);
  return out;
}

}  // namespace sluice::apply
