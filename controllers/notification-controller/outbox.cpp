#include "outbox.hpp"

#include <utility>

namespace sluice::notification_controller {

namespace {

struct Slot {
  Attempt attempt{Outcome::failed, std::nullopt, false};
  std::function<void()> done;
};

// Says that the delivery has ended, however it did.
class AtEnd {
 public:
  explicit AtEnd(std::shared_ptr<Slot> slot) : slot_(std::move(slot)) {}
  ~AtEnd() { slot_->done(); }
  AtEnd(const AtEnd&) = delete;
  AtEnd& operator=(const AtEnd&) = delete;

 private:
  std::shared_ptr<Slot> slot_;
};

rt::Task<void> deliver_into(Outbox::Deliver deliver, Delivery delivery, std::shared_ptr<Slot> slot) {
  const AtEnd end(slot);
  rt::Task<Attempt> task = deliver(std::move(delivery));
  const Attempt attempt = co_await std::move(task);
  slot->attempt = attempt;
}

}  // namespace

Outbox::Outbox(rt::Runtime& runtime, const base::Clock& clock, std::shared_ptr<rt::FairSlots> slots, std::string owner,
               Deliver deliver, std::function<void()> settled)
    : runtime_(runtime),
      clock_(clock),
      slots_(std::move(slots)),
      owner_(std::move(owner)),
      deliver_(std::move(deliver)),
      settled_(std::move(settled)) {}

// Between the receiver's answer and the mark on the Event nothing may unwind:
// the next process would send the message again. So the delivery is a task of
// its own; who waits for it can be cancelled, but still waits.
rt::Task<Attempt> Outbox::deliver_undisturbed(Delivery delivery) {
  auto slot = std::make_shared<Slot>();
  auto start = [this, slot, delivery](std::function<void()> done) {
    slot->done = std::move(done);
    runtime_.spawn("delivery", deliver_into(deliver_, delivery, slot));
  };
  auto on_cancel = [] {};
  co_await rt::detail::await_completion(std::move(start), std::move(on_cancel));
  co_return slot->attempt;
}

void Outbox::close() {
  closed_ = true;
  changed_.notify_all();
}

void Outbox::push(Delivery delivery) {
  closed_ = false;
  lanes_.push(std::move(delivery));
  changed_.notify_all();
}

void Outbox::hurry() {
  lanes_.hurry();
  changed_.notify_all();
}

rt::Task<void> Outbox::send(std::string lane) {
  Delivery delivery = lanes_.head(lane);
  busy_ = lane;
  rt::Task<Attempt> task = deliver_undisturbed(std::move(delivery));
  const Attempt attempt = co_await std::move(task);
  busy_.reset();
  if (attempt.outcome == Outcome::failed) {
    Delivery& head = lanes_.head(lane);
    head.marked_pending = head.marked_pending || attempt.marked_pending;
    lanes_.fail(lane, clock_.steady(), attempt.retry_after);
  } else {
    lanes_.settle(lane, attempt.outcome == Outcome::delivered);
    settled_();
  }
}

rt::Task<void> Outbox::run() {
  for (;;) {
    const Lanes::Turn turn = lanes_.next(clock_.steady());
    if (turn.lane) {
      rt::Task<rt::FairSlots::Lease> taking = slots_->acquire(owner_);
      const rt::FairSlots::Lease lease = co_await std::move(taking);
      // Meanwhile the turn may have become another's, or what waited may have made room.
      const Lanes::Turn now = lanes_.next(clock_.steady());
      if (!now.lane) continue;
      rt::Task<void> sending = send(*now.lane);
      co_await std::move(sending);
    } else if (turn.wait) {
      [[maybe_unused]] const bool notified = co_await changed_.wait_for(*turn.wait);
    } else if (closed_) {
      co_return;
    } else {
      co_await changed_.wait();
    }
  }
}

}  // namespace sluice::notification_controller
