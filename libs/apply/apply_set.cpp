#include "apply/apply_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "api/names.hpp"
#include "apply/adoption.hpp"
#include "apply/detail/job.hpp"
#include "apply/detail/undeclared.hpp"
#include "apply/health.hpp"
#include "apply/ownership.hpp"
#include "apply/secrets.hpp"
#include "apply/stages.hpp"

namespace sluice::apply {

using base::ErrorKind;
using base::Result;
using doc::Json;

namespace {

constexpr std::chrono::seconds kWatchStart{2};         // worth waiting for before asking the server instead
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

// As the server would say it.
constexpr int kMostRounds = 50;  // of fields that a kind does not have

base::Error invalid(std::string message) {
  base::Error error;
  error.kind = ErrorKind::invalid;
  error.http_status = 422;
  error.reason = "Invalid";
  error.message = std::move(message);
  return error;
}

}  // namespace

std::string_view to_string(Action action) noexcept {
  switch (action) {
    case Action::created: return "created";
    case Action::configured: return "configured";
    case Action::unchanged: return "unchanged";
    case Action::skipped: return "skipped";
    case Action::deleted: return "deleted";
    case Action::held: return "held";
  }
  return "unchanged";
}

ApplySet::ApplySet(ApplyServices services, Owner owner) : services_(std::move(services)), owner_(std::move(owner)) {}

rt::Task<Outcome> ApplySet::apply(std::shared_ptr<const std::vector<Manifest>> objects, ApplyOptions options) {
  rt::Task<Outcome> task = apply_all(objects, std::move(options));
  Outcome outcome = co_await std::move(task);
  if (!outcome.error) co_return outcome;
  // Servers and webhooks repeat what they refuse, and what of it is secret may stand anywhere in their words.
  auto work = [objects, message = std::move(outcome.error->message)](std::stop_token) {
    base::Masks masks;
    add_secrets(*objects, masks);
    return masks.apply(message);
  };
  auto masking = rt::run_blocking(services_.runtime, owner_.namespace_, std::move(work));
  outcome.error->message = co_await std::move(masking);
  co_return outcome;
}

rt::Task<Outcome> ApplySet::apply_all(std::shared_ptr<const std::vector<Manifest>> objects, ApplyOptions options) {
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
    if (!job.change || job.change->is_ours) entries.push_back({job.id.str(), job.manifest->version});
  }
  if (first) {
    // Nothing of this stage was written; but what stands, or stood before, is not to be forgotten.
    for (Job& job : jobs) {
      if (!job.change && is_known_ours(job)) job.settle(Action::unchanged);
      if (job.change) outcome.changes.push_back(job.told());
    }
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
    if (job.change) outcome.changes.push_back(job.told());
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

rt::Task<void> ApplySet::write_jobs(std::vector<Job>& jobs, std::size_t from, std::size_t to, std::size_t concurrency) {
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
    co_return base::unexpected(ErrorKind::invalid,
                               "namespace not specified: the object needs metadata.namespace, or "
                               "the Kustomization spec.targetNamespace");
  }
  // A cluster-scoped object has no namespace in the inventory, whatever its manifest says.
  if (!job.resource.namespaced) job.id.namespace_.clear();
  services_.live->watch(job.resource);
  const bool current = co_await services_.live->wait_current(job.resource, kWatchStart);
  static_cast<void>(current);
  co_return Result<void>();
}

bool ApplySet::is_known_ours(const Job& job) const {
  const LiveObject* live = services_.live->find(job.resource, job.id.key());
  return live != nullptr && live->owner == owner_.key();
}

bool ApplySet::is_known_absent(const Job& job) const {
  return services_.live->is_current(job.resource) && services_.live->find(job.resource, job.id.key()) == nullptr;
}

void ApplySet::skip(Job& job, std::string version, std::string uid) const {
  job.settle(Action::skipped, std::move(version), std::move(uid));
  job.change->is_ours = is_known_ours(job);
}

// What the live records say for certain needs no request.
bool ApplySet::settle_by_records(Job& job, const ApplyOptions& options) {
  const Manifest& manifest = *job.manifest;
  if (manifest.skip) {
    skip(job);
    return true;
  }
  if (!services_.live->is_current(job.resource)) return false;
  const LiveObject* live = services_.live->find(job.resource, job.id.key());
  if (live == nullptr) {
    const bool rests = manifest.may_vanish && services_.vanished && !options.renew_vanished &&
                       services_.vanished->rests(owner_.key(), job.id, manifest.hash, base::system_clock().steady(),
                                                 options.vanished_rest) &&
                       services_.live->ending(job.resource, job.id.key()) != nullptr;
    if (rests) job.settle(Action::unchanged);
    return rests;
  }
  if (live->owner != owner_.key() || options.verify) return false;
  if (live->switched_off) {
    job.settle(Action::skipped, live->resource_version, live->uid);
  } else if (live->desired == manifest.hash && live->stands() && live->health != Health::terminating) {
    job.settle(Action::unchanged, live->resource_version, live->uid);
  }
  return job.settled;
}

// The dry run; without what the kind does not have, where Flux leaves that out.
rt::Task<Result<Json>> ApplySet::try_out(Job& job, kube::ApplyOptions options) {
  for (int round = 1;; ++round) {
    auto seen = co_await services_.client->apply(job.resource, job.object, options);
    if (seen || round == kMostRounds || !is_read_by_type(job.id.group_kind())) co_return seen;
    // Of one map the server names one such field.
    const std::vector<std::string> fields = undeclared_fields(seen.error().message);
    if (fields.empty()) co_return seen;
    for (const std::string& field : fields) {
      if (!erase_field(job.object, field)) co_return seen;
      job.left_out.push_back(field);
    }
  }
}

// Finds out what there is to do for one object; asks the server unless it is known.
rt::Task<Result<void>> ApplySet::check(Job& job, const ApplyOptions& options) {
  auto located = co_await locate(job);
  SLUICE_CO_CHECK(std::move(located));
  if (settle_by_records(job, options)) co_return Result<void>();
  const Manifest& manifest = *job.manifest;
  if (!manifest.refusal.empty()) co_return base::unexpected(invalid(manifest.refusal));
  SLUICE_CO_TRY(job.object, doc::parse_json(manifest.text));
  if (!job.resource.namespaced) job.object["metadata"].erase("namespace");
  if (options.take_over_before_dry_run && !manifest.merge && !manifest.if_not_present) {
    auto taken = co_await take_over_early(job);
    SLUICE_CO_CHECK(std::move(taken));
  }
  kube::ApplyOptions dry;
  dry.field_manager = owner_.field_manager;
  dry.dry_run = true;
  // Of what is not there the server's word that it would be taken is all that is wanted.
  dry.metadata_only = is_known_absent(job);
  auto seen = co_await try_out(job, dry);
  if (seen && dry.metadata_only && !api::resource_version_of(*seen).empty()) {
    dry.metadata_only = false;  // it is there, without our labels
    seen = co_await try_out(job, dry);
  }
  if (seen) {
    auto judged = co_await judge_answer(job, options, *std::move(seen));
    co_return judged;
  }
  auto judged = co_await judge_refusal(job, options, std::move(seen).error());
  co_return judged;
}

// `seen` is the answer to the dry run: the object as it would be.
rt::Task<Result<void>> ApplySet::judge_answer(Job& job, const ApplyOptions& options, Json seen) {
  const Manifest& manifest = *job.manifest;
  job.live_version = std::string(api::resource_version_of(seen));
  job.exists = !job.live_version.empty();
  if (!job.exists) co_return Result<void>();
  // The answer is the merge with the live object, so switches that were set in the cluster show here.
  if (manifest.if_not_present || is_switched_off(seen)) {
    skip(job, job.live_version, std::string(api::uid_of(seen)));
    co_return Result<void>();
  }
  if (is_removal_lost(job.id, job.object, seen)) {
    auto lost = co_await find_lost_removal(job);
    SLUICE_CO_TRY(std::string why, std::move(lost));
    if (!why.empty()) {
      auto judged = co_await judge_refusal(job, options, invalid(std::move(why)));
      co_return judged;
    }
  }
  job.take_over = !manifest.merge && needs_takeover(seen, services_.live->options().foreign);
  if (!job.take_over) {
    std::string uid(api::uid_of(seen));
    auto same = co_await would_change_nothing(job, std::move(seen));
    SLUICE_CO_TRY(const bool stands, std::move(same));
    if (stands) {
      job.settle(Action::unchanged, job.live_version, std::move(uid));
      co_return Result<void>();
    }
  }
  auto looked = co_await look_whose(job);
  co_return looked;
}

// True if the write may be left out: nothing of the content would change, and every
// field of the manifest is ours already, so that we see who changes it later. More may
// be ours than the manifest says: upstream applied defaults that we leave out, and a
// takeover from it is to touch nothing.
rt::Task<Result<bool>> ApplySet::would_change_nothing(Job& job, Json seen) {
  const auto as_seen = [this, &job]() {
    const LiveObject* live = services_.live->find(job.resource, job.id.key());
    return live != nullptr && live->resource_version == job.live_version ? live : nullptr;
  };
  const LiveObject* live = as_seen();
  if (live == nullptr || live->content != content_hash(seen)) co_return false;
  if (live->owned != owned_hash(seen, owner_.field_manager)) {
    auto reading = services_.client->get(job.resource, job.id.key());
    auto now = co_await std::move(reading);
    if (!now && now.error().kind == ErrorKind::not_found) co_return false;
    if (!now) co_return base::unexpected(std::move(now).error());
    if (api::resource_version_of(*now) != job.live_version) co_return false;
    if (!owns_all_of(*now, seen, owner_.field_manager) || as_seen() == nullptr) co_return false;
  }
  services_.live->note_unchanged(job.resource, job.id.key(), job.manifest->hash);
  co_return true;
}

// Was an object that holds others made by somebody else? The live records know all that carry an owner's labels.
rt::Task<Result<void>> ApplySet::look_whose(Job& job) {
  if (!holds_others(job.id.group_kind())) co_return Result<void>();
  if (services_.live->find(job.resource, job.id.key()) != nullptr) co_return Result<void>();
  auto reading = services_.client->get(job.resource, job.id.key());
  auto now = co_await std::move(reading);
  if (!now && now.error().kind == ErrorKind::not_found) co_return Result<void>();
  if (!now) co_return base::unexpected(std::move(now).error());
  job.adopt = !was_applied(*now, owner_);
  co_return Result<void>();
}

rt::Task<Result<void>> ApplySet::prepare_write(Job& job) {
  if (job.recreate) {
    auto removed = co_await remove_to_recreate(job);
    co_return removed;
  }
  // Before our labels and our field manager are on it, or a crash in between would make it ours.
  if (job.adopt) {
    auto marked = co_await mark_adopted(job);
    SLUICE_CO_CHECK(std::move(marked));
  }
  if (!job.take_over) co_return Result<void>();
  auto taken = co_await take_over(job);
  co_return taken;
}

rt::Task<Result<void>> ApplySet::mark_adopted(const Job& job) {
  kube::PatchOptions options;
  options.field_manager = kAdoptionManager;
  auto patching =
      services_.client->patch(job.resource, job.id.key(), kube::PatchType::merge, adoption_mark(owner_), options);
  auto marked = co_await std::move(patching);
  if (marked || marked.error().kind == ErrorKind::not_found) co_return Result<void>();
  co_return base::unexpected(std::move(marked).error().with_context("cannot mark what others have made"));
}

rt::Task<Result<void>> ApplySet::write(Job& job) {
  const LiveObjects::Write guard(services_.live, job.resource, job.id.key());
  auto prepared = co_await prepare_write(job);
  SLUICE_CO_CHECK(std::move(prepared));
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
    if (action == Action::created && job.manifest->may_vanish && services_.vanished) {
      services_.vanished->note_created(owner_.key(), job.id, base::system_clock().steady());
    }
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

// Only objects that say so, and are not switched off. The dry run that follows meets what is left.
rt::Task<Result<void>> ApplySet::take_over_early(const Job& job) {
  const LiveObject* known = services_.live->find(job.resource, job.id.key());
  if (known != nullptr && services_.live->is_current(job.resource) && (!known->to_take_over || known->switched_off)) {
    co_return Result<void>();
  }
  auto reading = services_.client->get(job.resource, job.id.key());
  auto live = co_await std::move(reading);
  if (!live && live.error().kind == ErrorKind::not_found) co_return Result<void>();
  if (!live) co_return base::unexpected(std::move(live).error());
  if (is_switched_off(*live) || !needs_takeover(*live, services_.live->options().foreign)) co_return Result<void>();
  const LiveObjects::Write guard(services_.live, job.resource, job.id.key());
  if (holds_others(job.id.group_kind()) && !was_applied(*live, owner_)) {
    auto marked = co_await mark_adopted(job);
    SLUICE_CO_CHECK(std::move(marked));
  }
  auto taken = co_await take_over(job);
  co_return taken;
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
