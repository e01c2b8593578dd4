// Owners with work of their own, who have turns on the loop one after the other, however much each of
// them has. Whose turn it is has kTurn, and all together have kSlice before whoever else waits
// for the loop. Pure.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "base/clock.hpp"

namespace sluice::notification_controller {

// Of the loop's time, before others have a turn.
inline constexpr base::Duration kSlice = std::chrono::milliseconds(5);
// Of that, before another owner has.
inline constexpr base::Duration kTurn = std::chrono::milliseconds(1);

template <class Work>
class Turns {
 public:
  using Owners = std::map<std::string, Work>;
  using Owner = typename Owners::iterator;

  // What the owner has to do; it has turns from now on, until it is taken out.
  Work& of(const std::string& owner) { return owners_[owner]; }
  // Whose turn it is: who comes after the one that had the last one. There must be somebody.
  Owner next() {
    auto next = owners_.upper_bound(served_);
    if (next == owners_.end()) next = owners_.begin();
    served_ = next->first;
    return next;
  }
  // It has nothing more to do.
  void take_out(Owner owner) { owners_.erase(owner); }
  bool empty() const noexcept { return owners_.empty(); }
  bool contains(const std::string& owner) const { return owners_.contains(owner); }

 private:
  Owners owners_;
  std::string served_;  // the last that had a turn
};

}  // namespace sluice::notification_controller
