// A daemon of one small kind against a real API server: what the fake one of the
// unit tests can only be believed to do.
#include <algorithm>
#include <boost/asio/io_context.hpp>

#include "api/conditions.hpp"
#include "cluster/api_server.hpp"
#include "cluster/cluster.hpp"
#include "controller/app.hpp"

using namespace std::chrono_literals;
using sluice::doc::Json;
using sluice::test::ApiServer;
using sluice::test::Cluster;
namespace api = sluice::api;
namespace base = sluice::base;
namespace controller = sluice::controller;
namespace kube = sluice::kube;
namespace rt = sluice::rt;

namespace {

const kube::Resource kEchoes{"test.sluice.dev", "v1", "Echo", "echoes", true};
const kube::Resource kEvents{"", "v1", "Event", "events", true};
const kube::Resource kLeases{"coordination.k8s.io", "v1", "Lease", "leases", true};
const kube::Resource kDefinitions{"apiextensions.k8s.io", "v1", "CustomResourceDefinition",
                                  "customresourcedefinitions", false};

struct EchoRun {
  controller::RunContext& context;
  std::string text;
};

// Says what the spec says; waits as long as `spec.wait` is set.
class EchoReconciler final : public controller::StepReconciler<EchoRun> {
 public:
  const controller::KindTraits& traits() const override { return kind_; }
  base::Result<std::unique_ptr<EchoRun>> begin(controller::RunContext& context) override {
    ++runs;
    return std::make_unique<EchoRun>(
        EchoRun{context, std::string(sluice::doc::find_string(*context.object, {"spec", "text"}))});
  }
  controller::Steps<EchoRun> steps() override {
    using enum controller::Interrupt;
    return {{"check", check},
            {"announce", [this](EchoRun& run) { return announce(run); }, between_steps},
            {"wait", [this](EchoRun& run) { return wait(run); }},
            {"say", say}};
  }
  std::optional<base::Duration> deadline_of(const Json& object) const override {
    auto timeout = base::parse_duration(sluice::doc::find_string(object, {"spec", "timeout"}));
    if (!timeout) return std::nullopt;
    return *timeout;
  }
  controller::Steps<EchoRun> finalizers() override {
    return {{"count", [this](EchoRun&) { return count(); }}};
  }

  int runs = 0;
  int announced = 0;
  int waiting = 0;
  int finalized = 0;

 private:
  rt::Task<controller::StepResult> count() {
    ++finalized;
    co_return controller::kContinue;
  }
  static rt::Task<controller::StepResult> check(EchoRun& run) {
    if (!run.text.empty()) co_return controller::kContinue;
    base::Error error;
    error.kind = base::ErrorKind::invalid;
    error.message = "spec.text: is empty";
    co_return controller::stall("InvalidText", std::move(error));
  }
  // Names an object in the inventory, does something for a while, and names another one.
  rt::Task<controller::StepResult> announce(EchoRun& run) {
    const std::string first(sluice::doc::find_string(*run.context.object, {"spec", "announce"}));
    if (first.empty()) co_return controller::kContinue;
    run.context.progress("Announcing");
    for (const std::string& name : {first, first + "-too"}) {
      run.context.status["inventory"]["entries"].push_back({{"id", name}, {"v", "v1"}});
      auto saving = run.context.save();
      auto saved = co_await std::move(saving);
      if (!saved) co_return controller::retry("ReconciliationFailed", std::move(saved).error());
      ++announced;
      co_await rt::sleep_for(700ms);
    }
    co_return controller::kContinue;
  }
  rt::Task<controller::StepResult> wait(EchoRun& run) {
    if (sluice::doc::find(*run.context.object, {"spec", "wait"}) == nullptr) co_return controller::kContinue;
    run.context.progress("Waiting as told");
    ++waiting;
    co_await rt::sleep_for(1h);
    co_return controller::kContinue;
  }
  static rt::Task<controller::StepResult> say(EchoRun& run) {
    run.context.status["echo"] = run.text;
    run.context.ready_message = "Echoed " + run.text;
    run.context.event_metadata["revision"] = run.text;
    run.context.event(controller::Severity::info, "Echoed", std::string(2000, 'x') + run.text);
    co_return controller::Done{1h};
  }

  controller::KindTraits kind_{kEchoes, "finalizers.fluxcd.io", "echo-controller", {}, true};
};

Json definition() {
  return Json::parse(R"({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "echoes.test.sluice.dev"},
    "spec": {"group": "test.sluice.dev", "scope": "Namespaced",
      "names": {"kind": "Echo", "plural": "echoes", "singular": "echo", "listKind": "EchoList"},
      "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {
          "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
          "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}]}})");
}

// A cluster with the kind, and daemons on it.
struct Stand : Cluster {
  struct Daemon {
    std::shared_ptr<EchoReconciler> reconciler = std::make_shared<EchoReconciler>();
    std::unique_ptr<controller::App> app;
    std::optional<base::Result<void>> ended;
  };

  Stand() {
    auto created = run(client->create(kDefinitions, definition(), "test"));
    if (!created) REQUIRE(created.error().kind == base::ErrorKind::already_exists);
    until([&] { return run(client->list(kEchoes, kube::ListOptions())).has_value(); });
    options = controller::default_options("echo-controller");
    options.metrics_addr = "127.0.0.1:0";
    options.health_addr = "127.0.0.1:0";
    options.watch_all_namespaces = false;
    options.runtime_namespace = namespace_;
    options.graceful_shutdown = 10s;
    options.leader_election.lease_duration = 3s;
    options.leader_election.renew_deadline = 2s;
    options.leader_election.retry_period = 100ms;
  }
  ~Stand() {
    // A test may have told it before; so this asks the daemons, not the runtime, for the end.
    runtime.shutdown(10s);
    const auto runs = [](const auto& daemon) { return !daemon->ended; };
    for (int i = 0; i < 1000 && std::any_of(daemons.begin(), daemons.end(), runs); ++i) turn(20ms);
  }

  Daemon& start() {
    Daemon& daemon = *daemons.emplace_back(std::make_unique<Daemon>());
    daemon.app = std::make_unique<controller::App>(runtime, options, base::Logger::discard(), client);
    daemon.app->add(daemon.reconciler);
    runtime.spawn("app", live(daemon));
    return daemon;
  }
  static rt::Task<void> live(Daemon& daemon) {
    auto running = daemon.app->run();
    auto ended = co_await std::move(running);
    daemon.ended = std::move(ended);
  }

  void until(const std::function<bool()>& is_so, std::chrono::seconds limit = 20s) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!is_so()) {
      if (std::chrono::steady_clock::now() > deadline) FAIL("it never became so");
      turn(20ms);
    }
  }
  void turn(std::chrono::milliseconds time) {
    runtime.context().restart();
    runtime.context().run_for(time);
  }

  api::ObjectKey key(const std::string& name) const { return {namespace_, name}; }
  void create(const std::string& name, Json spec, Json annotations = Json::object()) {
    Json echo = Json::object();
    echo["apiVersion"] = kEchoes.api_version();
    echo["kind"] = kEchoes.kind;
    echo["metadata"]["name"] = name;
    echo["metadata"]["namespace"] = namespace_;
    echo["metadata"]["annotations"] = std::move(annotations);
    echo["spec"] = std::move(spec);
    auto created = run(client->create(kEchoes, std::move(echo), "test"));
    if (!created) FAIL(created.error().message);
  }
  void patch(const std::string& name, Json change) {
    auto patched = run(client->patch(kEchoes, key(name), kube::PatchType::merge, std::move(change), {}));
    if (!patched) FAIL(patched.error().message);
  }
  Json echo(const std::string& name) {
    auto found = run(client->get(kEchoes, key(name)));
    return found ? *std::move(found) : Json(nullptr);
  }
  bool is_ready(const std::string& name) {
    const Json found = echo(name);
    if (found.is_null() || !api::conditions_of(found).is_true("Ready")) return false;
    return found["status"].value("observedGeneration", std::int64_t{0}) == api::generation_of(found);
  }
  std::vector<Json> events(const std::string& reason) {
    kube::ListOptions list_options;
    list_options.namespace_ = namespace_;
    auto found = run(client->list(kEvents, list_options));
    std::vector<Json> matching;
    if (!found) return matching;
    for (auto& item : found->items) {
      if (item.value("reason", std::string()) == reason) matching.push_back(std::move(item));
    }
    return matching;
  }
  // kstatus-sane, and observedGeneration right.
  void check_sane(const std::string& name, bool settled = true) {
    const Json found = echo(name);
    const auto faults =
        api::check_conditions(api::conditions_of(found), api::generation_of(found),
                              found["status"].value("observedGeneration", std::int64_t{0}), settled);
    CAPTURE(found.dump(), faults);
    CHECK(faults.empty());
  }

  controller::Options options;
  std::vector<std::unique_ptr<Daemon>> daemons;
};

}  // namespace

TEST_CASE("on a real server: finalizer, status, event, request, supersede, stall and deletion") {
  Stand stand;
  auto& daemon = stand.start();
  stand.create("a", {{"text", "one"}}, {{"event.toolkit.fluxcd.io/team", "blue"}});
  stand.until([&] { return stand.is_ready("a"); });
  stand.check_sane("a");
  Json found = stand.echo("a");
  CHECK(found["metadata"]["finalizers"] == Json{"finalizers.fluxcd.io"});
  CHECK(found["status"]["echo"] == "one");
  CHECK(api::conditions_of(found).message("Ready") == "Echoed one");
  CHECK(daemon.reconciler->runs == 1);

  stand.until([&] { return !stand.events("Echoed").empty(); });
  const Json event = stand.events("Echoed").at(0);
  CHECK(event["metadata"]["annotations"] ==
        Json{{"event.toolkit.fluxcd.io/team", "blue"}, {"test.sluice.dev/revision", "one"}});
  CHECK(event["involvedObject"]["uid"] == found["metadata"]["uid"]);
  CHECK(event["message"].get<std::string>().size() == 2003);  // not cut, as upstream's are not
  CHECK(event["source"]["component"] == "echo-controller");

  // Nothing to do, nothing written.
  stand.turn(500ms);
  CHECK(stand.echo("a")["metadata"]["resourceVersion"] == found["metadata"]["resourceVersion"]);

  stand.patch("a", {{"metadata", {{"annotations", {{"reconcile.fluxcd.io/requestedAt", "now"}}}}}});
  stand.until([&] { return stand.echo("a")["status"].value("lastHandledReconcileAt", std::string()) == "now"; });
  CHECK(daemon.reconciler->runs == 2);

  stand.patch("a", {{"spec", {{"wait", true}}}});
  stand.until([&] { return api::conditions_of(stand.echo("a")).is_true("Reconciling"); });
  stand.check_sane("a", false);
  stand.patch("a", {{"spec", {{"wait", nullptr}, {"text", "two"}}}});
  stand.until([&] { return stand.is_ready("a"); });
  CHECK(stand.echo("a")["status"]["echo"] == "two");
  stand.check_sane("a");

  stand.patch("a", {{"spec", {{"text", ""}}}});
  stand.until([&] { return api::conditions_of(stand.echo("a")).is_true("Stalled"); });
  CHECK(api::conditions_of(stand.echo("a")).reason("Ready") == "InvalidText");
  stand.check_sane("a");

  REQUIRE(stand.run(stand.client->remove(kEchoes, stand.key("a"), {})));
  stand.until([&] { return stand.echo("a").is_null(); });
  CHECK(daemon.reconciler->finalized == 1);
}

TEST_CASE("on a real server: one of two replicas leads, and the other takes over when the lease is lost") {
  Stand stand;
  stand.options.leader_election.enabled = true;
  auto& first = stand.start();
  stand.create("a", {{"text", "one"}});
  stand.until([&] { return stand.is_ready("a"); });
  auto& second = stand.start();
  stand.turn(500ms);
  CHECK(first.reconciler->runs == 1);
  CHECK(second.reconciler->runs == 0);

  // As if the server had given it to a third one, which then says no more.
  auto lease = stand.run(stand.client->get(kLeases, {stand.namespace_, "echo-controller-leader-election"}));
  REQUIRE(lease);
  auto stolen = stand.run(stand.client->patch(kLeases, api::key_of(*lease), kube::PatchType::merge,
                                              {{"spec", {{"holderIdentity", "thief"}}}}, {}));
  REQUIRE(stolen);
  stand.until([&] { return first.ended.has_value(); });
  CHECK_FALSE(first.ended->has_value());
  stand.until([&] { return second.reconciler->runs == 1; });
  stand.patch("a", {{"spec", {{"text", "two"}}}});
  stand.until([&] { return stand.is_ready("a"); });
  CHECK(first.reconciler->runs == 1);
  CHECK(stand.echo("a")["status"]["echo"] == "two");
}

TEST_CASE("on a real server: a replica that cannot renew its lease ends before another one may take it") {
  Stand stand;
  ApiServer server;
  stand.options.leader_election.enabled = true;
  auto& daemon = stand.start();
  stand.create("a", {{"text", "one"}});
  stand.until([&] { return stand.is_ready("a"); });
  SECTION("as the server is gone") { server.stop(); }
  SECTION("as the server hangs") { server.freeze(); }
  const auto away = std::chrono::steady_clock::now();
  stand.until([&] { return daemon.ended.has_value(); });
  // Whatever is still to end in that time has been cancelled.
  CHECK(std::chrono::steady_clock::now() - away < stand.options.leader_election.lease_duration + 4s);
  REQUIRE_FALSE(daemon.ended->has_value());
  CHECK(daemon.ended->error().message == "leadership was lost");
  CHECK(daemon.reconciler->runs == 1);
  server.thaw();
  server.start_if_stopped();
  stand.until([&] { return stand.run(stand.client->get(kEchoes, stand.key("a"))).has_value(); }, 60s);
}

TEST_CASE("on a real server: a status that another replica has written is not overwritten, and no object is lost") {
  Stand stand;
  auto& daemon = stand.start();
  stand.create("a", {{"text", "one"}, {"announce", "ours"}});
  stand.until([&] { return daemon.reconciler->announced == 1; });
  // What the other replica has found: its inventory, and a newer result.
  kube::PatchOptions of_status;
  of_status.subresource = "status";
  auto written = stand.run(stand.client->patch(
      kEchoes, stand.key("a"), kube::PatchType::merge,
      {{"status", {{"echo", "theirs"}, {"inventory", {{"entries", {{{"id", "theirs"}, {"v", "v1"}}}}}}}}}, of_status));
  REQUIRE(written);
  stand.until([&] { return stand.is_ready("a"); });
  stand.check_sane("a");
  std::vector<std::string> ids;
  const Json found = stand.echo("a");
  for (const auto& entry : found["status"]["inventory"]["entries"]) ids.push_back(entry["id"].get<std::string>());
  for (const char* id : {"ours", "ours-too", "theirs"}) CHECK(std::count(ids.begin(), ids.end(), id) >= 1);
  CHECK(daemon.reconciler->runs == 2);
  CHECK(stand.events("ReconciliationFailed").empty());
}

TEST_CASE("on a real server: a run that is not done in time fails, frees its worker and is tried again") {
  Stand stand;
  stand.options.concurrent = 1;
  auto& daemon = stand.start();
  stand.create("a", {{"text", "one"}, {"wait", true}, {"timeout", "1s"}});
  stand.until([&] { return daemon.reconciler->waiting == 1; });
  stand.create("b", {{"text", "one"}});
  stand.until([&] { return stand.is_ready("b"); });
  stand.until([&] { return api::conditions_of(stand.echo("a")).is_false("Ready"); });
  CHECK(api::conditions_of(stand.echo("a")).message("Ready") ==
        "not done within the timeout of 1s: step 'wait' did not end (Waiting as told)");
  stand.check_sane("a");
  stand.until([&] { return daemon.reconciler->waiting >= 2; });
}

TEST_CASE("on a real server: suspended in the middle of writing, an object says what was done") {
  Stand stand;
  auto& daemon = stand.start();
  stand.create("a", {{"text", "one"}, {"announce", "ours"}});
  stand.until([&] { return daemon.reconciler->announced == 1; });
  stand.patch("a", {{"spec", {{"suspend", true}}}});
  stand.until([&] { return api::conditions_of(stand.echo("a")).is_true("Ready"); });
  CHECK(stand.echo("a")["status"]["echo"] == "one");
  CHECK_FALSE(api::conditions_of(stand.echo("a")).has("Reconciling"));
  stand.create("b", {{"text", "one"}, {"announce", "ours"}, {"wait", true}});
  stand.until([&] { return daemon.reconciler->announced == 3; });
  stand.patch("b", {{"spec", {{"suspend", true}}}});
  stand.until([&] { return api::conditions_of(stand.echo("b")).reason("Ready") == "Suspended"; });
  CHECK(api::conditions_of(stand.echo("b")).message("Ready") == "Suspended while in progress: Waiting as told");
  CHECK(stand.echo("b")["status"]["inventory"]["entries"].size() == 2);
  const int runs = daemon.reconciler->runs;
  stand.turn(1s);
  CHECK(daemon.reconciler->runs == runs);
}

TEST_CASE("on a real server: told to stop, what waits is cut, what is known is written, and the lease is free") {
  Stand stand;
  stand.options.leader_election.enabled = true;
  stand.options.graceful_shutdown = 2s;
  auto& daemon = stand.start();
  stand.create("a", {{"text", "one"}, {"wait", true}});
  stand.until([&] { return daemon.reconciler->waiting == 1; });
  stand.runtime.shutdown(20s);
  const auto started = std::chrono::steady_clock::now();
  stand.until([&] { return daemon.ended.has_value(); });
  CHECK(std::chrono::steady_clock::now() - started < 10s);
  CHECK(daemon.ended->has_value());
  Cluster after;
  auto lease = after.run(after.client->get(kLeases, {stand.namespace_, "echo-controller-leader-election"}));
  REQUIRE(lease);
  CHECK((*lease)["spec"]["holderIdentity"] == "");
  auto left = after.run(after.client->get(kEchoes, stand.key("a")));
  REQUIRE(left);
  CHECK((*left)["metadata"]["finalizers"].size() == 1);
}

TEST_CASE("on a real server: a daemon outlives its API server, and misses nothing of what happened meanwhile") {
  Stand stand;
  ApiServer server;
  auto& daemon = stand.start();
  stand.create("a", {{"text", "one"}});
  stand.create("b", {{"text", "one"}});
  stand.until([&] { return stand.is_ready("a") && stand.is_ready("b"); });
  controller::WatchCacheOptions of_echoes;
  of_echoes.resource = kEchoes;
  auto& cache = daemon.app->cache(of_echoes);
  const Json seen = *cache.find(stand.key("a"));
  const int runs = daemon.reconciler->runs;

  server.stop();
  stand.until([&] { return !cache.is_in_touch(); });
  // While it is away an event is emitted, and an object falls due.
  daemon.app->events().emit(seen, {controller::Severity::error, "Outage", "said while the server was away", {}, {}});
  stand.turn(2s);
  CHECK(cache.size() == 2);
  CHECK(daemon.reconciler->runs == runs);
  CHECK_FALSE(daemon.ended);

  server.start();
  stand.until([&] { return stand.run(stand.client->get(kEchoes, stand.key("a"))).has_value(); }, 60s);
  stand.patch("a", {{"spec", {{"text", "two"}}}});
  REQUIRE(stand.run(stand.client->remove(kEchoes, stand.key("b"), {})));
  stand.until([&] { return stand.is_ready("a") && stand.echo("b").is_null(); }, 60s);
  CHECK(stand.echo("a")["status"]["echo"] == "two");
  stand.until([&] { return stand.events("Outage").size() == 1; }, 30s);
  CHECK(cache.size() == 1);
  CHECK_FALSE(daemon.ended);
}
