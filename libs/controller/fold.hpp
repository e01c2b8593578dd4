// From what a run found to what the object's status says: the one place where
// outcomes become conditions. Pure; private to this library.
#pragma once

#include <string>
#include <vector>

#include "api/conditions.hpp"
#include "controller/outcome.hpp"
#include "doc/json.hpp"

namespace sluice::controller {

struct FoldInput {
  std::vector<std::string> negative_conditions;
  std::string ready_reason;
  std::string ready_message;
};

// Ready=True and nothing else going on.
void fold_done(api::Conditions& conditions, const FoldInput& input, const api::ConditionStamp& stamp);
// Ready=False with the failure's reason; Stalled, or Reconciling with
// ProgressingWithRetry (upstream's reason for "will be tried again").
void fold_failure(api::Conditions& conditions, const FoldInput& input, const StepFailure& failure,
                  const api::ConditionStamp& stamp);
// The object was suspended while a run was on, which has been cut: the status says so, and how
// far it had come, instead of what had failed before it. Nothing where none was on.
void fold_suspended(api::Conditions& conditions, const api::ConditionStamp& stamp);

// The status as it is written: `draft` with conditions and what the shell keeps.
// observedGeneration moves only when the run has come to an end with this
// generation, well or stalled; until then it is `observed` (as upstream, so that
// kstatus reads InProgress meanwhile).
struct StatusStamp {
  std::int64_t generation = 0;
  std::int64_t observed = 0;
  bool settled = false;
  std::string last_handled_reconcile_at;
};
doc::Json compose_status(const doc::Json& draft, const api::Conditions& conditions, const StatusStamp& stamp);
// The draft of `object`: its status without those parts.
doc::Json draft_of(const doc::Json& object);

}  // namespace sluice::controller
