// Events that take no mark: what was sent is not sent again, and others do not wait for them.
#include <algorithm>

#include "dispatcher_harness.hpp"
#include "notification-controller/late_marks.hpp"

using namespace std::chrono_literals;
using namespace sluice;
using namespace sluice::test;
using notification_controller::EventMark;
using notification_controller::LateMarks;
using notification_controller::Noting;

namespace {

base::Error answered_500(const std::string& message) {
  base::Error error = make_error(base::ErrorKind::unavailable, message);
  error.http_status = 500;
  return error;
}

// Refuses requests to Events; see FakeKube::authorize.
struct Refusal {
  std::set<std::string> verbs{"patch"};
  std::string event;  // its name; empty: all of them
  base::Error error = answered_500("failed calling webhook");
  std::size_t refused = 0;
};

std::shared_ptr<Refusal> refuse(Harness& h, const std::string& event) {
  auto refusal = std::make_shared<Refusal>();
  refusal->event = event;
  h.kube->authorize = [refusal](const FakeKube::Request& request) -> std::optional<base::Error> {
    const bool is_it = request.plural == "events" && refusal->verbs.contains(request.verb) &&
                       (refusal->event.empty() || request.key.name == refusal->event);
    if (!is_it) return std::nullopt;
    ++refusal->refused;
    return refusal->error;
  };
  return refusal;
}

std::string new_journal() {
  std::string path = "/tmp/sluice-marks-test-" + std::to_string(::getpid());
  ::unlink(path.c_str());
  return path;
}

std::string name_of(const doc::Json& event) { return api::key_of(event).name; }

EventMark mark_in(const std::string& space, const std::string& event, std::int64_t count = 1) {
  EventMark mark;
  mark.event = {space, event};
  mark.event_uid = space + "-" + event;
  mark.alert_uid = "a";
  mark.mark.count = count;
  return mark;
}

// A server that says what it is told to say.
struct Desk {
  rt::Task<Noting> write(EventMark mark) {
    ++tries[mark.event.namespace_];
    while (hangs) co_await rt::sleep_for(1ms);
    co_return says[mark.event.namespace_];
  }
  LateMarks::Handlers handlers() {
    return {
        [this](EventMark mark) { return write(std::move(mark)); },
        [this](const EventMark& mark) { written.push_back(mark.event.name + "#" + std::to_string(mark.mark.count)); },
        [this](const EventMark& mark) { given_up.push_back(mark.event.name); }};
  }
  void until(const std::function<bool()>& is_so) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (!is_so()) {
      REQUIRE(std::chrono::steady_clock::now() < deadline);
      runtime.context().restart();
      runtime.context().run_one_for(10ms);
    }
  }
  std::map<std::string, Noting> says;
  std::map<std::string, int> tries;
  bool hangs = false;
  std::vector<std::string> written;
  std::vector<std::string> given_up;
  rt::Runtime runtime{1};
};

}  // namespace

TEST_CASE("an Event that takes no mark now holds up no other's message for long, and is marked when it does") {
  Harness h;
  h.start_with_alert();
  const auto stuck = event_now("shop", "one");
  const auto refusal = refuse(h, name_of(stuck));
  h.kube->put(kEvents, stuck);
  h.until([&] { return refusal->refused > 0; });
  const auto other = event_now("bank", "two");
  h.kube->put(kEvents, other);
  h.until([&] { return !h.mark_of(other).empty(); }, 20s);
  CHECK(h.courier.messages() == std::vector<std::string>{"one", "two"});
  h.until([&] { return h.process->dispatcher->taken() == 0; });
  // The process knows that it was sent.
  doc::Json touched = h.kube->object(kEvents, api::key_of(stuck));
  touched["metadata"]["labels"]["x"] = "y";
  h.kube->put(kEvents, touched);
  h.turn(100ms);
  CHECK(h.courier.sent.size() == 2);
  refusal->verbs.clear();
  h.until([&] { return h.mark_of(stuck).find("\"state\":\"sent\"") != std::string::npos; });
  CHECK(h.courier.sent.size() == 2);
}

TEST_CASE("of an Event that is told again before its mark could be written the newer mark stays") {
  Harness h;
  h.options.rate_limit_interval = 0s;
  h.start_with_alert();
  const auto stuck = event_now("shop", "one");
  const auto refusal = refuse(h, name_of(stuck));
  h.kube->put(kEvents, stuck);
  h.until([&] { return h.courier.sent.size() == 1 && h.process->dispatcher->taken() == 0; });
  h.bump(stuck, 5s);
  h.until([&] { return h.courier.sent.size() == 2 && h.process->dispatcher->taken() == 0; });
  refusal->verbs.clear();
  h.until([&] { return !h.mark_of(stuck).empty(); });
  CHECK(h.mark_of(stuck).find("\"count\":2") != std::string::npos);
  h.turn(100ms);
  CHECK(h.mark_of(stuck).find("\"count\":2") != std::string::npos);
  CHECK(h.courier.sent.size() == 2);
}

TEST_CASE(
    "a mark that can never be written is given up and said, and its message is not sent again, also by the next "
    "process") {
  Harness h;
  h.options.say_shed_after = 100ms;
  h.journal_path = new_journal();
  h.start_with_alert();
  const auto huge = event_now("shop", "one");
  const auto refusal = refuse(h, name_of(huge));
  refusal->error = answered_500("etcdserver: request is too large");
  h.kube->put(kEvents, huge);
  h.kube->put(kEvents, event_now("bank", "two"));
  h.until([&] { return h.courier.sent.size() == 2; });
  const auto is_said = [&] {
    const auto events = h.kube->all(kEvents);
    return std::any_of(events.begin(), events.end(), [](const doc::Json& event) {
      return event.value("reason", "") == "NotificationsNotNoted" && event["involvedObject"]["kind"] == "Provider" &&
             event["message"].get<std::string>().starts_with("1 notifications");
    });
  };
  h.until(is_said);
  h.turn(3s);  // a writer aside would have tried it again
  CHECK(refusal->refused == 1);
  doc::Json touched = h.kube->object(kEvents, api::key_of(huge));
  touched["metadata"]["labels"]["x"] = "y";
  for (int i = 0; i < 2; ++i) {
    h.kube->put(kEvents, touched);
    h.turn(100ms);
    h.crash();
    h.start();
    h.until([&] { return h.process->sources->is_ready("Kustomization"); });
    h.turn(100ms);
  }
  CHECK(h.courier.messages() == std::vector<std::string>{"one", "two"});
  CHECK(refusal->refused == 3);  // each process finds out for itself
  ::unlink(h.journal_path.c_str());
}

TEST_CASE("while the server is away nothing is sent to a Provider whose last message is not noted") {
  Harness h;
  h.start_with_alert();
  const auto first = event_now("shop", "one");
  const auto refusal = refuse(h, "");
  refusal->verbs = {"patch", "get"};
  h.kube->put(kEvents, first);
  h.kube->put(kEvents, event_now("bank", "two"));
  h.until([&] { return refusal->refused > 5; });
  h.turn(2500ms);
  CHECK(h.courier.messages() == std::vector<std::string>{"one"});
  refusal->verbs.clear();
  h.until([&] { return h.courier.sent.size() == 2; });
  CHECK_FALSE(h.mark_of(first).empty());
}

TEST_CASE("a mark that waits when the process is killed is made up for by the next one") {
  Harness h;
  h.journal_path = new_journal();
  h.start_with_alert();
  const auto stuck = event_now("shop", "one");
  const auto refusal = refuse(h, name_of(stuck));
  h.kube->put(kEvents, stuck);
  h.until([&] { return h.courier.sent.size() == 1 && h.process->dispatcher->taken() == 0; });
  h.crash();
  h.start();
  h.until([&] { return h.process->sources->is_ready("Kustomization"); });
  h.turn(100ms);
  CHECK(h.courier.sent.size() == 1);
  refusal->verbs.clear();
  h.until([&] { return !h.mark_of(stuck).empty(); });
  h.turn(50ms);
  CHECK(h.courier.sent.size() == 1);
  ::unlink(h.journal_path.c_str());
}

TEST_CASE("marks of one namespace that wait are bounded, the oldest is given up, and another's are written meanwhile") {
  Desk desk;
  LateMarks marks(desk.runtime, 4, desk.handlers());
  desk.says["evil"] = Noting::later;
  desk.says["good"] = Noting::written;
  for (int i = 0; i < 20; ++i) marks.put(mark_in("evil", "e" + std::to_string(i)));
  CHECK(desk.given_up.size() == 16);
  CHECK(desk.given_up.front() == "e0");
  CHECK(marks.find("evil-e0", "a") != nullptr);  // it is known all the same
  CHECK_FALSE(marks.is_waiting("evil-e0", "a"));
  marks.put(mark_in("good", "g"));
  desk.until([&] { return desk.written == std::vector<std::string>{"g#1"}; });
  CHECK(marks.find("good-g", "a") == nullptr);
  CHECK_FALSE(marks.is_behind("good"));
  CHECK(marks.is_behind("evil"));
  CHECK(desk.tries["evil"] <= 2);  // it rests
  desk.says["evil"] = Noting::written;
  desk.until([&] { return !marks.is_behind("evil"); });
  CHECK(desk.written.size() == 5);
  CHECK(marks.known() == 16);
  CHECK(marks.forget("evil-e0") == std::vector<std::string>{"a"});
  CHECK(marks.known() == 15);
}

TEST_CASE("a mark that becomes newer, or whose Event goes, while it is being written") {
  Desk desk;
  LateMarks marks(desk.runtime, 4, desk.handlers());
  desk.says["s"] = Noting::written;
  desk.hangs = true;
  marks.put(mark_in("s", "x"));
  desk.until([&] { return desk.tries["s"] == 1; });
  marks.put(mark_in("s", "x", 2));
  marks.put(mark_in("s", "y"));
  CHECK(marks.find("s-x", "a")->count == 2);
  desk.hangs = false;
  desk.until([&] { return desk.written.size() == 2; });
  CHECK(std::set<std::string>(desk.written.begin(), desk.written.end()) == std::set<std::string>{"x#2", "y#1"});
  desk.until([&] { return !marks.is_behind("s"); });
  desk.hangs = true;
  marks.put(mark_in("s", "z"));
  desk.until([&] { return desk.tries["s"] == 4; });
  marks.forget("s-z");
  desk.hangs = false;
  desk.until([&] { return !marks.is_behind("s"); });
  CHECK(desk.written.size() == 2);
  CHECK(marks.known() == 0);
  // All places are free again.
  desk.hangs = true;
  for (int i = 0; i < 4; ++i) marks.put(mark_in("s", "n" + std::to_string(i)));
  CHECK(desk.given_up.empty());
  desk.hangs = false;
  desk.until([&] { return !marks.is_behind("s"); });
}
