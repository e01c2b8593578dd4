// What waits to be sent to one Provider, and whose turn it is. Pure but for its
// memory.
//
// One lane per involved object keeps the order of what is said about it. The namespaces of the objects have turns, and
// in each its lanes: whoever may write Events may invent objects, and must not delay what others are to hear. A lane
// whose head fails steps back, so that a message that a receiver chokes on holds
// up nothing but its own object; and after each failure the whole Provider rests
// for a while, so that one that is down is not hammered.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "occurrence.hpp"

namespace sluice::notification_controller {

// One occurrence on its way to one Alert's Provider.
struct Delivery {
  api::ObjectKey alert;
  std::string alert_uid;
  std::shared_ptr<const Occurrence> occurrence;  // shared by all that are sent it; never null
  std::string id;                                // see delivery_id
  bool marked_pending = false;                   // its Event says that it was tried in vain
  std::uint64_t rule = 0;                        // AlertRule::version of the one that wants it
  base::TimePoint happened{};                    // by the server's clock; see Receipts
  std::uint64_t ticket = 0;                      // Ledger::Ticket
};

class Lanes {
 public:
  static constexpr base::Duration kFirstDelay = std::chrono::seconds(1);
  static constexpr base::Duration kLongestDelay = std::chrono::minutes(5);  // of one lane
  static constexpr base::Duration kLongestRest = std::chrono::seconds(60);  // of the Provider

  void push(Delivery delivery);

  // The lane whose head is next, or how long to wait for one; neither when empty. Costs as
  // good as nothing, however many lanes there are.
  struct Turn {
    std::optional<std::string> lane;
    std::optional<base::Duration> wait;
  };
  Turn next(base::SteadyPoint now);
  Delivery& head(const std::string& lane);

  // The head is dealt with. `answered`: because the receiver took it, so it is well.
  void settle(const std::string& lane, bool answered);
  // The head failed and stays. `wanted`: the receiver's Retry-After.
  void fail(const std::string& lane, base::SteadyPoint now, std::optional<base::Duration> wanted);
  // Takes out `count` of what waits, or all that there is, from the namespaces of which most waits, so that the most
  // that is left of one is as little as can be. Of each first what a newer word about the same object for the same
  // Alert supersedes, then last words; of these the oldest first, by when they happened. Those about one object come
  // in their order. The head of the lane `busy` stays, as it is being sent.
  std::vector<Delivery> shed(std::size_t count, const std::optional<std::string>& busy);
  // Try everything now: the Provider was edited.
  void hurry();

  std::size_t size() const noexcept { return size_; }

 private:
  struct Lane {
    std::string space;  // the namespace of its object
    std::deque<Delivery> waiting;
    int failures = 0;
    base::SteadyPoint not_before{};
    std::uint64_t arrival = 0;  // smaller goes first
  };
  struct Space {
    std::set<std::pair<std::uint64_t, std::string>> ready;  // its lanes by arrival; never empty
    std::uint64_t turn = 0;                                 // smaller goes first
  };
  static base::Duration grown(int failures, base::Duration limit);
  void line_up(const std::string& name, Lane& lane);
  void step_out(const std::string& name, const Lane& lane);
  void stand_ready(const std::string& name, const Lane& lane);
  void pass_turn(const std::string& space);
  // One that may be shed: the at-th of a lane.
  struct Place {
    base::TimePoint happened{};
    const std::string* name = nullptr;
    std::size_t at = 0;
  };
  struct Places {
    std::vector<Place> superseded;
    std::vector<Place> last_words;
    std::size_t size() const noexcept { return superseded.size() + last_words.size(); }
  };
  static void places_of(const std::string& name, const Lane& lane, std::size_t first, Places& places);
  static void take_oldest(Places& places, std::size_t count, std::vector<Place>& taken);
  std::vector<Delivery> take_out(std::vector<Place> places);

  std::map<std::string, Lane> lanes_;
  std::map<std::string, Space> spaces_;                               // that have lanes that are ready
  std::set<std::pair<std::uint64_t, std::string>> turns_;             // of spaces_
  std::set<std::pair<base::SteadyPoint, std::string>> stepped_back_;  // lanes by not_before
  std::size_t size_ = 0;
  std::uint64_t arrivals_ = 0;
  std::uint64_t last_turn_ = 0;
  int failures_in_a_row_ = 0;
  base::SteadyPoint rest_until_{};
};

}  // namespace sluice::notification_controller
