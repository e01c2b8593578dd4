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
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "rt/fair_shares.hpp"
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

  // How many keys of one owner may be worked on at once, those not counted that only wait; in all,
  // twice as many (rt::FairShares). Half of them for the lane of leisure. No bound unless called,
  // before the first take.
  void limit_places(std::size_t of_one_owner);
  // How many keys of one owner's lane of leisure may be worked on at once; at least one.
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
  // It is worked on, but only waits from here on: it holds no place, and no other waits for it.
  void only_waits(const api::ObjectKey& key);
  // The wait is over: returns when it holds a place again, before its owner's next key gets one.
  rt::Task<void> take_back(api::ObjectKey key);

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
  static constexpr std::size_t kReturning = kLanes;  // the queue of those that want a place back
  using Keys = std::list<api::ObjectKey>;
  struct Owner {
    std::string name;
    std::array<Keys, kLanes + 1> queues;
    std::size_t held = 0;     // places
    std::size_t leisure = 0;  // of them, of that lane
    std::uint64_t served;     // when, in turns
  };
  struct ByTurn {
    bool operator()(const Owner* a, const Owner* b) const;
  };
  class Change;
  struct Delayed {
    base::SteadyPoint due;
    Lane lane;
  };
  struct Ready {
    base::SteadyPoint since;
    Lane lane;
    Keys::iterator place;
  };
  struct Returning {
    Keys::iterator place;
    rt::Notify served;
  };
  class Return;
  struct Working {
    base::SteadyPoint since;
    Lane lane;
    std::optional<Lane> again = std::nullopt;  // added meanwhile
    bool holds = true;                         // a place
    Returning* returning = nullptr;            // waits for one
  };

  static std::size_t index(Lane lane) { return static_cast<std::size_t>(lane); }
  Owner& owner_of(const api::ObjectKey& key);
  bool can_serve(std::size_t queue) const;
  bool can_serve(Lane lane) const { return can_serve(index(lane)); }
  void drop_plan(const api::ObjectKey& key);
  void plan(const api::ObjectKey& key, base::Duration delay, Lane lane);
  void make_ready(const api::ObjectKey& key, Lane lane);
  void promote_due();
  std::optional<Lane> next_lane();
  void hold(Owner& owner, Lane lane);
  void give_back(const api::ObjectKey& key, Working& working);
  void serve_returning();
  void report_depth();

  const base::Clock& clock_;
  RetryDelay delay_;
  QueueObserver* observer_;
  rt::FairShares shares_{rt::FairShares::kMaxShare};
  std::map<std::string, Owner> owners_;  // that have keys in a queue, or places
  // Owners that have something in a queue which they may take as far as they alone decide, the
  // next one first. Whether there is room for it is asked of the first: no other has more.
  std::array<std::set<Owner*, ByTurn>, kLanes + 1> order_;
  std::uint64_t turn_ = 0;
  std::unordered_map<api::ObjectKey, Ready> ready_since_;  // keys in a lane
  std::unordered_map<api::ObjectKey, Delayed> delayed_;
  std::set<std::pair<base::SteadyPoint, api::ObjectKey>> due_order_;
  std::unordered_map<api::ObjectKey, Working> working_;
  std::unordered_map<api::ObjectKey, int> failures_;
  int fresh_streak_ = 0;   // served since the last retry
  int others_streak_ = 0;  // served since the last of leisure
  std::size_t leisure_limit_ = 1;
  bool shut_down_ = false;
  rt::Notify changed_;
};

}  // namespace sluice::controller
