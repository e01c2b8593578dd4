#include "controller/work_queue.hpp"

#include "harness.hpp"
#include "support/run_task.hpp"

using namespace std::chrono_literals;
using sluice::api::ObjectKey;
using sluice::base::ManualClock;
using sluice::controller::RetryDelay;
using sluice::controller::WorkQueue;

namespace {

ObjectKey key(const std::string& name) { return {"apps", name}; }

struct Queue {
  ManualClock clock{sluice::base::TimePoint{}};
  WorkQueue queue{clock, RetryDelay{}};
  std::string next() {
    const auto taken = queue.try_take();
    return taken ? taken->name : "";
  }
  void done(const std::string& name) { queue.done(key(name)); }
};

}  // namespace

TEST_CASE("a key that is added twice is handed out once") {
  Queue q;
  q.queue.add(key("a"));
  q.queue.add(key("b"));
  q.queue.add(key("a"));
  CHECK(q.next() == "a");
  CHECK(q.next() == "b");
  CHECK(q.next().empty());
}

TEST_CASE("a key is worked on by one worker at a time, and comes back if it was added meanwhile") {
  Queue q;
  q.queue.add(key("a"));
  CHECK(q.next() == "a");
  q.queue.add(key("a"));
  CHECK(q.next().empty());
  q.done("a");
  CHECK(q.next() == "a");
  q.done("a");
  CHECK(q.next().empty());
}

TEST_CASE("of several delayed adds the earliest wins, and an immediate one wins over all") {
  Queue q;
  q.queue.add_after(key("a"), 10s);
  q.queue.add_after(key("a"), 2s);
  q.queue.add_after(key("a"), 5s);
  q.clock.advance(1999ms);
  CHECK(q.next().empty());
  q.clock.advance(1ms);
  CHECK(q.next() == "a");
  q.done("a");
  q.clock.advance(1h);
  CHECK(q.next().empty());

  q.queue.add_after(key("b"), 10s);
  q.queue.add(key("b"));
  CHECK(q.next() == "b");
  q.done("b");
  CHECK(q.queue.delayed() == 0);
}

TEST_CASE("what has time is served last, but not never") {
  Queue q;
  q.queue.limit_leisure(100);
  for (int i = 0; i < 2; ++i) q.queue.add(key("later-" + std::to_string(i)), WorkQueue::Lane::leisure);
  for (int i = 0; i < 3; ++i) q.queue.add(key("now-" + std::to_string(i)));
  CHECK(q.queue.ready() == 5);
  for (const char* name : {"now-0", "now-1", "now-2", "later-0", "later-1"}) CHECK(q.next() == name);

  q.queue.add(key("patient"), WorkQueue::Lane::leisure);
  for (int i = 0; i < 2 * WorkQueue::kOthersPerLeisure; ++i) q.queue.add(key("busy-" + std::to_string(i)));
  int before = 0;
  while (q.next() != "patient") ++before;
  CHECK(before <= WorkQueue::kOthersPerLeisure);
}

TEST_CASE("what has time takes no more workers than it may, and goes on when one is free") {
  Queue q;
  q.queue.limit_leisure(2);
  for (const char* name : {"a", "b", "c"}) q.queue.add(key(name), WorkQueue::Lane::leisure);
  CHECK(q.next() == "a");
  CHECK(q.next() == "b");
  CHECK(q.next().empty());
  q.queue.add(key("now"));
  CHECK(q.next() == "now");
  q.done("now");
  CHECK(q.next().empty());
  q.done("a");
  CHECK(q.next() == "c");
}

TEST_CASE("of what has time, what only waits holds up no other") {
  Queue q;
  for (const char* name : {"a", "b", "c"}) q.queue.add(key(name), WorkQueue::Lane::leisure);
  CHECK(q.next() == "a");
  CHECK(q.next().empty());
  q.queue.only_waits(key("a"));
  CHECK(q.next() == "b");
  q.queue.only_waits(key("a"));  // counted once
  CHECK(q.next().empty());
  q.done("a");
  CHECK(q.next().empty());
  q.done("b");
  CHECK(q.next() == "c");
}

TEST_CASE("what was planned comes at its time, though the key stands in the lane of leisure") {
  Queue q;
  q.queue.add(key("first"), WorkQueue::Lane::leisure);
  q.queue.add_after(key("planned-before"), 10s);
  q.queue.add(key("planned-before"), WorkQueue::Lane::leisure);
  q.queue.add(key("planned-after"), WorkQueue::Lane::leisure);
  q.queue.add_after(key("planned-after"), 10s);
  CHECK(q.next() == "first");  // and holds the only place of leisure
  CHECK(q.next().empty());
  q.clock.advance(10s);
  std::set<std::string> due{q.next(), q.next()};
  CHECK(due == std::set<std::string>{"planned-after", "planned-before"});
}

TEST_CASE("a key that has time moves up when something about it is new, and never down") {
  Queue q;
  q.queue.limit_leisure(100);
  q.queue.add(key("a"), WorkQueue::Lane::leisure);
  q.queue.add(key("b"), WorkQueue::Lane::leisure);
  q.queue.add(key("b"));
  q.queue.add(key("b"), WorkQueue::Lane::leisure);
  CHECK(q.next() == "b");
  q.queue.add(key("b"), WorkQueue::Lane::leisure);
  q.queue.add(key("b"));
  q.done("b");
  CHECK(q.next() == "b");
  CHECK(q.next() == "a");
  CHECK(q.next().empty());
}

TEST_CASE("a delay planned while the key is worked on is kept when it is done") {
  Queue q;
  q.queue.add(key("a"));
  CHECK(q.next() == "a");
  q.queue.add_after(key("a"), 10s);
  q.done("a");
  CHECK(q.next().empty());
  q.clock.advance(10s);
  CHECK(q.next() == "a");
}

TEST_CASE("failures back off from 750 milliseconds to 15 minutes, until forgotten") {
  Queue q;
  CHECK(q.queue.add_failed(key("a")) == 750ms);
  CHECK(q.queue.add_failed(key("a")) == 1500ms);
  CHECK(q.queue.add_failed(key("a")) == 3s);
  CHECK(q.queue.add_failed(key("b")) == 750ms);
  for (int i = 0; i < 100; ++i) q.queue.add_failed(key("a"));
  CHECK(q.queue.add_failed(key("a")) == 15min);
  q.queue.forget(key("a"));
  CHECK(q.queue.add_failed(key("a")) == 750ms);
}

TEST_CASE("failing keys neither starve fresh ones nor are starved by them") {
  Queue q;
  for (int i = 0; i < 20; ++i) q.queue.add_failed(key("bad" + std::to_string(i)));
  q.clock.advance(1s);
  for (int i = 0; i < 20; ++i) q.queue.add(key("good" + std::to_string(i)));
  std::string first_ten;
  for (int i = 0; i < 10; ++i) first_ten += q.next().substr(0, 1);
  CHECK(first_ten == "ggggbggggb");
}

TEST_CASE("something new about a key that waits for its retry takes it to the fresh ones") {
  Queue q;
  for (int i = 0; i < 3; ++i) q.queue.add_failed(key("bad" + std::to_string(i)));
  q.clock.advance(1s);
  q.queue.add(key("good0"));
  CHECK(q.next() == "good0");  // and with that the failed ones are due
  q.queue.add(key("good1"));
  q.queue.add(key("bad2"));
  CHECK(q.next() == "good1");
  CHECK(q.next() == "bad2");
  CHECK(q.next() == "bad0");
  CHECK(q.next() == "bad1");
  CHECK(q.next().empty());
}

TEST_CASE("a delay beyond all reason does not overflow") {
  Queue q;
  q.clock.advance(std::chrono::hours(24 * 365));
  q.queue.add_after(key("a"), sluice::base::Duration::max());
  CHECK(q.next().empty());
  CHECK(q.queue.delayed() == 1);
}

TEST_CASE("a discarded key is gone with all its plans") {
  Queue q;
  q.queue.add(key("a"));
  q.queue.add_after(key("b"), 1s);
  q.queue.discard(key("a"));
  q.queue.discard(key("b"));
  q.clock.advance(1h);
  CHECK(q.next().empty());
}

namespace {
sluice::rt::Task<void> take_into(WorkQueue& queue, std::vector<std::string>& names, bool& ended) {
  for (;;) {
    const auto taken = co_await queue.take();
    if (!taken) break;
    names.push_back(taken->name);
    queue.done(*taken);
  }
  ended = true;
}
}  // namespace

TEST_CASE("take waits for an add, for a delay to pass, and ends at shutdown") {
  WorkQueue queue(sluice::base::system_clock(), {});
  std::vector<std::string> names;
  bool ended = false;
  sluice::rt::Runtime runtime(1);
  runtime.spawn("taker", take_into(queue, names, ended));
  sluice::test::settle(runtime, 5ms);
  CHECK(names.empty());
  queue.add_after(key("later"), 20ms);
  queue.add(key("now"));
  sluice::test::until(runtime, [&] { return names.size() == 2; });
  CHECK(names == std::vector<std::string>{"now", "later"});
  CHECK_FALSE(ended);
  queue.shut_down();
  sluice::test::until(runtime, [&] { return ended; });
}

TEST_CASE("a cancelled take leaves the queue usable") {
  WorkQueue queue(sluice::base::system_clock(), {});
  std::vector<std::string> names;
  bool ended = false;
  {
    sluice::rt::Runtime runtime(1);
    runtime.spawn("taker", take_into(queue, names, ended));
    sluice::test::settle(runtime, 5ms);
  }
  queue.add(key("a"));
  CHECK(queue.try_take() == key("a"));
}
