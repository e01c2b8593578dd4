// One tenant's many Alerts and Events cost the others nothing, and no more than they must.
#include <time.h>

#include <algorithm>

#include "dispatcher_harness.hpp"
#include "notification-controller/audience.hpp"
#include "notification-controller/backlog.hpp"

using namespace std::chrono_literals;
using namespace sluice;
using namespace sluice::test;
using notification_controller::AlertRule;
using notification_controller::Audience;
using notification_controller::Backlog;

namespace {

// A look at it takes time.
class TickingClock final : public base::Clock {
 public:
  base::TimePoint now() const override { return base::system_clock().now(); }
  base::SteadyPoint steady() const override { return steady_ += 100us; }

 private:
  mutable base::SteadyPoint steady_{};
};

AlertRule rule_of(const std::string& space, const std::string& name, const std::string& listens_to = {}) {
  doc::Json spec = doc::Json::object();
  doc::Json source = {{"kind", "Kustomization"}, {"name", "*"}};
  if (!listens_to.empty()) source["namespace"] = listens_to;
  spec["eventSources"] = doc::Json::array({source});
  doc::Json alert = make_alert(name, std::move(spec));
  alert["metadata"]["namespace"] = space;
  alert["metadata"]["uid"] = space + "-" + name;
  const auto parsed = api::parse_alert(alert);
  REQUIRE(parsed);
  return AlertRule::compile(*parsed, false);
}

doc::Json event_in(const std::string& space, const std::string& object) {
  doc::Json event = event_now(object, "news");
  event["metadata"]["namespace"] = space;
  event["involvedObject"]["namespace"] = space;
  return event;
}

struct BacklogHarness {
  BacklogHarness() {
    handlers.adopt = [this](const auto& alert) { said.push_back("adopt " + alert.str()); };
    handlers.note = [](const auto&) {};
    handlers.take_in = [](const auto&, const auto&) {};
    handlers.judge = [this](const auto& event, const auto&, const auto& alert) {
      said.push_back(alert.str() + " " + std::string(api::namespace_of(*event)));
      if (unsettled == 0) return true;
      --unsettled;
      return false;
    };
    backlog = std::make_unique<Backlog>(clock, audience, handlers);
  }
  void add(const std::string& space, int count) {
    std::vector<controller::Object> events;
    for (int i = 0; i < count; ++i) events.push_back(std::make_shared<doc::Json>(event_in(space, "shop")));
    backlog->add(std::move(events));
  }
  void run() {
    runtime.spawn("backlog", backlog->run());
    while (!backlog->empty()) runtime.context().run_one();
  }
  std::size_t place_of(const std::string& what) const {
    return static_cast<std::size_t>(std::find(said.begin(), said.end(), what) - said.begin());
  }
  TickingClock clock;
  Audience audience;
  Backlog::Handlers handlers;
  std::vector<std::string> said;
  int unsettled = 0;  // so often it is not known yet
  std::unique_ptr<Backlog> backlog;
  rt::Runtime runtime{1};
};

}  // namespace

TEST_CASE("whose Events are few is not behind one with many, also where these are about the first one's objects") {
  BacklogHarness h;
  for (int i = 0; i < 20; ++i) h.audience.put(rule_of("big", "a" + std::to_string(i), "small"));
  h.audience.put(rule_of("small", "b"));
  h.add("small", 100);
  h.run();
  CHECK(h.said.size() == 100 * 21);
  // "small" has a twentieth of the work: without turns of its own its last would be among the last of all.
  const auto last = std::find(h.said.rbegin(), h.said.rend(), "small/b small").base() - h.said.begin();
  CHECK(last < 800);
}

TEST_CASE("what is not settled in a turn is judged again in the next one, before what comes after it") {
  BacklogHarness h;
  h.audience.put(rule_of("big", "a"));
  h.audience.put(rule_of("big", "b"));
  h.unsettled = 3;
  h.add("big", 1);
  h.run();
  CHECK(h.said == std::vector<std::string>{"big/a big", "big/a big", "big/a big", "big/a big", "big/b big"});
}

TEST_CASE("an Event is judged for each Alert that may want it, and for no other, after an Alert is read") {
  BacklogHarness h;
  h.audience.put(rule_of("big", "a"));
  h.audience.put(rule_of("big", "gone"));
  h.audience.put(rule_of("small", "b"));
  h.add("big", 2);
  h.add("nobody", 1);
  h.backlog->add_for({"small", "b"}, {std::make_shared<doc::Json>(event_in("small", "shop"))});
  h.backlog->adopt({"small", "c"});
  h.audience.remove({"big", "gone"});
  CHECK(h.backlog->is_behind("big"));
  CHECK_FALSE(h.backlog->is_behind("nobody"));
  h.run();
  CHECK(std::count(h.said.begin(), h.said.end(), "big/a big") == 2);
  CHECK(h.said.size() == 4);
  CHECK(h.place_of("adopt small/c") < h.place_of("small/b small"));
}

TEST_CASE("what a mark says for one Alert does not have the Event judged for all others again") {
  Harness h;
  constexpr int kAlerts = 12;
  for (int i = 0; i < kAlerts; ++i) h.add_alert("a" + std::to_string(i));
  h.start();
  for (int i = 0; i < kAlerts; ++i) h.until([&] { return h.is_listening("a" + std::to_string(i)); });
  h.until([&] { return h.process->sources->is_ready("Kustomization"); });
  h.turn(50ms);
  const auto event = event_now("shop", "applied");
  h.kube->put(kEvents, event);
  h.until([&] { return h.courier.sent.size() == kAlerts && !h.mark_of(event, "uid-a11").empty(); });
  h.turn(100ms);
  CHECK(h.courier.sent.size() == kAlerts);
  CHECK(h.process->dispatcher->judged() == kAlerts);
}

TEST_CASE("what has not come of one tenant's Events holds up no late word for another") {
  Harness h;
  h.options.event_grace = 200ms;
  constexpr std::uint64_t kFloodAlerts = 60;
  constexpr std::uint64_t kBehind = 6'000;
  for (std::uint64_t i = 0; i < kFloodAlerts; ++i) {
    doc::Json alert = make_alert("f" + std::to_string(i));
    alert["metadata"]["namespace"] = "flood";
    alert["metadata"]["creationTimestamp"] = now_and(-10min);
    h.kube->put(kAlerts, alert);
  }
  h.start_with_alert();
  h.until([&] { return h.process->sources->is_in_touch("Kustomization"); });
  doc::Json object = doc::Json::object();
  object["apiVersion"] = kGroup + "/v1";
  object["kind"] = "Kustomization";
  object["metadata"] = {{"name", "shop"}, {"namespace", "apps"}, {"uid", "uid-shop"}};
  object["status"]["conditions"] = doc::Json::array({{{"type", "Ready"},
                                                      {"status", "False"},
                                                      {"message", "no such file"},
                                                      {"reason", "BuildFailed"},
                                                      {"lastTransitionTime", now_and(1s)}}});
  h.kube->put(kKustomizations, object);
  // Never all judged, however fast the machine is: as it goes down, more comes.
  std::uint64_t events = 0;
  h.until([&] {
    while (h.process->dispatcher->judged() + kBehind > events * kFloodAlerts) {
      h.kube->put(kEvents, event_in("flood", "x" + std::to_string(++events)));
    }
    return !h.courier.messages().empty();
  });
  CHECK(h.courier.messages() == std::vector<std::string>{"no such file"});
  CHECK(h.process->dispatcher->judged() < kFloodAlerts * events);
}

TEST_CASE("what waits of one namespace is bounded: the oldest gives way, which is said for many at once") {
  Harness h;
  h.options.max_waiting = 32;
  h.options.say_shed_after = 1s;
  h.courier.hang.insert("hook");
  h.start_with_alert();
  h.until([&] { return h.process->sources->is_ready("Kustomization"); });
  h.kube->put(kEvents, event_now("x0", "news 0"));
  h.until([&] { return h.courier.attempts == 1; });
  for (int i = 1; i < 200; ++i) h.kube->put(kEvents, event_now("x" + std::to_string(i), "news " + std::to_string(i)));
  h.until([&] { return h.process->dispatcher->judged() >= 200; });
  CHECK(h.process->dispatcher->waiting() <= 32);
  CHECK(h.process->dispatcher->waiting() >= 28);
  CHECK(h.process->dispatcher->taken() == h.process->dispatcher->waiting());
  // How many are said to be dropped, and how often that was said.
  const auto said = [&h] {
    std::pair<std::size_t, std::size_t> sum;
    for (const auto& event : h.kube->all(kEvents)) {
      if (doc::find_string(event, {"reason"}) != "NotificationsDropped") continue;
      const std::string message(doc::find_string(event, {"message"}));
      REQUIRE(message.find(" notifications were dropped") != std::string::npos);
      const auto times = event.at("count").get<std::size_t>();
      sum.first += times * std::stoul(message);
      sum.second += times;
    }
    return sum;
  };
  const std::size_t dropped = 200 - h.process->dispatcher->waiting();
  h.until([&] { return said().first >= dropped; });
  h.turn(50ms);
  CHECK(said().first == dropped);
  CHECK(said().second * 10 <= dropped);
  h.courier.hang.clear();
  h.until([&] { return h.process->dispatcher->waiting() == 0; });
  const auto messages = h.courier.messages();
  CHECK(messages.front() == "news 0");  // it was being sent
  CHECK(messages.back() == "news 199");
  CHECK(h.process->dispatcher->taken() == 0);
}

TEST_CASE("a flood about one object costs its history, and not what another one's last word is") {
  Harness h;
  h.options.max_waiting = 32;
  h.courier.hang.insert("hook");
  h.start_with_alert();
  h.until([&] { return h.process->sources->is_ready("Kustomization"); });
  h.kube->put(kEvents, event_now("x", "being sent"));
  h.until([&] { return h.courier.attempts == 1; });
  h.kube->put(kEvents, event_now("shop", "the last of shop"));
  for (int i = 1; i < 200; ++i) h.kube->put(kEvents, event_now("flood", "news " + std::to_string(i)));
  h.until([&] { return h.process->dispatcher->judged() >= 201; });
  h.courier.hang.clear();
  h.until([&] { return h.process->dispatcher->waiting() == 0; });
  const auto messages = h.courier.messages();
  CHECK(messages.size() <= 33);
  CHECK(std::count(messages.begin(), messages.end(), "the last of shop") == 1);
  CHECK(messages.back() == "news 199");
}

TEST_CASE("a flood about objects that one namespace invents neither drops nor delays what another waits to tell") {
  Harness h;
  h.options.max_waiting = 32;
  doc::Json spec = doc::Json::object();
  spec["eventSources"] = doc::Json::array(
      {{{"kind", "Kustomization"}, {"name", "*"}}, {{"kind", "Kustomization"}, {"name", "*"}, {"namespace", "flood"}}});
  h.add_alert("a", spec);
  h.courier.hang.insert("hook");
  h.start();
  h.until([&] { return h.is_listening("a") && h.process->sources->is_ready("Kustomization"); });
  h.kube->put(kEvents, event_in("flood", "first"));
  h.until([&] { return h.courier.attempts == 1; });
  h.kube->put(kEvents, event_now("shop", "older than the flood"));
  for (int i = 1; i < 200; ++i) h.kube->put(kEvents, event_in("flood", "x" + std::to_string(i)));
  h.until([&] { return h.process->dispatcher->judged() >= 201; });
  h.kube->put(kEvents, event_now("bank", "behind the flood"));
  h.until([&] { return h.process->dispatcher->judged() >= 202; });
  h.courier.hang.clear();
  h.until([&] { return h.process->dispatcher->waiting() == 0; });
  const auto messages = h.courier.messages();
  const auto place = [&messages](const std::string& message) {
    return std::find(messages.begin(), messages.end(), message) - messages.begin();
  };
  CHECK(place("older than the flood") <= 2);
  CHECK(place("behind the flood") <= 4);
}

TEST_CASE("what follows its Alert to another Provider, and finds no room there, is told when there is some") {
  Harness h;
  h.options.max_waiting = 1;
  h.options.try_again_after = 100ms;
  doc::Json spec = doc::Json::object();
  spec["providerRef"]["name"] = "later";
  h.add_alert("a", spec);
  h.start();
  h.until([&] { return h.is_listening("a"); });
  h.kube->put(kEvents, event_now("shop", "one"));
  h.until([&] { return h.process->dispatcher->waiting() == 1; });
  doc::Json live = h.kube->object(kAlerts, {"apps", "a"});
  live["spec"]["providerRef"]["name"] = "hook";
  h.kube->put(kAlerts, live);
  h.until([&] { return h.courier.messages("hook") == std::vector<std::string>{"one"}; });
  h.until([&] { return h.process->dispatcher->taken() == 0; });
}

TEST_CASE("a last word for which there was no room is told when there is some") {
  Harness h;
  h.options.max_waiting = 16;
  h.options.try_again_after = 100ms;
  h.courier.hang.insert("hook");
  h.start_with_alert();
  h.until([&] { return h.process->sources->is_ready("Kustomization"); });
  for (int i = 0; i < 30; ++i) h.kube->put(kEvents, event_now("x" + std::to_string(i), "news " + std::to_string(i)));
  h.until([&] { return h.process->dispatcher->judged() >= 30; });
  CHECK(h.process->dispatcher->waiting() <= 16);
  h.turn(300ms);  // it looks for room, and nothing gives way for it
  h.courier.hang.clear();
  h.until([&] { return h.courier.sent.size() >= 30; });
  h.turn(50ms);
  CHECK(h.courier.sent.size() == 30);
  const auto messages = h.courier.messages();
  CHECK(std::set<std::string>(messages.begin(), messages.end()).size() == 30);
}

TEST_CASE("so many deliveries are under way for one namespace and no more, and another one's goes out beside them") {
  Harness h;
  h.options.max_deliveries = 4;
  constexpr std::size_t kMany = 20;
  for (std::size_t i = 0; i < kMany; ++i) {
    const std::string name = "hung" + std::to_string(i);
    doc::Json spec = doc::Json::object();
    spec["providerRef"]["name"] = name;
    doc::Json provider = make_provider(name);
    doc::Json alert = make_alert(name, std::move(spec));
    for (auto* manifest : {&provider, &alert}) (*manifest)["metadata"]["namespace"] = "crowd";
    alert["metadata"]["creationTimestamp"] = now_and(-10min);
    h.kube->put(kProviders, provider);
    h.kube->put(kAlerts, alert);
    h.courier.hang.insert(name);
  }
  h.start_with_alert();
  h.until([&] { return h.process->sources->is_ready("Kustomization"); });
  h.until([&] {
    for (std::size_t i = 0; i < kMany; ++i) {
      const doc::Json alert = h.kube->object(kAlerts, {"crowd", "hung" + std::to_string(i)});
      if (!api::conditions_of(alert).is_true(notification_controller::kListeningCondition)) return false;
    }
    return true;
  });
  h.kube->put(kEvents, event_in("crowd", "x"));
  h.until([&] { return h.process->dispatcher->waiting() == kMany && h.courier.under_way["crowd"] == 4; });
  h.kube->put(kEvents, event_now("shop", "mine"));
  h.until([&] { return h.courier.messages() == std::vector<std::string>{"mine"}; });
  h.turn(50ms);
  CHECK(h.courier.most_under_way == 4);
  h.courier.hang.clear();
  h.until([&] { return h.process->dispatcher->waiting() == 0; });
  CHECK(h.courier.sent.size() == kMany + 1);
  CHECK(h.courier.most_under_way == 4);
  for (const auto& request : h.kube->requests) {
    if (request.verb == "patch" && request.plural == "events") CHECK(request.owner == request.key.namespace_);
  }
}

TEST_CASE("a change of marks alone is told from all others") {
  using notification_controller::changed_marks;
  const std::string prefix(notification_controller::kMarkPrefix);
  doc::Json before = event_now("shop", "news");
  before["metadata"]["annotations"][prefix + "a"] = "{}";
  doc::Json now = before;
  now["metadata"]["resourceVersion"] = "7";
  CHECK(changed_marks(before, now) == std::vector<std::string>{});
  now["metadata"]["annotations"][prefix + "a"] = "{1}";
  now["metadata"]["annotations"][prefix + "b"] = "{}";
  CHECK(changed_marks(before, now) == std::vector<std::string>{"a", "b"});
  CHECK_FALSE(changed_marks(now, before));  // one is gone
  const auto differs = [&](const auto& edit) {
    doc::Json edited = now;
    edit(edited);
    return !changed_marks(before, edited) && !changed_marks(edited, before);
  };
  CHECK(differs([](doc::Json& event) { event["count"] = 2; }));
  CHECK(differs([](doc::Json& event) { event["message"] = "other news"; }));
  CHECK(differs([](doc::Json& event) { event.erase("reason"); }));
  CHECK(differs([](doc::Json& event) { event["metadata"]["uid"] = "another"; }));
  CHECK(differs([](doc::Json& event) { event["metadata"]["annotations"][kGroup + "/revision"] = "main@sha1:def"; }));
  CHECK(differs([](doc::Json& event) { event["metadata"]["annotations"].erase(kGroup + "/revision"); }));
}

namespace {

std::chrono::nanoseconds spent_by_this_thread() {
  timespec spent{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return std::chrono::seconds(spent.tv_sec) + std::chrono::nanoseconds(spent.tv_nsec);
}

// What of the loop's time the longest turn took until it was so, and all together.
struct Turns {
  std::chrono::nanoseconds longest{};
  std::chrono::nanoseconds all{};
};
Turns turns_until(Harness& h, const std::function<bool()>& is_so) {
  Turns turns;
  h.process->runtime->context().restart();
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (!is_so()) {
    if (std::chrono::steady_clock::now() > deadline) FAIL("it never became so");
    const auto before = spent_by_this_thread();
    h.process->runtime->context().run_one_for(10ms);
    const auto took = spent_by_this_thread() - before;
    turns.longest = std::max(turns.longest, took);
    turns.all += took;
  }
  return turns;
}

}  // namespace

TEST_CASE("which of a hundred failures a word's receiver heard of is found out a turn at a time, and once") {
  Harness h;
  doc::Json spec = doc::Json::object();
  spec["exclusionList"] = {"1[01]{17}A", "never mind"};
  h.add_alert("slow", std::move(spec));
  h.start();
  h.until([&] { return h.is_listening("slow"); });
  h.until([&] { return h.process->sources->is_ready("Kustomization"); });
  constexpr std::uint64_t kFailures = 100;
  std::string zeros_and_ones;
  unsigned state = 1;
  for (int i = 0; i < 20'000; ++i) {
    state = state * 1103515245U + 12345U;
    zeros_and_ones += (state >> 16U & 1U) != 0 ? '1' : '0';
  }
  for (std::uint64_t i = 0; i < kFailures; ++i) {
    doc::Json failure = event_now("shop", zeros_and_ones + " never mind " + std::to_string(i));
    failure["type"] = "Warning";
    failure["metadata"]["creationTimestamp"] = now_and();
    h.kube->put(kEvents, failure);
  }
  h.until([&] { return h.process->dispatcher->judged() >= kFailures; });
  const auto word = [](const std::string& text) {
    doc::Json event = event_now("shop", text, 2s);
    event["source"]["component"] = "notification-controller";
    event["metadata"]["creationTimestamp"] = now_and(2s);
    event["metadata"]["annotations"][std::string(notification_controller::kLateWordAnnotation)] = now_and();
    return event;
  };
  h.kube->put(kEvents, word("ready"));
  const Turns first = turns_until(h, [&] { return h.process->dispatcher->judged() > kFailures; });
  h.kube->put(kEvents, word("ready again"));
  const Turns second = turns_until(h, [&] { return h.process->dispatcher->judged() > kFailures + 1; });
  CHECK(h.courier.sent.empty());  // of the failures none was heard
  CHECK(first.all > 4 * first.longest);
  CHECK(second.all < first.all / 4);
}
