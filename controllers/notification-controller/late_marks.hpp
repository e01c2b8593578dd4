// The marks that the server has not taken: what this process knows of deliveries beyond what their Events say, and
// the writing of it aside, so that a Provider's next message need not wait. Runs on the loop.
//
// Who rules the namespace of an Event can see to it that nothing can be written to it: a webhook that is dead, a quota,
// an Event as large as etcd takes. So what waits is bounded in shares of those namespaces (rt::FairShares), and each
// namespace has one writer, which rests after each failure. What is given up is still known, for as long as the Event
// is there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/object_meta.hpp"
#include "delivery_mark.hpp"
#include "room.hpp"
#include "rt/runtime.hpp"

namespace sluice::notification_controller {

// A mark, and where it belongs.
struct EventMark {
  api::ObjectKey event;
  std::string event_uid;
  std::string kind;  // of the involved object
  std::string alert_uid;
  api::ObjectKey provider;
  DeliveryMark mark;
};

enum class Noting {
  written,  // or its Event is gone
  later,    // not now
  never,    // too large, or refused for what it is
};

class LateMarks {
 public:
  struct Handlers {
    std::function<rt::Task<Noting>(EventMark)> write;
    std::function<void(const EventMark&)> written;
    // It will not be written any more: it never can be, or too many wait.
    std::function<void(const EventMark&)> given_up;
  };
  // After a failure its namespace's writer rests, for longer each time.
  static constexpr base::Duration kFirstRest = std::chrono::seconds(1);
  static constexpr base::Duration kLongestRest = std::chrono::seconds(30);

  // `share`: the most that may wait of one namespace. `runtime` and what the handlers use outlive this's tasks.
  LateMarks(rt::Runtime& runtime, std::size_t share, Handlers handlers);

  // To be written, in place of an older one on the same Event for the same Alert. Where too many wait, the oldest of
  // that namespace is given up.
  void put(EventMark mark);
  // It is given up at once.
  void give_up(EventMark mark);
  // The server has a newer one.
  void drop(const EventMark& mark) { known_.erase({mark.event_uid, mark.alert_uid}); }
  // The Event is gone. The Alerts whose marks were known.
  std::vector<std::string> forget(std::string_view event_uid);

  // Null where the Event says all that is known.
  const DeliveryMark* find(std::string_view event_uid, std::string_view alert_uid) const;
  // It is not written yet, and not given up.
  bool is_waiting(std::string_view event_uid, std::string_view alert_uid) const;
  // Something waits of that namespace.
  bool is_behind(const std::string& space) const { return waiting_.contains(space); }
  std::size_t known() const noexcept { return known_.size(); }

 private:
  using Key = std::pair<std::string, std::string>;  // uids of Event and Alert
  struct Entry {
    EventMark mark;
    bool waits = false;         // its namespace's queue has it, or it is being written
    std::uint64_t version = 0;  // of the mark
  };
  bool make_room(const std::string& space);
  rt::Task<void> write_those_of(std::string space);
  void conclude(const std::string& space, const Key& key, std::uint64_t version, Noting noting);
  rt::Task<void> rest_for(base::Duration rest);

  rt::Runtime& runtime_;
  Handlers handlers_;
  Room room_;
  std::map<Key, Entry> known_;
  std::map<std::string, std::deque<Key>> waiting_;  // of each namespace that has a writer; each key holds a place
  std::uint64_t versions_ = 0;
};

}  // namespace sluice::notification_controller
