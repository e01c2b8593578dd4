// Gives each state that ought to be told some time for its Event, and says when that is
// over. Runs on the loop. The namespaces of the objects that are due have turns of equal time.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "doc/json.hpp"
#include "rt/runtime.hpp"
#include "state_news.hpp"
#include "turns.hpp"

namespace sluice::notification_controller {

class StateWatch {
 public:
  // Looks at an object whose state has stood for the whole of `grace`; false to be
  // called again after another one.
  using Look = std::function<rt::Task<bool>(std::string kind, api::ObjectKey key)>;

  // `clock` outlives this. With a `grace` of zero nothing is ever looked at.
  StateWatch(const base::Clock& clock, base::Duration grace, Look look);

  // Cut down by keep_state(). While an object is busy, what it said before stands: one that
  // fails again and again fails.
  void changed(const doc::Json& object);
  void gone(const doc::Json& object);
  // Who is told of these kinds has changed: what they say is looked at again, after a grace.
  void look_again(const std::set<std::string>& kinds);
  // The same of one object.
  void look_again(const std::string& kind, const api::ObjectKey& key);
  // Until it is cancelled.
  rt::Task<void> run();

 private:
  using Identity = std::pair<std::string, api::ObjectKey>;  // kind and key
  struct Standing {
    std::size_t what = 0;  // hash of all but the time
    base::TimePoint since{};
    std::optional<base::SteadyPoint> due;  // nothing once it was looked at
  };
  struct Due {
    base::SteadyPoint at{};
    Identity identity;
  };
  void schedule(const Identity& identity, Standing& standing);
  // What is due by now waits for the turn of its namespace.
  void line_up();
  rt::Task<void> look_at(Due due);
  // One namespace's; there must be something to look at.
  rt::Task<void> turn();

  const base::Clock& clock_;
  const base::Duration grace_;
  const Look look_;
  std::map<Identity, Standing> standing_;
  std::multimap<base::SteadyPoint, Identity> due_;
  Turns<std::deque<Due>> lined_up_;
  rt::Notify changed_;
};

}  // namespace sluice::notification_controller
