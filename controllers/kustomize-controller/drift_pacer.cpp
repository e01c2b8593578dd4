#include "drift_pacer.hpp"

#include <algorithm>

namespace sluice::kustomize_controller {

base::Duration DriftPacer::seen(const api::ObjectKey& owner, base::SteadyPoint now) {
  Pace& pace = paces_[owner];
  if (!pace.pending) {
    if (now - pace.last > kQuiet) pace.corrections = 0;
    ++pace.corrections;
    pace.pending = true;
    pace.last = now;
    base::Duration delay{};
    if (pace.corrections > kAtOnce) {
      const int doublings = std::min(pace.corrections - kAtOnce - 1, 16);
      delay = std::min<base::Duration>(std::chrono::seconds(1) * (1 << doublings), kLongest);
    }
    pace.due = now + delay;
    // A long pause of ours is no quiet.
    pace.last = pace.due;
  }
  return std::max<base::Duration>(pace.due - now, base::Duration::zero());
}

bool DriftPacer::may_correct(const api::ObjectKey& owner, base::SteadyPoint now) const {
  const auto found = paces_.find(owner);
  return found == paces_.end() || found->second.due <= now;
}

}  // namespace sluice::kustomize_controller
