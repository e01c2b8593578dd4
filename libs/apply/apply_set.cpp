#include "apply/apply_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "api/names.hpp"
#include "apply/health.hpp"
#include "apply/object_watch.hpp"
#include "apply/ownership.hpp"
#include "apply/stages.hpp"

namespace sluice::apply {

using base::ErrorKind;
using base::Result;
using doc::Json;

namespace {

constexpr std::chrono::seconds kDeletionLimit{60};
constexpr std::chrono::seconds kWatchStart{2};      // worth waiting for before asking the server instead
constexpr std::chrono::milliseconds kServePause{100};  // until a new kind is served
constexpr int kServeTries = 100;
constexpr int kConflictTries = 5;
constexpr std::chrono::milliseconds kConflictPause{50};

// "Deployment/apps/web dry-run failed (Invalid), from web.yaml:3: <the server's words>", as
// upstream puts it, and where the object comes from.
base::Error about(const api::ObjectId& id, std::string_view origin, std::string_view doing, base::Error error) {
  const std::string reason = error.reason.empty() ? "" : fmt::format(" ({})", error.reason);
  const std::string from = origin.empty() ? "" : fmt::format(", from {}", origin);
  return std::move(error).with_context(fmt::format("{} {}{}{}", id.display(), doing, reason, from));
}

// The API server answers a change of an immutable field with 422 and a cause
// that says so; there is no reason of its own for it.
bool is_immutable_field(const base::Error& error) {
  if (error.http_status != 422 && error.http_status != 400 && error.http_status != 403) return false;
  return error.message.find("is immutable") != std::string::npos ||
         error.message.find("immutable field") != std::string::npos ||
         error.message.find("updates to statefulset spec for fields other than") != std::string::npos;
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
  const Manifest* manifest = nullptr;
  api::ObjectId id;  // as the server has it
  kube::Resource resource;
  Json object;        // read when it is needed
  bool settled = false;  // `change` says all; nothing to write
  bool recreate = false;
  bool take_over = false;
  bool exists = false;       // as the dry run saw it
  std::string live_version;  // its resourceVersion before the write
  std::optional<Change> change;
  std::optional<base::Error> error;

  void settle(Action action, std::string version = {}, std::string uid = {}) {
    settled = true;
    change = Change{id, manifest->version, action, std::move(version), std::move(uid)};
  }
};

ApplySet::ApplySet(ApplyServices services, Owner owner) : services_(std::move(services)), owner_(std::move(owner)) {}

rt::Task<Outcome> ApplySet::apply(std::shared_ptr<const std::vector<Manifest>> objects, ApplyOptions options) {
  Outcome outcome;
  const std::vector<Stage> stages = split_stages(*objects, options.custom_stage);
  for (const Stage& stage : stages) {
    std::vector<Job> jobs(stage.objects.size());
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      jobs[i].manifest = stage.objects[i];
      jobs[i].id = stage.objects[i]->id;
    }
    auto failed = co_await apply_stage(jobs, stage.late_from, options, outcome);
    if (failed) {
      outcome.error = *std::move(failed);
      co_return outcome;
    }
    if (!stage.await_ready) continue;
    auto ready = co_await await_stage(jobs, options.stage_timeout);
    if (!ready) {
      outcome.error = std::move(ready).error();
      co_return outcome;
    }
  }
  co_return outcome;
}

rt::Task<std::optional<base::Error>> ApplySet::apply_stage(std::vector<Job>& jobs, std::size_t late_from,
                                                           const ApplyOptions& options, Outcome& outcome) {
  co_await check_jobs(jobs, options);
  std::size_t refused = 0;
  std::optional<base::Error> first;
  bool must_write = false;
  std::vector<api::InventoryEntry> entries;
  for (const Job& job : jobs) {
    if (job.error) {
      ++refused;
      if (!first) first = job.error;
      continue;
    }
    must_write = must_write || !job.settled;
    entries.push_back({job.id.str(), job.manifest->version});
  }
  if (first) {
    // Nothing of this stage was written.
    if (refused > 1) first->message += fmt::format(" (and {} more objects are refused)", refused - 1);
    co_return first;
  }
  if (must_write && options.before_write) {
    rt::Task<Result<void>> task = options.before_write(std::move(entries));
    auto noted = co_await std::move(task);
    if (!noted) co_return std::move(noted).error();
  }
  if (must_write) {
    co_await write_jobs(jobs, 0, late_from, options.concurrency);
    co_await write_jobs(jobs, late_from, jobs.size(), options.concurrency);
  }
  bool has_definition = false;
  for (const Job& job : jobs) {
    if (job.change) outcome.changes.push_back(*job.change);
    if (job.error && !first) first = job.error;
    has_definition = has_definition || (!job.settled && job.id.kind == "CustomResourceDefinition");
  }
  // A CRD brings kinds that discovery has not seen.
  if (has_definition) services_.mapper->invalidate();
  co_return first;
}

rt::Task<void> ApplySet::check_jobs(std::vector<Job>& jobs, const ApplyOptions& options) {
  std::size_t next = 0;
  rt::TaskGroup workers;
  const std::size_t count = std::min(std::max<std::size_t>(options.concurrency, 1), jobs.size());
  for (std::size_t i = 0; i < count; ++i) {
    workers.spawn(services_.runtime.context(), check_some(jobs, next, options));
  }
  co_await workers.join();
}

rt::Task<void> ApplySet::check_some(std::vector<Job>& jobs, std::size_t& next, const ApplyOptions& options) {
  while (next < jobs.size()) {
    Job& job = jobs[next++];
    auto checked = co_await check(job, options);
    if (!checked) job.error = about(job.id, job.manifest->origin, "dry-run failed", std::move(checked).error());
  }
}

rt::Task<void> ApplySet::write_jobs(std::vector<Job>& jobs, std::size_t from, std::size_t to,
                                    std::size_t concurrency) {
  if (from >= to) co_return;
  std::size_t next = from;
  rt::TaskGroup workers;
  const std::size_t count = std::min(std::max<std::size_t>(concurrency, 1), to - from);
  for (std::size_t i = 0; i < count; ++i) workers.spawn(services_.runtime.context(), write_some(jobs, next, to));
  co_await workers.join();
}

rt::Task<void> ApplySet::write_some(std::vector<Job>& jobs, std::size_t& next, std::size_t to) {
  while (next < to) {
    Job& job = jobs[next++];
    if (job.settled) continue;
    auto written = co_await write(job);
    if (!written) job.error = about(job.id, job.manifest->origin, "apply failed", std::move(written).error());
  }
}

// Finds the resource that serves the object's kind.
rt::Task<Result<void>> ApplySet::locate(Job& job) {
  const Manifest& manifest = *job.manifest;
  api::GroupVersionKind kind{manifest.id.group, manifest.version, manifest.id.kind};
  auto resource = co_await services_.mapper->resource_for(std::move(kind));
  SLUICE_CO_TRY(job.resource, std::move(resource));
  if (job.resource.namespaced && job.id.namespace_.empty()) {
    co_return base::unexpected(ErrorKind::invalid, "namespace not specified: the object needs metadata.namespace, or "
                                                   "the Kustomization spec.targetNamespace");
  }
  // A cluster-scoped object has no namespace in the inventory, whatever its manifest says.
  if (!job.resource.namespaced) job.id.namespace_.clear();
  services_.live->watch(job.resource);
  const bool current = co_await services_.live->wait_current(job.resource, kWatchStart);
  static_cast<void>(current);
  co_return Result<void>();
}

// Finds out what there is to do for one object; asks the server unless it is known.
rt::Task<Result<void>> ApplySet::check(Job& job, const ApplyOptions& options) {
  auto located = co_await locate(job);
  SLUICE_CO_CHECK(std::move(located));
  const Manifest& manifest = *job.manifest;
  if (manifest.skip) {
    job.settle(Action::skipped);
    co_return Result<void>();
  }
  const LiveObject* live = services_.live->find(job.resource, job.id.key());
  const bool known = live != nullptr && live->owner == owner_.key() && services_.live->is_current(job.resource);
  if (known && !options.verify) {
    if (live->switched_off) {
      job.settle(Action::skipped, live->resource_version, live->uid);
      co_return Result<void>();
    }
    if (live->desired == manifest.hash && live->stands() && live->health != Health::terminating) {
      job.settle(Action::unchanged, live->resource_version, live->uid);
      co_return Result<void>();
    }
  }

  SLUICE_CO_TRY(job.object, doc::parse_json(manifest.text));
  if (!job.resource.namespaced) job.object["metadata"].erase("namespace");
  kube::ApplyOptions dry;
  dry.field_manager = owner_.field_manager;
  dry.dry_run = true;
  auto seen = co_await services_.client->apply(job.resource, job.object, dry);
  if (!seen) {
    if (!is_immutable_field(seen.error())) co_return base::unexpected(std::move(seen).error());
    bool force = options.force || manifest.force;
    if (!force) {
      // The switch may be set in the cluster.
      auto reading = services_.client->get(job.resource, job.id.key());
      auto now = co_await std::move(reading);
      force = now && (api::annotation_of(*now, api::annotation::kForce) == api::annotation_value::kEnabled);
    }
    if (!force) co_return base::unexpected(std::move(seen).error());
    job.recreate = true;
    co_return Result<void>();
  }
  job.live_version = std::string(api::resource_version_of(*seen));
  job.exists = !job.live_version.empty();
  if (!job.exists) co_return Result<void>();
  // The dry run's answer is the merge with the live object, so switches that
  // were set in the cluster show here.
  const bool off = api::annotation_of(*seen, api::annotation::kReconcile) == api::annotation_value::kDisabled ||
                   api::annotation_of(*seen, api::annotation::kSsa) == api::annotation_value::kSsaIgnore;
  if (manifest.if_not_present || off) {
    job.settle(Action::skipped, job.live_version, std::string(api::uid_of(*seen)));
    co_return Result<void>();
  }
  job.take_over = !manifest.merge && needs_takeover(*seen, services_.live->options().foreign);
  // Upstream writes nothing where the dry run finds no difference of content,
  // whoever owns it; nor do we, or a takeover would touch every object.
  live = services_.live->find(job.resource, job.id.key());
  if (!job.take_over && live != nullptr && live->resource_version == job.live_version &&
      live->content == content_hash(*seen)) {
    services_.live->note_unchanged(job.resource, job.id.key(), manifest.hash);
    job.settle(Action::unchanged, job.live_version, std::string(api::uid_of(*seen)));
  }
  co_return Result<void>();
}

rt::Task<Result<void>> ApplySet::write(Job& job) {
  const LiveObjects::Write guard(services_.live, job.resource, job.id.key());
  if (job.recreate) {
    auto removed = co_await remove_to_recreate(job);
    SLUICE_CO_CHECK(std::move(removed));
  } else if (job.take_over) {
    auto taken = co_await take_over(job);
    SLUICE_CO_CHECK(std::move(taken));
  }
  kube::ApplyOptions options;
  options.field_manager = owner_.field_manager;
  for (int attempt = 1;; ++attempt) {
    auto written = co_await services_.client->apply(job.resource, job.object, options);
    if (!written) {
      if (written.error().kind != ErrorKind::conflict || attempt == kConflictTries) {
        co_return base::unexpected(std::move(written).error());
      }
      co_await rt::sleep_for(kConflictPause * attempt);
      continue;
    }
    services_.live->note_left(job.resource, *written, job.manifest->hash);
    const std::string version(api::resource_version_of(*written));
    // The server leaves the resourceVersion alone when an apply changes nothing.
    const Action action =
        !job.exists ? Action::created : (version == job.live_version ? Action::unchanged : Action::configured);
    job.change = Change{job.id, job.manifest->version, action, version, std::string(api::uid_of(*written))};
    co_return Result<void>();
  }
}

// Makes fields that kubectl and its kind own ours, so that the apply that
// follows takes away those that are not in the manifest.
rt::Task<Result<void>> ApplySet::take_over(const Job& job) {
  kube::PatchOptions options;
  options.field_manager = owner_.field_manager;
  for (int attempt = 1;; ++attempt) {
    auto reading = services_.client->get(job.resource, job.id.key());
    auto live = co_await std::move(reading);
    if (!live && live.error().kind == ErrorKind::not_found) co_return Result<void>();
    if (!live) co_return base::unexpected(std::move(live).error());
    auto patch = takeover_patch(*live, owner_.field_manager, services_.live->options().foreign);
    if (!patch) co_return Result<void>();
    auto patching =
        services_.client->patch(job.resource, job.id.key(), kube::PatchType::json, *std::move(patch), options);
    auto patched = co_await std::move(patching);
    if (patched) co_return Result<void>();
    if (patched.error().kind != ErrorKind::conflict || attempt == kConflictTries) {
      co_return base::unexpected(std::move(patched).error().with_context("metadata.managedFields cleanup failed"));
    }
    co_await rt::sleep_for(kConflictPause * attempt);
  }
}

rt::Task<Result<void>> ApplySet::remove_to_recreate(const Job& job) {
  auto reading = services_.client->get(job.resource, job.id.key());
  auto live = co_await std::move(reading);
  if (!live && live.error().kind == ErrorKind::not_found) co_return Result<void>();
  if (!live) co_return base::unexpected(std::move(live).error());
  const std::string uid(api::uid_of(*live));
  kube::DeleteOptions options;
  options.uid = uid;
  auto removing = services_.client->remove(job.resource, job.id.key(), options);
  auto removed = co_await std::move(removing);
  if (!removed && removed.error().kind != ErrorKind::not_found) {
    co_return base::unexpected(std::move(removed).error().with_context("immutable field changed, failed to delete"));
  }
  // Finalizers may hold it for a while.
  rt::Task<Result<void>> gone = await_gone(services_.client, job.resource, job.id.key(), uid);
  auto waiting = rt::with_timeout(std::move(gone), kDeletionLimit, "the deletion of the old object");
  auto waited = co_await std::move(waiting);
  if (waited) co_return Result<void>();
  co_return base::unexpected(
      std::move(waited).error().with_context("immutable field changed; the old object's finalizers hold it"));
}

rt::Task<Result<void>> ApplySet::await_stage(std::vector<Job>& jobs, std::chrono::milliseconds timeout) {
  std::vector<HealthTarget> targets;
  std::vector<api::GroupKind> defined;
  for (const Job& job : jobs) {
    if (job.change && job.change->action == Action::skipped) continue;
    targets.push_back({job.id, job.manifest->version, false});
    if (job.id.kind != "CustomResourceDefinition" || job.settled) continue;
    defined.push_back({std::string(doc::find_string(job.object, {"spec", "group"})),
                       std::string(doc::find_string(job.object, {"spec", "names", "kind"}))});
  }
  HealthServices services{services_.runtime, services_.client, services_.mapper, services_.live};
  HealthOptions options;
  options.timeout = timeout;
  auto ready = co_await await_health(std::move(services), owner_.key(), std::move(targets), std::move(options));
  SLUICE_CO_CHECK(std::move(ready));
  // Discovery shows a new kind a moment after its definition is established.
  for (const api::GroupKind& kind : defined) {
    for (int attempt = 0; attempt < kServeTries; ++attempt) {
      auto served = co_await services_.mapper->resource_for_group_kind(kind.group, kind.kind);
      if (served || served.error().reason != "NoKindMatch") break;
      co_await rt::sleep_for(kServePause);
      services_.mapper->invalidate();
    }
  }
  co_return Result<void>();
}

}  // namespace sluice::apply
