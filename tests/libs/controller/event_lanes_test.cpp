#include "controller/event_lanes.hpp"

#include "harness.hpp"

using sluice::controller::EventLanes;

namespace {

EventLanes::Event event(const char* text) { return {text, false, {}}; }

std::string next(EventLanes& lanes) {
  const auto taken = lanes.take();
  return taken ? taken->event.object.get<std::string>() : "";
}

}  // namespace

TEST_CASE("events of one object go one after the other, those of others pass by") {
  EventLanes lanes;
  lanes.push("apps", "a", event("a1"));
  lanes.push("apps", "a", event("a2"));
  lanes.push("apps", "b", event("b1"));
  CHECK(next(lanes) == "a1");
  CHECK(next(lanes) == "b1");
  CHECK(next(lanes).empty());
  lanes.push("apps", "b", event("b2"));
  CHECK(next(lanes).empty());
  lanes.finish("a");
  CHECK(next(lanes) == "a2");
  lanes.finish("b");
  CHECK(next(lanes) == "b2");
  CHECK(lanes.waiting() == 0);
  CHECK_FALSE(lanes.is_idle());
  lanes.finish("a");
  lanes.finish("b");
  CHECK(lanes.is_idle());
}

TEST_CASE("a lane that has come to rest starts anew") {
  EventLanes lanes;
  for (int i = 0; i < 3; ++i) {
    lanes.push("apps", "a", event("again"));
    CHECK(lanes.unsettled("a") != nullptr);
    CHECK(next(lanes) == "again");
    CHECK(lanes.unsettled("a") != nullptr);
    lanes.finish("a");
    CHECK(lanes.unsettled("a") == nullptr);
  }
}

TEST_CASE("the event that has waited longest is dropped first, never one on its way") {
  EventLanes lanes;
  lanes.push("apps", "a", event("a1"));
  lanes.push("apps", "b", event("b1"));
  lanes.push("apps", "a", event("a2"));
  lanes.push("apps", "c", event("c1"));
  CHECK(next(lanes) == "a1");
  CHECK(lanes.drop_one());  // b1: a1 is on its way
  CHECK(lanes.unsettled("b") == nullptr);
  CHECK(lanes.drop_one());  // a2
  lanes.finish("a");
  CHECK(lanes.unsettled("a") == nullptr);
  CHECK(next(lanes) == "c1");
  CHECK_FALSE(lanes.drop_one());
  lanes.push("apps", "b", event("b2"));
  CHECK(next(lanes) == "b2");
}

TEST_CASE("when the first of a lane is dropped, the second takes its place") {
  EventLanes lanes;
  lanes.push("apps", "a", event("a1"));
  lanes.push("apps", "a", event("a2"));
  CHECK(lanes.drop_one());
  CHECK(lanes.waiting() == 1);
  CHECK(next(lanes) == "a2");
  CHECK(next(lanes).empty());
}

TEST_CASE("what passes by an event that waits leaves nothing behind, and the oldest is still known") {
  EventLanes lanes;
  lanes.push("apps", "slow", event("first"));
  CHECK(next(lanes) == "first");
  lanes.push("apps", "slow", event("second"));
  for (int i = 0; i < 10'000; ++i) {
    lanes.push("apps", "a", event("passing"));
    CHECK(next(lanes) == "passing");
    lanes.finish("a");
  }
  CHECK(lanes.waiting() == 1);
  lanes.push("apps", "b", event("younger"));
  CHECK(lanes.drop_one());
  CHECK(next(lanes) == "younger");
}

TEST_CASE("owners take turns, whatever one of them has waiting") {
  EventLanes lanes;
  for (int i = 0; i < 5; ++i) lanes.push("evil", "e" + std::to_string(i), event("evil"));
  lanes.push("good", "g", event("good"));
  lanes.push("zen", "z", event("zen"));
  CHECK(next(lanes) == "evil");
  CHECK(next(lanes) == "good");
  CHECK(next(lanes) == "zen");
  CHECK(next(lanes) == "evil");
}

TEST_CASE("one owner's events that hang leave room for another's") {
  EventLanes lanes(4);
  for (int i = 0; i < 20; ++i) lanes.push("evil", "e" + std::to_string(i), event("evil"));
  for (int i = 0; i < 4; ++i) CHECK(next(lanes) == "evil");
  CHECK(next(lanes).empty());
  lanes.push("good", "g", event("good"));
  CHECK(next(lanes) == "good");
  lanes.finish("e0");
  CHECK(next(lanes) == "evil");
  CHECK(next(lanes).empty());
}

TEST_CASE("who has most waiting gives up its oldest") {
  EventLanes lanes;
  lanes.push("good", "g", event("good"));
  for (int i = 0; i < 3; ++i) lanes.push("evil", "e" + std::to_string(i), event(std::to_string(i).c_str()));
  CHECK(lanes.drop_one());
  CHECK(lanes.drop_one());
  CHECK(lanes.waiting() == 2);
  CHECK(next(lanes) == "2");
  CHECK(next(lanes) == "good");
  lanes.finish("e2");
  lanes.finish("g");
  CHECK(lanes.is_idle());
  CHECK_FALSE(lanes.drop_one());
}
