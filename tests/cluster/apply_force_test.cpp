// `force`: what cannot be changed is deleted and created anew, and nothing is deleted in vain.
#include <optional>

#include "cluster/cluster.hpp"
#include "cluster/owned.hpp"

using sluice::apply::Action;
using sluice::apply::Outcome;
using sluice::doc::Json;
using sluice::test::account_that_may;
using sluice::test::actions;
using sluice::test::Cluster;
using sluice::test::Owned;
using sluice::test::owned_by;
namespace api = sluice::api;

namespace {

sluice::apply::ApplyOptions forced() {
  sluice::apply::ApplyOptions options;
  options.force = true;
  return options;
}

Json named(const Cluster& cluster, const char* name, const char* text) {
  Json object = Json::parse(text);
  object["metadata"]["name"] = name;
  object["metadata"]["namespace"] = cluster.namespace_;
  return object;
}

Json service(const Cluster& cluster, const char* spec) {
  Json object = named(cluster, "web", R"({"apiVersion": "v1", "kind": "Service"})");
  object["spec"] = Json::parse(spec);
  return object;
}

std::string uid(Cluster& cluster, const Json& object) {
  const auto resource = cluster.resource(std::string(sluice::doc::find_string(object, {"apiVersion"})),
                                         std::string(api::kind_of(object)));
  api::ObjectKey key = api::key_of(object);
  if (!resource.namespaced) key.namespace_.clear();
  auto found = cluster.run(cluster.client->get(resource, key));
  return found ? std::string(api::uid_of(*found)) : std::string();
}

// Refused without force, with the object as it was; done with it.
void check_forced(Cluster& cluster, const Json& before, const Json& after) {
  Owned set = owned_by(cluster, "apps");
  const Outcome first = cluster.run(set.apply({before}, {}));
  if (first.error) FAIL(first.error->message);
  const std::string old = uid(cluster, before);
  const Outcome refused = cluster.run(set.apply({after}, {}));
  REQUIRE(refused.error);
  CHECK(refused.error->message.find("dry-run failed") != std::string::npos);
  CHECK(uid(cluster, before) == old);
  const Outcome outcome = cluster.run(set.apply({after}, forced()));
  if (outcome.error) FAIL(outcome.error->message);
  CHECK(actions(outcome) == std::vector{Action::created});
  const std::string fresh = uid(cluster, before);
  CHECK_FALSE(fresh.empty());
  CHECK(fresh != old);
  CHECK(actions(cluster.run(set.apply({after}, forced()))) == std::vector{Action::unchanged});
}

}  // namespace

TEST_CASE("the cluster IP of a Service") {
  Cluster cluster;
  check_forced(cluster, service(cluster, R"({"ports": [{"port": 80}]})"),
               service(cluster, R"({"clusterIP": "None", "ports": [{"port": 80}]})"));
}

TEST_CASE("a Service that is to have a cluster IP again, also where it holds a node port") {
  Cluster cluster;
  check_forced(cluster, service(cluster, R"({"clusterIP": "None", "ports": [{"port": 80}]})"),
               service(cluster, R"({"ports": [{"port": 80}]})"));
  Owned set = owned_by(cluster, "apps");
  const auto with_ip = [&](const char* ip) {
    Json object = service(cluster, R"({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30123}]})");
    object["spec"]["clusterIP"] = ip;
    object["metadata"]["name"] = "node";
    return object;
  };
  REQUIRE_FALSE(cluster.run(set.apply({with_ip("10.0.0.77")}, {})).error);
  const Outcome moved = cluster.run(set.apply({with_ip("10.0.0.78")}, forced()));
  if (moved.error) FAIL(moved.error->message);
  CHECK(actions(moved) == std::vector{Action::created});
}

TEST_CASE("a Service that others have left without a cluster IP stands") {
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  REQUIRE(cluster.run(cluster.client->create(cluster.resource("v1", "Service"),
                                             service(cluster, R"({"clusterIP": "None", "ports": [{"port": 80}]})"),
                                             "somebody")));
  const Json ours = service(cluster, R"({"ports": [{"port": 80}]})");
  CHECK(actions(cluster.run(set.apply({ours}, {}))) == std::vector{Action::configured});
  CHECK(actions(cluster.run(set.apply({ours}, {}))) == std::vector{Action::unchanged});
}

TEST_CASE("the role of a RoleBinding") {
  Cluster cluster;
  const auto binding = [&](const char* role) {
    Json object = named(cluster, "b", R"({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
      "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}]})");
    object["roleRef"] = {{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "ClusterRole"}, {"name", role}};
    return object;
  };
  check_forced(cluster, binding("view"), binding("edit"));
}

TEST_CASE("the value of a PriorityClass") {
  Cluster cluster;
  const auto priority = [&](int value) {
    Json object = named(cluster, (cluster.namespace_ + "-high").c_str(),
                        R"({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"})");
    object["value"] = value;
    return object;
  };
  check_forced(cluster, priority(1000), priority(2000));
}

TEST_CASE("the service of a StatefulSet") {
  Cluster cluster;
  const auto stateful = [&](const char* name) {
    Json object = named(cluster, "db", R"({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": {"selector":
      {"matchLabels": {"app": "db"}}, "template": {"metadata": {"labels": {"app": "db"}},
      "spec": {"containers": [{"name": "db", "image": "example.com/db:1"}]}}}})");
    object["spec"]["serviceName"] = name;
    return object;
  };
  check_forced(cluster, stateful("one"), stateful("two"));
}

TEST_CASE("a definition's own rules, in their own words") {
  Cluster cluster;
  const std::string group = cluster.namespace_ + ".example.com";
  Json crd = Json::parse(R"({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "spec": {"scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"}, "versions": [
      {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "properties":
        {"spec": {"type": "object", "properties": {"size": {"type": "integer", "x-kubernetes-validations":
          [{"rule": "self == oldSelf", "message": "once cut it keeps its size"}]}}}}}}}]}})");
  crd["metadata"]["name"] = "widgets." + group;
  crd["spec"]["group"] = group;
  REQUIRE_FALSE(cluster.run(owned_by(cluster, "definitions").apply({crd}, {})).error);
  const auto widget = [&](int size) {
    Json object = named(cluster, "w", R"({"kind": "Widget"})");
    object["apiVersion"] = group + "/v1";
    object["spec"]["size"] = size;
    return object;
  };
  check_forced(cluster, widget(1), widget(2));
}

TEST_CASE("an object is not deleted for a manifest that the server would not take at all") {
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  const Json before = service(cluster, R"({"ports": [{"port": 80}]})");
  REQUIRE_FALSE(cluster.run(set.apply({before}, {})).error);
  const std::string old = uid(cluster, before);
  const Outcome outcome =
      cluster.run(set.apply({service(cluster, R"({"clusterIP": "None", "ports": [{"port": 99999}]})")}, forced()));
  REQUIRE(outcome.error);
  CHECK(outcome.error->message.find("not deleted and created anew") != std::string::npos);
  CHECK(uid(cluster, before) == old);
}

TEST_CASE("what holds others is deleted and created anew only if it says so itself") {
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  const auto definition = [&](const char* scope, bool force) {
    Json object = Json::parse(R"({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
      "spec": {"names": {"plural": "gadgets", "kind": "Gadget"}, "versions": [{"name": "v1", "served": true,
      "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}})");
    const std::string group = cluster.namespace_ + ".example.com";
    object["metadata"]["name"] = "gadgets." + group;
    object["spec"]["group"] = group;
    object["spec"]["scope"] = scope;
    if (force) object["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/force"] = "enabled";
    return object;
  };
  REQUIRE_FALSE(cluster.run(set.apply({definition("Namespaced", false)}, {})).error);
  const std::string old = uid(cluster, definition("Namespaced", false));
  const Outcome kept = cluster.run(set.apply({definition("Cluster", false)}, forced()));
  REQUIRE(kept.error);
  CHECK(kept.error->message.find("kustomize.toolkit.fluxcd.io/force: enabled") != std::string::npos);
  CHECK(uid(cluster, definition("Namespaced", false)) == old);
  const Outcome outcome = cluster.run(set.apply({definition("Cluster", true)}, {}));
  if (outcome.error) FAIL(outcome.error->message);
  CHECK(actions(outcome) == std::vector{Action::created});
}

namespace {

Json frozen(const Cluster& cluster, const char* value) {
  Json object = cluster.config_map("a", value);
  object["immutable"] = true;
  return object;
}

sluice::rt::Task<void> apply_forced(Owned& owned, Json object, std::optional<Outcome>& done) {
  auto applying = owned.apply({std::move(object)}, forced());
  done = co_await std::move(applying);
}

}  // namespace

TEST_CASE("an account that may neither list nor watch recreates, too, and waits for what finalizers hold") {
  const bool is_held = GENERATE(false, true);
  Cluster cluster;
  Owned set = owned_by(cluster, "apps", account_that_may(cluster, {"get", "create", "patch", "update", "delete"}));
  const auto maps = cluster.resource("v1", "ConfigMap");
  const api::ObjectKey key{cluster.namespace_, "a"};
  REQUIRE_FALSE(cluster.run(set.apply({frozen(cluster, "1")}, {})).error);
  const std::string old = uid(cluster, frozen(cluster, "1"));
  const auto finalizers = [&](Json list) {
    const Json patch = {{"metadata", {{"finalizers", std::move(list)}}}};
    auto patched = cluster.run(cluster.client->patch(maps, key, sluice::kube::PatchType::merge, patch, {}));
    if (!patched) FAIL(patched.error().message);
  };
  if (is_held) finalizers(Json::array({"example.com/hold"}));
  std::optional<Outcome> outcome;
  cluster.runtime.spawn("apply", apply_forced(set, frozen(cluster, "2"), outcome));
  if (is_held) {
    // The wait is on, and goes on although it may not be watched.
    cluster.runtime.context().restart();
    cluster.runtime.context().run_for(std::chrono::seconds(2));
    CHECK_FALSE(outcome);
    finalizers(nullptr);
  }
  cluster.runtime.context().restart();
  REQUIRE(set.until([&] { return outcome.has_value(); }));
  if (outcome->error) FAIL(outcome->error->message);
  CHECK(actions(*outcome) == std::vector{Action::created});
  CHECK(uid(cluster, frozen(cluster, "2")) != old);
}

TEST_CASE("what was deleted to be created anew, and was not, is drift at once") {
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  std::vector<std::string> drifted;
  set.live->on_drift = [&](const api::ObjectKey& owner, const api::ObjectId&) { drifted.push_back(owner.name); };
  REQUIRE_FALSE(cluster.run(set.apply({frozen(cluster, "1")}, {})).error);
  // Refuses the name, and so not the trial, which goes by another one.
  const std::string name = cluster.namespace_ + "-no-a";
  const std::string group = "admissionregistration.k8s.io/v1";
  Json policy = Json::parse(R"({"kind": "ValidatingAdmissionPolicy", "spec": {"failurePolicy": "Fail",
    "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
    "resources": ["configmaps"]}]}, "validations": [{"expression": "object.metadata.name != 'a' && object.metadata.name != 'probe'"}]}})");
  Json binding =
      Json::parse(R"({"kind": "ValidatingAdmissionPolicyBinding", "spec": {"validationActions": ["Deny"]}})");
  for (Json* object : {&policy, &binding}) {
    (*object)["apiVersion"] = group;
    (*object)["metadata"]["name"] = name;
  }
  binding["spec"]["policyName"] = name;
  binding["spec"]["matchResources"]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] =
      cluster.namespace_;
  REQUIRE(cluster.run(cluster.client->create(cluster.resource(group, "ValidatingAdmissionPolicy"), policy, "test")));
  REQUIRE(cluster.run(
      cluster.client->create(cluster.resource(group, "ValidatingAdmissionPolicyBinding"), binding, "test")));
  const auto maps = cluster.resource("v1", "ConfigMap");
  sluice::kube::ApplyOptions dry;
  dry.field_manager = "test";
  dry.dry_run = true;
  const auto is_in_force = [&] {
    return !cluster.run(cluster.client->apply(maps, cluster.config_map("probe", "1"), dry));
  };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!is_in_force() && std::chrono::steady_clock::now() < deadline) {
    cluster.runtime.context().restart();
    cluster.runtime.context().run_for(std::chrono::milliseconds(50));
  }
  REQUIRE(is_in_force());
  CHECK(drifted.empty());
  const Outcome outcome = cluster.run(set.apply({frozen(cluster, "2")}, forced()));
  REQUIRE(outcome.error);
  CHECK(outcome.error->message.find("apply failed") != std::string::npos);
  CHECK(outcome.error->message.find("finalizers") == std::string::npos);
  CHECK(uid(cluster, frozen(cluster, "1")).empty());
  cluster.runtime.context().restart();
  CHECK(set.until([&] { return !drifted.empty(); }));
  CHECK(drifted == std::vector<std::string>{"apps"});
}
