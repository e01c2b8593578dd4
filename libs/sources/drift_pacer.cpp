#include "sources/drift_pacer.hpp"

#include <algorithm>

namespace sluice::sources {

base::Duration DriftPacer::seen(const api::ObjectKey& owner, const api::ObjectId& id, base::SteadyPoint now) {
  Pace& pace = owners_[owner][id];
  if (!pace.pending) {
    if (now - pace.last > kQuiet) pace.corrections = 0;
    ++pace.corrections;
    pace.pending = true;
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
  const auto found = owners_.find(owner);
  if (found == owners_.end()) return true;
  bool is_any_pending = false;
  for (const auto& [id, pace] : found->second) {
    if (!pace.pending) continue;
    if (pace.due <= now) return true;
    is_any_pending = true;
  }
  return !is_any_pending;
}

void DriftPacer::corrected(const api::ObjectKey& owner, base::SteadyPoint now) {
  const auto found = owners_.find(owner);
  if (found == owners_.end()) return;
  for (auto& [id, pace] : found->second) pace.pending = false;
  std::erase_if(found->second, [now](const auto& entry) { return now - entry.second.last > kQuiet; });
  if (found->second.empty()) owners_.erase(found);
}

}  // namespace sluice::sources
