#include "controller/work_queue.hpp"

#include <algorithm>

namespace sluice::controller {

namespace {
// While a delayed key waits, take() looks at the clock at least this often, so
// that a wall of suspended time (a paused VM) delays nothing for long.
constexpr base::Duration kLongestNap = std::chrono::minutes(1);
}  // namespace

// Takes an owner out of all orders while what decides about its turn changes, and drops one
// of whom nothing is left.
class WorkQueue::Change {
 public:
  Change(WorkQueue& queue, Owner& owner) : queue_(queue), owner_(owner) {
    for (auto& order : queue_.order_) order.erase(&owner_);
  }
  ~Change() {
    bool needed = owner_.held > 0;
    for (std::size_t i = 0; i < owner_.queues.size(); ++i) {
      if (owner_.queues[i].empty()) continue;
      needed = true;
      if (i == index(Lane::leisure) && owner_.leisure >= queue_.leisure_limit_) continue;
      queue_.order_[i].insert(&owner_);
    }
    if (!needed) queue_.owners_.erase(queue_.owners_.find(owner_.name));
  }
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;

 private:
  WorkQueue& queue_;
  Owner& owner_;
};

bool WorkQueue::ByTurn::operator()(const Owner* a, const Owner* b) const {
  if (a->held != b->held) return a->held < b->held;
  return a->served != b->served ? a->served < b->served : a->name < b->name;
}

WorkQueue::WorkQueue(const base::Clock& clock, RetryDelay delay, QueueObserver* observer)
    : clock_(clock), delay_(delay), observer_(observer) {}

void WorkQueue::limit_places(std::size_t of_one_owner) {
  shares_ = rt::FairShares(of_one_owner);
  limit_leisure(std::max<std::size_t>(of_one_owner / 2, 1));
}

// A new one stands behind those that wait already, or it would gain by being forgotten.
WorkQueue::Owner& WorkQueue::owner_of(const api::ObjectKey& key) {
  const auto [entry, is_new] = owners_.try_emplace(key.namespace_);
  if (is_new) {
    entry->second.name = key.namespace_;
    entry->second.served = ++turn_;
  }
  return entry->second;
}

void WorkQueue::add(api::ObjectKey key, Lane lane) {
  if (shut_down_) return;
  if (lane != Lane::leisure) drop_plan(key);
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
  drop_plan(key);
  if (const auto waiting = ready_since_.extract(key); !waiting.empty()) {
    Owner& owner = owner_of(key);
    const Change change(*this, owner);
    owner.queues[index(waiting.mapped().lane)].erase(waiting.mapped().place);
    report_depth();
  }
  if (const auto working = working_.find(key); working != working_.end()) working->second.again.reset();
}

void WorkQueue::drop_plan(const api::ObjectKey& key) {
  const auto planned = delayed_.find(key);
  if (planned == delayed_.end()) return;
  due_order_.erase({planned->second.due, key});
  delayed_.erase(planned);
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
  const auto known = ready_since_.find(key);
  // Something new about an object that failed, or that had time: it need not queue with those.
  if (known != ready_since_.end() && known->second.lane <= wanted) return;
  Owner& owner = owner_of(key);
  const Change change(*this, owner);
  Keys& keys = owner.queues[index(wanted)];
  if (known != ready_since_.end()) {
    keys.splice(keys.end(), owner.queues[index(known->second.lane)], known->second.place);
    known->second.lane = wanted;
  } else {
    const auto place = keys.insert(keys.end(), key);
    ready_since_.emplace(key, Ready{clock_.steady(), wanted, place});
    if (observer_ != nullptr) observer_->added();
    report_depth();
  }
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

bool WorkQueue::can_serve(std::size_t queue) const {
  const auto& order = order_[queue];
  return !order.empty() && shares_.has_room((*order.begin())->held);
}

std::optional<WorkQueue::Lane> WorkQueue::next_lane() {
  const bool fresh = can_serve(Lane::fresh);
  const bool retry = can_serve(Lane::retry);
  if (can_serve(Lane::leisure) && ((!fresh && !retry) || others_streak_ >= kOthersPerLeisure)) {
    others_streak_ = 0;
    return Lane::leisure;
  }
  if (!fresh && !retry) return std::nullopt;
  ++others_streak_;
  const bool from_fresh = fresh && (!retry || fresh_streak_ < kFreshPerRetry);
  fresh_streak_ = from_fresh ? fresh_streak_ + 1 : 0;
  return from_fresh ? Lane::fresh : Lane::retry;
}

void WorkQueue::hold(Owner& owner, Lane lane) {
  shares_.take();
  ++owner.held;
  if (lane == Lane::leisure) ++owner.leisure;
}

std::optional<api::ObjectKey> WorkQueue::try_take() {
  if (shut_down_) return std::nullopt;
  promote_due();
  const auto chosen = next_lane();
  if (!chosen) return std::nullopt;
  Owner& owner = **order_[index(*chosen)].begin();
  const Change change(*this, owner);
  Keys& keys = owner.queues[index(*chosen)];
  api::ObjectKey key = std::move(keys.front());
  keys.pop_front();
  owner.served = ++turn_;
  hold(owner, *chosen);
  const base::SteadyPoint now = clock_.steady();
  const auto since = ready_since_.extract(key);
  working_.emplace(key, Working{now, *chosen});
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
  const auto working = working_.find(key);
  if (working == working_.end()) return;
  give_back(key, working->second);
  const Working finished = working->second;
  working_.erase(working);
  if (observer_ != nullptr) observer_->worked(finished.since, clock_.steady());
  if (finished.again && !shut_down_) {
    drop_plan(key);  // what was planned for later happens now
    make_ready(key, *finished.again);
  }
}

void WorkQueue::only_waits(const api::ObjectKey& key) {
  if (const auto working = working_.find(key); working != working_.end()) give_back(key, working->second);
}

void WorkQueue::give_back(const api::ObjectKey& key, Working& working) {
  if (!std::exchange(working.holds, false)) return;
  Owner& owner = owner_of(key);
  {
    const Change change(*this, owner);
    shares_.give_back();
    --owner.held;
    // With the place that it may take back it is as any other.
    if (std::exchange(working.lane, Lane::fresh) == Lane::leisure) --owner.leisure;
  }
  serve_returning();
  if (!ready_since_.empty()) changed_.notify_all();
}

void WorkQueue::serve_returning() {
  while (can_serve(kReturning)) {
    Owner& owner = **order_[kReturning].begin();
    const Change change(*this, owner);
    Keys& keys = owner.queues[kReturning];
    Working& working = working_.at(keys.front());
    keys.pop_front();
    hold(owner, working.lane);
    working.holds = true;
    std::exchange(working.returning, nullptr)->served.notify_all();
  }
}

// Stands in the queue for a place for as long as it lives, or until it has got one; which is the
// key's then, even if whoever waited for it was cancelled at that moment.
class WorkQueue::Return {
 public:
  Return(WorkQueue& queue, const api::ObjectKey& key, Working& working) : queue_(queue), key_(key) {
    Owner& owner = queue_.owner_of(key_);
    {
      const Change change(queue_, owner);
      Keys& keys = owner.queues[kReturning];
      returning_.place = keys.insert(keys.end(), key_);
      working.returning = &returning_;
    }
    queue_.serve_returning();
  }
  ~Return() {
    Working* working = waiting();
    if (working == nullptr) return;
    Owner& owner = queue_.owner_of(key_);
    const Change change(queue_, owner);
    owner.queues[kReturning].erase(returning_.place);
    working->returning = nullptr;
  }
  Return(const Return&) = delete;
  Return& operator=(const Return&) = delete;

  // Null once it is served.
  Working* waiting() {
    const auto working = queue_.working_.find(key_);
    return working != queue_.working_.end() && working->second.returning == &returning_ ? &working->second : nullptr;
  }
  rt::Notify& served() { return returning_.served; }

 private:
  WorkQueue& queue_;
  const api::ObjectKey key_;
  Returning returning_;
};

rt::Task<void> WorkQueue::take_back(api::ObjectKey key) {
  const auto working = working_.find(key);
  if (working == working_.end() || working->second.holds) co_return;
  Return place(*this, key, working->second);
  while (place.waiting() != nullptr) co_await place.served().wait();
}

void WorkQueue::shut_down() {
  shut_down_ = true;
  while (!ready_since_.empty()) {
    const api::ObjectKey key = ready_since_.begin()->first;
    discard(key);
  }
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
