// The reconciler: what is deleted, what is handed over, and what must stay.
#include <catch2/catch.hpp>

#include "controllers/kustomize-controller/reconciler_fixture.hpp"

using namespace sluice;
using namespace kustomize_controller::reconciling;
using base::ErrorKind;

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
  fixture.publish({{"one/moved.yaml", config_map("moved", "1")},
                   {"one/a.yaml", config_map("a", "1")},
                   {"two/b.yaml", config_map("b", "1")}},
                  "main@sha1:1");
  fixture.kustomize("one");
  // The second waits for the first, so that it cannot take anything over before that is ready.
  fixture.kustomize("two", {{"dependsOn", doc::Json::array({{{"name", "one"}}})}});
  fixture.start();
  fixture.until([&] { return fixture.is_ready("two", "main@sha1:1"); });
  const std::string before = uid();
  REQUIRE_FALSE(before.empty());
  fixture.publish({{"one/a.yaml", config_map("a", "1")},
                   {"two/moved.yaml", config_map("moved", "2")},
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
