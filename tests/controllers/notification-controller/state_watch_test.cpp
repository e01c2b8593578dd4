// When states are looked at, and in which order.
#include "notification-controller/state_watch.hpp"

#include <algorithm>
#include <boost/asio/io_context.hpp>

#include "support.hpp"

using namespace std::chrono_literals;
using namespace sluice;
using namespace sluice::test;
using notification_controller::StateWatch;

namespace {

// A look at it takes time, which passes besides only when it is told to.
class TickingClock final : public base::Clock {
 public:
  base::TimePoint now() const override { return base::system_clock().now(); }
  base::SteadyPoint steady() const override { return steady_ += 100us; }
  void advance(base::Duration by) { steady_ += by; }

 private:
  mutable base::SteadyPoint steady_{};
};

using Looked = std::vector<std::string>;

rt::Task<bool> look(Looked* looked, api::ObjectKey key, bool is_done) {
  looked->push_back(key.str());
  co_return is_done;
}

doc::Json failed(const std::string& space, const std::string& name, const std::string& message = "no such file") {
  doc::Json object = doc::Json::object();
  object["apiVersion"] = kGroup + "/v1";
  object["kind"] = "Kustomization";
  object["metadata"] = {{"name", name}, {"namespace", space}, {"uid", "uid-" + name}};
  object["status"]["conditions"] = doc::Json::array({{{"type", "Ready"},
                                                      {"status", "False"},
                                                      {"message", message},
                                                      {"reason", "BuildFailed"},
                                                      {"lastTransitionTime", "2026-01-31T10:00:00Z"}}});
  return object;
}

struct WatchHarness {
  void until(std::size_t count) {
    while (looked.size() < count) runtime.context().run_one();
  }
  TickingClock clock;
  Looked looked;
  std::set<std::string> not_done;
  StateWatch watch{clock, 10min, [this](std::string, api::ObjectKey key) {
                     const bool is_done = not_done.erase(key.str()) == 0;
                     return look(&looked, std::move(key), is_done);
                   }};
  rt::Runtime runtime{1};
};

}  // namespace

TEST_CASE("whose one object is due is not behind another one's many") {
  WatchHarness h;
  for (int i = 0; i < 500; ++i) h.watch.changed(failed("big", "x" + std::to_string(i)));
  h.watch.changed(failed("small", "shop"));
  h.clock.advance(10min);
  h.runtime.spawn("states", h.watch.run());
  h.until(501);
  // One turn of some ten before it, and not all of them.
  const auto place = std::find(h.looked.begin(), h.looked.end(), "small/shop") - h.looked.begin();
  CHECK(place < 50);
  CHECK(std::set<std::string>(h.looked.begin(), h.looked.end()).size() == 501);
}

TEST_CASE("what has changed or gone while it waits for its turn is not looked at, and what is not done is again") {
  WatchHarness h;
  h.not_done.insert("apps/again");
  for (const auto* name : {"again", "changes", "goes"}) h.watch.changed(failed("apps", name));
  h.clock.advance(5min);
  h.watch.changed(failed("apps", "changes", "something else"));
  h.watch.gone(failed("apps", "goes"));
  h.clock.advance(6min);
  h.runtime.spawn("states", h.watch.run());
  h.until(1);
  h.runtime.context().run_for(20ms);
  CHECK(h.looked == Looked{"apps/again"});
  h.clock.advance(10min);
  h.watch.changed(failed("apps", "wakes it"));
  h.until(3);
  CHECK(h.looked == Looked{"apps/again", "apps/changes", "apps/again"});
}
