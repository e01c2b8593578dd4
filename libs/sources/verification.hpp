// Which sets of objects are known to be as their owner wants them, in whose name that
// was found out, and for how long it is believed. Pure.
//
// An object that stands by the live records costs no request, so nobody asks whether
// who applies it may still do so. Therefore a whole set is put before the server
// again (ApplyOptions::verify) where what was verified does not cover what is asked:
// another spec, another identity, a failure since, too long ago, or nothing known as
// the process is new. What verification has found wrong only verification heals.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "api/object_meta.hpp"
#include "base/clock.hpp"

namespace sluice::sources {

class Verifications {
 public:
  static constexpr int kIntervals = 5;                               // at most so many are believed
  static constexpr base::Duration kLongest = std::chrono::hours(1);  // but at least one

  struct Subject {
    std::string uid;
    std::int64_t generation = 0;
    std::string identity;  // in whose name; "" is the daemon's own
    bool operator==(const Subject&) const = default;
  };

  bool is_due(const api::ObjectKey& owner, const Subject& subject, base::SteadyPoint now) const;
  // The set is about to be applied: nothing is believed until one of those below is called.
  void begin(const api::ObjectKey& owner) { known_[owner].open = true; }
  // It was, what stood by the records unasked.
  void passed(const api::ObjectKey& owner) { known_[owner].open = false; }
  // It was, and the server was asked about each object. Owners are spread, so that those
  // of one start do not ask at one time for ever.
  void verified(const api::ObjectKey& owner, Subject subject, base::Duration interval, base::SteadyPoint now);
  void forget(const api::ObjectKey& owner) { known_.erase(owner); }

 private:
  struct Known {
    Subject subject;
    base::SteadyPoint until{};
    bool open = true;
  };
  std::unordered_map<api::ObjectKey, Known> known_;
};

}  // namespace sluice::sources
