// What is sent, once, through crashes, faults and edits.
#include <ctime>

#include "dispatcher_harness.hpp"

using namespace std::chrono_literals;
using namespace sluice;
using namespace sluice::test;

TEST_CASE("an event is sent and noted on its Event, once") {
  Harness h;
  h.start_with_alert();
  const auto event = event_now("shop", "applied");
  h.kube->put(kEvents, event);
  h.until([&] { return !h.mark_of(event).empty(); });
  h.turn(50ms);
  CHECK(h.courier.messages() == std::vector<std::string>{"applied"});
  CHECK(h.mark_of(event).find("\"state\":\"sent\"") != std::string::npos);
  CHECK(h.courier.sent[0].metadata.at("revision") == "main@sha1:abc");
}

TEST_CASE("an Event that nobody wants is never written to") {
  Harness h;
  h.start_with_alert();
  doc::Json event = event_now("shop", "applied");
  event["involvedObject"]["kind"] = "HelmRelease";
  event["involvedObject"]["apiVersion"] = "helm.toolkit.fluxcd.io/v2";
  h.kube->put(kEvents, event);
  h.turn(50ms);
  CHECK(h.courier.sent.empty());
  CHECK(h.kube->count("patch", "events") == 0);
}

TEST_CASE("what happened while no process ran is sent by the next one, in order") {
  Harness h;
  h.start_with_alert();
  h.crash();
  for (int i = 0; i < 5; ++i) h.kube->put(kEvents, event_now("shop", "news " + std::to_string(i)));
  h.start();
  h.until([&] { return h.courier.sent.size() == 5; });
  CHECK(h.courier.messages() == std::vector<std::string>{"news 0", "news 1", "news 2", "news 3", "news 4"});
  h.crash();
  h.start();
  h.until([&] { return h.process->sources->is_ready("Kustomization"); });
  h.turn(50ms);
  CHECK(h.courier.sent.size() == 5);
}

TEST_CASE("a crash between the receiver's answer and the note sends again, under the same id") {
  Harness h;
  h.start_with_alert();
  h.courier.after_sending = [&] { h.kube->fail_next("patch", make_error(base::ErrorKind::unavailable, "gone"), 50); };
  h.kube->put(kEvents, event_now("shop", "applied"));
  h.until([&] { return h.courier.sent.size() == 1; });
  h.crash();
  h.kube->clear_faults();
  h.courier.after_sending = nullptr;
  h.start();
  h.until([&] { return h.courier.sent.size() == 2; });
  h.turn(50ms);
  CHECK(h.courier.sent.size() == 2);
  CHECK(h.courier.sent[0].id == h.courier.sent[1].id);
}

TEST_CASE("with a journal, a crash before the note is written sends nothing again, and the note is made up for") {
  Harness h;
  h.journal_path = "/tmp/sluice-journal-test-" + std::to_string(::getpid());
  ::unlink(h.journal_path.c_str());
  h.start_with_alert();
  h.courier.after_sending = [&] { h.kube->fail_next("patch", make_error(base::ErrorKind::unavailable, "gone"), 50); };
  const auto event = event_now("shop", "applied");
  h.kube->put(kEvents, event);
  h.until([&] { return h.courier.sent.size() == 1 && h.kube->count("patch", "events") > 0; });
  CHECK(h.mark_of(event).empty());
  h.crash();
  h.kube->clear_faults();
  h.start();
  h.until([&] { return !h.mark_of(event).empty(); });
  h.turn(50ms);
  CHECK(h.courier.sent.size() == 1);
  CHECK(h.mark_of(event).find("\"state\":\"sent\"") != std::string::npos);
  ::unlink(h.journal_path.c_str());
}

TEST_CASE("a note that cannot be written is tried again, and nothing else is sent to that Provider before") {
  Harness h;
  h.start_with_alert();
  h.courier.after_sending = [&] {
    h.courier.after_sending = nullptr;
    h.kube->fail_next("patch", make_error(base::ErrorKind::unavailable, "gone"), 2);
  };
  const auto first = event_now("shop", "one");
  const auto second = event_now("bank", "two");
  h.kube->put(kEvents, first);
  h.kube->put(kEvents, second);
  h.until([&] { return !h.mark_of(first).empty() && !h.mark_of(second).empty(); });
  CHECK(h.courier.messages() == std::vector<std::string>{"one", "two"});
}

TEST_CASE("neither a new nor an edited Alert sends history") {
  Harness h;
  h.kube->put(kEvents, event_now("shop", "old", -20min));
  h.add_alert("a", doc::Json::object(), -30min);  // older than the event, but never looked after
  h.start();
  h.until([&] { return h.is_listening("a"); });
  h.kube->put(kEvents, event_now("shop", "new"));
  h.until([&] { return h.courier.sent.size() == 1; });
  doc::Json spec = doc::Json::object();
  spec["eventMetadata"]["x"] = "y";
  h.add_alert("a", spec);
  h.add_alert("b", doc::Json::object(), 5s);
  h.until([&] { return h.is_listening("b"); });
  h.turn(100ms);
  CHECK(h.courier.messages() == std::vector<std::string>{"new"});
}

TEST_CASE("an Alert that was created while no process ran listens from its creation on") {
  Harness h;
  h.start_with_alert();
  h.crash();
  h.add_alert("b", doc::Json::object(), -5min);
  h.kube->put(kEvents, event_now("shop", "missed", -4min));
  h.kube->put(kEvents, event_now("shop", "before", -6min));
  h.start();
  h.until([&] { return h.is_listening("b") && !h.courier.sent.empty(); });
  h.turn(50ms);
  CHECK(h.courier.messages() == std::vector<std::string>{"missed"});
}

TEST_CASE("a repetition within the interval is not sent, in the same Event or another, also by the next process") {
  Harness h;
  h.options.rate_limit_interval = 3s;
  h.start_with_alert();
  const auto event = event_now("shop", "it broke");
  h.kube->put(kEvents, event);
  h.until([&] { return !h.mark_of(event).empty(); });
  const auto told = std::chrono::steady_clock::now();
  h.bump(event, 1s);
  h.kube->put(kEvents, event_now("shop", "it broke", 1s));
  h.turn(50ms);
  h.crash();
  h.start();
  h.until([&] { return h.process->sources->is_ready("Kustomization"); });
  h.turn(50ms);
  CHECK(h.courier.sent.size() == 1);
  while (std::chrono::steady_clock::now() < told + 4s) h.turn(100ms);
  CHECK(h.courier.sent.size() == 1);
  h.bump(event, 4s);
  h.until([&] { return h.courier.sent.size() == 2; });
  CHECK(h.courier.sent[0].id != h.courier.sent[1].id);
}

TEST_CASE("no time that an Event says switches the interval off, or holds later news back") {
  Harness h;
  h.options.rate_limit_interval = 2s;
  h.start_with_alert();
  const auto event = event_now("shop", "it broke", 1h);
  h.kube->put(kEvents, event);
  h.until([&] { return !h.mark_of(event).empty(); });
  h.bump(event, 2h);
  h.kube->put(kEvents, event_now("shop", "it broke", -20min));
  h.turn(100ms);
  CHECK(h.courier.sent.size() == 1);
  h.turn(2200ms);
  h.bump(event, 1h);  // no later than the first, as it says
  h.until([&] { return h.courier.sent.size() == 2; });
}

TEST_CASE("a Provider that fails or hangs delays no other") {
  Harness h;
  for (const auto* name : {"broken", "hung"}) {
    h.kube->put(kProviders, make_provider(name));
    doc::Json spec = doc::Json::object();
    spec["providerRef"]["name"] = name;
    h.add_alert(name, spec);
  }
  h.courier.answer["broken"] = make_error(base::ErrorKind::unavailable, "the receiver answered 500");
  h.courier.hang.insert("hung");
  h.start_with_alert();
  h.until([&] { return h.is_listening("broken") && h.is_listening("hung"); });
  const auto event = event_now("shop", "m0");
  h.kube->put(kEvents, event);
  for (int i = 1; i < 10; ++i) h.kube->put(kEvents, event_now("shop", "m" + std::to_string(i)));
  h.until([&] { return h.courier.messages("hook").size() == 10; });
  h.until([&] { return !h.mark_of(event, "uid-broken").empty(); });
  CHECK(h.mark_of(event, "uid-broken") == R"({"pending":true})");
  CHECK(h.process->dispatcher->trouble({"apps", "broken"}) == "the receiver answered 500");
  CHECK_FALSE(h.process->dispatcher->trouble({"apps", "hook"}));
  h.courier.answer.clear();
  h.kube->put(kProviders, [] {  // an edit has all tried at once
    doc::Json spec = doc::Json::object();
    spec["channel"] = "x";
    return make_provider("broken", spec);
  }());
  h.until([&] { return h.courier.messages("broken").size() == 10; });
  CHECK(h.courier.messages("broken") == h.courier.messages("hook"));
}

TEST_CASE("an edit of a Provider has tried at once what would wait for minutes") {
  Harness h;
  base::Error busy = make_error(base::ErrorKind::rate_limited, "the receiver answered 429");
  busy.retry_after = std::chrono::minutes(5);
  h.courier.answer["hook"] = busy;
  h.start_with_alert();
  const auto event = event_now("shop", "news");
  h.kube->put(kEvents, event);
  h.until([&] { return !h.mark_of(event).empty(); });
  h.courier.answer.clear();
  h.turn(50ms);
  CHECK(h.courier.sent.empty());
  doc::Json spec = doc::Json::object();
  spec["channel"] = "x";
  h.kube->put(kProviders, make_provider("hook", spec));
  h.until([&] { return h.courier.sent.size() == 1; });
}

TEST_CASE("what was tried in vain survives a crash and an edit of the Alert meanwhile") {
  Harness h;
  h.start_with_alert();
  h.courier.answer["hook"] = make_error(base::ErrorKind::unavailable, "down");
  const auto event = event_now("shop", "applied", -2s);
  h.until([&] { return api::conditions_of(h.kube->object(kAlerts, {"apps", "a"})).is_true("Ready"); });
  doc::Json live = h.kube->object(kAlerts, {"apps", "a"});
  for (auto& condition : live["status"]["conditions"]) condition["lastTransitionTime"] = now_and(-1min);
  h.kube->put(kAlerts, live);
  h.kube->put(kEvents, event);
  h.until([&] { return !h.mark_of(event).empty(); });
  live = h.kube->object(kAlerts, {"apps", "a"});
  live["spec"]["eventMetadata"]["edited"] = "yes";
  h.kube->put(kAlerts, live);
  h.turn(50ms);
  h.crash();
  h.courier.answer.clear();
  h.start();
  h.until([&] { return h.courier.sent.size() == 1; });
  CHECK(h.courier.sent[0].metadata.at("edited") == "yes");
}

TEST_CASE("a message that is refused for good is told of and not tried again, and its followers are sent") {
  Harness h;
  h.start_with_alert();
  h.courier.answer["hook"] = make_error(base::ErrorKind::invalid, "the receiver answered 413");
  const auto event = event_now("shop", "too much");
  h.kube->put(kEvents, event);
  h.until([&] { return !h.mark_of(event).empty(); });
  CHECK(h.mark_of(event).find("rejected") != std::string::npos);
  h.courier.answer.clear();
  h.kube->put(kEvents, event_now("shop", "less"));
  h.until([&] { return h.courier.sent.size() == 1; });
  h.until([&] {
    for (const auto& said : h.kube->all(kEvents)) {
      if (said.value("reason", "") == "NotificationDispatchFailed") return true;
    }
    return false;
  });
  CHECK(h.courier.messages() == std::vector<std::string>{"less"});
}

TEST_CASE("a suspended Provider gets nothing of what happens meanwhile, a suspended Alert neither") {
  Harness h;
  doc::Json suspended = doc::Json::object();
  suspended["suspend"] = true;
  h.kube->put(kProviders, make_provider("hook", suspended));
  h.start_with_alert();
  const auto event = event_now("shop", "quiet");
  h.kube->put(kEvents, event);
  h.until([&] { return !h.mark_of(event).empty(); });
  h.kube->put(kProviders, make_provider("hook"));
  h.turn(50ms);
  CHECK(h.courier.sent.empty());
  doc::Json live = h.kube->object(kAlerts, {"apps", "a"});
  live["spec"]["suspend"] = true;
  h.kube->put(kAlerts, live);
  h.until_seen("a");
  h.kube->put(kEvents, event_now("shop", "quiet too", -1s));
  h.turn(50ms);
  CHECK(h.courier.sent.empty());
}

TEST_CASE("messages wait for a Provider that is not there yet, and follow an Alert to another") {
  Harness h;
  doc::Json spec = doc::Json::object();
  spec["providerRef"]["name"] = "later";
  h.add_alert("a", spec);
  h.start();
  h.until([&] { return h.is_listening("a"); });
  CHECK(api::conditions_of(h.kube->object(kAlerts, {"apps", "a"})).reason("Ready") != "Succeeded");
  h.kube->put(kEvents, event_now("shop", "one"));
  h.turn(50ms);
  CHECK(h.courier.attempts == 0);
  doc::Json live = h.kube->object(kAlerts, {"apps", "a"});
  live["spec"]["providerRef"]["name"] = "hook";
  h.kube->put(kAlerts, live);
  h.until([&] { return h.courier.messages("hook") == std::vector<std::string>{"one"}; });
}

TEST_CASE("commit status updates go to webhooks and not to chats") {
  Harness h;
  doc::Json chat = doc::Json::object();
  chat["type"] = "slack";
  h.kube->put(kProviders, make_provider("chat", chat));
  doc::Json spec = doc::Json::object();
  spec["providerRef"]["name"] = "chat";
  h.add_alert("chat", spec);
  h.start_with_alert();
  h.until([&] { return h.is_listening("chat"); });
  doc::Json event = event_now("shop", "status");
  event["metadata"]["annotations"][kGroup + "/commit_status"] = "update";
  h.kube->put(kEvents, event);
  h.kube->put(kEvents, event_now("shop", "news"));
  h.until([&] { return h.courier.messages("chat").size() == 1 && h.courier.messages("hook").size() == 2; });
  CHECK(h.courier.messages("chat") == std::vector<std::string>{"news"});
}

TEST_CASE("labels are looked up live, and an object that comes after its event is waited for") {
  Harness h;
  doc::Json spec = doc::Json::object();
  doc::Json source = doc::Json::object();
  source["kind"] = "Kustomization";
  source["name"] = "*";
  source["matchLabels"]["team"] = "shop";
  spec["eventSources"] = doc::Json::array({source});
  h.add_alert("a", spec);
  h.start();
  h.until([&] { return h.is_listening("a") && h.process->sources->is_ready("Kustomization"); });
  h.kube->put(kEvents, event_now("ours", "one"));
  h.kube->put(kEvents, event_now("theirs", "two"));
  h.turn(50ms);
  CHECK(h.courier.sent.empty());
  doc::Json object = doc::Json::object();
  object["apiVersion"] = kGroup + "/v1";
  object["kind"] = "Kustomization";
  object["metadata"] = {{"name", "ours"}, {"namespace", "apps"}, {"uid", "uid-ours"}, {"labels", {{"team", "shop"}}}};
  h.kube->put(kKustomizations, object);
  object["metadata"] = {
      {"name", "theirs"}, {"namespace", "apps"}, {"uid", "uid-theirs"}, {"labels", {{"team", "bank"}}}};
  h.kube->put(kKustomizations, object);
  h.until([&] { return h.courier.sent.size() == 1; });
  h.turn(50ms);
  CHECK(h.courier.messages() == std::vector<std::string>{"one"});
}

TEST_CASE("events of a kind whose CRD is not installed are sent all the same") {
  Harness h;
  h.crd_installed = false;
  h.start_with_alert();
  h.kube->put(kEvents, event_now("shop", "applied"));
  h.until([&] { return h.courier.sent.size() == 1; });
  CHECK(h.courier.messages() == std::vector<std::string>{"applied"});
}

TEST_CASE("a message whose Event has expired is dropped") {
  Harness h;
  h.start_with_alert();
  h.courier.answer["hook"] = make_error(base::ErrorKind::unavailable, "down");
  const auto event = event_now("shop", "applied");
  h.kube->put(kEvents, event);
  h.until([&] { return !h.mark_of(event).empty(); });
  h.kube->erase(kEvents, api::key_of(event));
  h.courier.answer.clear();
  h.until([&] { return h.process->dispatcher->waiting() == 0; });
  CHECK(h.courier.sent.empty());
  CHECK(h.process->dispatcher->taken() == 0);
}

TEST_CASE("an edited Alert sends nothing before it is noted since when it is in force") {
  Harness h;
  doc::Json spec = doc::Json::object();
  doc::Json source = doc::Json::object();
  source["kind"] = "Kustomization";
  source["name"] = "shop";
  spec["eventSources"] = doc::Json::array({source});
  h.add_alert("a", spec);
  h.start();
  h.until([&] { return api::conditions_of(h.kube->object(kAlerts, {"apps", "a"})).is_true("Ready"); });
  doc::Json live = h.kube->object(kAlerts, {"apps", "a"});
  for (auto& condition : live["status"]["conditions"]) condition["lastTransitionTime"] = now_and(-1min);
  h.kube->put(kAlerts, live);
  h.kube->put(kEvents, event_now("bank", "before the edit", -2s));
  h.turn(50ms);
  h.kube->fail_next("patch", make_error(base::ErrorKind::unavailable, "gone"), 50);
  live = h.kube->object(kAlerts, {"apps", "a"});
  live["spec"]["eventSources"][0]["name"] = "*";
  h.kube->put(kAlerts, live);
  h.turn(100ms);
  CHECK(h.courier.attempts == 0);
  h.kube->clear_faults();
  h.kube->put(kEvents, event_now("bank", "after the edit", 2s));
  h.until([&] { return !h.courier.sent.empty(); });
  CHECK(h.courier.messages() == std::vector<std::string>{"after the edit"});
}

TEST_CASE("since when an Alert is in force does not move while it cannot be noted") {
  Harness h;
  h.start_with_alert();
  h.crash();
  h.start();  // it finds that Alerts were looked after before
  h.until([&] { return h.process->sources->is_ready("Kustomization"); });
  h.kube->fail_next("patch", make_error(base::ErrorKind::unavailable, "gone"), 3);
  h.add_alert("b", doc::Json::object(), -10min);
  h.turn(100ms);
  CHECK_FALSE(h.is_listening("b"));
  h.kube->put(kEvents, event_now("shop", "meanwhile", -5min));
  h.until([&] { return h.is_listening("b"); });
  h.until([&] { return !h.courier.sent.empty(); });
  CHECK(h.courier.messages() == std::vector<std::string>{"meanwhile"});
}

TEST_CASE("an Alert that the process found suspended is in force from its resumption on") {
  Harness h;
  h.start_with_alert();
  doc::Json live = h.kube->object(kAlerts, {"apps", "a"});
  for (auto& condition : live["status"]["conditions"]) condition["lastTransitionTime"] = now_and(-1min);
  live["spec"]["suspend"] = true;
  live["metadata"]["generation"] = 2;
  h.kube->put(kAlerts, live);
  h.until_seen("a");
  h.crash();
  h.start();
  h.kube->put(kEvents, event_now("shop", "while it was suspended", -5s));
  h.until_seen("a");
  h.turn(100ms);
  live = h.kube->object(kAlerts, {"apps", "a"});
  live["spec"]["suspend"] = false;
  live["metadata"]["generation"] = 3;
  h.kube->put(kAlerts, live);
  h.kube->put(kEvents, event_now("shop", "after it", 2s));
  h.until([&] { return !h.courier.sent.empty(); });
  h.turn(50ms);
  CHECK(h.courier.messages() == std::vector<std::string>{"after it"});
}

TEST_CASE("an expression that does not parse stalls its Alert and says where; the others count") {
  Harness h;
  doc::Json spec = doc::Json::object();
  spec["inclusionList"] = {"("};
  h.add_alert("a", spec);
  h.start();
  h.until([&] { return api::conditions_of(h.kube->object(kAlerts, {"apps", "a"})).is_true("Stalled"); });
  const auto conditions = api::conditions_of(h.kube->object(kAlerts, {"apps", "a"}));
  CHECK(conditions.reason("Ready") == "InvalidSpec");
  CHECK(conditions.message("Ready").find("spec.inclusionList[0]") == 0);
  CHECK(conditions.is_true(notification_controller::kListeningCondition));
  h.kube->put(kEvents, event_now("shop", "applied"));
  h.turn(50ms);
  CHECK(h.courier.sent.empty());
  doc::Json other = doc::Json::object();
  other["exclusionList"] = {"(", "noise"};
  h.add_alert("b", other);
  h.until([&] { return h.is_listening("b"); });
  h.kube->put(kEvents, event_now("shop", "noise"));
  h.kube->put(kEvents, event_now("shop", "news"));
  h.until([&] { return !h.courier.sent.empty() && h.courier.sent.back().message == "news"; });
  for (const auto& message : h.courier.messages()) CHECK(message != "noise");
}

TEST_CASE("an end in order finishes and notes the delivery that is on") {
  Harness h;
  h.start_with_alert();
  h.kube->latency = 20ms;
  const auto event = event_now("shop", "applied");
  h.kube->put(kEvents, event);
  h.courier.after_sending = [&] { h.process->runtime->shutdown(5s); };
  h.until([&] { return h.courier.sent.size() == 1; });
  h.courier.after_sending = nullptr;
  h.crash();
  CHECK(h.mark_of(event).find("sent") != std::string::npos);
  CHECK(h.courier.sent.size() == 1);
}

TEST_CASE("thousands of Events about one object are judged in slices of the loop's time") {
  Harness h;
  h.start_with_alert();
  h.crash();
  constexpr int kMany = 3'000;
  for (int i = 0; i < kMany; ++i) h.kube->put(kEvents, event_now("shop", "news " + std::to_string(i)));
  h.kube->latency = 1ms;  // pages that come one after the other, as over any network
  h.start();
  // Of the CPU, as others may want it too.
  const auto spent = [] { return std::chrono::duration<double>(static_cast<double>(std::clock()) / CLOCKS_PER_SEC); };
  std::chrono::duration<double> longest{};
  while (h.process->dispatcher->waiting() + h.courier.sent.size() < kMany) {
    const auto began = spent();
    h.process->runtime->context().restart();
    h.process->runtime->context().run_one_for(10ms);
    if (h.process->sources->is_ready("Kustomization")) longest = std::max(longest, spent() - began);
  }
  INFO(longest.count() << " s");
  CHECK(longest < 1s);  // some minutes if each were held against all others
  h.courier.after_sending = [&] { h.courier.hang.insert("hook"); };
  h.turn(10ms);
}

TEST_CASE("what is kept about a Provider goes with it, and what waits for it is sent when it comes back") {
  Harness h;
  h.start_with_alert();
  h.courier.answer["hook"] = make_error(base::ErrorKind::unavailable, "down");
  const auto event = event_now("shop", "one");
  h.kube->put(kEvents, event);
  h.until([&] { return !h.mark_of(event).empty(); });
  CHECK(h.process->dispatcher->trouble({"apps", "hook"}));
  const doc::Json provider = h.kube->object(kProviders, {"apps", "hook"});
  const auto is_counted = [&] {
    return h.process->app->metrics().text().find("provider=\"hook\"") != std::string::npos;
  };
  CHECK(is_counted());
  h.kube->erase(kProviders, {"apps", "hook"});
  h.until_provider_seen("hook");
  h.process->dispatcher->forget({"apps", "hook"});
  CHECK_FALSE(h.process->dispatcher->trouble({"apps", "hook"}));
  CHECK_FALSE(is_counted());
  CHECK(h.process->dispatcher->waiting() == 1);
  CHECK(h.process->dispatcher->outboxes() == 1);
  h.courier.answer.clear();
  h.kube->put(kProviders, make_provider("hook"));
  h.until([&] { return h.courier.sent.size() == 1; });
  h.until([&] { return h.process->dispatcher->outboxes() == 0; });
  h.kube->put(kEvents, event_now("shop", "two"));
  h.until([&] { return h.courier.sent.size() == 2; });
}

TEST_CASE("the series of a Provider that goes while something is sent to it are gone when that is sent") {
  Harness h;
  h.start_with_alert();
  h.courier.hang.insert("hook");
  h.kube->put(kEvents, event_now("shop", "one"));
  h.until([&] { return h.courier.attempts == 1; });
  h.kube->erase(kProviders, {"apps", "hook"});
  h.until_provider_seen("hook");
  h.process->dispatcher->forget({"apps", "hook"});
  h.courier.hang.clear();
  h.until([&] { return h.process->dispatcher->outboxes() == 0; });
  CHECK(h.courier.sent.size() == 1);
  CHECK(h.process->app->metrics().text().find("provider=\"hook\"") == std::string::npos);
}

TEST_CASE("a time of another century in a mark that others wrote holds up no message") {
  Harness h;
  h.start_with_alert();
  auto marked = event_now("shop", "applied");
  notification_controller::DeliveryMark mark;
  mark.state = notification_controller::DeliveryState::sent;
  mark.count = 1;
  mark.last = at("2261-12-31T00:00:00Z");
  mark.digest = make_occurrence(marked).digest;
  marked["metadata"]["annotations"][notification_controller::mark_key("uid-a")] =
      notification_controller::print_mark(mark);
  h.kube->put(kEvents, marked);
  h.until([&] { return h.courier.sent.size() == 1; });
  auto of_old = make_event("shop", "applied again", "1957-06-01T00:00:00Z");  // by its emitter's clock
  of_old["metadata"]["creationTimestamp"] = now_and(1s);
  h.kube->put(kEvents, of_old);
  h.until([&] { return h.courier.sent.size() == 2; });
}
