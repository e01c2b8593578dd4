// The Events that wait to be sent: those of one object one after the other, in
// order, those of different objects side by side. Pure but for who waits for an
// object's to be settled; lives on the loop; private to this library.
//
//   lanes.push("uid-1", event);                  // waiting
//   auto next = lanes.take();                    // the oldest whose object has none on its way
//   lanes.finish(next->lane);                    // sent or given up: the lane's next one may go
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/clock.hpp"
#include "doc/json.hpp"
#include "rt/runtime.hpp"

namespace sluice::controller {

class EventLanes {
 public:
  struct Event {
    doc::Json object;
    bool once = false;  // names its occurrence
    base::SteadyPoint since;
  };
  struct Taken {
    std::string lane;
    Event event;
  };

  void push(std::string lane, Event event);
  // Nothing where every lane that has some is busy.
  std::optional<Taken> take();
  void finish(const std::string& lane);
  // Gives up the one that has waited longest; false where none waits.
  bool drop_oldest();

  std::size_t waiting() const noexcept { return waiting_; }
  bool is_idle() const noexcept { return lanes_.empty(); }
  // Notified when nothing of the lane waits or is on its way; null where that is so.
  std::shared_ptr<rt::Notify> unsettled(const std::string& lane) const;

 private:
  struct Numbered {
    std::uint64_t number;
    Event event;
  };
  struct Lane {
    std::deque<Numbered> events;
    bool busy = false;
    std::shared_ptr<rt::Notify> settled = std::make_shared<rt::Notify>();
  };
  struct Place {
    std::uint64_t number;
    std::string lane;
  };
  using Lanes = std::unordered_map<std::string, Lane>;
  bool is_waiting(const Place& place) const;
  void leave(Lanes::iterator lane);

  Lanes lanes_;
  std::deque<Place> ready_;  // the first event of each lane that is not busy
  std::deque<Place> order_;  // of all by age, and some that have been taken since
  std::size_t waiting_ = 0;
  std::uint64_t next_number_ = 0;
};

}  // namespace sluice::controller
