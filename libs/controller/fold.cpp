#include "controller/fold.hpp"

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
  // A run stops at its first failure, so only that one is known to be so now.
  const auto& negative = input.negative_conditions;
  for (const auto& type : negative) {
    if (type != failure.condition) conditions.remove(type);
  }
  if (std::find(negative.begin(), negative.end(), failure.condition) != negative.end()) {
    conditions.mark_true(failure.condition, failure.reason, message, stamp);
  } else if (!failure.condition.empty() && failure.condition != api::condition::kReady) {
    conditions.mark_false(failure.condition, failure.reason, message, stamp);
  }
  if (failure.disposition == Disposition::stalled) {
    conditions.mark_stalled(failure.reason, message, stamp);
    return;
  }
  conditions.mark_reconciling(api::reason::kProgressingWithRetry, message, stamp);
  conditions.mark_false(api::condition::kReady, failure.reason, message, stamp);
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
