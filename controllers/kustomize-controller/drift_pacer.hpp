// How soon drift of a Kustomization's objects is corrected: at once, but not
// for ever. Somebody who writes the same field again and again would else keep
// us and the server busy. Pure.
#pragma once

#include <chrono>
#include <unordered_map>

#include "api/object_meta.hpp"
#include "base/clock.hpp"

namespace sluice::kustomize_controller {

class DriftPacer {
 public:
  static constexpr int kAtOnce = 5;                                         // corrections
  static constexpr base::Duration kQuiet = std::chrono::minutes(2);         // after which they count anew
  static constexpr base::Duration kLongest = std::chrono::minutes(5);

  // Drift was seen: in how long to correct it. The same answer until corrected().
  base::Duration seen(const api::ObjectKey& owner, base::SteadyPoint now);
  // True if drift may be corrected now.
  bool may_correct(const api::ObjectKey& owner, base::SteadyPoint now) const;
  // Somebody looks after the objects now; the next drift is another one.
  void corrected(const api::ObjectKey& owner) {
    if (const auto found = paces_.find(owner); found != paces_.end()) found->second.pending = false;
  }
  void forget(const api::ObjectKey& owner) { paces_.erase(owner); }

 private:
  struct Pace {
    int corrections = 0;
    bool pending = false;
    base::SteadyPoint last{};
    base::SteadyPoint due{};
  };
  std::unordered_map<api::ObjectKey, Pace> paces_;
};

}  // namespace sluice::kustomize_controller
