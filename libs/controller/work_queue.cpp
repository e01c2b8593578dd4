#include "controller/work_queue.hpp"

#include <algorithm>

namespace sluice::controller {

namespace {
// While a delayed key waits, take() looks at the clock at least this often, so
// that a wall of suspended time (a paused VM) delays nothing for long.
constexpr base::Duration kLongestNap = std::chrono::minutes(1);
}  // namespace

WorkQueue::WorkQueue(const base::Clock& clock, RetryDelay delay, QueueObserver* observer)
    : clock_(clock), delay_(delay), observer_(observer) {}

void WorkQueue::add(api::ObjectKey key, Lane lane) {
  if (shut_down_) return;
  if (const auto planned = delayed_.find(key); planned != delayed_.end() && lane != Lane::leisure) {
    due_order_.erase({planned->second.due, key});
    delayed_.erase(planned);
  }
  make_ready(key, lane);
}

void WorkQueue::add_after(api::ObjectKey key, base::Duration delay) {
  if (delay <= base::Duration::zero()) return add(std::move(key));
  plan(key, delay, Lane::fresh);
}

base::Duration WorkQueue::add_failed(api::ObjectKey key) {
  const int failures = failures_[key]++;
  base::Duration delay = delay_.min;
  for (int i = 0; i < failures && delay < delay_.max; ++i) delay *= 2;
  delay = std::min(delay, delay_.max);
  if (observer_ != nullptr) observer_->retried();
  plan(key, delay, Lane::retry);
  return delay;
}

void WorkQueue::forget(const api::ObjectKey& key) { failures_.erase(key); }

void WorkQueue::discard(const api::ObjectKey& key) {
  failures_.erase(key);
  if (const auto planned = delayed_.find(key); planned != delayed_.end()) {
    due_order_.erase({planned->second.due, key});
    delayed_.erase(planned);
  }
  if (const auto waiting = ready_since_.extract(key); !waiting.empty()) {
    std::erase(lane(waiting.mapped().lane), key);
    report_depth();
  }
  if (const auto working = working_.find(key); working != working_.end()) working->second.again.reset();
}

void WorkQueue::plan(const api::ObjectKey& key, base::Duration delay, Lane lane) {
  if (shut_down_) return;
  // Due already, which is earlier; but leisure may be far away.
  if (const auto ready = ready_since_.find(key); ready != ready_since_.end() && ready->second.lane != Lane::leisure) {
    return;
  }
  // Taken again as soon as its worker is done, which is earlier as well.
  if (const auto working = working_.find(key); working != working_.end() && working->second.again) return;
  delay = std::min(delay, kLongestDelay);
  const base::SteadyPoint due = clock_.steady() + std::chrono::duration_cast<base::SteadyPoint::duration>(delay);
  const auto [entry, is_new] = delayed_.try_emplace(key, Delayed{due, lane});
  if (!is_new) {
    if (entry->second.due <= due) return;
    due_order_.erase({entry->second.due, key});
    entry->second = {due, lane};
  }
  due_order_.insert({due, key});
  changed_.notify_all();
}

void WorkQueue::make_ready(const api::ObjectKey& key, Lane wanted) {
  if (const auto working = working_.find(key); working != working_.end()) {
    auto& again = working->second.again;
    if (!again || wanted < *again) again = wanted;
    return;
  }
  const auto [entry, is_new] = ready_since_.try_emplace(key, Ready{clock_.steady(), wanted});
  if (!is_new) {
    // Something new about an object that failed, or that had time: it need not queue with those.
    if (entry->second.lane <= wanted) return;
    std::erase(lane(entry->second.lane), key);
    entry->second.lane = wanted;
    lane(wanted).push_back(key);
    changed_.notify_all();
    return;
  }
  lane(wanted).push_back(key);
  if (observer_ != nullptr) observer_->added();
  report_depth();
  changed_.notify_all();
}

void WorkQueue::promote_due() {
  const base::SteadyPoint now = clock_.steady();
  while (!due_order_.empty() && due_order_.begin()->first <= now) {
    const api::ObjectKey key = due_order_.begin()->second;
    due_order_.erase(due_order_.begin());
    const auto planned = delayed_.extract(key);
    make_ready(key, planned.mapped().lane);
  }
}

std::optional<WorkQueue::Lane> WorkQueue::next_lane() {
  const bool fresh = !lane(Lane::fresh).empty();
  const bool retry = !lane(Lane::retry).empty();
  const bool leisure = !lane(Lane::leisure).empty() && leisure_working_ < leisure_limit_;
  if (leisure && ((!fresh && !retry) || others_streak_ >= kOthersPerLeisure)) {
    others_streak_ = 0;
    return Lane::leisure;
  }
  if (!fresh && !retry) return std::nullopt;
  ++others_streak_;
  const bool from_fresh = fresh && (!retry || fresh_streak_ < kFreshPerRetry);
  fresh_streak_ = from_fresh ? fresh_streak_ + 1 : 0;
  return from_fresh ? Lane::fresh : Lane::retry;
}

std::optional<api::ObjectKey> WorkQueue::try_take() {
  if (shut_down_) return std::nullopt;
  promote_due();
  const auto chosen = next_lane();
  if (!chosen) return std::nullopt;
  api::ObjectKey key = std::move(lane(*chosen).front());
  lane(*chosen).pop_front();
  if (*chosen == Lane::leisure) ++leisure_working_;
  const base::SteadyPoint now = clock_.steady();
  const auto since = ready_since_.extract(key);
  working_.emplace(key, Working{now, *chosen, std::nullopt});
  if (observer_ != nullptr) {
    observer_->waited(now - since.mapped().since);
    observer_->started(now);
  }
  report_depth();
  return key;
}

rt::Task<std::optional<api::ObjectKey>> WorkQueue::take() {
  while (!shut_down_) {
    auto key = try_take();
    if (key) co_return key;
    base::Duration nap = kLongestNap;
    if (const auto due = next_due()) nap = std::min<base::Duration>(nap, *due - clock_.steady());
    const bool notified = co_await changed_.wait_for(nap);
    static_cast<void>(notified);
  }
  co_return std::nullopt;
}

void WorkQueue::done(const api::ObjectKey& key) {
  const auto finished = working_.extract(key);
  if (finished.empty()) return;
  if (finished.mapped().lane == Lane::leisure) {
    --leisure_working_;
    if (!lane(Lane::leisure).empty()) changed_.notify_all();
  }
  if (observer_ != nullptr) observer_->worked(finished.mapped().since, clock_.steady());
  if (finished.mapped().again && !shut_down_) {
    // What was planned for later happens now.
    if (const auto planned = delayed_.find(key); planned != delayed_.end()) {
      due_order_.erase({planned->second.due, key});
      delayed_.erase(planned);
    }
    make_ready(key, *finished.mapped().again);
  }
}

void WorkQueue::only_waits(const api::ObjectKey& key) {
  const auto working = working_.find(key);
  if (working == working_.end() || working->second.lane != Lane::leisure) return;
  working->second.lane = Lane::fresh;
  --leisure_working_;
  if (!lane(Lane::leisure).empty()) changed_.notify_all();
}

void WorkQueue::shut_down() {
  shut_down_ = true;
  for (auto& waiting : lanes_) waiting.clear();
  ready_since_.clear();
  delayed_.clear();
  due_order_.clear();
  report_depth();
  changed_.notify_all();
}

int WorkQueue::failures(const api::ObjectKey& key) const {
  const auto it = failures_.find(key);
  return it == failures_.end() ? 0 : it->second;
}

std::optional<base::SteadyPoint> WorkQueue::next_due() const {
  if (due_order_.empty()) return std::nullopt;
  return due_order_.begin()->first;
}

void WorkQueue::report_depth() {
  if (observer_ != nullptr) observer_->depth(ready());
}

}  // namespace sluice::controller
