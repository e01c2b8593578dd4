// The reconciler: builds, applies, tells.
#include <catch2/catch.hpp>

#include "controllers/kustomize-controller/reconciler_fixture.hpp"

using namespace sluice;
using namespace kustomize_controller::reconciling;
using base::ErrorKind;

TEST_CASE("a build that has nothing in it is said beside Ready") {
  Fixture fixture;
  fixture.publish({{"shop/README.md", "nothing yet"}}, "main@sha1:1");
  fixture.kustomize("shop");
  fixture.start();
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:1"); });
  CHECK(fixture.message("shop") == "Applied revision: main@sha1:1; the build has no objects");
  fixture.publish({{"shop/a.yaml", config_map("a", "1")}}, "main@sha1:2");
  fixture.until([&] { return fixture.is_ready("shop", "main@sha1:2"); });
  CHECK(fixture.message("shop") == "Applied revision: main@sha1:2");
}

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
