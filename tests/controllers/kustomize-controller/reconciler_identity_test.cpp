// The reconciler: in whose name, with what rights, from which namespace.
#include <catch2/catch.hpp>

#include "controllers/kustomize-controller/reconciler_fixture.hpp"

using namespace sluice;
using namespace kustomize_controller::reconciling;
using base::ErrorKind;

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
