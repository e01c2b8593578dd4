// What a step of a reconciler says about how to go on. Plain values.
//
//   co_return controller::kContinue;
//   co_return controller::Done{.requeue_after = spec.interval};
//   co_return controller::retry(api::reason::kBuildFailed, error);
//   co_return controller::stall(api::reason::kInvalidPath, error);
//   co_return controller::wait_for(api::reason::kDependencyNotReady, error, options.requeue_dependency);
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"

namespace sluice::controller {

// Go on with the next step.
struct Continue {};
inline constexpr Continue kContinue{};

// All that had to be done is done: Ready=True. Later steps are skipped.
struct Done {
  // Nothing: only a change brings the object back. Kept between one second and ten years by the shell.
  std::optional<base::Duration> requeue_after;
  bool jitter = true;  // spread by --interval-jitter-percentage
};

enum class Disposition {
  stalled,  // nobody but a person can mend it: Stalled=True, not tried again
  retry,    // failed: Reconciling=True with ProgressingWithRetry, tried again with backoff
  wait,     // not our fault and not an error: tried again after `retry_after`, or when woken
};

// A condition that a run found to be bad, beside the one that its failure has.
struct FailedCondition {
  std::string type;  // True for the kind's negative conditions, False for others
  std::string reason;
  std::string message;
};

struct StepFailure {
  Disposition disposition = Disposition::retry;
  // Condition that says it beside Ready=False; empty: Ready alone. True for the
  // kind's negative conditions (FetchFailed), False for others (Healthy).
  std::string condition;
  std::string reason;
  base::Error error;
  // Instead of the backoff (Flux: spec.retryInterval). Required for `wait`.
  std::optional<base::Duration> retry_after;
  // False: logged and said by the conditions, but by no Event. For `wait`.
  bool is_news = true;
  // Where more than one thing failed (two includes, several dependencies).
  std::vector<FailedCondition> also = {};
};

using StepResult = std::variant<Continue, Done, StepFailure>;

inline StepFailure retry(std::string_view reason, base::Error error, std::string_view condition = {}) {
  return {Disposition::retry, std::string(condition), std::string(reason), std::move(error), std::nullopt, true, {}};
}
inline StepFailure stall(std::string_view reason, base::Error error, std::string_view condition = {}) {
  return {Disposition::stalled, std::string(condition), std::string(reason), std::move(error), std::nullopt, true, {}};
}
inline StepFailure wait_for(std::string_view reason, base::Error error, base::Duration retry_after,
                            std::string_view condition = {}) {
  return {Disposition::wait, std::string(condition), std::string(reason), std::move(error), retry_after, true, {}};
}
// For what passes by itself in the ordinary course of things, as an artifact that is being made.
inline StepFailure wait_quietly_for(std::string_view reason, base::Error error, base::Duration retry_after) {
  return {Disposition::wait, {}, std::string(reason), std::move(error), retry_after, false, {}};
}

}  // namespace sluice::controller
