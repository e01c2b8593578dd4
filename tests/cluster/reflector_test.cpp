#include "kube/reflector.hpp"

#include <boost/asio/io_context.hpp>
#include <fstream>

#include "apply/apply_set.hpp"
#include "apply/live_objects.hpp"
#include "cluster/api_server.hpp"
#include "cluster/cluster.hpp"

using namespace std::chrono_literals;
using sluice::base::ErrorKind;
using sluice::doc::Json;
using sluice::kube::RestMapper;
using sluice::test::ApiServer;
using sluice::test::Cluster;
namespace api = sluice::api;
namespace apply = sluice::apply;
namespace kube = sluice::kube;
namespace rt = sluice::rt;

namespace {

const kube::Resource kDefinitions{"apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions",
                                  false};
const kube::Resource kServices{"apiregistration.k8s.io", "v1", "APIService", "apiservices", false};
const char* kGroup = "kustomize.toolkit.fluxcd.io";

void until(Cluster& cluster, const std::function<bool()>& is_so, std::chrono::seconds limit = 30s) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  cluster.runtime.context().restart();
  while (!is_so()) {
    if (std::chrono::steady_clock::now() > deadline) FAIL("it never became so");
    cluster.runtime.context().run_one_for(10ms);
  }
}

// In kB, by /proc/self/status.
long memory(const char* field) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(field)) return std::stol(line.substr(std::string(field).size() + 1));
  }
  return 0;
}
void reset_peak() { std::ofstream("/proc/self/clear_refs") << "5"; }

Json owned_map(const Cluster& cluster, const std::string& name, const std::string& owner, std::string value) {
  Json object = cluster.config_map(name, "");
  object["metadata"]["labels"] = {{std::string(kGroup) + "/name", owner},
                                  {std::string(kGroup) + "/namespace", "tenants"}};
  object["data"]["key"] = std::move(value);
  return object;
}

std::shared_ptr<apply::LiveObjects> live_objects(Cluster& cluster) {
  apply::LiveOptions options;
  options.owner_group = kGroup;
  options.field_manager = "kustomize-controller";
  options.mapper = cluster.mapper;
  return apply::LiveObjects::create(cluster.runtime, cluster.client, sluice::base::Logger::discard(),
                                    std::move(options));
}

rt::Task<void> create_some(Cluster& cluster, kube::Resource maps, int from, int to, const std::string& value,
                           int& made) {
  for (int i = from; i < to; ++i) {
    Json object = owned_map(cluster, "large-" + std::to_string(i), "glutton", value);
    // A server on a busy machine may be late with its answer.
    for (;;) {
      auto created = co_await cluster.client->create(maps, object, "test");
      if (created || created.error().kind == ErrorKind::already_exists) break;
      co_await rt::sleep_for(100ms);
    }
    ++made;
  }
}

Json widgets(const std::string& group) {
  Json schema = {{"type", "object"}, {"x-kubernetes-preserve-unknown-fields", true}};
  Json version = {{"name", "v1"}, {"served", true}, {"storage", true}, {"schema", {{"openAPIV3Schema", schema}}}};
  Json names = {{"plural", "widgets"}, {"singular", "widget"}, {"kind", "Widget"}, {"listKind", "WidgetList"}};
  Json object = {{"apiVersion", "apiextensions.k8s.io/v1"}, {"kind", "CustomResourceDefinition"}};
  object["metadata"]["name"] = "widgets." + group;
  object["spec"] = {{"group", group}, {"scope", "Namespaced"}, {"names", names}, {"versions", Json::array({version})}};
  return object;
}

Json widget(const Cluster& cluster, const std::string& group) {
  Json object = {{"apiVersion", group + "/v1"}, {"kind", "Widget"}};
  object["metadata"] = {{"name", "w"}, {"namespace", cluster.namespace_}};
  return object;
}

}  // namespace

TEST_CASE(
    "300 ConfigMaps of 900 kB keep no other tenant's drift from being seen, and cost no more memory than some pages") {
  Cluster cluster;
  const kube::Resource maps = cluster.resource("v1", "ConfigMap");
  const std::string large(900'000, 'x');
  int made = 0;
  constexpr int kAll = 300;  // 270 MB: in one answer it would be over the limit on a body
  for (int i = 0; i < 4; ++i) {
    cluster.runtime.spawn("create", create_some(cluster, maps, i * kAll / 4, (i + 1) * kAll / 4, large, made));
  }
  until(
      cluster, [&] { return made == kAll; }, 240s);
  kube::ApplyOptions ours{"kustomize-controller", true, false};
  auto applied = cluster.run(cluster.client->apply(maps, owned_map(cluster, "small", "victim", "1"), ours));
  REQUIRE(applied);

  const auto live = live_objects(cluster);
  std::vector<std::string> drifted;
  live->on_drift = [&](const api::ObjectKey& owner, const api::ObjectId&) { drifted.push_back(owner.name); };
  const long before = memory("VmRSS:");
  reset_peak();
  live->watch(maps);
  until(
      cluster, [&] { return live->is_current(maps); }, 90s);
  const long peak = memory("VmHWM:");
  CAPTURE(before, peak);
  CHECK(live->size() >= kAll + 1);
  CHECK(peak - before < 64 * 1024);

  live->note_left(maps, *applied, 1);
  const auto changed_at = std::chrono::steady_clock::now();
  Json patch = {{"data", {{"key", "by hand"}}}};
  REQUIRE(cluster.run(cluster.client->patch(maps, {cluster.namespace_, "small"}, kube::PatchType::merge, patch,
                                            {"kubectl", "", false})));
  until(cluster, [&] { return !drifted.empty(); });
  CHECK(drifted == std::vector<std::string>{"victim"});
  CHECK(std::chrono::steady_clock::now() - changed_at < 5s);
  // The tests that follow start the server again, and have no use for these.
  for (int i = 0; i < kAll; ++i) {
    REQUIRE(cluster.run(cluster.client->remove(maps, {cluster.namespace_, "large-" + std::to_string(i)}, {})));
  }
}

TEST_CASE("an object that is too large to be read is known by its metadata, on a real server too") {
  Cluster cluster;
  const kube::Resource maps = cluster.resource("v1", "ConfigMap");
  kube::ListOptions options;
  options.namespace_ = cluster.namespace_;
  for (const char* name : {"a", "c", "d"}) {
    REQUIRE(cluster.run(cluster.client->create(maps, cluster.config_map(name, "1"), "test")));
  }
  REQUIRE(cluster.run(cluster.client->create(maps, cluster.config_map("b", std::string(200'000, 'x')), "test")));
  kube::PageLimits limits;
  limits.page_bytes = 50'000;
  limits.object_bytes = 100'000;
  kube::PageSize size(limits);
  kube::PageReader pages(*cluster.client, maps, options, size);
  std::string read;
  std::string unreadable;
  while (!pages.is_done()) {
    auto page = cluster.run(pages.next());
    REQUIRE(page);
    for (const Json& object : page->objects) read += api::name_of(object);
    for (const Json& object : page->unreadable) unreadable += api::name_of(object);
  }
  CHECK(read == "acd");
  CHECK(unreadable == "b");
}

TEST_CASE("while the API server restarts again and again nothing is taken for gone") {
  Cluster cluster;
  ApiServer server;
  const std::string group = "restart.example.com";
  REQUIRE(cluster.run(cluster.client->create(kDefinitions, widgets(group), "test")));
  const kube::Resource resource = cluster.resource(group + "/v1", "Widget");
  until(cluster,
        [&] { return cluster.run(cluster.client->create(resource, widget(cluster, group), "test")).has_value(); });
  api::InventoryEntry entry{cluster.namespace_ + "_w_" + group + "_Widget", "v1"};
  const apply::Owner owner{kGroup, "nobody", "flux-system", "kustomize-controller"};
  int answers = 0;
  for (int round = 0; round < 3; ++round) {
    server.stop();
    server.start();
    // A mapper that knows the kind, and one that has just started.
    bool back = false;
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (!back) {
      REQUIRE(std::chrono::steady_clock::now() < deadline);
      std::this_thread::sleep_for(20ms);  // the server needs the processor to start
      RestMapper fresh(cluster.client);
      cluster.mapper->invalidate();
      for (RestMapper* mapper : {cluster.mapper.get(), &fresh}) {
        auto found = cluster.run(mapper->resource_for({group, "v1", "Widget"}));
        if (!found) CHECK(found.error().kind != ErrorKind::not_found);
        ++answers;
      }
      auto got = cluster.run(cluster.client->get(resource, {cluster.namespace_, "w"}));
      if (!got) CHECK(got.error().kind != ErrorKind::not_found);
      apply::ApplyServices services{cluster.runtime, cluster.client, cluster.mapper, live_objects(cluster)};
      apply::ApplySet set(std::move(services), owner);
      std::vector<api::InventoryEntry> entries{entry};
      const apply::Outcome outcome = cluster.run(set.prune(std::move(entries), {}, {}));
      for (const auto& change : outcome.changes) CHECK(change.action != apply::Action::deleted);
      back = got.has_value() && !outcome.changes.empty();
    }
  }
  CHECK(answers >= 6);
  // And what is gone is found to be.
  REQUIRE(cluster.run(cluster.client->remove(kDefinitions, {"", "widgets." + group}, {})));
  // Its finalizer takes the widgets first, and discovery lags behind it; a daemon is told by its watch of definitions.
  until(cluster, [&] {
    cluster.mapper->invalidate();
    auto found = cluster.run(cluster.mapper->resource_for({group, "v1", "Widget"}));
    return !found && found.error().reason == RestMapper::kNoKindMatch;
  });
}

TEST_CASE("a group whose APIService has no backend is unknown, and gone with its APIService") {
  Cluster cluster;
  const std::string group = "absent.example.com";
  Json service = {{"apiVersion", "apiregistration.k8s.io/v1"}, {"kind", "APIService"}};
  service["metadata"]["name"] = "v1." + group;
  service["spec"] = {{"group", group},
                     {"version", "v1"},
                     {"groupPriorityMinimum", 100},
                     {"versionPriority", 100},
                     {"insecureSkipTLSVerify", true},
                     {"service", {{"name", "none"}, {"namespace", cluster.namespace_}}}};
  REQUIRE(cluster.run(cluster.client->create(kServices, service, "test")));
  for (int i = 0; i < 5; ++i) {
    cluster.mapper->invalidate();
    auto found = cluster.run(cluster.mapper->resource_for_group_kind(group, "Thing"));
    REQUIRE_FALSE(found);
    CHECK(found.error().kind == ErrorKind::unavailable);
    CHECK(found.error().reason == RestMapper::kDiscoveryIncomplete);
    std::this_thread::sleep_for(300ms);
  }
  // Other kinds are none the worse.
  CHECK(cluster.run(cluster.mapper->resource_for({"apps", "v1", "Deployment"})));
  REQUIRE(cluster.run(cluster.client->remove(kServices, {"", "v1." + group}, {})));
  until(cluster, [&] {
    cluster.mapper->invalidate();
    auto found = cluster.run(cluster.mapper->resource_for_group_kind(group, "Thing"));
    return !found && found.error().reason == RestMapper::kNoKindMatch;
  });
}

TEST_CASE("a kind that was defined a moment ago is served to whoever asks, though discovery lags") {
  Cluster cluster;
  const std::string group = "lag.example.com";
  CHECK(cluster.run(cluster.mapper->resource_for({group, "v1", "Widget"})).error().reason == RestMapper::kNoKindMatch);
  REQUIRE(cluster.run(cluster.client->create(kDefinitions, widgets(group), "test")));
  CHECK(cluster.run(cluster.mapper->resource_for({group, "v1", "Widget"})));
  REQUIRE(cluster.run(cluster.client->remove(kDefinitions, {"", "widgets." + group}, {})));
}

TEST_CASE("an object of a kind that is not served is not said to be not found") {
  Cluster cluster;
  const kube::Resource none{"none.example.com", "v1", "Nothing", "nothings", true};
  for (int i = 0; i < 2; ++i) {
    auto got = cluster.run(cluster.client->get(none, {cluster.namespace_, "x"}));
    REQUIRE_FALSE(got);
    CHECK(got.error().kind == ErrorKind::unavailable);
    CHECK(got.error().reason == "NotServed");
  }
  auto removed = cluster.run(cluster.client->remove(none, {cluster.namespace_, "x"}, {}));
  REQUIRE_FALSE(removed);
  CHECK(removed.error().kind == ErrorKind::unavailable);
}

TEST_CASE("a user and password, which the server does not read, are not taken for nobody in silence") {
  Cluster cluster;
  auto config = kube::load_config({});
  REQUIRE(config);
  config->token.clear();
  config->username = "admin";
  config->password = "secret";
  auto client = kube::Client::create(cluster.runtime, *config);
  REQUIRE(client);
  auto refused = cluster.run((*client)->get({"", "v1", "ConfigMap", "configmaps", true}, {cluster.namespace_, "a"}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::unauthorized);
}

TEST_CASE("records are current while the API server is there, not while it is away, and not when the daemon stops") {
  Cluster cluster;
  ApiServer server;
  const kube::Resource maps = cluster.resource("v1", "ConfigMap");
  const auto live = live_objects(cluster);
  live->watch(maps);
  until(cluster, [&] { return live->is_current(maps); });
  CHECK(live->why_not_current(maps).empty());
  server.stop();
  until(cluster, [&] { return !live->is_current(maps); });
  CHECK_FALSE(live->why_not_current(maps).empty());
  server.start();
  until(
      cluster, [&] { return live->is_current(maps); }, 60s);
  cluster.runtime.shutdown(0ms);
  cluster.runtime.run();
  CHECK_FALSE(live->is_current(maps));
}
