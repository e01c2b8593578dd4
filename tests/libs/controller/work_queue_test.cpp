#include "controller/work_queue.hpp"

#include <ctime>

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

namespace {

// Keys of several namespaces: "space/name".
struct Shared : Queue {
  explicit Shared(std::size_t places) { queue.limit_places(places); }
  static ObjectKey parse(const std::string& text) {
    const auto slash = text.find('/');
    return {text.substr(0, slash), text.substr(slash + 1)};
  }
  void add(const std::string& space, int count, WorkQueue::Lane lane = WorkQueue::Lane::fresh) {
    for (int i = 0; i < count; ++i) queue.add({space, std::to_string(i)}, lane);
  }
  std::string next() {
    const auto taken = queue.try_take();
    return taken ? taken->str() : "";
  }
  std::vector<std::string> take_all() {
    std::vector<std::string> taken;
    for (std::string key = next(); !key.empty(); key = next()) taken.push_back(key);
    return taken;
  }
  void done(const std::string& text) { queue.done(parse(text)); }
};

sluice::rt::Task<void> come_back(WorkQueue& queue, ObjectKey key, std::vector<std::string>& log) {
  auto taking = queue.take_back(key);
  co_await std::move(taking);
  log.push_back(key.str());
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a namespace that is alone has all its places, and one that holds them leaves others theirs") {
  Shared q(4);
  q.add("slow", 12);
  CHECK(q.take_all() == Names{"slow/0", "slow/1", "slow/2", "slow/3"});
  q.add("quick", 6);
  CHECK(q.take_all() == Names{"quick/0", "quick/1"});
  q.done("quick/0");
  CHECK(q.take_all() == Names{"quick/2"});
  q.add("third", 2);
  CHECK(q.take_all() == Names{"third/0"});
  for (const char* name : {"quick/1", "quick/2"}) q.done(name);
  CHECK(q.take_all() == Names{"quick/3", "third/1"});  // whoever holds least
  q.done("slow/0");
  CHECK(q.next() == "quick/4");
}

TEST_CASE("a crowd of namespaces whose workers hang leaves places for the next ones") {
  Shared q(8);
  for (const char* space : {"a", "b", "c"}) {
    q.add(space, 100);
    q.take_all();
  }
  q.add("d", 1);
  CHECK(q.next() == "d/0");
  q.add("e", 1);
  CHECK(q.next() == "e/0");
}

TEST_CASE("namespaces take turns, however much each has waiting") {
  Shared q(1);
  q.add("hung", 1);
  CHECK(q.next() == "hung/0");
  q.add("many", 100);
  q.add("few", 2);
  q.add("one", 1);
  Names served;
  for (int i = 0; i < 6; ++i) {
    served.push_back(q.next());
    CHECK(q.next().empty());
    q.done(served.back());
  }
  CHECK(served == Names{"many/0", "few/0", "one/0", "many/1", "few/1", "many/2"});
}

TEST_CASE("a namespace that comes back again and again does not go first each time") {
  Shared q(1);
  q.add("hung", 1);
  CHECK(q.next() == "hung/0");
  q.add("patient", 2);
  Names served;
  for (int i = 0; i < 4; ++i) {
    q.queue.add({"busy", std::to_string(i)});
    served.push_back(q.next());
    q.done(served.back());
  }
  CHECK(served == Names{"patient/0", "busy/0", "patient/1", "busy/1"});
}

TEST_CASE("the lanes go before namespaces: what is new anywhere before what has time anywhere") {
  Shared q(2);
  q.add("a", 3, WorkQueue::Lane::leisure);
  q.add("b", 1);
  q.queue.add({"a", "2"});
  CHECK(q.next() == "a/2");
  CHECK(q.next() == "b/0");
  CHECK(q.next() == "a/0");  // leisure has one place of a namespace's two
  q.done("b/0");
  CHECK(q.next().empty());
  q.add("b", 2, WorkQueue::Lane::leisure);
  CHECK(q.next() == "b/0");
}

TEST_CASE("a namespace whose places are all held does not hold up what others have at leisure or to retry") {
  Shared q(2);
  q.add("slow", 40);
  CHECK(q.take_all().size() == 2);
  q.add("other", 1, WorkQueue::Lane::leisure);
  CHECK(q.next() == "other/0");
  q.done("other/0");
  q.queue.add_failed({"other", "1"});
  q.clock.advance(1s);
  CHECK(q.next() == "other/1");
}

TEST_CASE("what only waits holds no place, and gets one back before its namespace's next key") {
  Shared q(1);
  q.add("a", 3);
  CHECK(q.next() == "a/0");
  q.queue.only_waits({"a", "0"});
  CHECK(q.next() == "a/1");
  Names back;
  sluice::rt::Runtime runtime(1);
  runtime.spawn("back", come_back(q.queue, {"a", "0"}, back));
  sluice::test::settle(runtime, 5ms);
  CHECK(back.empty());
  q.done("a/1");
  CHECK(q.next().empty());
  sluice::test::until(runtime, [&] { return back == Names{"a/0"}; });
  q.done("a/0");
  CHECK(q.next() == "a/2");
}

TEST_CASE("whoever comes back in a namespace whose places are held keeps nobody else waiting") {
  Shared q(1);
  q.add("a", 2);
  CHECK(q.next() == "a/0");
  q.queue.only_waits({"a", "0"});
  CHECK(q.next() == "a/1");
  q.add("b", 2);
  CHECK(q.next() == "b/0");
  q.queue.only_waits({"b", "0"});
  Names back;
  sluice::rt::Runtime runtime(1);
  runtime.spawn("a", come_back(q.queue, {"a", "0"}, back));
  runtime.spawn("b", come_back(q.queue, {"b", "0"}, back));
  sluice::test::until(runtime, [&] { return back == Names{"b/0"}; });
  q.done("b/0");
  CHECK(q.next() == "b/1");
}

TEST_CASE("a wait for a place that is cut short takes none, and one that was served gives it back at the end") {
  Shared q(1);
  q.add("a", 3);
  CHECK(q.next() == "a/0");
  q.queue.only_waits({"a", "0"});
  CHECK(q.next() == "a/1");
  Names back;
  {
    sluice::rt::Runtime runtime(1);
    runtime.spawn("a", come_back(q.queue, {"a", "0"}, back));
    sluice::test::settle(runtime, 5ms);
  }
  CHECK(back.empty());
  q.done("a/1");
  CHECK(q.next() == "a/2");
  q.done("a/2");
  {
    sluice::rt::Runtime runtime(1);
    runtime.spawn("a", come_back(q.queue, {"a", "0"}, back));
    sluice::test::until(runtime, [&] { return back == Names{"a/0"}; });
  }
  q.add("a", 2);
  CHECK(q.next().empty());
  q.done("a/0");
  CHECK(q.next() == "a/1");
}

TEST_CASE("shutting down drops what waits, and lets what is worked on take its place back") {
  Shared q(1);
  q.add("a", 2);
  CHECK(q.next() == "a/0");
  q.queue.only_waits({"a", "0"});
  CHECK(q.next() == "a/1");
  q.add("b", 5);
  q.queue.shut_down();
  CHECK(q.queue.ready() == 0);
  CHECK(q.next().empty());
  Names back;
  sluice::rt::Runtime runtime(1);
  runtime.spawn("a", come_back(q.queue, {"a", "0"}, back));
  sluice::test::settle(runtime, 5ms);
  q.done("a/1");
  sluice::test::until(runtime, [&] { return back == Names{"a/0"}; });
}

TEST_CASE("a crowd of keys that have time and are then new costs little") {
  constexpr int kKeys = 30'000;
  Shared q(4);
  const std::clock_t began = std::clock();
  q.add("a", kKeys, WorkQueue::Lane::leisure);
  for (int i = kKeys; i-- > 0;) q.queue.add({"a", std::to_string(i)});
  int taken = 0;
  for (std::string key = q.next(); !key.empty(); key = q.next()) {
    ++taken;
    q.done(key);
  }
  CHECK(taken == kKeys);
  CHECK((std::clock() - began) / CLOCKS_PER_SEC < 5);
}
