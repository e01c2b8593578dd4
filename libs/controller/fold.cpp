#include "controller/fold.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "api/names.hpp"

namespace sluice::controller {

namespace {

constexpr const char* kConditions = "conditions";
constexpr const char* kObserved = "observedGeneration";
constexpr const char* kLastHandled = "lastHandledReconcileAt";

void remove_negative(api::Conditions& conditions, const FoldInput& input) {
  for (const auto& type : input.negative_conditions) conditions.remove(type);
}

void mark_failed(api::Conditions& conditions, const FoldInput& input, const FailedCondition& failed,
                 const api::ConditionStamp& stamp) {
  const auto& negative = input.negative_conditions;
  if (std::find(negative.begin(), negative.end(), failed.type) != negative.end()) {
    conditions.mark_true(failed.type, failed.reason, failed.message, stamp);
  } else if (!failed.type.empty() && failed.type != api::condition::kReady) {
    conditions.mark_false(failed.type, failed.reason, failed.message, stamp);
  }
}

}  // namespace

void fold_done(api::Conditions& conditions, const FoldInput& input, const api::ConditionStamp& stamp) {
  remove_negative(conditions, input);
  conditions.remove(api::condition::kReconciling);
  conditions.remove(api::condition::kStalled);
  conditions.mark_true(api::condition::kReady, input.ready_reason, input.ready_message, stamp);
}

void fold_failure(api::Conditions& conditions, const FoldInput& input, const StepFailure& failure,
                  const api::ConditionStamp& stamp) {
  const std::string& message = failure.error.message;
  std::vector<FailedCondition> failed = failure.also;
  failed.push_back({failure.condition, failure.reason, message});
  // A run stops at its first failure, so only what that names is known to be so now.
  for (const auto& type : input.negative_conditions) {
    const auto names = [&type](const FailedCondition& condition) { return condition.type == type; };
    if (std::none_of(failed.begin(), failed.end(), names)) conditions.remove(type);
  }
  for (const auto& condition : failed) mark_failed(conditions, input, condition, stamp);
  if (failure.disposition == Disposition::stalled) {
    conditions.mark_stalled(failure.reason, message, stamp);
    return;
  }
  conditions.mark_reconciling(api::reason::kProgressingWithRetry, message, stamp);
  conditions.mark_false(api::condition::kReady, failure.reason, message, stamp);
}

void fold_suspended(api::Conditions& conditions, const api::ConditionStamp& stamp) {
  if (conditions.reason(api::condition::kReconciling) != api::reason::kProgressing) return;
  std::string text = "Suspended while in progress: ";
  text += conditions.message(api::condition::kReconciling);
  // What a run has found to be wrong, another one has since begun to overcome.
  if (conditions.is_false(api::condition::kReady)) {
    text += fmt::format(" (the run before had failed: {})", conditions.message(api::condition::kReady));
  }
  conditions.remove(api::condition::kReconciling);
  if (conditions.is_true(api::condition::kReady)) return;
  conditions.mark_unknown(api::condition::kReady, api::reason::kSuspended, text, stamp);
}

doc::Json compose_status(const doc::Json& draft, const api::Conditions& conditions, const StatusStamp& stamp) {
  doc::Json status = draft.is_object() ? draft : doc::Json::object();
  status[kConditions] = api::to_json(conditions);
  const std::int64_t observed = stamp.settled ? stamp.generation : stamp.observed;
  if (observed > 0) status[kObserved] = observed;
  if (!stamp.last_handled_reconcile_at.empty()) status[kLastHandled] = stamp.last_handled_reconcile_at;
  return status;
}

doc::Json draft_of(const doc::Json& object) {
  const auto* status = doc::find(object, {"status"});
  if (status == nullptr || !status->is_object()) return doc::Json::object();
  doc::Json draft = *status;
  draft.erase(kConditions);
  draft.erase(kObserved);
  draft.erase(kLastHandled);
  return draft;
}

}  // namespace sluice::controller
