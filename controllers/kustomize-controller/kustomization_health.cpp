// The step that waits for health, and what it does meanwhile.
#include <fmt/format.h>

#include <utility>

#include "api/names.hpp"
#include "apply/health.hpp"
#include "kustomization_reconciler.hpp"

namespace sluice::kustomize_controller {

using base::Result;
using controller::kContinue;
using controller::Severity;
using controller::StepResult;

namespace {

// Tells of a health check that something newer has ended; does nothing once
// disarmed, or when the daemon stops.
class CancellationNote {
 public:
  CancellationNote(controller::RunContext& context, std::stop_token stop, std::function<std::string()> trigger)
      : context_(context), stop_(std::move(stop)), trigger_(std::move(trigger)) {}
  ~CancellationNote() {
    if (!armed_ || !context_.superseded() || stop_.stop_requested()) return;
    const std::string by = "ew reconciliation triggered by " + trigger_();
    context_.conditions.mark_false(api::condition::kReady, api::reason::kHealthCheckCanceled, "N" + by,
                                   context_.stamp());
    context_.event(Severity::info, api::reason::kHealthCheckCanceled, "Health checks canceled due to n" + by);
  }
  CancellationNote(const CancellationNote&) = delete;
  CancellationNote& operator=(const CancellationNote&) = delete;
  void disarm() { armed_ = false; }

 private:
  controller::RunContext& context_;
  std::stop_token stop_;
  std::function<std::string()> trigger_;  // what the newer run comes from, "Kind/namespace/name"
  bool armed_ = true;
};

// Flux: the version does not count, as the server reads an object under any that it serves; and who
// names none means apps/v1, as manifests from the time of v1beta1 do.
Result<std::vector<apply::HealthTarget>> named_targets(const api::KustomizationSpec& spec) {
  std::vector<apply::HealthTarget> targets;
  for (std::size_t i = 0; i < spec.health_checks.size(); ++i) {
    const api::NamespacedObjectKindReference& check = spec.health_checks[i];
    const std::string_view version = check.api_version.empty() ? "apps/v1" : std::string_view(check.api_version);
    auto gvk = api::GroupVersionKind::parse(version, check.kind);
    if (!gvk) {
      return base::unexpected(std::move(gvk).error().with_context(fmt::format("spec.healthChecks[{}].apiVersion", i)));
    }
    apply::HealthTarget target;
    target.id = {check.namespace_, check.name, gvk->group, check.kind};
    targets.push_back(std::move(target));
  }
  return targets;
}

Result<std::vector<apply::HealthTarget>> health_targets(const Run& run) {
  const api::ObjectId self{run.owner.namespace_, run.owner.name, std::string(api::group::kKustomize),
                           std::string(api::kind::kKustomization)};
  std::vector<apply::HealthTarget> targets;
  if (!run.spec().wait) {
    SLUICE_TRY(targets, named_targets(run.spec()));
    std::erase_if(targets, [&self](const apply::HealthTarget& target) { return target.id == self; });
    return targets;
  }
  std::set<api::ObjectId> vanishing;
  for (const auto& manifest : *run.rendered->manifests) {
    if (manifest.may_vanish) vanishing.insert(manifest.id);
  }
  // What the user has switched off may be in any state.
  for (const auto& change : run.changes) {
    if (change.action == apply::Action::skipped || change.id == self) continue;
    targets.push_back({change.id, change.version, vanishing.contains(change.id)});
  }
  return targets;
}

}  // namespace

// Applies anew what does not stand while its health is waited for.
rt::Task<Result<void>> KustomizationReconciler::repair(Run& run) {
  if (!pacer_.may_correct(run.owner.key(), run.context.clock.steady())) co_return Result<void>();
  pacer_.corrected(run.owner.key(), run.context.clock.steady());
  auto taking = run.context.take_worker_back();
  co_await std::move(taking);
  auto applying = apply_set(run, apply_options(run));
  const apply::Outcome outcome = co_await std::move(applying);
  run.context.release_worker();
  const std::string log = change_log(outcome.changes);
  if (!log.empty()) run.context.event(Severity::info, api::reason::kProgressing, log);
  if (outcome.error) run.context.log.error("cannot correct drift", *outcome.error);
  co_return Result<void>();
}

rt::Task<StepResult> KustomizationReconciler::await_health(Run& run) {
  controller::RunContext& context = run.context;
  auto named = health_targets(run);
  if (!named) {
    controller::StepFailure failure = failed(run, api::reason::kHealthCheckFailed, std::move(named).error());
    failure.condition = api::condition::kHealthy;
    co_return failure;
  }
  std::vector<apply::HealthTarget> targets = *std::move(named);
  if (targets.empty()) {
    context.conditions.remove(api::condition::kHealthy);
    co_return kContinue;
  }
  const base::Duration timeout = api::effective_timeout(run.spec());
  const base::SteadyPoint started = context.clock.steady();
  const api::Conditions before = context.conditions;
  const bool was_healthy = before.is_true(api::condition::kHealthy);
  const std::string message = fmt::format("Running health checks for revision {} with a timeout of {}",
                                          run.artifact.revision, base::format_duration(timeout));
  // Whatever failed before the objects were applied is overcome; only poor health is still to be seen.
  if (context.conditions.is_false(api::condition::kReady) &&
      context.conditions.reason(api::condition::kReady) != api::reason::kHealthCheckFailed) {
    context.conditions.mark_unknown(api::condition::kReady, api::reason::kProgressing, message, context.stamp());
  }
  context.progress(message);
  context.conditions.mark_unknown(api::condition::kHealthy, api::reason::kProgressing, message, context.stamp());

  apply::HealthServices services{services_.runtime, run.client, services_.mapper, services_.live};
  apply::HealthOptions options;
  options.timeout = std::min(timeout, context.time_left());  // of the run, which began earlier
  options.fail_fast = !common_.is_enabled("DisableFailFastBehavior", false);
  options.repair = [this, &run] { return repair(run); };
  options.on_wait = [&context] { context.release_worker(); };
  options.on_pending = [&context, message](const std::string& pending) {
    context.progress(fmt::format("{}, waiting for: [{}]", message, pending));
  };
  CancellationNote note(context, services_.runtime.stop_token(), [this, key = run.owner.key()] {
    const auto found = triggers_.find(key);
    // Nothing that it refers to: its own spec, or a request.
    return found != triggers_.end() ? found->second : sources::source_id(std::string(api::kind::kKustomization), key);
  });
  rt::Task<Result<void>> task =
      apply::await_health(std::move(services), run.owner.key(), std::move(targets), std::move(options));
  auto healthy = co_await std::move(task);
  note.disarm();
  const std::string took =
      base::format_duration(std::chrono::duration_cast<std::chrono::milliseconds>(context.clock.steady() - started));
  if (!healthy) {
    auto error = std::move(healthy).error().with_context("health check failed after " + took);
    controller::StepFailure failure = failed(run, api::reason::kHealthCheckFailed, std::move(error));
    failure.condition = api::condition::kHealthy;
    co_return failure;
  }
  const bool is_new = run.kustomization.status.last_applied_revision != run.artifact.revision;
  if (was_healthy && !run.changed && !is_new) {
    // Nothing new: the condition says when it was found so first.
    context.conditions = before;
    co_return kContinue;
  }
  context.conditions.mark_true(api::condition::kHealthy, api::reason::kSucceeded, "Health check passed in " + took,
                               context.stamp());
  const bool was_cut_off = before.is_unknown(api::condition::kHealthy) && run.was_well();
  if ((!was_healthy && !was_cut_off) || (is_new && run.changed)) {
    context.event_once(Severity::info, api::reason::kProgressing, "Health check passed in " + took,
                       run.occurrence("healthy"));
  }
  co_return kContinue;
}

}  // namespace sluice::kustomize_controller
