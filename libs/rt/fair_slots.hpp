// A counting semaphore for coroutines that owners share fairly (fair_shares.hpp). One
// owner's are served in the order in which they came; of owners, the one that holds the
// fewest, and of those that hold equally many the one that was served longest ago. The owner
// "" is the daemon, which has some places in reserve. On the loop.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "rt/fair_shares.hpp"
#include "rt/runtime.hpp"

namespace sluice::rt {

class FairSlots : public std::enable_shared_from_this<FairSlots> {
 public:
  // `share`: the most that one owner may hold; `reserve`: what the daemon may hold besides.
  FairSlots(std::size_t share, std::size_t reserve) : shares_(share), reserve_(reserve) {}

  // Gives its slot back when destroyed; empty when moved from.
  class Lease {
   public:
    Lease(std::shared_ptr<FairSlots> slots, std::string owner) : slots_(std::move(slots)), owner_(std::move(owner)) {}
    Lease(Lease&& other) noexcept = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (slots_) slots_->release(owner_);
    }

   private:
    std::shared_ptr<FairSlots> slots_;
    std::string owner_;
  };

  Task<Lease> acquire(std::string owner) {
    auto self = shared_from_this();
    Place place(self, owner);
    self->serve();
    while (!place.waiter.granted) co_await place.waiter.notify.wait();
    place.taken = true;
    co_return Lease(std::move(self), std::move(owner));
  }

 private:
  struct Waiter {
    Notify notify;
    bool granted = false;
  };
  // Whoever was cancelled while waiting has left the queue, or hands on what it was given.
  struct Place {
    std::shared_ptr<FairSlots> slots;
    const std::string owner;
    Waiter waiter;
    bool taken = false;
    Place(std::shared_ptr<FairSlots> s, std::string o) : slots(std::move(s)), owner(std::move(o)) {
      slots->owners_[owner].waiting.push_back(&waiter);
    }
    ~Place() {
      if (taken) return;
      if (waiter.granted) {
        slots->release(owner);
      } else {
        slots->owners_[owner].waiting.remove(&waiter);
        slots->drop_if_idle(owner);
      }
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
  };
  struct Owner {
    std::size_t held = 0;  // those in reserve not counted
    std::size_t held_in_reserve = 0;
    std::uint64_t served = 0;  // when, in turns
    std::list<Waiter*> waiting;
  };

  bool can_serve(const std::string& name, const Owner& owner) const {
    if (owner.waiting.empty()) return false;
    return shares_.has_room(owner.held) || (name.empty() && owner.held_in_reserve < reserve_);
  }

  // Owners are looked at one by one: there are as many as namespaces wait at this moment.
  void serve() {
    for (;;) {
      auto best = owners_.end();
      for (auto it = owners_.begin(); it != owners_.end(); ++it) {
        if (!can_serve(it->first, it->second)) continue;
        const auto turn = [](const Owner& owner) { return std::pair(owner.held, owner.served); };
        if (best == owners_.end() || turn(it->second) < turn(best->second)) best = it;
      }
      if (best == owners_.end()) return;
      grant(best->second);
    }
  }

  void grant(Owner& owner) {
    Waiter* const next = owner.waiting.front();
    owner.waiting.pop_front();
    owner.served = ++turn_;
    if (shares_.has_room(owner.held)) {
      shares_.take();
      ++owner.held;
    } else {
      ++owner.held_in_reserve;
    }
    next->granted = true;
    next->notify.notify_all();
  }

  void release(const std::string& name) {
    Owner& owner = owners_[name];
    if (owner.held_in_reserve > 0) {
      --owner.held_in_reserve;
    } else {
      --owner.held;
      shares_.give_back();
    }
    drop_if_idle(name);
    serve();
  }

  void drop_if_idle(const std::string& name) {
    const auto it = owners_.find(name);
    if (it->second.held == 0 && it->second.held_in_reserve == 0 && it->second.waiting.empty()) owners_.erase(it);
  }

  FairShares shares_;
  const std::size_t reserve_;
  std::map<std::string, Owner> owners_;  // that hold or wait
  std::uint64_t turn_ = 0;
};

}  // namespace sluice::rt
