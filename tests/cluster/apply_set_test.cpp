#include "apply/apply_set.hpp"

#include <algorithm>

#include "cluster/cluster.hpp"
#include "cluster/owned.hpp"

using sluice::apply::Action;
using sluice::apply::ApplySet;
using sluice::apply::Outcome;
using sluice::base::ErrorKind;
using sluice::doc::Json;
using sluice::rt::Task;
using sluice::test::actions;
using sluice::test::Cluster;
using sluice::test::entries;
using sluice::test::Owned;
using sluice::test::owned_by;
namespace api = sluice::api;

namespace {

Json secret(const Cluster& cluster, const char* value) {
  return {{"apiVersion", "v1"},
          {"kind", "Secret"},
          {"metadata", {{"name", "s"}, {"namespace", cluster.namespace_}}},
          {"immutable", true},
          {"stringData", {{"k", value}}}};
}

}  // namespace

TEST_CASE("a set is created, then left alone, then only what changed is configured") {
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  const auto objects = [&cluster](const char* b) {
    return std::vector<Json>{cluster.config_map("a", "1"), cluster.config_map("b", b)};
  };
  CHECK(actions(cluster.run(set.apply(objects("1"), {}))) == std::vector{Action::created, Action::created});
  CHECK(actions(cluster.run(set.apply(objects("1"), {}))) == std::vector{Action::unchanged, Action::unchanged});
  const Outcome changed = cluster.run(set.apply(objects("2"), {}));
  CHECK_FALSE(changed.error);
  CHECK(actions(changed) == std::vector{Action::unchanged, Action::configured});
}

TEST_CASE("a custom resource may come with its definition and a namespace with what is in it") {
  Cluster cluster;
  const std::string group = cluster.namespace_ + ".example.com";
  const Json crd{
      {"apiVersion", "apiextensions.k8s.io/v1"},
      {"kind", "CustomResourceDefinition"},
      {"metadata", {{"name", "widgets." + group}}},
      {"spec",
       {{"group", group},
        {"scope", "Namespaced"},
        {"names", {{"plural", "widgets"}, {"kind", "Widget"}}},
        {"versions", Json::array({{{"name", "v1"},
                                   {"served", true},
                                   {"storage", true},
                                   {"schema",
                                    {{"openAPIV3Schema",
                                      {{"type", "object"}, {"x-kubernetes-preserve-unknown-fields", true}}}}}}})}}}};
  const std::string home = cluster.namespace_ + "-new";
  const Json space{{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", home}}}};
  const Json widget{
      {"apiVersion", group + "/v1"}, {"kind", "Widget"}, {"metadata", {{"name", "w"}, {"namespace", home}}}};
  const Outcome outcome = cluster.run(owned_by(cluster, "apps").apply({widget, space, crd}, {}));
  if (outcome.error) FAIL(outcome.error->message);
  CHECK(actions(outcome) == std::vector{Action::created, Action::created, Action::created});
}

TEST_CASE("one refused object stops its whole stage before anything of it is written") {
  Cluster cluster;
  Json broken = cluster.config_map("z", "1");
  broken["data"] = "not an object";
  const Outcome outcome = cluster.run(owned_by(cluster, "apps").apply({cluster.config_map("a", "1"), broken}, {}));
  REQUIRE(outcome.error);
  CHECK(outcome.error->message.find("ConfigMap") != std::string::npos);
  CHECK(outcome.error->message.find("dry-run failed") != std::string::npos);
  CHECK(outcome.changes.empty());
  CHECK_FALSE(cluster.run(cluster.client->get(cluster.resource("v1", "ConfigMap"), {cluster.namespace_, "a"})));
}

TEST_CASE("an immutable field is an error, and with force the object is recreated") {
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  REQUIRE_FALSE(cluster.run(set.apply({secret(cluster, "1")}, {})).error);
  const Outcome refused = cluster.run(set.apply({secret(cluster, "2")}, {}));
  REQUIRE(refused.error);
  CHECK(refused.error->message.find("immutable") != std::string::npos);
  sluice::apply::ApplyOptions force;
  force.force = true;
  const Outcome forced = cluster.run(set.apply({secret(cluster, "2")}, force));
  if (forced.error) FAIL(forced.error->message);
  CHECK(actions(forced) == std::vector{Action::created});
}

TEST_CASE("pruning deletes what is ours, and leaves what is annotated, another owner's, or already gone") {
  Cluster cluster;
  Owned ours = owned_by(cluster, "ours");
  Json kept = cluster.config_map("kept", "1");
  kept["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/prune"] = "disabled";
  const Outcome applied = cluster.run(ours.apply(
      {cluster.config_map("mine", "1"), kept, cluster.config_map("taken", "1"), cluster.config_map("gone", "1")}, {}));
  REQUIRE_FALSE(applied.error);
  REQUIRE_FALSE(cluster.run(owned_by(cluster, "theirs").apply({cluster.config_map("taken", "1")}, {})).error);
  const auto maps = cluster.resource("v1", "ConfigMap");
  REQUIRE(cluster.run(cluster.client->remove(maps, {cluster.namespace_, "gone"}, {})));

  const Outcome pruned = cluster.run(ours.prune(entries(applied)));
  CHECK_FALSE(pruned.error);
  const auto exists = [&](const char* name) {
    return cluster.run(cluster.client->get(maps, {cluster.namespace_, name})).has_value();
  };
  CHECK_FALSE(exists("mine"));
  CHECK(exists("kept"));
  CHECK(exists("taken"));
  const auto deleted = actions(pruned);
  CHECK(std::count(deleted.begin(), deleted.end(), Action::deleted) == 2);
  CHECK(std::count(deleted.begin(), deleted.end(), Action::skipped) == 2);
}

TEST_CASE("switches in the manifest are honoured: Ignore and IfNotPresent") {
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  const auto with = [&cluster](const char* name, const char* value, const char* policy) {
    Json object = cluster.config_map(name, value);
    object["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/ssa"] = policy;
    return object;
  };
  CHECK(actions(cluster.run(set.apply({with("i", "1", "Ignore")}, {}))) == std::vector{Action::skipped});
  CHECK(actions(cluster.run(set.apply({with("p", "1", "IfNotPresent")}, {}))) == std::vector{Action::created});
  CHECK(actions(cluster.run(set.apply({with("p", "2", "IfNotPresent")}, {}))) == std::vector{Action::skipped});
}

TEST_CASE("what stands as it was left costs no request; what somebody changed is put back") {
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  std::vector<std::string> drifted;
  set.live->on_drift = [&drifted](const api::ObjectKey& owner, const api::ObjectId& id) {
    drifted.push_back(owner.str() + " " + id.display());
  };
  const auto objects = [&cluster] { return std::vector<Json>{cluster.config_map("a", "1"), cluster.config_map("b", "1")}; };
  CHECK(actions(cluster.run(set.apply(objects(), {}))) == std::vector{Action::created, Action::created});
  int requests = 0;
  cluster.client->on_request([&requests](const std::string&, int, std::chrono::nanoseconds) { ++requests; });
  CHECK(actions(cluster.run(set.apply(objects(), {}))) == std::vector{Action::unchanged, Action::unchanged});
  CHECK(requests == 0);
  CHECK(drifted.empty());

  const auto maps = cluster.resource("v1", "ConfigMap");
  const auto touch = [&](Json patch) {
    REQUIRE(cluster.run(
        cluster.client->patch(maps, {cluster.namespace_, "a"}, sluice::kube::PatchType::merge, std::move(patch), {})));
  };
  const auto settle = [&](std::size_t want) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (drifted.size() < want && std::chrono::steady_clock::now() < deadline) {
      cluster.runtime.context().run_one_for(std::chrono::milliseconds(5));
    }
  };
  touch({{"data", {{"extra", "x"}}}});  // nobody's business of ours
  touch({{"data", {{"key", "2"}}}});
  settle(1);
  REQUIRE(drifted == std::vector<std::string>{"flux-system/apps ConfigMap/" + cluster.namespace_ + "/a"});
  CHECK(actions(cluster.run(set.apply(objects(), {}))) == std::vector{Action::configured, Action::unchanged});
  REQUIRE(cluster.run(cluster.client->remove(maps, {cluster.namespace_, "b"}, {})));
  settle(2);
  CHECK(drifted.back() == "flux-system/apps ConfigMap/" + cluster.namespace_ + "/b");
  CHECK(actions(cluster.run(set.apply(objects(), {}))) == std::vector{Action::unchanged, Action::created});
}

TEST_CASE("what kubectl added to an object goes away, and another manager's fields stay") {
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  const auto maps = cluster.resource("v1", "ConfigMap");
  Json by_kubectl = cluster.config_map("a", "1");
  by_kubectl["data"]["theirs"] = "x";
  by_kubectl["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = "{}";
  REQUIRE(cluster.run(cluster.client->create(maps, by_kubectl, "kubectl-client-side-apply")));
  const Json other = {{"data", {{"other", "y"}}}};
  sluice::kube::PatchOptions as_other;
  as_other.field_manager = "some-controller";
  REQUIRE(cluster.run(cluster.client->patch(maps, {cluster.namespace_, "a"}, sluice::kube::PatchType::merge, other, as_other)));

  const Outcome outcome = cluster.run(set.apply({cluster.config_map("a", "1")}, {}));
  if (outcome.error) FAIL(outcome.error->message);
  CHECK(actions(outcome) == std::vector{Action::configured});
  const auto live = cluster.run(cluster.client->get(maps, {cluster.namespace_, "a"}));
  REQUIRE(live);
  CHECK((*live)["data"] == Json({{"key", "1"}, {"other", "y"}}));
  CHECK_FALSE((*live)["metadata"].contains("annotations"));
}

TEST_CASE("an inventory can be saved before anything of a stage is written, and an error there stops it") {
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  std::vector<std::string> announced;
  sluice::apply::ApplyOptions options;
  const auto refuse = [](std::vector<api::InventoryEntry> entries, std::vector<std::string>& into) -> Task<sluice::base::Result<void>> {
    for (const auto& entry : entries) into.push_back(entry.id);
    co_return sluice::base::unexpected(ErrorKind::unavailable, "no server");
  };
  options.before_write = [&](std::vector<api::InventoryEntry> entries) { return refuse(std::move(entries), announced); };
  const Outcome outcome = cluster.run(set.apply({cluster.config_map("a", "1")}, options));
  REQUIRE(outcome.error);
  CHECK(announced == std::vector<std::string>{cluster.namespace_ + "_a__ConfigMap"});
  CHECK_FALSE(cluster.run(cluster.client->get(cluster.resource("v1", "ConfigMap"), {cluster.namespace_, "a"})));
}

TEST_CASE("an object that is in the set is never pruned, whatever id the inventory has for it") {
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  const Json role{{"apiVersion", "rbac.authorization.k8s.io/v1"},
                  {"kind", "ClusterRole"},
                  {"metadata", {{"name", cluster.namespace_ + "-r"}}},
                  {"rules", Json::array()}};
  const Outcome applied = cluster.run(set.apply({role}, {}));
  REQUIRE_FALSE(applied.error);
  // As if written by somebody who took the kind for a namespaced one.
  const std::string odd = "apps_" + cluster.namespace_ + "-r_rbac.authorization.k8s.io_ClusterRole";
  const Outcome pruned = cluster.run(set.set.prune({{odd, "v1"}}, applied.changes, {}));
  REQUIRE_FALSE(pruned.error);
  CHECK(actions(pruned) == std::vector{Action::skipped});
}
