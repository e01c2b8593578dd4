// What a receiver was told last about an object is so, or becomes so, whatever else has changed meanwhile: a table of
// what was told, what happened since, and what changed.
#include <thread>

#include "dispatcher_harness.hpp"

using namespace std::chrono_literals;
using namespace sluice;
using namespace sluice::test;

namespace {

using Messages = std::vector<std::string>;

enum class Change {
  nothing,
  alert_edited,
  alert_edited_and_restart,
  alert_suspended_for_a_while,
  alert_wants_no_such_failures,
  alert_recreated,
  object_recreated,
  provider_edited,
  restart,
  downtime,           // what happened did so while nothing ran
  downtime_and_edit,  // and the Alert is edited after the next start
};

// Four objects, of which a chat was told that they are well, or that they failed, and that are not so any more.
struct LastWords : Harness {
  LastWords() {
    options.event_grace = 1s;
    options.rate_limit_interval = 4s;
    doc::Json chat = doc::Json::object();
    chat["type"] = "slack";
    kube->put(kProviders, make_provider("hook", chat));
  }

  void put_ready(const std::string& name, bool ok, const std::string& message) {
    doc::Json object = doc::Json::object();
    object["apiVersion"] = kGroup + "/v1";
    object["kind"] = "Kustomization";
    object["metadata"] = {{"name", name}, {"namespace", "apps"}, {"uid", "uid-" + name + suffix}};
    doc::Json ready = {{"type", "Ready"}, {"status", ok ? "True" : "False"}, {"message", message}};
    ready["reason"] = ok ? "ReconciliationSucceeded" : "BuildFailed";
    ready["lastTransitionTime"] = now_and();
    object["status"]["conditions"] = doc::Json::array({ready});
    object["status"]["lastAttemptedRevision"] = "main@sha1:abc";
    kube->put(kKustomizations, object);
  }
  doc::Json put_event(const std::string& name, bool ok, const std::string& message, bool for_commits = false) {
    doc::Json event = event_now(name, message, 0s);
    event["metadata"]["creationTimestamp"] = now_and();
    if (!ok) event["type"] = "Warning";
    if (for_commits) event["metadata"]["annotations"][kGroup + "/commit_status"] = "update";
    kube->put(kEvents, event);
    return event;
  }
  void tell(const std::string& name, bool ok, const std::string& message) {
    put_ready(name, ok, message);
    events[message] = put_event(name, ok, message);
  }
  // The chat was told, and the server's clock has gone on by a second.
  void until_sent(std::size_t count) {
    until([&] { return courier.sent.size() == count && process->dispatcher->taken() == 0; });
    turn(1050ms);
  }
  // What was told.
  void tell_all() {
    tell("again", false, "again: broke");
    tell("mended", false, "mended: broke once");
    until_sent(2);
    tell("again", true, "again: well");
    tell("mended", true, "mended: well");
    until_sent(4);
    tell("mended", false, "mended: broke twice");
    tell("silent", false, "silent: broke");
    tell("unseen", true, "unseen: well");
    until_sent(7);
  }
  // What happened since.
  void happen() {
    put_ready("again", false, "again: broke");  // told within the interval
    bump(events.at("again: broke"), 0s);
    put_ready("mended", true, "mended: well");
    bump(events.at("mended: well"), 0s);
    put_ready("silent", true, "silent: applied");  // its Event is not for chats
    put_event("silent", true, "silent: finished", true);
    put_ready("unseen", false, "unseen: broke");  // it has no Event
  }
  void wait() {
    if (process) {
      turn(1100ms);
    } else {
      std::this_thread::sleep_for(1100ms);
    }
  }
  void edit(const std::function<void(doc::Json& spec)>& change) {
    doc::Json live = kube->object(kAlerts, {"apps", "a"});
    change(live["spec"]);
    kube->put(kAlerts, live);
    until_seen("a");
    until([&] {
      const doc::Json now = kube->object(kAlerts, {"apps", "a"});
      const api::Conditions conditions = api::conditions_of(now);
      const auto* listening = conditions.find(notification_controller::kListeningCondition);
      return listening != nullptr && listening->observed_generation == api::generation_of(now);
    });
  }
  void restart() {
    crash();
    start();
  }
  void recreate_objects() {
    suffix = "-2";
    for (const std::string name : {"again", "mended", "silent", "unseen"}) {
      const api::ObjectKey key{"apps", name};
      const doc::Json ready = kube->object(kKustomizations, key)["status"]["conditions"][0];
      kube->erase(kKustomizations, key);
      turn(20ms);
      put_ready(name, ready["status"] == "True", ready["message"].get<std::string>());
    }
  }
  void suspend(bool is_suspended) {
    doc::Json live = kube->object(kAlerts, {"apps", "a"});
    live["spec"]["suspend"] = is_suspended;
    kube->put(kAlerts, live);
    until_seen("a");
  }
  void apply(Change change);
  Messages about(const std::string& name) const {
    Messages found;
    for (const auto& message : courier.messages()) {
      if (message.starts_with(name)) found.push_back(message);
    }
    return found;
  }

  std::map<std::string, doc::Json> events;  // by message
  std::string suffix;                       // of uids
};

void LastWords::apply(Change change) {
  const bool is_down = change == Change::downtime || change == Change::downtime_and_edit;
  const bool is_suspended = change == Change::alert_suspended_for_a_while;
  if (is_down) crash();
  if (is_suspended) suspend(true);
  clock.hold();  // neither the grace nor the interval ends before the change
  happen();
  wait();
  if (is_down) start();
  const bool is_edit = change == Change::alert_edited || change == Change::alert_edited_and_restart ||
                       change == Change::downtime_and_edit || is_suspended;
  if (is_edit) {
    edit([&](doc::Json& spec) {
      spec["eventMetadata"]["cluster"] = "production";
      spec["suspend"] = false;
    });
  }
  if (change == Change::alert_wants_no_such_failures) {
    edit([](doc::Json& spec) { spec["exclusionList"] = {"again: broke", "unseen: broke"}; });
  }
  if (change == Change::restart || change == Change::alert_edited_and_restart) restart();
  if (change == Change::object_recreated) recreate_objects();
  if (change == Change::provider_edited) {
    doc::Json live = kube->object(kProviders, {"apps", "hook"});
    live["spec"]["channel"] = "other";
    kube->put(kProviders, live);
    until_provider_seen("hook");
  }
  if (change == Change::alert_recreated) {
    doc::Json live = kube->object(kAlerts, {"apps", "a"});
    kube->erase(kAlerts, {"apps", "a"});
    until_seen("a");
    live.erase("status");
    live["metadata"]["uid"] = "uid-a-2";
    live["metadata"]["creationTimestamp"] = now_and();
    kube->put(kAlerts, live);
    until([&] { return is_listening("a"); });
  }
  clock.go_on();
}

struct Row {
  Change change;
  const char* what;
  Messages again{"again: broke", "again: well", "again: broke"};
  Messages mended{"mended: broke once", "mended: well", "mended: broke twice", "mended: well"};
  Messages silent{"silent: broke", "silent: applied"};
  Messages unseen{"unseen: well", "unseen: broke"};
};

void check(const Row& row) {
  INFO(row.what);
  LastWords h;
  h.start_with_alert();
  h.until([&] { return h.process->sources->is_ready("Kustomization"); });
  h.tell_all();
  h.apply(row.change);
  const std::size_t expected = row.again.size() + row.mended.size() + row.silent.size() + row.unseen.size();
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (h.courier.sent.size() < expected && std::chrono::steady_clock::now() < deadline) h.turn(100ms);
  h.turn(expected == 7 ? 6000ms : 1500ms);  // nothing more comes
  CHECK(h.about("again") == row.again);
  CHECK(h.about("mended") == row.mended);
  CHECK(h.about("silent") == row.silent);
  CHECK(h.about("unseen") == row.unseen);
}

}  // namespace

TEST_CASE("the last word is true in the end, whatever happens to Alert, Provider, object or process meanwhile") {
  const std::vector<Row> rows{
      {Change::nothing, "nothing"},
      {Change::provider_edited, "the Provider is edited"},
      {Change::restart, "the process is killed"},
      {Change::downtime, "no process runs"},
      {Change::object_recreated, "the objects are deleted and created anew"},
  };
  for (const auto& row : rows) check(row);
}

TEST_CASE("the last word is true in the end, however the Alert is edited meanwhile") {
  const std::vector<Row> rows{
      {Change::alert_edited, "an edit"},
      {Change::alert_edited_and_restart, "an edit and a kill"},
      {Change::alert_suspended_for_a_while, "a suspension"},
      {Change::downtime_and_edit, "an edit after no process ran"},
  };
  for (const auto& row : rows) check(row);
}

TEST_CASE("an edited Alert is not told what it does not want any more, a new one of the name nothing of before") {
  Row unwanted{Change::alert_wants_no_such_failures, "failures are excluded"};
  unwanted.again = {"again: broke", "again: well"};
  unwanted.unseen = {"unseen: well"};
  check(unwanted);
  Row anew{Change::alert_recreated, "the Alert is deleted and created anew"};
  anew.again = {"again: broke", "again: well"};
  anew.mended = {"mended: broke once", "mended: well", "mended: broke twice"};
  anew.silent = {"silent: broke"};
  anew.unseen = {"unseen: well"};
  check(anew);
}
