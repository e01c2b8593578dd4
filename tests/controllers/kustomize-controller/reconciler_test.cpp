// The whole reconciler against an API server in memory and an artifact server.
#include "kustomize-controller/kustomization_reconciler.hpp"

#include <catch2/catch.hpp>

#include "api/names.hpp"
#include "base/digest.hpp"
#include "http/server.hpp"
#include "libs/archive/raw_tar.hpp"
#include "libs/archive/temporary_folder.hpp"
#include "libs/controller/harness.hpp"
#include "support/run_task.hpp"

using namespace sluice;
using base::ErrorKind;
using kustomize_controller::KustomizationReconciler;

namespace {

const kube::Resource kKustomizations{"kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations", true};
const kube::Resource kRepositories{"source.toolkit.fluxcd.io", "v1", "GitRepository", "gitrepositories", true};
const kube::Resource kMaps{"", "v1", "ConfigMap", "configmaps", true};
const kube::Resource kDeployments{"apps", "v1", "Deployment", "deployments", true};

std::string config_map(const std::string& name, const std::string& value) {
  return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n  namespace: apps\ndata:\n  k: \"" + value +
         "\"\n";
}

struct Fixture : test::Harness {
  test::TemporaryFolder folder;
  std::map<std::string, std::string> archives;  // by path
  std::unique_ptr<http::Server> server;
  std::shared_ptr<artifact::Fetcher> fetcher;
  std::shared_ptr<apply::LiveObjects> live;
  std::unique_ptr<controller::WatchCache> cache;
  std::unique_ptr<controller::Controller> controller;

  static rt::Task<http::Reply> answer(Fixture* self, http::Request request) {
    const auto found = self->archives.find(request.target);
    http::Reply reply;
    reply.status = found == self->archives.end() ? 404 : 200;
    reply.body = found == self->archives.end() ? std::string() : found->second;
    co_return reply;
  }

  explicit Fixture(controller::Options common = {}, std::set<api::GroupKind> custom_stage = {}) {
    kube->serve({kKustomizations, kRepositories, kMaps, kDeployments});
    auto started = http::Server::start(*runtime, "127.0.0.1:0",
                                       [this](http::Request request) { return answer(this, std::move(request)); });
    REQUIRE(started);
    server = *std::move(started);
    artifact::FetcherOptions fetching;
    fetching.cache.root = folder.path().string();
    fetching.retry_delay = std::chrono::milliseconds(1);
    auto made = artifact::Fetcher::create(*runtime, std::move(fetching));
    REQUIRE(made);
    fetcher = *std::move(made);
    auto mapper = std::make_shared<kube::RestMapper>(kube);
    apply::LiveOptions options;
    options.owner_group = api::group::kKustomize;
    options.field_manager = "kustomize-controller";
    options.foreign = apply::foreign_managers(options.field_manager, {});
    options.min_backoff = std::chrono::milliseconds(1);
    live = apply::LiveObjects::create(*runtime, kube, base::Logger::discard(), std::move(options));
    auto sources = std::make_shared<sources::Sources>(
        sources::SourceServices{*runtime, kube, mapper, base::system_clock(), base::Logger::discard(), ""});
    auto reconciler = std::make_shared<KustomizationReconciler>(
        kustomize_controller::ReconcilerServices{*runtime, base::system_clock(), metrics, mapper, fetcher, live,
                                                 sources},
        std::move(common), kustomize_controller::KustomizeOptions{}, std::move(custom_stage));
    controller::WatchCacheOptions cached;
    cached.resource = kKustomizations;
    cache = std::make_unique<controller::WatchCache>(kube, base::system_clock(), base::Logger::discard(), cached);
    controller::ControllerOptions running;
    running.concurrency = 1;  // what only waits must not hold it
    running.retry.min = std::chrono::milliseconds(5);
    controller = std::make_unique<controller::Controller>(
        controller::Services{*runtime, kube, base::system_clock(), base::Logger::discard(), events, metrics},
        reconciler, *cache, running);
    reconciler->attach(*controller);
    sources->start();
  }
  // First all that runs ends, then what has sockets goes, and then what these lie on.
  ~Fixture() {
    runtime->shutdown(std::chrono::milliseconds(0));
    runtime->context().restart();
    runtime->run();
    controller.reset();
    cache.reset();
    live.reset();
    fetcher.reset();
    server.reset();
    runtime.reset();
  }
  static rt::Task<void> run_all(Fixture* self) {
    const bool synced = co_await self->cache->wait_synced(std::chrono::seconds(5));
    static_cast<void>(synced);
    co_await self->controller->run();
  }
  void start() {
    runtime->spawn("cache", cache->run());
    runtime->spawn("controller", run_all(this));
  }

  // A new artifact of the repository.
  void publish(const std::map<std::string, std::string>& files, const std::string& revision,
               const std::string& at = "2026-01-01T00:00:00Z") {
    std::string tar;
    for (const auto& [path, text] : files) {
      test::RawEntry entry;
      entry.name = path;
      entry.body = text;
      tar += test::raw_entry(entry);
    }
    const std::string bytes = test::gzip(tar + test::end_marker());
    const std::string path = "/" + base::sha256_hex(bytes) + ".tar.gz";
    archives[path] = bytes;
    doc::Json source = {{"metadata", {{"name", "repo"}, {"namespace", "flux-system"}}}, {"spec", {{"url", "x"}}}};
    source["status"]["artifact"] = {{"url", "http://127.0.0.1:" + std::to_string(server->port()) + path},
                                    {"digest", base::sha256_digest(bytes)},
                                    {"path", path},
                                    {"revision", revision},
                                    {"lastUpdateTime", at}};
    kube->put(kRepositories, source);
  }
  void kustomize(const std::string& name, doc::Json spec = doc::Json::object()) {
    doc::Json object = {{"metadata", {{"name", name}, {"namespace", "flux-system"}}}};
    object["spec"] = {{"interval", "10m"}, {"retryInterval", "20ms"}, {"prune", true}, {"path", "./" + name}};
    object["spec"]["sourceRef"] = {{"kind", "GitRepository"}, {"name", "repo"}};
    object["spec"].update(spec);
    kube->put(kKustomizations, object);
  }
  doc::Json get(const std::string& name) const { return kube->object(kKustomizations, {"flux-system", name}); }
  doc::Json map(const std::string& name) const { return kube->object(kMaps, {"apps", name}); }
  std::string value(const std::string& name) const {
    const doc::Json object = map(name);
    return object.is_null() ? "" : object["data"]["k"].get<std::string>();
  }
  bool is_ready(const std::string& name, const std::string& revision) const {
    const doc::Json object = get(name);
    if (object.is_null()) return false;
    return api::conditions_of(object).is_true("Ready") &&
           doc::find_string(object, {"status", "lastAppliedRevision"}) == revision;
  }
  std::string reason(const std::string& name) const {
    return std::string(api::conditions_of(get(name)).reason("Ready"));
  }
  std::string message(const std::string& name) const {
    return std::string(api::conditions_of(get(name)).message("Ready"));
  }
  void until(const std::function<bool()>& is_so) { test::until(*runtime, is_so, std::chrono::seconds(20)); }
  std::vector<std::string> inventory(const std::string& name) const {
    std::vector<std::string> ids;
    const doc::Json object = get(name);
    const auto* entries = doc::find(object, {"status", "inventory", "entries"});
    if (entries == nullptr) return ids;
    for (const auto& entry : *entries) ids.push_back(entry["id"].get<std::string>());
    return ids;
  }
  std::size_t count_events(const std::string& reason, const std::string& text) const {
    return static_cast<std::size_t>(
        std::count_if(events.records.begin(), events.records.end(), [&](const controller::EventRecord& record) {
          return record.reason == reason && record.message.find(text) != std::string::npos;
        }));
  }
  bool has_event(const std::string& reason, const std::string& text) const { return count_events(reason, text) > 0; }
  void request(const std::string& name, const std::string& token) {
    doc::Json object = get(name);
    object["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"] = token;
    kube->put(kKustomizations, object);
  }
};

}  // namespace

TEST_CASE("an artifact's folder is applied, a new one rolls out, what left it is pruned") {
  Fixture fixture;
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}, {"shop/b.yaml", config_map("b", "1")}}, "main@sha1:1");
  fixture.kustomize("shop");
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  CHECK(fixture.value("a") == "1");
  CHECK(fixture.inventory("shop") == std::vector<std::string>{"apps_a__ConfigMap", "apps_b__ConfigMap"});
  CHECK(fixture.get("shop")["status"]["lastAttemptedRevision"] == "main@sha1:1");
  CHECK(fixture.get("shop")["status"]["history"][0]["lastReconciledStatus"] == "ReconciliationSucceeded");
  CHECK(api::label_of(fixture.map("a"), api::label::kKustomizeName) == "shop");
  CHECK(fixture.has_event("Progressing", "ConfigMap/apps/a created"));
  CHECK(fixture.has_event("ReconciliationSucceeded", "Reconciliation finished"));

  fixture.publish({{"shop/a.yaml", config_map("a", "2")}}, "main@sha1:2");
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:2"); });
  CHECK(fixture.value("a") == "2");
  CHECK(fixture.map("b").is_null());
  CHECK(fixture.inventory("shop") == std::vector<std::string>{"apps_a__ConfigMap"});
  CHECK(fixture.has_event("Progressing", "ConfigMap/apps/b deleted"));
}

TEST_CASE("what leaves the folder stays in the cluster where the Kustomization does not prune") {
  Fixture fixture;
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}, {"shop/b.yaml", config_map("b", "1")}}, "main@sha1:1");
  fixture.kustomize("shop", {{"prune", false}});
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}}, "main@sha1:2");
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:2"); });
  CHECK(fixture.value("b") == "1");
  CHECK(fixture.kube->count("delete") == 0);
  CHECK(fixture.inventory("shop") == std::vector<std::string>{"apps_a__ConfigMap"});
  fixture.kube->erase(kKustomizations, {"flux-system", "shop"});
  fixture.until([&] { return fixture.get("shop").is_null(); });
  CHECK(fixture.value("a") == "1");
  CHECK(fixture.kube->count("delete") == 0);
}

TEST_CASE("an object that moves to another Kustomization in one commit is not deleted, whoever comes first") {
  Fixture fixture;
  const auto uid = [&fixture] { return std::string(api::uid_of(fixture.map("moved"))); };
  fixture.publish({{"one/moved.yaml", config_map("moved", "1")}, {"one/a.yaml", config_map("a", "1")},
                   {"two/b.yaml", config_map("b", "1")}},
                  "main@sha1:1");
  fixture.kustomize("one");
  // The second waits for the first, so that it cannot take anything over before that is ready.
  fixture.kustomize("two", {{"dependsOn", doc::Json::array({{{"name", "one"}}})}});
  fixture.start();
  fixture.until([&] { return fixture.is_ready("two", "main@sha1:1"); });
  const std::string before = uid();
  REQUIRE_FALSE(before.empty());
  fixture.publish({{"one/a.yaml", config_map("a", "1")}, {"two/moved.yaml", config_map("moved", "2")},
                   {"two/b.yaml", config_map("b", "1")}},
                  "main@sha1:2");
  fixture.until([&] { return fixture.is_ready("two", "main@sha1:2"); });
  CHECK(uid() == before);
  CHECK(fixture.value("moved") == "2");
  CHECK(api::label_of(fixture.map("moved"), api::label::kKustomizeName) == "two");
  // The former owner forgets it when it is the other one's.
  fixture.until([&] { return fixture.inventory("one") == std::vector<std::string>{"apps_a__ConfigMap"}; });
  CHECK(fixture.kube->count("delete") == 0);
  CHECK(fixture.has_event("Progressing", "ConfigMap/apps/moved left: Kustomization/flux-system/two"));

  fixture.publish({{"one/a.yaml", config_map("a", "1")}, {"two/b.yaml", config_map("b", "1")}}, "main@sha1:3");
  fixture.until([&] { return fixture.is_ready("two", "main@sha1:3"); });
  CHECK(fixture.map("moved").is_null());
}

TEST_CASE("what another Kustomization builds outlives the one that is deleted, and is pruned when nobody does") {
  Fixture fixture;
  fixture.publish({{"one/a.yaml", config_map("a", "1")}, {"two/b.yaml", config_map("b", "1")}}, "main@sha1:1");
  fixture.kustomize("one");
  fixture.kustomize("two");
  fixture.start();
  for (const char* name : {"one", "two"}) fixture.until([&] { return fixture.is_ready(name, "main@sha1:1"); });
  const std::string before(api::uid_of(fixture.map("a")));
  fixture.kube->fail_next("apply", test::make_error(ErrorKind::forbidden, "not now"), 3);
  fixture.publish({{"two/a.yaml", config_map("a", "1")}, {"two/b.yaml", config_map("b", "1")}}, "main@sha1:2");
  fixture.kube->erase(kKustomizations, {"flux-system", "one"});
  fixture.until([&] { return fixture.get("one").is_null(); });
  fixture.until([&] { return fixture.is_ready("two", "main@sha1:2"); });
  CHECK(api::uid_of(fixture.map("a")) == before);
  CHECK(fixture.kube->count("delete") == 0);
}

TEST_CASE(
    "a Kustomization that is deleted stays while another one is to take over what it has, and ends what nobody does") {
  Fixture fixture;
  fixture.publish({{"one/a.yaml", config_map("a", "1")},
                   {"one/c.yaml", config_map("c", "1")},
                   {"two/b.yaml", config_map("b", "1")}},
                  "main@sha1:1");
  fixture.kustomize("one");
  fixture.kustomize("two");
  fixture.start();
  for (const char* name : {"one", "two"}) fixture.until([&] { return fixture.is_ready(name, "main@sha1:1"); });
  doc::Json one = fixture.get("one");
  one["spec"]["interval"] = "99999999999999h";  // what nobody can read does not keep others from being asked
  fixture.kube->put(kKustomizations, one);
  fixture.until([&] { return fixture.reason("one") == "InvalidSpec"; });
  fixture.kube->fail_next("apply", test::make_error(ErrorKind::forbidden, "never"), 10000);
  fixture.publish({{"two/a.yaml", config_map("a", "1")}, {"two/b.yaml", config_map("b", "1")}}, "main@sha1:2");
  fixture.until([&] { return fixture.reason("two") == "ReconciliationFailed"; });
  fixture.kube->erase(kKustomizations, {"flux-system", "one"});
  fixture.until([&] {
    return fixture.message("one").find("ConfigMap/apps/a: Kustomization/flux-system/two") != std::string::npos;
  });
  CHECK(fixture.inventory("one") == std::vector<std::string>{"apps_a__ConfigMap"});
  CHECK(fixture.value("a") == "1");
  CHECK(fixture.map("c").is_null());
  CHECK(fixture.count_events("Failed", "") == 0);
  // The other one drops it again without ever having had it.
  fixture.kube->clear_faults();
  fixture.publish({{"two/b.yaml", config_map("b", "1")}}, "main@sha1:3");
  fixture.until([&] { return fixture.get("one").is_null(); });
  CHECK(fixture.map("a").is_null());
}

TEST_CASE("an API server that does not answer for a moment lets nothing be deleted that another one builds") {
  controller::Options common;
  common.requeue_dependency = std::chrono::milliseconds(20);
  Fixture fixture(common);
  bool is_away = false;
  fixture.kube->before = [&](const test::FakeKube::Request& request) {
    if (!is_away || request.verb != "get" || request.key.name != "vars") return;
    fixture.kube->fail_next("get", test::make_error(ErrorKind::unavailable, "away for a moment"));
  };
  fixture.kube->put(kMaps, {{"metadata", {{"name", "vars"}, {"namespace", "flux-system"}}}, {"data", {{"x", "1"}}}});
  const doc::Json variables = {{"substituteFrom", doc::Json::array({{{"kind", "ConfigMap"}, {"name", "vars"}}})}};
  fixture.publish({{"one/a.yaml", config_map("a", "1")},
                   {"one/c.yaml", config_map("c", "1")},
                   {"two/b.yaml", config_map("b", "1")}},
                  "main@sha1:1");
  fixture.kustomize("one");
  fixture.kustomize("two", {{"postBuild", variables}});
  fixture.start();
  for (const char* name : {"one", "two"}) fixture.until([&] { return fixture.is_ready(name, "main@sha1:1"); });
  const std::string before(api::uid_of(fixture.map("a")));
  is_away = true;
  fixture.publish({{"one/c.yaml", config_map("c", "1")},
                   {"two/a.yaml", config_map("a", "2")},
                   {"two/b.yaml", config_map("b", "1")}},
                  "main@sha1:2");
  fixture.until([&] { return fixture.is_ready("one", "main@sha1:2"); });
  CHECK(fixture.has_event("Progressing", "ConfigMap/apps/a left: Kustomization/flux-system/two of the same source"));
  fixture.kube->erase(kKustomizations, {"flux-system", "one"});
  fixture.until([&] { return fixture.message("one").find("away for a moment") != std::string::npos; });
  CHECK(fixture.kube->count("delete") == 0);
  is_away = false;
  fixture.until([&] { return fixture.get("one").is_null(); });
  fixture.until([&] { return fixture.is_ready("two", "main@sha1:2"); });
  CHECK(api::uid_of(fixture.map("a")) == before);
  CHECK(fixture.map("c").is_null());
}

TEST_CASE("what a sibling that does not build may have taken is kept while the artifact is young, and no longer") {
  const bool is_young = GENERATE(true, false);
  Fixture fixture;
  fixture.publish({{"one/a.yaml", config_map("a", "1")}, {"two/b.yaml", config_map("b", "1")}}, "main@sha1:1");
  fixture.kustomize("one");
  fixture.kustomize("two");
  fixture.start();
  for (const char* name : {"one", "two"}) fixture.until([&] { return fixture.is_ready(name, "main@sha1:1"); });
  const std::string now = base::format_time(base::system_clock().now());
  fixture.publish({{"one/c.yaml", config_map("c", "1")}, {"two/b.yaml", "kind: ["}}, "main@sha1:2",
                  is_young ? now : "2026-01-01T00:00:00Z");
  fixture.until([&] { return fixture.is_ready("one", "main@sha1:2"); });
  CHECK(fixture.map("a").is_null() != is_young);
  const auto ids = fixture.inventory("one");
  CHECK((std::find(ids.begin(), ids.end(), "apps_a__ConfigMap") != ids.end()) == is_young);
}

TEST_CASE("a source that cannot be read for a moment deletes nothing") {
  controller::Options common;
  common.requeue_dependency = std::chrono::milliseconds(20);
  Fixture fixture(common);
  fixture.publish({{"one/a.yaml", config_map("a", "1")}}, "main@sha1:1");
  fixture.kustomize("one");
  fixture.start();
  fixture.until([&] { return fixture.is_ready("one", "main@sha1:1"); });
  bool is_away = true;
  fixture.kube->before = [&](const test::FakeKube::Request& request) {
    if (!is_away || request.verb != "get" || request.plural != "gitrepositories") return;
    fixture.kube->fail_next("get", test::make_error(ErrorKind::unavailable, "away for a moment"));
  };
  // The next one that is asked for is not in what is watched.
  doc::Json one = fixture.get("one");
  one["spec"]["sourceRef"]["name"] = "other";
  one["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  fixture.kube->put(kKustomizations, one);
  fixture.until([&] { return fixture.message("one").find("its source, which may tell") != std::string::npos; });
  CHECK(fixture.value("a") == "1");
  CHECK(fixture.inventory("one") == std::vector<std::string>{"apps_a__ConfigMap"});
  is_away = false;
  fixture.until([&] { return fixture.map("a").is_null(); });
}

TEST_CASE("the inventory names an object before it is written") {
  bool known_before = false;  // outlives the fixture, as all that its server's hooks refer to must
  Fixture fixture;
  fixture.kube->before = [&](const test::FakeKube::Request& request) {
    if (request.verb != "apply" || !fixture.map("a").is_null()) return;
    const auto ids = fixture.inventory("shop");
    known_before = std::find(ids.begin(), ids.end(), "apps_a__ConfigMap") != ids.end();
  };
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}}, "main@sha1:1");
  fixture.kustomize("shop");
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  CHECK(known_before);
}

TEST_CASE("a commit that touches another folder renders nothing and writes nothing to the objects") {
  Fixture fixture;
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}}, "main@sha1:1");
  fixture.kustomize("shop");
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  const std::size_t applies = fixture.kube->count("apply");
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}, {"other/x.yaml", "x"}}, "main@sha1:2");
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:2"); });
  CHECK(fixture.kube->count("apply") == applies);
  const std::string text = fixture.metrics.text();
  CHECK(text.find("sluice_kustomize_builds_total{result=\"done\"} 1") != std::string::npos);
  CHECK(text.find("sluice_kustomize_builds_total{result=\"skipped\"} 1") != std::string::npos);
}

TEST_CASE("a commit that touches one leaf of an overlay builds that leaf, and takes the others from before") {
  Fixture fixture;
  std::map<std::string, std::string> files;
  std::string top = "resources:\n";
  for (int i = 0; i < 20; ++i) {
    const std::string leaf = "leaf" + std::to_string(i);
    top += "- ../" + leaf + "\n";
    files[leaf + "/kustomization.yaml"] = "resources: [a.yaml]\n";
    files[leaf + "/a.yaml"] = config_map(leaf, "1");
  }
  files["shop/kustomization.yaml"] = top;
  fixture.publish(files, "main@sha1:1");
  fixture.kustomize("shop");
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  files["leaf7/a.yaml"] = config_map("leaf7", "2");
  fixture.publish(files, "main@sha1:2");
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:2"); });
  CHECK(fixture.value("leaf7") == "2");
  CHECK(fixture.value("leaf8") == "1");
  const std::string text = fixture.metrics.text();
  CHECK(text.find("sluice_kustomize_builds_total{result=\"done\"} 2") != std::string::npos);
  CHECK(text.find("sluice_kustomize_layers_total{result=\"built\"} 21") != std::string::npos);
  CHECK(text.find("sluice_kustomize_layers_total{result=\"reused\"} 19") != std::string::npos);
}

TEST_CASE("what somebody edits or deletes is put back") {
  Fixture fixture;
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}, {"shop/b.yaml", config_map("b", "1")}}, "main@sha1:1");
  fixture.kustomize("shop");
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  doc::Json edited = fixture.map("a");
  edited["data"]["k"] = "by hand";
  fixture.kube->put(kMaps, edited);
  fixture.until([&] { return fixture.value("a") == "1"; });
  fixture.kube->erase(kMaps, {"apps", "b"});
  fixture.until([&] { return fixture.value("b") == "1"; });
  CHECK(fixture.metrics.text().find("sluice_kustomize_drift_total{kind=\"ConfigMap\"}") != std::string::npos);
}

TEST_CASE("a build that fails changes nothing, says where, and mends itself") {
  Fixture fixture;
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}}, "main@sha1:1");
  fixture.kustomize("shop");
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  fixture.publish({{"shop/b.yaml", "a: [1\nb: 2\n"}}, "main@sha1:2");
  fixture.until([&] { return fixture.reason("shop") == "BuildFailed"; });
  CHECK(fixture.message("shop").find("b.yaml") != std::string::npos);
  CHECK(fixture.value("a") == "1");
  CHECK(fixture.get("shop")["status"]["lastAppliedRevision"] == "main@sha1:1");
  CHECK(fixture.get("shop")["status"]["lastAttemptedRevision"] == "main@sha1:2");
  CHECK(fixture.inventory("shop").size() == 1);
  fixture.publish({{"shop/a.yaml", config_map("a", "3")}}, "main@sha1:3");
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:3"); });
  CHECK(fixture.value("a") == "3");
}

TEST_CASE("a run made again, as its status was never written, tells of the same occurrence") {
  Fixture fixture;
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}}, "main@sha1:1");
  fixture.kustomize("shop");
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  const auto finished = [&] {
    std::vector<controller::EventRecord> found;
    for (const auto& record : fixture.events.records) {
      if (record.reason == "ReconciliationSucceeded") found.push_back(record);
    }
    return found;
  };
  const auto request = [&](doc::Json object, const std::string& token) {
    object["metadata"].erase("resourceVersion");
    object["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"] = token;
    const std::size_t told = finished().size();
    fixture.kube->put(kKustomizations, object);
    fixture.until([&] { return finished().size() > told; });
    fixture.until([&] { return fixture.get("shop")["status"]["lastHandledReconcileAt"] == token; });
  };
  const doc::Json before = fixture.get("shop");
  request(before, "1");
  request(before, "2");  // the status of the run before this one is gone
  request(fixture.get("shop"), "3");
  const auto told = finished();
  REQUIRE(told.size() == 4);
  CHECK_FALSE(told[1].occurrence.empty());
  CHECK(told[1].occurrence != told[0].occurrence);
  CHECK(told[2].occurrence == told[1].occurrence);
  CHECK(told[2].annotations == told[1].annotations);
  CHECK(told[3].occurrence != told[2].occurrence);
}

TEST_CASE("a run that was cut off is made again without news, where the one before it had told all") {
  const std::map<std::string, std::string> files{{"shop/a.yaml", config_map("a", "1")}};
  doc::Json left;  // by the daemon that was killed
  doc::Json map;
  {
    Fixture fixture;
    fixture.publish(files, "main@sha1:1");
    fixture.kustomize("shop");
    fixture.start();
    fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
    left = fixture.get("shop");
    map = fixture.map("a");
  }
  for (auto& condition : left["status"]["conditions"]) {
    condition["status"] = "Unknown";
    condition["reason"] = "Progressing";
  }
  const auto told_after = [&](const doc::Json& object) {
    Fixture fixture;
    fixture.publish(files, "main@sha1:1");
    fixture.kube->put(kMaps, map);
    fixture.kube->put(kKustomizations, object);
    fixture.start();
    fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
    CHECK(fixture.count_events("Progressing", "") == 0);
    return fixture.count_events("ReconciliationSucceeded", "Reconciliation finished");
  };
  CHECK(told_after(left) == 0);
  left["status"]["history"][0]["lastReconciledStatus"] = "ReconciliationFailed";
  CHECK(told_after(left) == 1);
  left["status"]["history"][0]["lastReconciledStatus"] = "ReconciliationSucceeded";
  left["status"]["history"][0]["metadata"]["revision"] = "main@sha1:0";
  CHECK(told_after(left) == 1);
}

TEST_CASE("missing things are told by their reason: source, artifact, path, kind") {
  Fixture fixture;
  fixture.kustomize("shop");
  fixture.start();
  fixture.until([&] { return fixture.reason("shop") == "ArtifactFailed"; });
  CHECK(fixture.message("shop").find("Source 'GitRepository/repo' not found") != std::string::npos);
  doc::Json bare = {{"metadata", {{"name", "repo"}, {"namespace", "flux-system"}}}, {"spec", {{"url", "x"}}}};
  fixture.kube->put(kRepositories, bare);
  fixture.until([&] { return fixture.message("shop").find("Source artifact not found") == 0; });
  CHECK(fixture.events.records.empty());  // upstream only logs such a wait
  fixture.publish({{"other/a.yaml", config_map("a", "1")}}, "main@sha1:1");
  fixture.until([&] { return fixture.message("shop").find("kustomization path not found") == 0; });
  CHECK(fixture.reason("shop") == "ArtifactFailed");
  fixture.publish(
      {{"shop/w.yaml", "apiVersion: example.com/v1\nkind: Widget\nmetadata:\n  name: w\n  namespace: apps\n"}},
      "main@sha1:2");
  fixture.until([&] { return fixture.reason("shop") == "ReconciliationFailed"; });
  CHECK(fixture.message("shop").find("Widget/apps/w dry-run failed (NoKindMatch), from shop/w.yaml:1") == 0);
  fixture.archives.clear();
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}}, "main@sha1:3");
  fixture.archives.clear();
  fixture.publish({{"shop/a.yaml", config_map("a", "2")}}, "main@sha1:4");
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:4"); });
}

TEST_CASE("a kind that discovery shows a moment after its definition came is not left to the retry interval") {
  const kube::Resource definitions{"apiextensions.k8s.io", "v1", "CustomResourceDefinition",
                                   "customresourcedefinitions", false};
  const kube::Resource widgets{"example.com", "v1", "Widget", "widgets", true};
  Fixture fixture;
  fixture.publish(
      {{"shop/w.yaml", "apiVersion: example.com/v1\nkind: Widget\nmetadata:\n  name: w\n  namespace: apps\n"}},
      "main@sha1:1");
  fixture.kustomize("shop", {{"retryInterval", "10m"}});
  fixture.start();
  fixture.until([&] { return fixture.reason("shop") == "ReconciliationFailed"; });
  const std::size_t asked = fixture.kube->count("get", "/apis");
  fixture.kube->put(definitions, {{"metadata", {{"name", "widgets.example.com"}}}});
  fixture.until([&] { return fixture.kube->count("get", "/apis") > asked; });
  test::settle(*fixture.runtime);
  CHECK(fixture.reason("shop") == "ReconciliationFailed");
  fixture.kube->serve({kKustomizations, kRepositories, kMaps, kDeployments, widgets});
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
}

TEST_CASE("an object that the server refuses stops its stage, and nothing is pruned") {
  Fixture fixture;
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}, {"shop/b.yaml", config_map("b", "1")}}, "main@sha1:1");
  fixture.kustomize("shop");
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  fixture.kube->fail_next("apply", test::make_error(ErrorKind::forbidden, "the webhook says no"), 1);
  fixture.publish({{"shop/a.yaml", config_map("a", "2")}}, "main@sha1:2");
  fixture.until([&] { return fixture.has_event("ReconciliationFailed", "the webhook says no"); });
  CHECK(fixture.value("b") == "1");
  CHECK(fixture.get("shop")["status"]["history"][0]["lastReconciledStatus"] == "ReconciliationFailed");
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:2"); });
  CHECK(fixture.map("b").is_null());
}

TEST_CASE("an object that could not be deleted stays in the inventory until it is") {
  Fixture fixture;
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}, {"shop/b.yaml", config_map("b", "1")}}, "main@sha1:1");
  fixture.kustomize("shop");
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  fixture.kube->fail_next("delete", test::make_error(ErrorKind::forbidden, "not you"), 1);
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}}, "main@sha1:2");
  fixture.until([&] { return fixture.has_event("PruneFailed", "not you"); });
  CHECK(fixture.inventory("shop").size() == 2);
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:2"); });
  CHECK(fixture.map("b").is_null());
  CHECK(fixture.inventory("shop").size() == 1);
}

TEST_CASE("a dependency is waited for, and wakes who waits for it") {
  Fixture fixture;
  fixture.publish({{"db/a.yaml", config_map("db", "1")}, {"web/a.yaml", config_map("web", "1")}}, "main@sha1:1");
  fixture.kustomize("web", {{"dependsOn", doc::Json::array({{{"name", "db"}}})}});
  fixture.start();
  fixture.until([&] { return fixture.reason("web") == "DependencyNotReady"; });
  CHECK(fixture.map("web").is_null());
  // The condition says what is missing; the Event has the words by which users leave it out.
  CHECK(fixture.message("web") == "dependency 'flux-system/db' not found");
  const auto waits = [&] {
    std::vector<std::string> texts;
    for (const auto& record : fixture.events.records) {
      if (record.reason == "DependencyNotReady") texts.push_back(record.message);
    }
    return texts;
  };
  CHECK(waits() == std::vector<std::string>{"Dependencies do not meet ready condition, retrying in 30s"});
  fixture.controller->enqueue({"flux-system", "web"});
  test::settle(*fixture.runtime);
  CHECK(waits().size() == 1);
  fixture.kustomize("db");
  fixture.until([&] { return fixture.is_ready("db", "main@sha1:1"); });
  fixture.controller->enqueue({"flux-system", "web"});  // created, not changed: nobody tells
  fixture.until([&] { return fixture.is_ready("web", "main@sha1:1"); });
  fixture.publish({{"db/a.yaml", config_map("db", "2")}, {"web/a.yaml", config_map("web", "2")}}, "main@sha1:2");
  fixture.until([&] { return fixture.is_ready("web", "main@sha1:2"); });
  CHECK(fixture.is_ready("db", "main@sha1:2"));
}

TEST_CASE("health is waited for without a worker, ends by an event, and a newer artifact cancels the wait") {
  Fixture fixture;
  const auto deployment = [](const char* image) {
    return std::string(
               "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\n  namespace: apps\nspec:\n  replicas: 1\n"
               "  template:\n    spec:\n      containers:\n      - name: c\n        image: ") +
           image + "\n";
  };
  fixture.publish({{"shop/d.yaml", deployment("a:1")}, {"other/a.yaml", config_map("a", "1")}}, "main@sha1:1");
  fixture.kustomize("shop", {{"wait", true}, {"timeout", "5m"}});
  fixture.start();
  const api::ObjectKey key{"apps", "d"};
  fixture.until([&] { return !fixture.kube->object(kDeployments, key).is_null(); });
  fixture.kustomize("other");
  fixture.until([&] { return fixture.is_ready("other", "main@sha1:1"); });
  CHECK_FALSE(fixture.is_ready("shop", "main@sha1:1"));

  fixture.publish({{"shop/d.yaml", deployment("a:2")}, {"other/a.yaml", config_map("a", "1")}}, "main@sha1:2");
  fixture.until([&] {
    const auto live = fixture.kube->object(kDeployments, key);
    return live["spec"]["template"]["spec"]["containers"][0]["image"] == "a:2";
  });
  CHECK(fixture.has_event("HealthCheckCanceled",
                          "Health checks canceled due to new reconciliation triggered by "
                          "GitRepository/flux-system/repo"));
  doc::Json live = fixture.kube->object(kDeployments, key);
  live["status"] = {{"observedGeneration", live["metadata"]["generation"]},
                    {"replicas", 1},
                    {"updatedReplicas", 1},
                    {"availableReplicas", 1},
                    {"readyReplicas", 1}};
  live["status"]["conditions"] = doc::Json::array({{{"type", "Available"}, {"status", "True"}}});
  fixture.kube->put(kDeployments, live);
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:2"); });
  CHECK(api::conditions_of(fixture.get("shop")).is_true("Healthy"));
}

TEST_CASE("a health check without apiVersion means apps, one with a version that is retired the one that is served") {
  Fixture fixture;
  doc::Json live = {{"metadata", {{"name", "backend"}, {"namespace", "apps"}}}, {"spec", {{"replicas", 1}}}};
  live["status"] = {{"observedGeneration", 1},
                    {"replicas", 1},
                    {"updatedReplicas", 1},
                    {"availableReplicas", 1},
                    {"readyReplicas", 1}};
  live["status"]["conditions"] = doc::Json::array({{{"type", "Available"}, {"status", "True"}}});
  fixture.kube->put(kDeployments, live);
  fixture.publish({{"shop/a.yaml", config_map("a", "1")},
                   {"old/b.yaml", config_map("b", "1")},
                   {"wrong/c.yaml", config_map("c", "1")}},
                  "main@sha1:1");
  doc::Json check = {{"kind", "Deployment"}, {"name", "backend"}, {"namespace", "apps"}};
  fixture.kustomize("shop", {{"healthChecks", doc::Json::array({check})}, {"timeout", "2m"}});
  check["apiVersion"] = "apps/v1beta2";
  fixture.kustomize("old", {{"healthChecks", doc::Json::array({check})}, {"timeout", "2m"}});
  check["apiVersion"] = "apps/v1/x";
  fixture.kustomize("wrong", {{"healthChecks", doc::Json::array({check})}, {"timeout", "2m"}});
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1") && fixture.is_ready("old", "main@sha1:1"); });
  CHECK(api::conditions_of(fixture.get("shop")).is_true("Healthy"));
  fixture.until([&] { return fixture.reason("wrong") == "HealthCheckFailed"; });
  CHECK(fixture.message("wrong").find("spec.healthChecks[0].apiVersion") == 0);
}

TEST_CASE("what the user has switched off is not waited for, and without a wait nothing is said of health") {
  Fixture fixture;
  const std::string off =
      "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\n  namespace: apps\n  annotations:\n"
      "    kustomize.toolkit.fluxcd.io/reconcile: disabled\nspec:\n  replicas: 1\n";
  fixture.publish({{"shop/d.yaml", off}, {"shop/a.yaml", config_map("a", "1")}}, "main@sha1:1");
  fixture.kustomize("shop", {{"wait", true}, {"timeout", "5m"}});
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  CHECK(api::conditions_of(fixture.get("shop")).is_true("Healthy"));
  doc::Json object = fixture.get("shop");
  object["spec"]["wait"] = false;
  fixture.kube->put(kKustomizations, object);
  fixture.until([&] { return fixture.get("shop")["status"]["observedGeneration"] == 2; });
  CHECK(api::conditions_of(fixture.get("shop")).find("Healthy") == nullptr);
}

TEST_CASE("drift is corrected while health is waited for, and told") {
  Fixture fixture;
  fixture.publish({{"shop/d.yaml",
                    "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\n  namespace: apps\nspec:\n"
                    "  replicas: 1\n"},
                   {"shop/m.yaml", config_map("m", "1")}},
                  "main@sha1:1");
  fixture.kustomize("shop", {{"wait", true}, {"timeout", "5m"}});
  fixture.start();
  fixture.until([&] { return !fixture.kube->object(kDeployments, {"apps", "d"}).is_null(); });
  test::settle(*fixture.runtime);
  doc::Json edited = fixture.map("m");
  edited["data"]["k"] = "by hand";
  fixture.kube->put(kMaps, edited);
  fixture.until([&] { return fixture.value("m") == "1"; });
  fixture.until([&] { return fixture.has_event("Progressing", "ConfigMap/apps/m configured"); });
  CHECK_FALSE(fixture.is_ready("shop", "main@sha1:1"));
}

TEST_CASE("poor health fails, and the revision does not count as applied") {
  Fixture fixture;
  const std::string failing =
      "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\n  namespace: apps\nspec:\n"
      "  replicas: 1\n";
  fixture.publish({{"shop/d.yaml", failing}}, "main@sha1:1");
  fixture.kustomize("shop", {{"wait", true}, {"timeout", "5m"}});
  fixture.start();
  const api::ObjectKey key{"apps", "d"};
  fixture.until([&] { return !fixture.kube->object(kDeployments, key).is_null(); });
  doc::Json live = fixture.kube->object(kDeployments, key);
  live["status"] = {{"observedGeneration", live["metadata"]["generation"]}, {"replicas", 1}};
  live["status"]["conditions"] = doc::Json::array({{{"type", "Progressing"},
                                                    {"status", "False"},
                                                    {"reason", "ProgressDeadlineExceeded"},
                                                    {"message", "too slow"}}});
  fixture.kube->put(kDeployments, live);
  fixture.until([&] { return fixture.reason("shop") == "HealthCheckFailed"; });
  CHECK(fixture.get("shop")["status"].value("lastAppliedRevision", "").empty());
  CHECK(fixture.inventory("shop").size() == 1);
}

TEST_CASE(
    "variables come from objects of the namespace, read with our own rights; a change of one is taken up at once") {
  const auto account = std::make_shared<test::FakeKube>();
  Fixture fixture;
  fixture.kube->as = [&](const std::string&, const std::vector<std::string>&) { return account; };
  doc::Json vars = {{"metadata", {{"name", "vars"}, {"namespace", "flux-system"}}}, {"data", {{"v", "one"}}}};
  fixture.kube->put(kMaps, vars);
  fixture.publish({{"shop/a.yaml", config_map("a", "${v}")}}, "main@sha1:1");
  const doc::Json from = doc::Json::array({{{"kind", "ConfigMap"}, {"name", "vars"}}});
  fixture.kustomize("shop", {{"serviceAccountName", "robot"}, {"postBuild", {{"substituteFrom", from}}}});
  fixture.start();
  const auto value = [&] {
    const doc::Json object = account->object(kMaps, {"apps", "a"});
    return object.is_null() ? std::string() : object["data"]["k"].get<std::string>();
  };
  fixture.until([&] { return value() == "one"; });
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  vars["data"]["v"] = "two";
  fixture.kube->put(kMaps, vars);
  fixture.until([&] { return value() == "two"; });
  // What nobody sets is an error, unless the gate says otherwise.
  fixture.publish({{"shop/a.yaml", config_map("a", "${missing}")}}, "main@sha1:2");
  fixture.until([&] { return fixture.reason("shop") == "BuildFailed"; });
  CHECK(fixture.message("shop").find("missing") != std::string::npos);
}

TEST_CASE("what an artifact was made from is told as long as the source tells it") {
  Fixture fixture;
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}}, "latest@sha256:1");
  doc::Json source = fixture.kube->object(kRepositories, {"flux-system", "repo"});
  source["status"]["artifact"]["metadata"]["org.opencontainers.image.revision"] = "main@sha1:abc";
  fixture.kube->put(kRepositories, source);
  fixture.kustomize("shop");
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "latest@sha256:1"); });
  CHECK(fixture.get("shop")["status"]["lastAppliedOriginRevision"] == "main@sha1:abc");
  CHECK(fixture.get("shop")["status"]["history"][0]["metadata"]["originRevision"] == "main@sha1:abc");
  fixture.publish({{"shop/a.yaml", config_map("a", "2")}}, "latest@sha256:2");
  fixture.until([&] { return fixture.is_ready("shop", "latest@sha256:2"); });
  CHECK_FALSE(fixture.get("shop")["status"].contains("lastAppliedOriginRevision"));
}

TEST_CASE("kinds of the custom stage are applied before the others are looked at") {
  std::vector<std::string> order;
  Fixture fixture({}, {{"", "ConfigMap"}});
  fixture.kube->before = [&](const test::FakeKube::Request& request) {
    if (request.verb == "apply") order.push_back(request.plural);
  };
  fixture.publish({{"shop/d.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\n  namespace: apps\n"},
                   {"shop/m.yaml", config_map("m", "1")}},
                  "main@sha1:1");
  fixture.kustomize("shop");
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  CHECK(order == std::vector<std::string>{"configmaps", "configmaps", "deployments", "deployments"});
}

TEST_CASE("who edits an object again and again is answered ever later, and holds up no other object") {
  Fixture fixture;
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}, {"shop/b.yaml", config_map("b", "1")}}, "main@sha1:1");
  fixture.kustomize("shop");
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  const auto edit = [&](const char* name) {
    doc::Json object = fixture.map(name);
    object["data"]["k"] = "by hand";
    fixture.kube->put(kMaps, object);
  };
  for (int i = 0; i < sources::DriftPacer::kAtOnce; ++i) {
    edit("a");
    fixture.until([&] { return fixture.value("a") == "1"; });
    test::settle(*fixture.runtime);
  }
  edit("a");
  test::settle(*fixture.runtime, std::chrono::milliseconds(300));
  CHECK(fixture.value("a") == "by hand");
  edit("b");
  test::until(
      *fixture.runtime, [&] { return fixture.value("b") == "1"; }, std::chrono::milliseconds(500));
  fixture.until([&] { return fixture.value("a") == "1"; });
}

TEST_CASE("deleting a Kustomization deletes its objects as its policy says") {
  Fixture fixture;
  fixture.publish({{"gone/a.yaml", config_map("gone", "1")},
                   {"left/a.yaml", config_map("left", "1")},
                   {"kept/a.yaml", config_map("kept", "1")}},
                  "main@sha1:1");
  fixture.kustomize("gone", {{"deletionPolicy", "WaitForTermination"}, {"prune", false}});
  fixture.kustomize("left", {{"deletionPolicy", "Orphan"}});
  fixture.kustomize("kept");
  fixture.start();
  for (const char* name : {"gone", "left", "kept"})
    fixture.until([&] { return fixture.is_ready(name, "main@sha1:1"); });
  fixture.kustomize("kept", {{"suspend", true}});
  for (const char* name : {"gone", "left", "kept"}) {
    fixture.kube->erase(kKustomizations, {"flux-system", name});
    fixture.until([&] { return fixture.get(name).is_null(); });
  }
  CHECK(fixture.map("gone").is_null());
  CHECK(fixture.value("left") == "1");
  CHECK(fixture.value("kept") == "1");
}

TEST_CASE("WaitForTermination keeps the Kustomization until its objects are gone, and holds no worker") {
  Fixture fixture;
  const std::string held =
      "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: held\n  namespace: apps\n"
      "  finalizers: [example.com/hold]\ndata:\n  k: \"1\"\n";
  fixture.publish({{"shop/a.yaml", held}, {"other/a.yaml", config_map("a", "1")}}, "main@sha1:1");
  fixture.kustomize("shop", {{"deletionPolicy", "WaitForTermination"}});
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  fixture.kube->erase(kKustomizations, {"flux-system", "shop"});
  fixture.until([&] { return api::is_being_deleted(fixture.map("held")); });
  fixture.kustomize("other");
  fixture.until([&] { return fixture.is_ready("other", "main@sha1:1"); });
  test::settle(*fixture.runtime);
  CHECK_FALSE(fixture.get("shop").is_null());
  doc::Json released = fixture.map("held");
  released["metadata"].erase("finalizers");
  fixture.kube->put(kMaps, released);
  fixture.kube->erase(kMaps, {"apps", "held"});
  fixture.until([&] { return fixture.get("shop").is_null(); });
  CHECK_FALSE(fixture.has_event("PruneFailed", ""));
}

TEST_CASE("bytes that are not those of the digest are waited for, as what the source says may be out of date") {
  Fixture fixture;
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}}, "main@sha1:1");
  const auto honest = fixture.archives;
  for (auto& [path, bytes] : fixture.archives) bytes.back() ^= 1;
  fixture.kustomize("shop");
  fixture.start();
  fixture.until([&] { return fixture.reason("shop") == "ArtifactFailed"; });
  CHECK(fixture.message("shop").find("Source is not ready, artifact digest changed, retrying in 30s: ") == 0);
  CHECK(fixture.events.records.empty());
  CHECK(fixture.map("a").is_null());
  fixture.archives = honest;
  fixture.controller->enqueue({"flux-system", "shop"});
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
}

TEST_CASE("the event that updates commit statuses can be switched off, and no other goes with it") {
  controller::Options common;
  common.feature_gates = {"DisableCommitStatusEvent=true"};
  Fixture fixture(common);
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}}, "main@sha1:1");
  fixture.kustomize("shop");
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  CHECK(fixture.has_event("Progressing", "ConfigMap/apps/a created"));
  CHECK_FALSE(fixture.has_event("ReconciliationSucceeded", ""));
}

TEST_CASE("references into other namespaces can be forbidden") {
  controller::Options common;
  common.no_cross_namespace_refs = true;
  Fixture fixture(common);
  doc::Json ref = {{"kind", "GitRepository"}, {"name", "repo"}, {"namespace", "other"}};
  fixture.kustomize("shop", {{"sourceRef", ref}});
  fixture.start();
  fixture.until([&] { return fixture.reason("shop") == "AccessDenied"; });
  CHECK(api::conditions_of(fixture.get("shop")).is_true("Stalled"));
}

TEST_CASE("objects are applied in the name of the service account, the status is written in our own") {
  const auto account = std::make_shared<test::FakeKube>();  // what is asked in its name comes here
  std::set<std::string> users;
  Fixture fixture;
  fixture.kube->as = [&](const std::string& user, const std::vector<std::string>& groups) {
    CHECK(groups.empty());  // else the server would not add those of a service account
    users.insert(user);
    return account;
  };
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}}, "main@sha1:1");
  fixture.kustomize("shop", {{"serviceAccountName", "robot"}});
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  CHECK(users == std::set<std::string>{"system:serviceaccount:flux-system:robot"});
  CHECK(account->object(kMaps, {"apps", "a"})["data"]["k"] == "1");
  CHECK(fixture.map("a").is_null());
  CHECK(fixture.kube->count("apply") == 0);
  CHECK(account->count("patch", "kustomizations") == 0);
}

TEST_CASE("what the service account may not do fails, and is not done with our own rights") {
  const auto account = std::make_shared<test::FakeKube>();
  Fixture fixture;
  fixture.kube->as = [&](const std::string&, const std::vector<std::string>&) { return account; };
  account->fail_next("apply", test::make_error(ErrorKind::forbidden, "robot may not"), 1000);
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}}, "main@sha1:1");
  fixture.kustomize("shop", {{"serviceAccountName", "robot"}});
  fixture.start();
  fixture.until([&] { return fixture.reason("shop") == "ReconciliationFailed"; });
  CHECK(fixture.message("shop").find("robot may not") != std::string::npos);
  CHECK(fixture.kube->count("apply") == 0);
  CHECK(fixture.map("a").is_null());
}

TEST_CASE("rights that are lost are found out by verification, and only verification heals that") {
  bool forbidden = false;
  std::size_t refused = 0;
  Fixture fixture;
  fixture.kube->before = [&](const test::FakeKube::Request& request) {
    if (request.verb != "apply" || !forbidden) return;
    ++refused;
    fixture.kube->fail_next("apply", test::make_error(ErrorKind::forbidden, "robot may not"));
  };
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}}, "main@sha1:1");
  fixture.kustomize("shop", {{"serviceAccountName", "robot"}, {"retryInterval", "1ms"}});
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  forbidden = true;
  fixture.request("shop", "1");
  fixture.until([&] { return refused > 0; });
  forbidden = false;
  // Mended with nothing changed: told, as the failure was.
  fixture.until([&] { return fixture.count_events("ReconciliationSucceeded", "Reconciliation finished") == 2; });
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  forbidden = true;
  refused = 0;
  fixture.request("shop", "2");
  // Retries that nobody has asked for are refused as well, and so is another commit that changes nothing here.
  fixture.until([&] { return refused > 3; });
  CHECK(fixture.reason("shop") == "ReconciliationFailed");
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}, {"other.txt", "x"}}, "main@sha1:2");
  fixture.until([&] { return fixture.get("shop")["status"]["lastAttemptedRevision"] == "main@sha1:2"; });
  const std::size_t before = refused;
  fixture.until([&] { return refused > before + 3; });
  CHECK(fixture.reason("shop") == "ReconciliationFailed");
  CHECK(fixture.get("shop")["status"]["lastAppliedRevision"] == "main@sha1:1");
  forbidden = false;
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:2"); });
}

TEST_CASE("a Kustomization whose service account is gone can be deleted, says so, and leaves its objects") {
  Fixture fixture;
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}}, "main@sha1:1");
  fixture.kustomize("shop", {{"serviceAccountName", "robot"}});
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  fixture.kube->erase(kKustomizations, {"flux-system", "shop"});
  fixture.until([&] { return fixture.get("shop").is_null(); });
  CHECK(fixture.has_event("PruneFailed", "unable to prune objects: \nConfigMap/apps/a\n"));
  CHECK(fixture.has_event("PruneFailed", "service account 'robot' is gone"));
  CHECK(fixture.value("a") == "1");
  CHECK(fixture.kube->count("delete") == 0);
}

TEST_CASE("a daemon that may not look at accounts deletes in the account's name, or says what is missing") {
  const auto account = std::make_shared<test::FakeKube>();
  Fixture fixture;
  fixture.kube->as = [&](const std::string&, const std::vector<std::string>&) { return account; };
  fixture.kube->before = [&](const test::FakeKube::Request& request) {
    if (request.plural != "serviceaccounts") return;
    fixture.kube->fail_next("get", test::make_error(ErrorKind::forbidden, "the daemon may not look"));
  };
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}}, "main@sha1:1");
  fixture.kustomize("shop", {{"serviceAccountName", "robot"}});
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  account->fail_next("delete", test::make_error(ErrorKind::forbidden, "robot may not"), 1);
  fixture.kube->erase(kKustomizations, {"flux-system", "shop"});
  fixture.until([&] { return fixture.get("shop").is_null(); });
  CHECK(fixture.has_event("Failed",
                          "pruning for deleted resource failed: ConfigMap/apps/a delete failed: robot may not"));
  CHECK(fixture.has_event("Failed", "the service account 'robot'"));
  CHECK(account->object(kMaps, {"apps", "a"}).is_null());
}

TEST_CASE("what no run would accept can still be deleted, and takes with it what it is known to own") {
  Fixture fixture;
  fixture.publish({{"far/a.yaml", config_map("far", "1")},
                   {"odd/a.yaml", config_map("odd", "1")},
                   {"bad/a.yaml", config_map("bad", "1")}},
                  "main@sha1:1");
  for (const char* name : {"far", "odd", "bad"}) fixture.kustomize(name);
  fixture.start();
  for (const char* name : {"far", "odd", "bad"}) fixture.until([&] { return fixture.is_ready(name, "main@sha1:1"); });
  const auto change = [&](const char* name, const char* field, const char* value) {
    doc::Json object = fixture.get(name);
    object["spec"][field] = value;
    fixture.kube->put(kKustomizations, object);
  };
  change("far", "interval", "99999999999999h");
  change("odd", "deletionPolicy", "Dellete");
  for (const char* name : {"far", "odd"}) fixture.until([&] { return fixture.reason(name) == "InvalidSpec"; });
  doc::Json bad = fixture.get("bad");
  bad["status"]["inventory"]["entries"].push_back({{"id", "nonsense"}, {"v", "v1"}});
  fixture.kube->put(kKustomizations, bad);
  for (const char* name : {"far", "odd", "bad"}) {
    fixture.kube->erase(kKustomizations, {"flux-system", name});
    fixture.until([&] { return fixture.get(name).is_null(); });
  }
  CHECK(fixture.map("far").is_null());
  CHECK(fixture.value("odd") == "1");
  CHECK(fixture.has_event("PruneFailed", "ConfigMap/apps/odd\nThey are left"));
  CHECK(fixture.has_event("PruneFailed", "spec.deletionPolicy: must be one of"));
  CHECK(fixture.map("bad").is_null());
  CHECK(fixture.has_event("PruneFailed", "\"nonsense\""));
}
