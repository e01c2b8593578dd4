// The reconciler: dependencies, health and drift.
#include <catch2/catch.hpp>

#include "controllers/kustomize-controller/reconciler_fixture.hpp"

using namespace sluice;
using namespace kustomize_controller::reconciling;

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
