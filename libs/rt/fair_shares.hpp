// How many of the places that all share one owner may hold. Pure arithmetic: who waits, and
// in which order, is the caller's affair.
//
// There are twice as many places as one owner may ever hold (`share`), and an owner may take
// one only while it holds fewer than are free. So whoever is alone gets its whole share, at
// once and always; however much one owner holds, and for however long, as many places are
// left for others; and of a crowd of owners that hold what they can each one gets fewer, so
// that the next one finds some. (Dynamic thresholds of shared buffers: Choudhury and Hahne, 1998.)
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>

namespace sluice::rt {

class FairShares {
 public:
  static constexpr std::size_t kMaxShare = std::numeric_limits<std::size_t>::max() / 2;

  explicit FairShares(std::size_t share) : free_(2 * std::clamp<std::size_t>(share, 1, kMaxShare)) {}

  // For an owner that holds so many.
  bool has_room(std::size_t held) const noexcept { return held < free_; }
  // How many more it may take now, one after the other.
  std::size_t room(std::size_t held) const noexcept { return has_room(held) ? (free_ - held + 1) / 2 : 0; }
  void take() noexcept { --free_; }
  void give_back() noexcept { ++free_; }

 private:
  std::size_t free_;
};

}  // namespace sluice::rt
