// What is still to be judged: which Event for which Alert. Runs on the loop, a slice of its time
// at a time: however much there is, whoever else waits for the loop has a turn within milliseconds.
//
// The namespace of an Alert owns what is to be judged for it, wherever the Event is, and the
// owners have turns of equal time: a flood that one has asked for delays nobody else's news.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/object_meta.hpp"
#include "audience.hpp"
#include "base/clock.hpp"
#include "controller/watch_cache.hpp"
#include "occurrence.hpp"
#include "rt/runtime.hpp"
#include "turns.hpp"

namespace sluice::notification_controller {

class Backlog {
 public:
  struct Handlers {
    // An Alert's spec is to be read; before the Events of its owner.
    std::function<void(const api::ObjectKey& alert)> adopt;
    // An Event is seen, before it is taken in for anybody.
    std::function<void(const doc::Json& event)> note;
    // What an Event says about itself, before any of its batch is judged for that Alert.
    std::function<void(const doc::Json& event, const api::ObjectKey& alert)> take_in;
    // False if that takes longer than a turn: it is called again, in the next one, and goes on where it was.
    std::function<bool(const controller::Object& event, const std::shared_ptr<const Occurrence>& what,
                       const api::ObjectKey& alert)>
        judge;
  };

  // `clock` and `audience` outlive this.
  Backlog(const base::Clock& clock, const Audience& audience, Handlers handlers);

  void adopt(const api::ObjectKey& alert);
  // After all that was added before, for each Alert that may want it.
  void add(controller::Object event);
  // The same, oldest first.
  void add(std::vector<controller::Object> events);
  // For that Alert alone.
  void add_for(const api::ObjectKey& alert, std::vector<controller::Object> events);
  bool empty() const noexcept { return owners_.empty(); }
  // Something is to be judged yet for Alerts of this namespace.
  bool is_behind(const std::string& owner) const { return owners_.contains(owner); }

  // Until it is cancelled.
  rt::Task<void> run();

 private:
  struct Item {
    controller::Object event;
    base::TimePoint happened{};
    std::uint64_t version = 0;  // of the server, where it is a number
  };
  // Shared by all owners that are to hear of it.
  struct Batch {
    std::vector<controller::Object> events;
    std::vector<Item> items;  // sorted, once there are as many as events
  };
  // One owner's way through a batch.
  struct Round {
    std::shared_ptr<Batch> batch;
    std::optional<api::ObjectKey> alert;  // for that one alone
    bool judges = false;                  // all is taken in
    std::size_t at = 0;
    std::optional<api::ObjectKey> last;  // of the Alerts that had this Event
    std::shared_ptr<const Occurrence> what;
  };
  struct Owner {
    std::deque<api::ObjectKey> adopted;
    std::deque<Round> rounds;
  };

  void prepare(Batch& batch);
  // The next to hear of the Event at hand; nothing after the last.
  std::optional<api::ObjectKey> next_alert(const std::string& owner, const Round& round, const doc::Json& event) const;
  // On to the next Event; false once the round is over.
  static bool go_on(Round& round);
  // A step; false once the round is over.
  bool step(const std::string& owner, Round& round);
  void turn(Turns<Owner>::Owner owner);

  const base::Clock& clock_;
  const Audience& audience_;
  Handlers handlers_;
  Turns<Owner> owners_;
  rt::Notify added_;
};

}  // namespace sluice::notification_controller
