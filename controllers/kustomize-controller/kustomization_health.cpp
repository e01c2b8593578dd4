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
  CancellationNote(controller::RunContext& context, std::stop_token stop) : context_(context), stop_(std::move(stop)) {}
  ~CancellationNote() {
    if (!armed_ || !context_.superseded() || stop_.stop_requested()) return;
    constexpr std::string_view text = "Health checks canceled due to a newer revision, spec or request";
    context_.conditions.mark_false(api::condition::kReady, api::reason::kHealthCheckCanceled, text, context_.stamp());
    context_.event(Severity::info, api::reason::kHealthCheckCanceled, text);
  }
  CancellationNote(const CancellationNote&) = delete;
  CancellationNote& operator=(const CancellationNote&) = delete;
  void disarm() { armed_ = false; }

 private:
  controller::RunContext& context_;
  std::stop_token stop_;
  bool armed_ = true;
};

std::vector<apply::HealthTarget> health_targets(const Run& run) {
  std::vector<apply::HealthTarget> targets;
  const api::ObjectId self{run.owner.namespace_, run.owner.name, std::string(api::group::kKustomize),
                           std::string(api::kind::kKustomization)};
  if (!run.spec().wait) {
    for (const auto& check : run.spec().health_checks) {
      apply::HealthTarget target;
      const auto gvk = api::GroupVersionKind::parse(check.api_version.empty() ? "v1" : check.api_version, check.kind);
      target.id = {check.namespace_, check.name, gvk ? gvk->group : std::string(), check.kind};
      if (gvk && !check.api_version.empty()) target.version = gvk->version;
      if (target.id != self) targets.push_back(std::move(target));
    }
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
  pacer_.corrected(run.owner.key());
  apply::ApplySet set(apply_services(run.client), run.owner);
  rt::Task<apply::Outcome> task = set.apply(run.rendered->manifests, apply_options(run));
  const apply::Outcome outcome = co_await std::move(task);
  const std::string log = change_log(outcome.changes);
  if (!log.empty()) run.context.event(Severity::info, api::reason::kProgressing, log);
  if (outcome.error) run.context.log.error("cannot correct drift", *outcome.error);
  co_return Result<void>();
}

rt::Task<StepResult> KustomizationReconciler::await_health(Run& run) {
  controller::RunContext& context = run.context;
  std::vector<apply::HealthTarget> targets = health_targets(run);
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
  context.release_worker();

  apply::HealthServices services{services_.runtime, run.client, services_.mapper, services_.live};
  apply::HealthOptions options;
  options.timeout = timeout;
  options.fail_fast = !common_.is_enabled("DisableFailFastBehavior", false);
  options.repair = [this, &run] { return repair(run); };
  CancellationNote note(context, services_.runtime.stop_token());
  rt::Task<Result<void>> task =
      apply::await_health(std::move(services), run.owner.key(), std::move(targets), std::move(options));
  auto healthy = co_await std::move(task);
  note.disarm();
  const std::string took = base::format_duration(
      std::chrono::duration_cast<std::chrono::milliseconds>(context.clock.steady() - started));
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
  if (!was_healthy || (is_new && run.changed)) {
    context.event_once(Severity::info, api::reason::kProgressing, "Health check passed in " + took,
                       run.occurrence("healthy"));
  }
  co_return kContinue;
}

}  // namespace sluice::kustomize_controller
