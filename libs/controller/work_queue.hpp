// The queue of object keys that wait to be reconciled. Runs on the loop.
//
// A key is in the queue at most once and is worked on by one worker at a time:
// adding it while it is worked on brings it back when that worker is done.
// Keys come out first in, first out, from three lanes:
//
//   fresh    something about the object is new
//   retry    it failed; one is served for every kFreshPerRetry fresh ones, so that
//            neither a crowd of failing objects nor a busy hour starves the others
//   leisure  there is nothing to do for it but to say so (a new revision that touches
//            none of its inputs); served when the others are empty, or once for every
//            kOthersPerLeisure of them, and never by more than half of the workers
//
// A key stands in one lane; of several adds the first of that list counts.
// Facts: client-go util/workqueue (dedupe, delay, rate limit).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "rt/runtime.hpp"

namespace sluice::controller {

// What metrics learn of a queue. All calls are made on the loop.
class QueueObserver {
 public:
  virtual ~QueueObserver() = default;
  virtual void added() = 0;
  virtual void depth(std::size_t keys) = 0;
  virtual void waited(base::Duration in_queue) = 0;
  virtual void started(base::SteadyPoint when) = 0;
  virtual void worked(base::SteadyPoint since, base::SteadyPoint until) = 0;
  virtual void retried() = 0;
};

// Intervals of centuries parse; the sum with the time of day must not overflow.
inline constexpr base::Duration kLongestDelay = std::chrono::hours(24 * 365 * 10);

struct RetryDelay {
  base::Duration min = std::chrono::milliseconds(750);  // Flux: --min-retry-delay
  base::Duration max = std::chrono::minutes(15);        // Flux: --max-retry-delay
};

class WorkQueue {
 public:
  enum class Lane { fresh, retry, leisure };
  static constexpr int kFreshPerRetry = 4;
  static constexpr int kOthersPerLeisure = 16;

  // `clock` and `observer` (may be null) outlive the queue.
  WorkQueue(const base::Clock& clock, RetryDelay delay, QueueObserver* observer = nullptr);

  // How many keys of the lane of leisure may be worked on at once; at least one.
  void limit_leisure(std::size_t keys) { leisure_limit_ = keys; }

  // Due now. A delayed add of the same key is dropped, but for one that may come before leisure does.
  void add(api::ObjectKey key, Lane lane = Lane::fresh);
  // Due after `delay`; of several delayed adds the earliest wins.
  void add_after(api::ObjectKey key, base::Duration delay);
  // Due after min * 2^(failures so far), at most max; returns that delay.
  base::Duration add_failed(api::ObjectKey key);
  // The key's next failure counts as its first.
  void forget(const api::ObjectKey& key);
  // Takes a key out altogether, with what was planned for it.
  void discard(const api::ObjectKey& key);

  // The next key that is due, if any. It is the caller's until done().
  std::optional<api::ObjectKey> try_take();
  // Waits for one; nothing after shut_down().
  rt::Task<std::optional<api::ObjectKey>> take();
  void done(const api::ObjectKey& key);
  // It is worked on, but only waits from here on: no other of leisure waits for it.
  void only_waits(const api::ObjectKey& key);

  // Ends all take(); what waits is dropped.
  void shut_down();
  bool is_shut_down() const noexcept { return shut_down_; }

  std::size_t ready() const noexcept { return ready_since_.size(); }
  std::size_t delayed() const noexcept { return delayed_.size(); }
  std::size_t working() const noexcept { return working_.size(); }
  int failures(const api::ObjectKey& key) const;
  // When the next delayed key falls due.
  std::optional<base::SteadyPoint> next_due() const;

 private:
  static constexpr std::size_t kLanes = 3;
  struct Delayed {
    base::SteadyPoint due;
    Lane lane;
  };
  void plan(const api::ObjectKey& key, base::Duration delay, Lane lane);
  void make_ready(const api::ObjectKey& key, Lane lane);
  void promote_due();
  std::deque<api::ObjectKey>& lane(Lane lane) { return lanes_[static_cast<std::size_t>(lane)]; }
  std::optional<Lane> next_lane();
  void report_depth();

  const base::Clock& clock_;
  RetryDelay delay_;
  QueueObserver* observer_;
  std::array<std::deque<api::ObjectKey>, kLanes> lanes_;
  struct Ready {
    base::SteadyPoint since;
    Lane lane;
  };
  std::unordered_map<api::ObjectKey, Ready> ready_since_;  // keys in a lane
  std::unordered_map<api::ObjectKey, Delayed> delayed_;
  std::set<std::pair<base::SteadyPoint, api::ObjectKey>> due_order_;
  struct Working {
    base::SteadyPoint since;
    Lane lane;
    std::optional<Lane> again;  // added meanwhile
  };
  std::unordered_map<api::ObjectKey, Working> working_;
  std::unordered_map<api::ObjectKey, int> failures_;
  int fresh_streak_ = 0;    // served since the last retry
  int others_streak_ = 0;   // served since the last of leisure
  std::size_t leisure_limit_ = 1;
  std::size_t leisure_working_ = 0;
  bool shut_down_ = false;
  rt::Notify changed_;
};

}  // namespace sluice::controller
