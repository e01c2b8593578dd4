#include "controller/event_recorder.hpp"

#include <fmt/format.h>

#include "controller/event_correlator.hpp"
#include "harness.hpp"

using namespace std::chrono_literals;
using namespace sluice::test;
using sluice::base::ErrorKind;
using sluice::controller::EventCorrelator;
using sluice::controller::KubeEventRecorder;
using sluice::controller::Severity;
using sluice::doc::Json;

namespace {

struct RecorderHarness : Harness {
  RecorderHarness() {
    clock.advance(1000h);
    foo["metadata"]["uid"] = "uid-a";
    recorder = std::make_unique<KubeEventRecorder>(
        kube, clock, sluice::base::Logger::discard(),
        sluice::controller::EventRecorderOptions{"foo-controller", "foo-controller-0", 4});
  }
  ~RecorderHarness() { runtime.reset(); }
  void start() { runtime->spawn("events", recorder->run()); }
  void emit(const std::string& message, sluice::api::StringMap annotations = {}, Severity severity = Severity::info) {
    recorder->emit(foo, {severity, "Testing", message, std::move(annotations), {}});
  }
  std::vector<Json> stored() const { return kube->all(kEvents); }

  sluice::base::ManualClock clock{sluice::base::TimePoint{}};
  Json foo = make_foo("a");
  std::unique_ptr<KubeEventRecorder> recorder;
};

Json event(const std::string& message) {
  Json e = Json::object();
  e["metadata"]["name"] = "a.1";
  e["involvedObject"]["name"] = "a";
  e["reason"] = "Testing";
  e["type"] = "Normal";
  e["message"] = message;
  e["firstTimestamp"] = e["lastTimestamp"] = "2026-01-01T00:00:00Z";
  e["count"] = 1;
  return e;
}

}  // namespace

TEST_CASE("an event names its object, its controller and its metadata") {
  RecorderHarness h;
  h.foo["metadata"]["annotations"] = {{"event.toolkit.fluxcd.io/team", "blue"}, {"other", "x"}};
  h.start();
  h.emit("it broke", {{"example.com/revision", "main@sha1:abc"}}, Severity::error);
  until(*h.runtime, [&] { return h.stored().size() == 1; });
  const Json stored = h.stored()[0];
  CHECK(stored["type"] == "Warning");
  CHECK(stored["message"] == "it broke");
  CHECK(stored["involvedObject"]["kind"] == "Foo");
  CHECK(stored["involvedObject"]["apiVersion"] == "example.com/v1");
  CHECK(stored["involvedObject"]["uid"] == "uid-a");
  CHECK(stored["metadata"]["namespace"] == "apps");
  CHECK(stored["metadata"]["annotations"] ==
        Json{{"event.toolkit.fluxcd.io/team", "blue"}, {"example.com/revision", "main@sha1:abc"}});
  CHECK(stored["source"]["component"] == "foo-controller");
  CHECK(stored["reportingComponent"] == "foo-controller");
  CHECK(stored["reportingInstance"] == "foo-controller-0");
}

TEST_CASE("the same event within ten minutes counts up; later it is a new one") {
  RecorderHarness h;
  h.start();
  h.emit("again");
  h.clock.advance(5min);
  h.emit("again");
  until(*h.runtime, [&] { return h.kube->count("patch") == 1; });
  REQUIRE(h.stored().size() == 1);
  CHECK(h.stored()[0]["count"] == 2);
  CHECK(h.stored()[0]["lastTimestamp"] != h.stored()[0]["firstTimestamp"]);
  h.clock.advance(11min);
  h.emit("again");
  until(*h.runtime, [&] { return h.stored().size() == 2; });
}

TEST_CASE("a counted event that has expired on the server is created anew") {
  RecorderHarness h;
  h.start();
  h.emit("again");
  until(*h.runtime, [&] { return h.stored().size() == 1; });
  h.kube->erase(kEvents, sluice::api::key_of(h.stored()[0]));
  h.emit("again");
  until(*h.runtime, [&] { return h.stored().size() == 1 && h.kube->count("create") == 2; });
  CHECK(h.stored()[0]["count"] == 1);
}

TEST_CASE("an event is tried again while the server is away, and dropped when it is refused") {
  RecorderHarness h;
  h.start();
  h.kube->fail_next("create", make_error(ErrorKind::forbidden, "namespace apps is being terminated"));
  h.emit("refused");
  h.emit("accepted");
  until(*h.runtime, [&] { return h.stored().size() == 1; });
  CHECK(h.stored()[0]["message"] == "accepted");
  h.kube->fail_next("create", make_error(ErrorKind::unavailable, "connection refused"));
  h.emit("late");
  until(*h.runtime, [&] { return h.stored().size() == 2; });
}

TEST_CASE("an outage of any length within reason loses no event, and they keep their order") {
  RecorderHarness h;
  h.start();
  h.kube->fail_next("create", make_error(ErrorKind::unavailable, "connection refused"));
  h.emit("first");
  h.emit("second");
  h.clock.advance(29min);
  until(*h.runtime, [&] { return h.stored().size() == 2; });
  CHECK(h.stored()[0]["message"] == "first");
  CHECK(h.stored()[1]["message"] == "second");
  CHECK(h.stored()[0]["lastTimestamp"] == "1970-02-11T16:00:00Z");  // when it happened, not when it was sent
}

TEST_CASE("what a server denies while it starts is not lost") {
  RecorderHarness h;
  h.start();
  h.kube->fail_next("create", make_error(ErrorKind::forbidden, "events is forbidden: RBAC: not yet"));
  h.emit("early");
  until(*h.runtime, [&] { return h.stored().size() == 1; });
  CHECK(h.kube->count("create") == 2);
}

TEST_CASE("an event that is refused for good holds up the others for a moment only") {
  RecorderHarness h;
  h.start();
  h.kube->fail_next("create", make_error(ErrorKind::invalid, "metadata.name: too long"));
  h.emit("refused");
  h.emit("next");
  until(*h.runtime, [&] { return h.stored().size() == 1; });
  CHECK(h.stored()[0]["message"] == "next");
  CHECK(h.kube->count("create") == 2);
}

TEST_CASE("an event that is too old to be news is given up") {
  RecorderHarness h;
  h.kube->fail_next("create", make_error(ErrorKind::unavailable, "connection refused"));
  h.emit("old");
  h.clock.advance(31min);
  h.emit("new");
  h.start();
  until(*h.runtime, [&] { return h.stored().size() == 1; });
  CHECK(h.stored()[0]["message"] == "new");
}

TEST_CASE("what is traced can be told from news, whatever the object says") {
  RecorderHarness h;
  h.foo["metadata"]["annotations"] = {{"event.toolkit.fluxcd.io/severity", "trace"}};
  h.start();
  h.emit("news");
  h.emit("trace", {}, Severity::trace);
  until(*h.runtime, [&] { return h.stored().size() == 2; });
  CHECK_FALSE(h.stored()[0]["metadata"].contains("annotations"));
  CHECK(h.stored()[1]["metadata"]["annotations"] == Json{{"event.toolkit.fluxcd.io/severity", "trace"}});
  CHECK(h.stored()[1]["type"] == "Normal");
}

TEST_CASE("a repeated event carries the annotations of its latest time only") {
  sluice::base::ManualClock clock{sluice::base::TimePoint(1000h)};
  EventCorrelator correlator(clock);
  auto first = event("m");
  first["metadata"]["annotations"] = {{"revision", "1"}, {"token", "t"}};
  correlator.observe(first);
  auto second = event("m");
  second["metadata"]["annotations"] = {{"revision", "2"}};
  const auto decision = correlator.observe(second);
  REQUIRE(decision.patch);
  CHECK((*decision.patch)["metadata"]["annotations"] == Json{{"revision", "2"}, {"token", nullptr}});
}

TEST_CASE("the same words about another commit are an Event of their own, and a flood of them is combined") {
  sluice::base::ManualClock clock{sluice::base::TimePoint(1000h)};
  EventCorrelator correlator(clock);
  const auto about = [](const std::string& field, const std::string& value) {
    auto told = event("ConfigMap/a configured");
    told["involvedObject"]["apiVersion"] = "example.com/v1";
    told["metadata"]["annotations"]["example.com/" + field] = value;
    return told;
  };
  for (const auto* field : {"revision", "originRevision", "token"}) {
    CHECK_FALSE(correlator.observe(about(field, "1")).patch);
    CHECK_FALSE(correlator.observe(about(field, "2")).patch);
    CHECK(correlator.observe(about(field, "1")).patch);
  }
  CHECK(correlator.observe(about("revision", "2")).patch);
  int created = 6;
  for (int i = 3; i < 50; ++i) {
    if (!correlator.observe(about("revision", std::to_string(i))).patch) ++created;
  }
  CHECK(created == 10);
}

TEST_CASE("emitting never blocks: of what cannot be sent the oldest is dropped") {
  RecorderHarness h;
  for (int i = 0; i < 10; ++i) h.emit(fmt::format("message {}", i));
  h.start();
  until(*h.runtime, [&] { return h.stored().size() == 4; });
  std::set<std::string> messages;
  for (const auto& stored : h.stored()) messages.insert(stored["message"].get<std::string>());
  CHECK(messages == std::set<std::string>{"message 6", "message 7", "message 8", "message 9"});
}

TEST_CASE("a message beyond all bounds is cut between characters") {
  RecorderHarness h;
  h.start();
  std::string text = "x";
  while (text.size() < 20000) text += "\xc3\xa4";
  h.emit(text);
  until(*h.runtime, [&] { return h.stored().size() == 1; });
  const auto stored = h.stored()[0]["message"].get<std::string>();
  CHECK(stored.size() <= 16 * 1024);
  CHECK(stored.size() > 16 * 1024 - 8);
  CHECK(stored.substr(stored.size() - 5) == "\xc3\xa4...");
}

TEST_CASE("from the tenth different message for one reason on they are combined") {
  sluice::base::ManualClock clock{sluice::base::TimePoint(1000h)};
  EventCorrelator correlator(clock);
  for (int i = 0; i < 9; ++i) CHECK_FALSE(correlator.observe(event(fmt::format("m{}", i))).patch);
  const auto tenth = correlator.observe(event("m9"));
  CHECK_FALSE(tenth.patch);
  CHECK(tenth.event["message"] == "(combined from similar events): m9");
  const auto eleventh = correlator.observe(event("m10"));
  REQUIRE(eleventh.patch);
  CHECK((*eleventh.patch)["count"] == 2);
  CHECK((*eleventh.patch)["message"] == "(combined from similar events): m10");
}

TEST_CASE("the memory of events is bounded") {
  sluice::controller::RecentMap<int> map(2);
  map.put("a", 1);
  map.put("b", 2);
  CHECK(*map.find("a") == 1);
  map.put("c", 3);
  CHECK(map.find("b") == nullptr);
  CHECK(map.size() == 2);
}

TEST_CASE("what happens once is one Event, whoever tells of it and in whatever words") {
  RecorderHarness h;
  h.start();
  const auto tell = [&](const std::string& message, const std::string& occurrence, sluice::api::StringMap metadata) {
    h.recorder->emit(h.foo, {Severity::info, "Done", message, std::move(metadata), occurrence});
  };
  tell("done in 3ms", "first", {{"example.com/revision", "1"}});
  until(*h.runtime, [&] { return h.stored().size() == 1; });
  // Another process, after a kill.
  KubeEventRecorder second(h.kube, h.clock, sluice::base::Logger::discard(), {"foo-controller", "foo-controller-1", 4});
  h.runtime->spawn("second", second.run());
  second.emit(h.foo, {Severity::info, "Done", "done in 5ms", {{"example.com/revision", "1"}}, "first"});
  until(*h.runtime, [&] { return h.kube->count("create") == 2; });
  CHECK(h.stored().size() == 1);
  CHECK(h.stored()[0]["message"] == "done in 3ms");
  // Another occurrence, revision, reason, type, object or controller is another Event.
  tell("done in 3ms", "second", {{"example.com/revision", "1"}});
  tell("done in 3ms", "first", {{"example.com/revision", "2"}});
  h.recorder->emit(h.foo, {Severity::info, "Checked", "done", {{"example.com/revision", "1"}}, "first"});
  until(*h.runtime, [&] { return h.stored().size() == 4; });
  h.recorder->emit(h.foo, {Severity::error, "Done", "done", {{"example.com/revision", "1"}}, "first"});
  h.foo["metadata"]["uid"] = "uid-b";
  tell("done", "first", {{"example.com/revision", "1"}});
  until(*h.runtime, [&] { return h.stored().size() == 6; });
  CHECK(h.kube->count("patch") == 0);
  h.runtime.reset();
}

TEST_CASE("things that happen once are never combined, however many there are") {
  RecorderHarness h;
  h.start();
  for (int i = 0; i < 30; ++i) {
    h.recorder->emit(h.foo, {Severity::info, "Done", fmt::format("done {}", i), {}, std::to_string(i)});
    until(*h.runtime, [&] { return h.stored().size() == static_cast<std::size_t>(i + 1); });
  }
  CHECK(h.kube->count("patch") == 0);
}

TEST_CASE("an Event of an object with the longest of names has a name that the server takes") {
  RecorderHarness h;
  h.start();
  h.foo["metadata"]["name"] = std::string(235, 'a') + "." + std::string(17, 'b');
  h.emit("m");
  until(*h.runtime, [&] { return h.stored().size() == 1; });
  const auto name = h.stored()[0]["metadata"]["name"].get<std::string>();
  CHECK(name.size() <= 253);
  CHECK(name.starts_with(std::string(235, 'a') + "."));
  CHECK(name.find("..") == std::string::npos);
}

TEST_CASE("one object's event that has to wait holds up no other object's") {
  RecorderHarness h;
  h.start();
  h.start();
  h.kube->fail_next("create", make_error(ErrorKind::unavailable, "connection refused"));
  h.emit("first of a");
  h.emit("second of a");
  Json other = make_foo("b");
  other["metadata"]["uid"] = "uid-b";
  h.recorder->emit(other, {Severity::info, "Testing", "of b", {}, {}});
  until(*h.runtime, [&] { return h.stored().size() == 1; });
  CHECK(h.stored()[0]["message"] == "of b");
  until(*h.runtime, [&] { return h.stored().size() == 3; });
  std::vector<std::string> of_a;
  for (const auto& stored : h.stored()) {
    if (stored["involvedObject"]["name"] == "a") of_a.push_back(stored["message"].get<std::string>());
  }
  CHECK(of_a == std::vector<std::string>{"first of a", "second of a"});
}
