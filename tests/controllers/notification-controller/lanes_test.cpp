#include "notification-controller/lanes.hpp"

#include <set>

#include "support.hpp"

using namespace sluice;
using namespace sluice::test;
using namespace std::chrono_literals;
using notification_controller::Delivery;
using notification_controller::Lanes;

namespace {

Delivery delivery(const std::string& object, const std::string& message) {
  Delivery out;
  out.occurrence =
      std::make_shared<const notification_controller::Occurrence>(make_occurrence(make_event(object, message)));
  return out;
}

Delivery delivery_in(const std::string& space, const std::string& object, const std::string& message) {
  doc::Json event = make_event(object, message);
  event["metadata"]["namespace"] = space;
  event["involvedObject"]["namespace"] = space;
  Delivery out;
  out.occurrence = std::make_shared<const notification_controller::Occurrence>(make_occurrence(event));
  return out;
}

// The message whose turn it is; "" if none is.
std::string turn(Lanes& lanes, base::SteadyPoint now) {
  const auto next = lanes.next(now);
  return next.lane ? lanes.head(*next.lane).occurrence->message : "";
}

void settle(Lanes& lanes, base::SteadyPoint now, bool answered = true) {
  const auto next = lanes.next(now);
  REQUIRE(next.lane);
  lanes.settle(*next.lane, answered);
}

void fail(Lanes& lanes, base::SteadyPoint now, std::optional<base::Duration> wanted = std::nullopt) {
  const auto next = lanes.next(now);
  REQUIRE(next.lane);
  lanes.fail(*next.lane, now, wanted);
}

}  // namespace

TEST_CASE("empty lanes have no turn and nothing to wait for") {
  Lanes lanes;
  CHECK_FALSE(lanes.next({}).lane);
  CHECK_FALSE(lanes.next({}).wait);
}

TEST_CASE("objects take turns, and what is said about one stays in order") {
  Lanes lanes;
  lanes.push(delivery("a", "a1"));
  lanes.push(delivery("a", "a2"));
  lanes.push(delivery("b", "b1"));
  std::string order;
  while (lanes.size() > 0) {
    order += turn(lanes, {}) + " ";
    settle(lanes, {});
  }
  CHECK(order == "a1 b1 a2 ");
}

TEST_CASE("a failed message is tried before the later ones of its object, with growing delays") {
  Lanes lanes;
  lanes.push(delivery("a", "a1"));
  lanes.push(delivery("a", "a2"));
  base::SteadyPoint now{};
  std::vector<std::int64_t> delays;
  for (int i = 0; i < 12; ++i) {
    CHECK(turn(lanes, now) == "a1");
    fail(lanes, now);
    CHECK(turn(lanes, now).empty());
    const auto wait = lanes.next(now).wait;
    REQUIRE(wait);
    delays.push_back(std::chrono::duration_cast<std::chrono::seconds>(*wait).count());
    now += *wait;
  }
  CHECK(delays == std::vector<std::int64_t>{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300});
  settle(lanes, now);
  CHECK(turn(lanes, now) == "a2");
}

TEST_CASE("a message that a receiver chokes on holds up its own object only") {
  Lanes lanes;
  lanes.push(delivery("poison", "p"));
  lanes.push(delivery("b", "b1"));
  lanes.push(delivery("b", "b2"));
  base::SteadyPoint now{};
  fail(lanes, now);
  now += 1s;  // the Provider rests
  CHECK(turn(lanes, now) == "b1");
  settle(lanes, now);
  CHECK(turn(lanes, now) == "p");
  fail(lanes, now);
  now += 1s;
  CHECK(turn(lanes, now) == "b2");
}

TEST_CASE("a Provider that is down is left alone for longer and longer, whichever message it is") {
  Lanes lanes;
  for (int i = 0; i < 50; ++i) lanes.push(delivery("o" + std::to_string(i), "m"));
  base::SteadyPoint now{};
  int attempts = 0;
  while (now < base::SteadyPoint{} + 10min) {
    if (lanes.next(now).lane) {
      fail(lanes, now);
      ++attempts;
    }
    now += 1s;
  }
  CHECK(attempts < 20);
  CHECK(attempts > 10);
}

TEST_CASE("Retry-After is obeyed, within reason") {
  Lanes lanes;
  lanes.push(delivery("a", "a1"));
  base::SteadyPoint now{};
  fail(lanes, now, 30s);
  CHECK(lanes.next(now).wait == base::Duration(30s));
  now += 30s;
  fail(lanes, now, 24h);
  CHECK(lanes.next(now).wait == base::Duration(5min));
}

TEST_CASE("an edit of the Provider brings everything back at once") {
  Lanes lanes;
  lanes.push(delivery("a", "a1"));
  for (int i = 0; i < 5; ++i) fail(lanes, base::SteadyPoint{} + i * 1h);
  const base::SteadyPoint now = base::SteadyPoint{} + 4h + 1s;
  CHECK(turn(lanes, now).empty());
  lanes.hurry();
  CHECK(turn(lanes, now) == "a1");
}

TEST_CASE("a message that is dropped says nothing about the Provider's health") {
  Lanes lanes;
  lanes.push(delivery("a", "a1"));
  lanes.push(delivery("b", "b1"));
  base::SteadyPoint now{};
  fail(lanes, now);
  now += 1s;
  settle(lanes, now, false);
  fail(lanes, now);
  CHECK(lanes.next(now).wait == base::Duration(2s));
}

TEST_CASE("whose turn it is costs as good as nothing, however many wait") {
  Lanes lanes;
  constexpr int kMany = 20'000;
  for (int i = 0; i < kMany; ++i) lanes.push(delivery("app-" + std::to_string(i), "x"));
  const auto started = std::chrono::steady_clock::now();
  const base::SteadyPoint now = base::SteadyPoint{} + 1h;
  for (int i = 0; i < kMany / 2; ++i) settle(lanes, now);
  for (int i = 0; i < kMany / 2; ++i) {
    fail(lanes, now + i * 2min);
    CHECK(lanes.size() == kMany / 2);
  }
  // To look at each of them each time would take minutes.
  CHECK(std::chrono::steady_clock::now() - started < 20s);
}

TEST_CASE("the oldest of all that wait are shed, but what is being sent, and the others keep their order") {
  Lanes lanes;
  const auto add = [&lanes](const std::string& object, const std::string& message, int happened) {
    Delivery one = delivery(object, message);
    one.happened = base::TimePoint{} + std::chrono::seconds(happened);
    lanes.push(std::move(one));
  };
  add("a", "a1", 1);
  add("a", "a2", 2);
  add("b", "b1", 1);
  add("a", "a5", 5);
  add("b", "b4", 4);
  add("c", "c2", 2);
  const base::SteadyPoint now{};
  const auto busy = lanes.next(now).lane;
  REQUIRE(busy);
  std::set<std::string> shed;
  for (const auto& one : lanes.shed(3, busy)) shed.insert(one.occurrence->message);
  CHECK(shed == std::set<std::string>{"a2", "b1", "c2"});
  CHECK(lanes.size() == 3);
  std::vector<std::string> order;
  while (lanes.size() > 0) {
    order.push_back(turn(lanes, now));
    settle(lanes, now);
  }
  CHECK(order == std::vector<std::string>{"a1", "b4", "a5"});
  CHECK(lanes.shed(3, std::nullopt).empty());
}

TEST_CASE("what a newer word supersedes is shed before any last word, however old that is") {
  Lanes lanes;
  const auto add = [&lanes](const std::string& object, const std::string& alert, const std::string& message,
                            int happened) {
    Delivery one = delivery(object, message);
    one.alert_uid = alert;
    one.happened = base::TimePoint{} + std::chrono::seconds(happened);
    lanes.push(std::move(one));
  };
  const auto shed = [&lanes](std::size_t count) {
    std::vector<std::string> messages;
    for (const auto& one : lanes.shed(count, std::nullopt)) messages.push_back(one.occurrence->message);
    return messages;
  };
  add("old", "x", "last of old", 1);
  add("flood", "y", "last for y", 2);
  for (int i = 0; i < 5; ++i) add("flood", "x", "x" + std::to_string(i), 10 + i);
  CHECK(shed(3) == std::vector<std::string>{"x0", "x1", "x2"});
  CHECK(shed(2) == std::vector<std::string>{"x3", "last of old"});
  CHECK(shed(9) == std::vector<std::string>{"last for y", "x4"});
  CHECK(lanes.size() == 0);
  CHECK_FALSE(lanes.next({}).lane);
}

TEST_CASE("namespaces take turns, however many objects one of them has, and in each its objects do") {
  Lanes lanes;
  const auto add = [&lanes](const std::string& space, const std::string& object, const std::string& message) {
    lanes.push(delivery_in(space, object, message));
  };
  for (int i = 0; i < 5; ++i) add("evil", "invented-" + std::to_string(i), "e" + std::to_string(i));
  add("good", "app", "g0");
  add("good", "app", "g1");
  add("fair", "app", "f0");
  std::string order;
  while (lanes.size() > 0) {
    order += turn(lanes, {}) + " ";
    settle(lanes, {});
  }
  CHECK(order == "e0 g0 f0 e1 g1 e2 e3 e4 ");
  // Who comes again and again, with a little each time, does not go before who waits.
  add("evil", "a", "e0");
  add("evil", "b", "e1");
  order.clear();
  for (int i = 0; i < 4; ++i) {
    add("good", "app", "g" + std::to_string(i));
    order += turn(lanes, {}) + " ";
    settle(lanes, {});
  }
  CHECK(order == "e0 g0 e1 g1 ");
}

TEST_CASE("a namespace whose messages all fail does not keep the turn") {
  Lanes lanes;
  for (int i = 0; i < 3; ++i) lanes.push(delivery_in("evil", "poison-" + std::to_string(i), "p"));
  lanes.push(delivery_in("good", "app", "g0"));
  lanes.push(delivery_in("good", "app", "g1"));
  base::SteadyPoint now{};
  CHECK(turn(lanes, now) == "p");
  fail(lanes, now);
  now += 1s;
  CHECK(turn(lanes, now) == "g0");
  settle(lanes, now);
  CHECK(turn(lanes, now) == "p");
  fail(lanes, now);
  now += 1s;
  CHECK(turn(lanes, now) == "g1");
  lanes.hurry();
  settle(lanes, now);
  for (int i = 0; i < 3; ++i) {
    CHECK(turn(lanes, now) == "p");
    settle(lanes, now);
  }
  CHECK_FALSE(lanes.next(now).lane);
  CHECK_FALSE(lanes.next(now).wait);
}

TEST_CASE("of what waits the namespace with the most gives, however old the others' messages are") {
  Lanes lanes;
  int at = 0;
  const auto add = [&](const std::string& space, const std::string& object) {
    Delivery one = delivery_in(space, object, space + " " + std::to_string(at));
    one.happened = base::TimePoint{} + std::chrono::seconds(at++);
    one.alert_uid = "x";
    lanes.push(std::move(one));
  };
  const auto shed = [&lanes](std::size_t count) {
    std::map<std::string, int> by_space;
    for (const auto& one : lanes.shed(count, std::nullopt)) ++by_space[one.occurrence->involved.namespace_];
    return by_space;
  };
  for (int i = 0; i < 3; ++i) add("good", "app");  // two of them history
  for (int i = 0; i < 4; ++i) add("fair", "o" + std::to_string(i));
  for (int i = 0; i < 10; ++i) add("evil", "o" + std::to_string(i));
  using By = std::map<std::string, int>;
  CHECK(shed(5) == By{{"evil", 5}});
  CHECK(shed(3) == By{{"evil", 2}, {"fair", 1}});  // three of each are left
  CHECK(shed(1).size() == 1);
  CHECK(shed(2).size() == 2);
  CHECK(lanes.size() == 6);
  CHECK(turn(lanes, {}) == "good 1");
  CHECK(shed(7) == By{{"evil", 2}, {"fair", 2}, {"good", 2}});
  CHECK(lanes.size() == 0);
}
