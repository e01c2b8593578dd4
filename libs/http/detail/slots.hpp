// A counting semaphore for coroutines, first come first served. On the loop;
// private to libs/http.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <utility>

#include "rt/runtime.hpp"

namespace sluice::http::detail {

class Slots : public std::enable_shared_from_this<Slots> {
 public:
  explicit Slots(std::size_t count) : free_(count) {}

  // Gives its slot back when destroyed; empty when moved from.
  class Lease {
   public:
    explicit Lease(std::shared_ptr<Slots> slots) : slots_(std::move(slots)) {}
    Lease(Lease&& other) noexcept = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (slots_) slots_->release();
    }

   private:
    std::shared_ptr<Slots> slots_;
  };

  rt::Task<Lease> acquire() {
    // Whoever was cancelled while waiting has left the queue, or hands on what it was given.
    struct Place {
      std::shared_ptr<Slots> slots;
      Waiter waiter;
      bool taken = false;
      explicit Place(std::shared_ptr<Slots> s) : slots(std::move(s)) { slots->waiting_.push_back(&waiter); }
      ~Place() {
        if (taken) return;
        slots->waiting_.remove(&waiter);
        if (waiter.granted) slots->release();
      }
    };
    auto self = shared_from_this();
    if (free_ > 0) {
      --free_;
      co_return Lease(std::move(self));
    }
    Place place(self);
    while (!place.waiter.granted) co_await place.waiter.notify.wait();
    place.taken = true;
    co_return Lease(std::move(self));
  }

 private:
  struct Waiter {
    rt::Notify notify;
    bool granted = false;
  };

  void release() {
    if (waiting_.empty()) {
      ++free_;
      return;
    }
    Waiter* next = waiting_.front();
    waiting_.pop_front();
    next->granted = true;
    next->notify.notify_all();
  }

  std::size_t free_;
  std::list<Waiter*> waiting_;
};

}  // namespace sluice::http::detail
