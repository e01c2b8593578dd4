// What is told from the status, because no Event told it.
#include <algorithm>

#include "dispatcher_harness.hpp"

using namespace std::chrono_literals;
using namespace sluice;
using namespace sluice::test;

namespace {

struct StateHarness : Harness {
  StateHarness() { options.event_grace = 300ms; }

  void put_ready(const std::string& name, const std::string& status, const std::string& message,
                 base::Duration since = 1s) {
    doc::Json object = doc::Json::object();
    object["apiVersion"] = kGroup + "/v1";
    object["kind"] = "Kustomization";
    object["metadata"] = {{"name", name}, {"namespace", "apps"}, {"uid", "uid-" + name}};
    doc::Json ready = {{"type", "Ready"}, {"status", status}, {"message", message}};
    ready["reason"] = status == "True" ? "ReconciliationSucceeded" : "BuildFailed";
    ready["lastTransitionTime"] = now_and(since);
    object["status"]["conditions"] = doc::Json::array({ready});
    object["status"]["lastAttemptedRevision"] = "main@sha1:def";
    kube->put(kKustomizations, object);
  }
  doc::Json failure_event(const std::string& message, base::Duration later = 1s) {
    doc::Json event = event_now("shop", message, later);
    event["type"] = "Warning";
    event["reason"] = "BuildFailed";
    event["metadata"]["creationTimestamp"] = now_and();
    return event;
  }
  // All that could come of what is in the cluster has come.
  void settle() {
    until([this] { return process->sources->is_in_touch("Kustomization"); });
    turn(1000ms);
  }
};

}  // namespace

TEST_CASE("a failure that no Event tells is told from the status, once, also by the next processes") {
  StateHarness h;
  h.start_with_alert();
  h.put_ready("shop", "False", "no such file");
  h.until([&] { return h.courier.sent.size() == 1; });
  CHECK(h.courier.messages() == std::vector<std::string>{"no such file"});
  CHECK(h.courier.sent[0].metadata.at("revision") == "main@sha1:def");
  h.turn(50ms);
  for (int i = 0; i < 2; ++i) {
    h.crash();
    h.start();
    h.settle();
  }
  CHECK(h.courier.sent.size() == 1);
}

TEST_CASE("a process that is killed before it told a state leaves it to the next one") {
  StateHarness h;
  h.start_with_alert();
  h.crash();
  h.put_ready("shop", "False", "no such file");
  h.start();
  h.until([&] { return h.courier.sent.size() == 1; });
  h.settle();
  CHECK(h.courier.messages() == std::vector<std::string>{"no such file"});
}

TEST_CASE("a state whose Event is there, before it or within the grace, is told by the Event alone") {
  StateHarness h;
  h.start_with_alert();
  h.kube->put(kEvents, h.failure_event("no such file: in other words"));
  h.put_ready("shop", "False", "no such file");
  h.until([&] { return !h.courier.sent.empty(); });
  h.settle();
  CHECK(h.courier.messages() == std::vector<std::string>{"no such file: in other words"});
  h.clock.hold();
  h.put_ready("shop", "True", "Applied revision: main@sha1:def", 2s);
  h.turn(30ms);
  h.kube->put(kEvents, event_now("shop", "finished", 2s));
  h.turn(30ms);
  h.clock.go_on();
  h.until([&] { return h.courier.sent.size() == 2; });
  h.settle();
  CHECK(h.courier.messages() == std::vector<std::string>{"no such file: in other words", "finished"});
}

TEST_CASE("an Event that comes after the late word about its state is not sent, a newer one is") {
  StateHarness h;
  h.start_with_alert();
  h.put_ready("shop", "False", "no such file");
  h.until([&] { return h.courier.sent.size() == 1; });
  h.turn(1100ms);  // the server's stamps are whole seconds
  h.kube->put(kEvents, h.failure_event("in the emitter's words", 0s));
  h.settle();
  CHECK(h.courier.sent.size() == 1);
  h.crash();
  h.start();
  h.settle();
  CHECK(h.courier.sent.size() == 1);
  h.kube->put(kEvents, h.failure_event("another failure", 5s));
  h.until([&] { return h.courier.sent.size() == 2; });
}

TEST_CASE("a recovery that no Event tells is told where the failure was") {
  StateHarness h;
  h.start_with_alert();
  h.kube->put(kEvents, h.failure_event("no such file"));
  h.until([&] { return h.courier.sent.size() == 1; });
  h.put_ready("shop", "True", "Applied revision: main@sha1:def", 3s);
  h.put_ready("other", "True", "Applied revision: main@sha1:def", 3s);
  h.until([&] { return h.courier.sent.size() == 2; });
  h.settle();
  CHECK(h.courier.messages() == std::vector<std::string>{"no such file", "Applied revision: main@sha1:def"});
}

namespace {

// A chat beside the webhook "hook", each with an Alert.
void add_chat(Harness& h) {
  doc::Json chat = doc::Json::object();
  chat["type"] = "slack";
  h.kube->put(kProviders, make_provider("chat", chat));
  doc::Json spec = doc::Json::object();
  spec["providerRef"]["name"] = "chat";
  h.add_alert("chat", spec);
}

doc::Json status_event(const std::string& message, base::Duration later) {
  doc::Json event = event_now("shop", message, later);
  event["metadata"]["annotations"][kGroup + "/commit_status"] = "update";
  event["metadata"]["creationTimestamp"] = now_and();
  return event;
}

}  // namespace

TEST_CASE(
    "a recovery of which the only Event makes a commit status is told to the chat, once, and not twice to others") {
  StateHarness h;
  add_chat(h);
  h.start_with_alert();
  h.until([&] { return h.is_listening("chat"); });
  h.kube->put(kEvents, h.failure_event("no such file"));
  h.put_ready("shop", "False", "no such file");
  h.until([&] { return h.courier.sent.size() == 2; });
  h.kube->put(kEvents, status_event("Reconciliation finished in 1ms", 3s));
  h.put_ready("shop", "True", "Applied revision: main@sha1:def", 3s);
  h.until([&] { return h.courier.messages("chat").size() == 2; });
  for (int i = 0; i < 2; ++i) {
    h.settle();
    h.crash();
    h.start();
  }
  h.settle();
  CHECK(h.courier.messages("chat") == std::vector<std::string>{"no such file", "Applied revision: main@sha1:def"});
  CHECK(h.courier.messages("hook") == std::vector<std::string>{"no such file", "Reconciliation finished in 1ms"});
}

TEST_CASE("a recovery is not told to a chat that was not told of the failure, nor a commit without changes") {
  StateHarness h;
  add_chat(h);
  doc::Json quiet = doc::Json::object();
  quiet["exclusionList"] = {"no such file"};
  quiet["providerRef"]["name"] = "chat";
  h.add_alert("chat", quiet);
  h.start_with_alert();
  h.until([&] { return h.is_listening("chat"); });
  h.kube->put(kEvents, h.failure_event("no such file"));
  h.until([&] { return h.courier.sent.size() == 1; });
  h.kube->put(kEvents, status_event("Reconciliation finished in 1ms", 3s));
  h.put_ready("shop", "True", "Applied revision: main@sha1:def", 3s);
  h.until([&] { return h.courier.messages("hook").size() == 2; });
  h.settle();
  CHECK(h.courier.messages("chat").empty());
  h.kube->put(kEvents, status_event("Reconciliation finished in 2ms", 9s));
  h.put_ready("shop", "True", "Applied revision: main@sha1:fff", 3s);
  h.until([&] { return h.courier.messages("hook").size() == 3; });
  h.settle();
  CHECK(h.courier.messages("chat").empty());
}

TEST_CASE(
    "a recovery that is written for one Alert is not sent to another one's chat that did not hear of the failure") {
  StateHarness h;
  add_chat(h);
  doc::Json slack = doc::Json::object();
  slack["type"] = "slack";
  h.kube->put(kProviders, make_provider("quiet", slack));
  doc::Json quiet = doc::Json::object();
  quiet["exclusionList"] = {"no such file"};
  quiet["providerRef"]["name"] = "quiet";
  h.add_alert("quiet", quiet);
  h.start();
  h.until([&] { return h.is_listening("chat") && h.is_listening("quiet"); });
  h.kube->put(kEvents, h.failure_event("no such file"));
  h.put_ready("shop", "False", "no such file");
  h.until([&] { return h.courier.messages("chat").size() == 1; });
  h.kube->put(kEvents, status_event("Reconciliation finished in 1ms", 3s));
  h.put_ready("shop", "True", "Applied revision: main@sha1:def", 3s);
  h.until([&] { return h.courier.messages("chat").size() == 2; });
  h.settle();
  h.crash();
  h.start();
  h.settle();
  CHECK(h.courier.messages("chat") == std::vector<std::string>{"no such file", "Applied revision: main@sha1:def"});
  CHECK(h.courier.messages("quiet").empty());
}

TEST_CASE("a recovery that is written for one Alert is not sent to another one whose failure gave way to others") {
  StateHarness h;
  h.options.max_waiting = 8;
  h.options.try_again_after = 1h;
  doc::Json elsewhere = make_provider("elsewhere");
  elsewhere["metadata"]["namespace"] = "team";
  h.kube->put(kProviders, elsewhere);
  doc::Json spec = doc::Json::object();
  spec["providerRef"]["name"] = "elsewhere";
  spec["eventSources"] = doc::Json::array({{{"kind", "Kustomization"}, {"name", "shop"}, {"namespace", "apps"}}});
  doc::Json hears = make_alert("hears", std::move(spec));
  hears["metadata"]["namespace"] = "team";
  hears["metadata"]["creationTimestamp"] = now_and(-10min);
  h.kube->put(kAlerts, hears);
  h.courier.hang.insert("hook");
  h.start_with_alert();
  h.until([&] {
    return api::conditions_of(h.kube->object(kAlerts, {"team", "hears"}))
        .is_true(notification_controller::kListeningCondition);
  });
  h.until([&] { return h.process->sources->is_ready("Kustomization"); });
  h.kube->put(kEvents, event_now("x", "being sent"));
  h.until([&] { return h.courier.attempts == 1; });
  h.kube->put(kEvents, h.failure_event("no such file"));
  h.put_ready("shop", "False", "no such file");
  h.until([&] { return h.courier.messages("elsewhere").size() == 1; });
  for (int i = 0; i < 20; ++i) h.kube->put(kEvents, event_now("x" + std::to_string(i), "news " + std::to_string(i)));
  const std::uint64_t judged = h.process->dispatcher->judged();
  h.until([&] { return h.process->dispatcher->judged() >= judged + 20; });
  h.courier.hang.clear();
  h.until([&] { return h.process->dispatcher->waiting() == 0; });
  h.put_ready("shop", "True", "Applied revision: main@sha1:def", 3s);
  h.until([&] { return h.courier.messages("elsewhere").size() == 2; });
  h.settle();
  CHECK(h.courier.messages("elsewhere").back() == "Applied revision: main@sha1:def");
  const auto messages = h.courier.messages("hook");
  CHECK(std::count(messages.begin(), messages.end(), "no such file") == 0);
  CHECK(std::count(messages.begin(), messages.end(), "Applied revision: main@sha1:def") == 0);
}

TEST_CASE("what a receiver refuses for good is not the last word that it was told") {
  StateHarness h;
  h.options.rate_limit_interval = 2s;
  h.start_with_alert();
  const doc::Json well = event_now("shop", "applied", 0s);
  h.kube->put(kEvents, well);
  h.until([&] { return !h.mark_of(well).empty(); });
  h.courier.answer["hook"] = make_error(base::ErrorKind::invalid, "the receiver answered 413");
  const doc::Json failure = h.failure_event("no such file", 0s);
  h.kube->put(kEvents, failure);
  h.until([&] { return !h.mark_of(failure).empty(); });
  h.courier.answer.clear();
  h.bump(well, 0s);
  h.turn(3000ms);
  CHECK(h.courier.messages() == std::vector<std::string>{"applied"});
}

TEST_CASE("a Provider that comes after a failure and its recovery is told of both, once, whatever its type is") {
  for (const std::string type : {"slack", "generic"}) {
    INFO(type);
    StateHarness h;
    doc::Json spec = doc::Json::object();
    spec["providerRef"]["name"] = "later";
    h.add_alert("a", spec);
    h.start();
    h.until([&] { return h.is_listening("a"); });
    h.kube->put(kEvents, h.failure_event("no such file"));
    h.put_ready("shop", "False", "no such file");
    h.turn(50ms);
    doc::Json status = status_event("Reconciliation finished in 1ms", 3s);
    h.kube->put(kEvents, status);
    h.turn(1100ms);  // the server's stamps are whole seconds
    h.put_ready("shop", "True", "Applied revision: main@sha1:def", 3s);
    h.settle();
    doc::Json provider = doc::Json::object();
    provider["type"] = type;
    h.kube->put(kProviders, make_provider("later", provider));
    h.until([&] { return h.courier.messages("later").size() == 2; });
    h.settle();
    const std::string over = type == "slack" ? "Applied revision: main@sha1:def" : "Reconciliation finished in 1ms";
    CHECK(h.courier.messages("later") == std::vector<std::string>{"no such file", over});
  }
}

TEST_CASE("a Provider that becomes a chat before it was told of a recovery is told of it") {
  StateHarness h;
  h.start_with_alert();
  h.courier.answer["hook"] = make_error(base::ErrorKind::unavailable, "gone");
  h.kube->put(kEvents, h.failure_event("no such file"));
  h.put_ready("shop", "False", "no such file");
  h.until([&] { return h.courier.attempts > 0; });
  h.kube->put(kEvents, status_event("Reconciliation finished in 1ms", 3s));
  h.put_ready("shop", "True", "Applied revision: main@sha1:def", 3s);
  h.settle();
  h.courier.answer.clear();
  doc::Json chat = make_provider("hook");
  chat["spec"]["type"] = "slack";
  chat["metadata"]["generation"] = 2;
  h.kube->put(kProviders, chat);
  h.until([&] { return h.courier.messages().size() == 2; });
  h.settle();
  CHECK(h.courier.messages() == std::vector<std::string>{"no such file", "Applied revision: main@sha1:def"});
}

TEST_CASE("a second failure that is told has its recovery told, though its words are those of the first") {
  StateHarness h;
  add_chat(h);
  h.start_with_alert();
  h.until([&] { return h.is_listening("chat"); });
  for (int i = 0; i < 2; ++i) {
    const auto later = std::chrono::seconds(10 * i);
    h.kube->put(kEvents, h.failure_event("failure " + std::to_string(i), later + 1s));
    h.put_ready("shop", "False", "failure " + std::to_string(i), later + 1s);
    h.until([&] { return h.courier.messages("chat").size() == 2 * static_cast<std::size_t>(i) + 1; });
    h.kube->put(kEvents, status_event("finished in " + std::to_string(i) + "ms", later + 4s));
    h.put_ready("shop", "True", "Applied revision: main@sha1:def", later + 4s);
    h.until([&] { return h.courier.messages("chat").size() == 2 * static_cast<std::size_t>(i) + 2; });
    h.settle();
  }
  CHECK(h.courier.messages("chat").size() == 4);
}

TEST_CASE("one that fails and recovers in turns is told to be well once for each failure that is sent") {
  StateHarness h;
  add_chat(h);
  h.start_with_alert();
  h.until([&] { return h.is_listening("chat"); });
  const doc::Json failure = h.failure_event("no such file");
  h.kube->put(kEvents, failure);
  h.put_ready("shop", "False", "no such file");
  h.until([&] { return h.courier.messages("chat").size() == 1; });
  h.kube->put(kEvents, status_event("finished in 1ms", 3s));
  h.put_ready("shop", "True", "Applied revision: main@sha1:def", 3s);
  h.until([&] { return h.courier.messages("chat").size() == 2; });
  h.settle();
  h.bump(failure, 6s);  // too soon to be sent again
  h.put_ready("shop", "False", "no such file", 6s);
  h.settle();
  h.kube->put(kEvents, status_event("finished in 2ms", 8s));
  h.put_ready("shop", "True", "Applied revision: main@sha1:def", 8s);
  h.settle();
  CHECK(h.courier.messages("chat").size() == 2);
}

TEST_CASE("the last word agrees with the state when the interval is over, also by the next process") {
  for (const bool is_killed : {false, true}) {
    INFO(is_killed);
    StateHarness h;
    h.options.rate_limit_interval = 4s;
    h.start_with_alert();
    const doc::Json failure = h.failure_event("no such file", 0s);
    const doc::Json recovery = event_now("shop", "applied", 0s);
    h.kube->put(kEvents, failure);
    h.until([&] { return !h.mark_of(failure).empty(); });
    h.kube->put(kEvents, recovery);
    h.until([&] { return !h.mark_of(recovery).empty(); });
    h.turn(1100ms);
    for (int i = 0; i < 5; ++i) {  // it flaps, and ends in a failure
      h.bump(failure, 0s);
      h.turn(20ms);
      if (i < 4) h.bump(recovery, 0s);
      h.turn(20ms);
    }
    CHECK(h.courier.sent.size() == 2);
    if (is_killed) {
      h.crash();
      h.start();
    }
    h.until([&] { return h.courier.sent.size() == 3; });
    h.turn(4500ms);
    CHECK(h.courier.messages() == std::vector<std::string>{"no such file", "applied", "no such file"});
  }
}

TEST_CASE("what was held back is not told when the object has changed back by the end of the interval") {
  StateHarness h;
  h.options.rate_limit_interval = 2s;
  h.start_with_alert();
  const doc::Json failure = h.failure_event("no such file", 0s);
  h.kube->put(kEvents, failure);
  h.until([&] { return !h.mark_of(failure).empty(); });
  const doc::Json recovery = event_now("shop", "applied", 0s);
  h.kube->put(kEvents, recovery);
  h.until([&] { return !h.mark_of(recovery).empty(); });
  h.bump(failure, 1s);
  h.turn(50ms);
  h.put_ready("shop", "True", "applied", -5s);
  h.turn(3000ms);
  CHECK(h.courier.messages() == std::vector<std::string>{"no such file", "applied"});
}

TEST_CASE("one that was well, failed unseen and is well again in the same words is told to be") {
  StateHarness h;
  h.start_with_alert();
  h.put_ready("shop", "True", "Applied revision: main@sha1:def", -10s);
  h.settle();
  h.kube->put(kEvents, h.failure_event("no such file"));
  h.until([&] { return h.courier.sent.size() == 1; });
  h.settle();
  h.put_ready("shop", "True", "Applied revision: main@sha1:def", 5s);
  h.until([&] { return h.courier.sent.size() == 2; });
  CHECK(h.courier.messages() == std::vector<std::string>{"no such file", "Applied revision: main@sha1:def"});
}

TEST_CASE("states of before the Alert, long ago, unwanted or passing are not told") {
  StateHarness h;
  doc::Json spec = doc::Json::object();
  spec["exclusionList"] = {"unwanted"};
  h.add_alert("a", spec);
  h.start();
  h.until([&] { return h.is_listening("a"); });
  h.put_ready("old", "False", "before the Alert", -2h);
  h.put_ready("unwanted", "False", "unwanted");
  h.clock.hold();
  h.put_ready("passing", "False", "passing");
  h.turn(20ms);
  h.put_ready("passing", "True", "well again");
  h.turn(20ms);
  h.clock.go_on();
  h.settle();
  CHECK(h.courier.sent.empty());
  CHECK(h.kube->count("create", "events") == 0);
}

TEST_CASE("a failure that comes again with each try is told though its time moves on") {
  StateHarness h;
  h.start_with_alert();
  for (int i = 0; i < 10; ++i) {
    h.put_ready("shop", "Unknown", "building");
    h.turn(15ms);
    h.put_ready("shop", "False", "no such file", std::chrono::seconds(i));
    h.turn(15ms);
  }
  h.until([&] { return h.courier.sent.size() == 1; });
  h.settle();
  CHECK(h.courier.sent.size() == 1);
}

TEST_CASE("a late word that is refused is written again, and sent once") {
  StateHarness h;
  h.start_with_alert();
  h.kube->fail_next("create", make_error(base::ErrorKind::invalid, "no"), 2);
  h.put_ready("shop", "False", "no such file");
  h.until([&] { return h.courier.sent.size() == 1; });
  h.settle();
  CHECK(h.kube->count("create", "events") == 3);
  CHECK(h.courier.sent.size() == 1);
}

TEST_CASE("who is suspended before its state was told has none") {
  StateHarness h;
  h.start_with_alert();
  h.clock.hold();
  h.put_ready("shop", "False", "no such file");
  h.turn(20ms);
  doc::Json object = h.kube->object(kKustomizations, {"apps", "shop"});
  object["spec"]["suspend"] = true;
  h.kube->put(kKustomizations, object);
  h.turn(20ms);
  h.clock.go_on();
  h.settle();
  CHECK(h.courier.sent.empty());
}

TEST_CASE("with a grace of zero only Events are told") {
  StateHarness h;
  h.options.event_grace = 0s;
  h.start_with_alert();
  h.put_ready("shop", "False", "no such file");
  h.settle();
  CHECK(h.courier.sent.empty());
}
