#include "sources/verification.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace sluice::sources {

bool Verifications::is_due(const api::ObjectKey& owner, const Subject& subject, base::SteadyPoint now) const {
  const auto found = known_.find(owner);
  return found == known_.end() || found->second.open || found->second.subject != subject || now >= found->second.until;
}

void Verifications::verified(const api::ObjectKey& owner, Subject subject, base::Duration interval,
                             base::SteadyPoint now) {
  const base::Duration limit = interval < kLongest / kIntervals ? interval * kIntervals : kLongest;
  constexpr int kParts = 64;
  const auto part = static_cast<int>(std::hash<std::string>()(subject.uid + owner.str()) % kParts);
  // From three fifths of the limit to all of it.
  const base::Duration spread = limit - limit * 2 / 5 * part / kParts;
  known_[owner] = {std::move(subject), now + spread, false};
}

}  // namespace sluice::sources
