// Events that are still to be judged. Runs on the loop, a slice of its time at a time: however
// many there are, whoever else waits for the loop has a turn within milliseconds.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "controller/watch_cache.hpp"
#include "rt/runtime.hpp"

namespace sluice::notification_controller {

class Backlog {
 public:
  struct Handlers {
    // What an Event says about itself, before any of its batch is judged.
    std::function<void(const doc::Json& event, const std::optional<api::ObjectKey>& alert)> take_in;
    std::function<void(const doc::Json& event, const std::optional<api::ObjectKey>& alert)> judge;
  };
  // Of the loop's time, before others have a turn.
  static constexpr base::Duration kSlice = std::chrono::milliseconds(5);

  // `clock` outlives this.
  Backlog(const base::Clock& clock, Handlers handlers);

  // After all that was added before. With `alert`, for that one alone.
  void add(controller::Object event);
  // The same, oldest first.
  void add(std::vector<controller::Object> events, std::optional<api::ObjectKey> alert = std::nullopt);
  bool empty() const noexcept { return batches_.empty(); }

  // Until it is cancelled.
  rt::Task<void> run();

 private:
  struct Item {
    controller::Object event;
    base::TimePoint happened{};
    std::uint64_t version = 0;  // of the server, where it is a number
  };
  struct Batch {
    std::optional<api::ObjectKey> alert;
    std::vector<controller::Object> events;
    std::vector<Item> taken_in;
    std::size_t judged = 0;
  };
  // One step of the first batch.
  void step();
  void take_in(Batch& batch);

  const base::Clock& clock_;
  Handlers handlers_;
  std::deque<Batch> batches_;
  rt::Notify added_;
};

}  // namespace sluice::notification_controller
