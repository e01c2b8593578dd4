// Sends what waits for one Provider, one message at a time. Runs on the loop;
// owned by the dispatcher.
//
// One at a time on purpose: at most one delivery per Provider is in doubt when
// the process is killed, and chats take about one message a second anyway. Each
// Provider has an outbox of its own, so one that fails or hangs delays no other. What all of
// them have under way at once is bounded by slots, in shares for each owner.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "lanes.hpp"
#include "rt/fair_slots.hpp"
#include "rt/runtime.hpp"

namespace sluice::notification_controller {

enum class Outcome {
  delivered,  // the receiver took it, and it is remembered
  dropped,    // nobody wants it any more, or the receiver never will
  failed,     // to be tried again
};
struct Attempt {
  Outcome outcome = Outcome::dropped;
  std::optional<base::Duration> retry_after;
  bool marked_pending = false;
};

class Outbox {
 public:
  using Deliver = std::function<rt::Task<Attempt>(Delivery)>;

  // Each delivery takes one of `slots` for `owner`. `settled`: what waited does so no longer; it was delivered or
  // dropped.
  Outbox(rt::Runtime& runtime, const base::Clock& clock, std::shared_ptr<rt::FairSlots> slots, std::string owner,
         Deliver deliver, std::function<void()> settled);

  void push(Delivery delivery);
  void hurry();
  // See Lanes::shed().
  std::vector<Delivery> shed(std::size_t count) { return lanes_.shed(count, busy_); }
  std::size_t waiting() const noexcept { return lanes_.size(); }

  // Nothing more is expected: run() returns once nothing waits. What is pushed all the same
  // is sent.
  void close();

  // Until it is cancelled or closed; a delivery that is on is finished first.
  rt::Task<void> run();

 private:
  rt::Task<Attempt> deliver_undisturbed(Delivery delivery);
  rt::Task<void> send(std::string lane);

  rt::Runtime& runtime_;
  const base::Clock& clock_;
  const std::shared_ptr<rt::FairSlots> slots_;
  const std::string owner_;
  Deliver deliver_;
  std::function<void()> settled_;
  Lanes lanes_;
  std::optional<std::string> busy_;  // the lane whose head is being sent
  rt::Notify changed_;
  bool closed_ = false;
};

}  // namespace sluice::notification_controller
