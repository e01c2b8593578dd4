#include "rt/fair_pool.hpp"

#include <algorithm>
#include <utility>

namespace sluice::rt {

FairPool::FairPool(std::size_t threads) : threads_(2 * std::max<std::size_t>(threads, 1) + 1), shares_(threads) {}

FairPool::~FairPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void FairPool::post(const std::string& owner, std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  owners_[owner].waiting.push_back(std::move(work));
  // Threads that have been woken and do not run yet count as idle, so the work is counted too.
  if (runnable() > idle_ && workers_.size() < threads_) workers_.emplace_back([this] { work_off(); });
  changed_.notify_one();
}

// How much of what an owner waits for may begin now; at least one, if any may.
std::size_t FairPool::room_for(const Owners::value_type& entry) const {
  const auto& [name, owner] = entry;
  if (name.empty()) return owner.waiting.size();
  return std::min(owner.waiting.size(), shares_.room(owner.running));
}

std::size_t FairPool::runnable() const {
  std::size_t count = 0;
  for (const auto& entry : owners_) count += room_for(entry);
  return count;
}

FairPool::Owners::iterator FairPool::next() {
  auto best = owners_.end();
  for (auto it = owners_.begin(); it != owners_.end(); ++it) {
    if (room_for(*it) == 0) continue;
    if (best == owners_.end() ||
        std::pair(it->second.running, it->second.served) < std::pair(best->second.running, best->second.served)) {
      best = it;
    }
  }
  return best;
}

void FairPool::work_off() {
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto chosen = next();
    if (chosen == owners_.end()) {
      const bool waits =
          std::any_of(owners_.begin(), owners_.end(), [](const auto& o) { return !o.second.waiting.empty(); });
      if (stopping_ && !waits) return;
      ++idle_;
      changed_.wait(lock);
      --idle_;
      continue;
    }
    Owner& owner = chosen->second;
    const bool owned = !chosen->first.empty();
    std::function<void()> work = std::move(owner.waiting.front());
    owner.waiting.pop_front();
    ++owner.running;
    owner.served = ++turn_;
    if (owned) shares_.take();
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
    if (owned) shares_.give_back();
    if (--owner.running == 0 && owner.waiting.empty()) owners_.erase(chosen);
    if (stopping_) changed_.notify_all();
  }
}

}  // namespace sluice::rt
