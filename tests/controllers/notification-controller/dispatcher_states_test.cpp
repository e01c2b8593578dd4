// What is told from the status, because no Event told it.
#include "dispatcher_harness.hpp"

using namespace std::chrono_literals;
using namespace sluice;
using namespace sluice::test;

namespace {

struct StateHarness : Harness {
  StateHarness() { options.event_grace = 100ms; }

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
    turn(400ms);
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
  h.settle();
  CHECK(h.courier.messages() == std::vector<std::string>{"no such file: in other words"});
  h.put_ready("shop", "True", "Applied revision: main@sha1:def", 2s);
  h.turn(30ms);
  h.kube->put(kEvents, event_now("shop", "finished", 2s));
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

TEST_CASE("states of before the Alert, long ago, unwanted or passing are not told") {
  StateHarness h;
  doc::Json spec = doc::Json::object();
  spec["exclusionList"] = {"unwanted"};
  h.add_alert("a", spec);
  h.start();
  h.until([&] { return h.is_listening("a"); });
  h.put_ready("old", "False", "before the Alert", -2h);
  h.put_ready("unwanted", "False", "unwanted");
  h.put_ready("passing", "False", "passing");
  h.turn(20ms);
  h.put_ready("passing", "True", "well again");
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
  h.put_ready("shop", "False", "no such file");
  h.turn(20ms);
  doc::Json object = h.kube->object(kKustomizations, {"apps", "shop"});
  object["spec"]["suspend"] = true;
  h.kube->put(kKustomizations, object);
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
