// The step that applies what was built, and what is told of that.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "api/names.hpp"
#include "kube/secret_view.hpp"
#include "kustomization_reconciler.hpp"

namespace sluice::kustomize_controller {

using base::Result;
using controller::kContinue;
using controller::Severity;
using controller::StepResult;

namespace {

// The API server's words about a Secret that it refuses quote what it holds; and those about anything
// else what was made of one, by this run or by another that rendered the same.
void mask_secrets(const Rendered& rendered, base::Masks& masks) {
  for (const std::string& value : rendered.derived_secrets) masks.add(value);
  for (const auto& manifest : *rendered.manifests) {
    if (manifest.id.kind != "Secret" || !manifest.id.group.empty()) continue;
    if (const auto object = doc::parse_json(manifest.text)) kube::mask_secret(*object, masks);
  }
}

}  // namespace

std::string change_log(const std::vector<apply::Change>& changes) {
  std::string log;
  for (const auto& change : changes) {
    if (change.action == apply::Action::unchanged || change.action == apply::Action::skipped ||
        change.action == apply::Action::held) {
      continue;
    }
    log += fmt::format("{}{} {}", log.empty() ? "" : "\n", change.id.display(), to_string(change.action));
  }
  return log;
}

// Of fields that were not applied, as their kinds do not have them: upstream says nothing, and a typo stays one.
void KustomizationReconciler::tell_of_left_out(Run& run, const std::vector<apply::Change>& changes) {
  std::string log;
  for (const auto& change : changes) {
    if (change.left_out.empty()) continue;
    log += fmt::format("{}{} applied without what its kind does not have: {}{}{}", log.empty() ? "" : "\n",
                       change.id.display(), fmt::join(change.left_out, ", "), change.origin.empty() ? "" : ", from ",
                       change.origin);
  }
  if (log.empty()) return;
  run.context.log.info("unknown fields left out", {{"revision", run.artifact.revision}, {"output", log}});
  run.context.event_once(Severity::info, api::reason::kProgressing, log, run.artifact.revision + log);
}

apply::ApplyServices KustomizationReconciler::apply_services(std::shared_ptr<kube::Client> client) const {
  return {services_.runtime, std::move(client), services_.mapper, services_.live, vanished_};
}

apply::ApplyOptions KustomizationReconciler::apply_options(Run& run) {
  apply::ApplyOptions options;
  options.force = run.spec().force;
  options.take_over_before_dry_run = own_.override_before_dry_run;
  options.renew_vanished = run.context.is_requested();
  options.vanished_rest = run.spec().interval / 4 * 3;  // intervals may be cut short by jitter
  options.concurrency = static_cast<std::size_t>(std::max(own_.concurrent_ssa, 1));
  options.custom_stage = custom_stage_;
  options.before_write = [this, &run](std::vector<api::InventoryEntry> entries) {
    return announce(run, std::move(entries));
  };
  return options;
}

// Puts what is about to be written into the inventory, unless it is there.
rt::Task<Result<void>> KustomizationReconciler::announce(Run& run, std::vector<api::InventoryEntry> entries) {
  std::set<std::string_view> known;
  for (const auto& entry : run.before.entries) known.insert(entry.id);
  std::vector<api::InventoryEntry> fresh;
  for (auto& entry : entries) {
    if (!known.contains(entry.id)) fresh.push_back(std::move(entry));
  }
  if (fresh.empty()) co_return Result<void>();
  for (auto& entry : fresh) run.before.entries.push_back(std::move(entry));
  run.context.status["inventory"] = api::to_json(run.before);
  auto saved = co_await run.context.save();
  co_return saved;
}

// What is in the cluster is not forgotten, however the run ends: also what stood there before with our labels.
rt::Task<Result<void>> KustomizationReconciler::announce_standing(Run& run, const std::vector<apply::Change>& changes) {
  std::vector<api::InventoryEntry> entries;
  for (const auto& change : changes) {
    if (change.is_ours) entries.push_back(change.entry());
  }
  auto announced = co_await announce(run, std::move(entries));
  co_return announced;
}

// What an attempt that does not end well, or does not end, has left unknown is verified by the next run.
rt::Task<apply::Outcome> KustomizationReconciler::apply_set(Run& run, apply::ApplyOptions options) {
  verifications_.begin(run.owner.key());
  apply::ApplySet set(apply_services(run.client), run.owner);
  rt::Task<apply::Outcome> task = set.apply(run.rendered->manifests, std::move(options));
  apply::Outcome outcome = co_await std::move(task);
  if (!outcome.error) verifications_.passed(run.owner.key());
  co_return outcome;
}

rt::Task<StepResult> KustomizationReconciler::apply(Run& run) {
  run.context.progress(fmt::format("Detecting drift for revision {} with a timeout of {}", run.artifact.revision,
                                   base::format_duration(api::effective_timeout(run.spec()))));
  pacer_.corrected(run.owner.key(), run.context.clock.steady());
  mask_secrets(*run.rendered, *run.context.masks);
  const std::string account = identity_of(run.owner.key(), run.spec().service_account_name).account;
  const sources::Verifications::Subject subject{run.context.meta.uid, run.context.meta.generation, account};
  apply::ApplyOptions options = apply_options(run);
  options.verify =
      run.context.is_requested() || verifications_.is_due(run.owner.key(), subject, run.context.clock.steady());
  const bool verifies = options.verify;
  auto applying = apply_set(run, std::move(options));
  apply::Outcome outcome = co_await std::move(applying);
  if (verifies && !outcome.error) {
    verifications_.verified(run.owner.key(), subject, run.spec().interval, run.context.clock.steady());
  }
  auto noting = announce_standing(run, outcome.changes);
  auto noted = co_await std::move(noting);
  if (!noted && !outcome.error) outcome.error = std::move(noted).error();
  tell_of_left_out(run, outcome.changes);
  const std::string log = change_log(outcome.changes);
  if (outcome.error) {
    base::Error error = *std::move(outcome.error);
    const bool is_unserved = kube::is_about_unserved_kind(error);
    // A part may be applied already; upstream tells it in the same message.
    if (!log.empty()) error.message += "\n" + log;
    controller::StepFailure failure = failed(run, api::reason::kReconciliationFailed, std::move(error));
    if (is_unserved) failure.retry_after = retry_unserved(run, *failure.retry_after);
    co_return failure;
  }
  run.changes = std::move(outcome.changes);
  run.changed = !log.empty();
  if (run.changed) {
    run.context.log.info("server-side apply completed", {{"revision", run.artifact.revision}, {"output", log}});
    run.context.event(Severity::info, api::reason::kProgressing, log);
  }
  co_return kContinue;
}

}  // namespace sluice::kustomize_controller
