// How soon an object that drifted is corrected: at once, but not for ever. Somebody who
// writes the same field again and again would else keep us and the server busy. Each
// object has its own pace, so that one that is fought over holds up no other of its
// owner; a correction, when it comes, is of all. Pure.
#pragma once

#include <chrono>
#include <unordered_map>

#include "api/inventory.hpp"
#include "api/object_meta.hpp"
#include "base/clock.hpp"

namespace sluice::sources {

class DriftPacer {
 public:
  static constexpr int kAtOnce = 5;                                  // corrections
  static constexpr base::Duration kQuiet = std::chrono::minutes(2);  // after which they count anew
  static constexpr base::Duration kLongest = std::chrono::minutes(5);

  // The object was seen to have drifted: in how long to correct it. The same time until corrected().
  base::Duration seen(const api::ObjectKey& owner, const api::ObjectId& id, base::SteadyPoint now);
  // True if one of the owner's objects is due, or none is known to have drifted.
  bool may_correct(const api::ObjectKey& owner, base::SteadyPoint now) const;
  // Somebody looks after the owner's objects now; the next drift is another one.
  void corrected(const api::ObjectKey& owner, base::SteadyPoint now);
  void forget(const api::ObjectKey& owner) { owners_.erase(owner); }

 private:
  struct Pace {
    int corrections = 0;
    bool pending = false;
    base::SteadyPoint last{};
    base::SteadyPoint due{};
  };
  // Objects that were quiet for long are not kept.
  std::unordered_map<api::ObjectKey, std::unordered_map<api::ObjectId, Pace>> owners_;
};

}  // namespace sluice::sources
