// The queue of object keys that wait to be reconciled. Runs on the loop.
//
// A key is in the queue at most once and is worked on by one worker at a time:
// adding it while it is worked on brings it back when that worker is done.
// Keys come out first in, first out; keys that come back after a failure stand
// in a lane of their own, of which one is served for every kFreshPerRetry fresh
// ones, so that neither a crowd of failing objects nor a busy hour starves the
// others. Facts: client-go util/workqueue (dedupe, delay, rate limit).
#pragma once

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
  virtual void worked(base::Duration on_it) = 0;
  virtual void retried() = 0;
};

struct RetryDelay {
  base::Duration min = std::chrono::milliseconds(750);  // Flux: --min-retry-delay
  base::Duration max = std::chrono::minutes(15);        // Flux: --max-retry-delay
};

class WorkQueue {
 public:
  static constexpr int kFreshPerRetry = 4;

  // `clock` and `observer` (may be null) outlive the queue.
  WorkQueue(const base::Clock& clock, RetryDelay delay, QueueObserver* observer = nullptr);

  // Due now. A delayed add of the same key is dropped.
  void add(api::ObjectKey key);
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

  // Ends all take(); what waits is dropped.
  void shut_down();
  bool is_shut_down() const noexcept { return shut_down_; }

  std::size_t ready() const noexcept { return fresh_.size() + retries_.size(); }
  std::size_t delayed() const noexcept { return delayed_.size(); }
  std::size_t working() const noexcept { return working_.size(); }
  int failures(const api::ObjectKey& key) const;
  // When the next delayed key falls due.
  std::optional<base::SteadyPoint> next_due() const;

 private:
  enum class Lane { fresh, retry };
  struct Delayed {
    base::SteadyPoint due;
    Lane lane;
  };
  void plan(const api::ObjectKey& key, base::Duration delay, Lane lane);
  void make_ready(const api::ObjectKey& key, Lane lane);
  void promote_due();
  void report_depth();

  const base::Clock& clock_;
  RetryDelay delay_;
  QueueObserver* observer_;
  std::deque<api::ObjectKey> fresh_;
  std::deque<api::ObjectKey> retries_;
  struct Ready {
    base::SteadyPoint since;
    Lane lane;
  };
  std::unordered_map<api::ObjectKey, Ready> ready_since_;  // keys in either lane
  std::unordered_map<api::ObjectKey, Delayed> delayed_;
  std::set<std::pair<base::SteadyPoint, api::ObjectKey>> due_order_;
  struct Working {
    base::SteadyPoint since;
    std::optional<Lane> again;  // added meanwhile
  };
  std::unordered_map<api::ObjectKey, Working> working_;
  std::unordered_map<api::ObjectKey, int> failures_;
  int fresh_streak_ = 0;
  bool shut_down_ = false;
  rt::Notify changed_;
};

}  // namespace sluice::controller
