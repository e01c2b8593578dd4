// The Events that wait to be sent: those of one object one after the other, in
// order, those of different objects side by side. Owners (namespaces) take turns, what is
// on its way of each is a fair share (rt/fair_shares.hpp), and what is given up for want of
// room is given up by who has the most: neither a thousand Events of one tenant nor a webhook
// that lets them hang hold up another one's. Pure but for who waits for an object's to be
// settled; lives on the loop; private to this library.
//
//   lanes.push("apps", "uid-1", event);          // waiting
//   auto next = lanes.take();                    // the oldest of the next owner, whose object has none on its way
//   lanes.finish(next->lane);                    // sent or given up: the lane's next one may go
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/clock.hpp"
#include "doc/json.hpp"
#include "rt/fair_shares.hpp"
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

  // `share`: so many of one owner may be on their way; of all together, twice as many.
  explicit EventLanes(std::size_t share = 8) : on_their_way_(share) {}

  // A lane has one owner for as long as there is anything of it.
  void push(const std::string& owner, std::string lane, Event event);
  // Nothing where every lane that has some is busy, or its owner has its share.
  std::optional<Taken> take();
  void finish(const std::string& lane);
  // Gives up the one that has waited longest of the owner of whom most wait; false where none waits.
  bool drop_one();

  std::size_t waiting() const noexcept { return waiting_; }
  bool is_idle() const noexcept { return lanes_.empty(); }
  // Notified when nothing of the lane waits or is on its way; null where that is so.
  std::shared_ptr<rt::Notify> unsettled(const std::string& lane) const;

 private:
  struct Numbered {
    std::uint64_t number;
    Event event;
  };
  struct Place {
    std::uint64_t number;
    std::string lane;
  };
  struct Owner {
    std::deque<Place> ready;  // the first event of each lane that is not busy, and some that have become another's
    std::deque<Place> order;  // of all by age, and some that have been taken since
    std::size_t waiting = 0;
    std::size_t on_their_way = 0;
  };
  using Owners = std::map<std::string, Owner>;
  struct Lane {
    std::deque<Numbered> events;
    bool busy = false;
    Owners::iterator owner;
    std::shared_ptr<rt::Notify> settled = std::make_shared<rt::Notify>();
  };
  using Lanes = std::unordered_map<std::string, Lane>;
  bool is_waiting(const Place& place) const;
  std::optional<Taken> take_of(Owner& owner);
  void leave(Lanes::iterator lane);
  void leave(Owners::iterator owner);

  Lanes lanes_;
  Owners owners_;            // that have an event, waiting or on its way
  std::string last_served_;  // an owner; those behind it come next
  rt::FairShares on_their_way_;
  std::size_t waiting_ = 0;
  std::uint64_t next_number_ = 0;
};

}  // namespace sluice::controller
