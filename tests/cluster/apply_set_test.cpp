#include "apply/apply_set.hpp"

#include <algorithm>

#include "cluster/cluster.hpp"

using sluice::apply::Action;
using sluice::apply::ApplySet;
using sluice::apply::Outcome;
using sluice::base::ErrorKind;
using sluice::doc::Json;
using sluice::test::Cluster;
namespace api = sluice::api;

namespace {

ApplySet owned_by(Cluster& cluster, const std::string& name) {
  return ApplySet(cluster.runtime, cluster.client, cluster.mapper,
                  {"kustomize.toolkit.fluxcd.io", name, "flux-system", "kustomize-controller"});
}

std::vector<Action> actions(const Outcome& outcome) {
  std::vector<Action> out;
  for (const auto& change : outcome.changes) out.push_back(change.action);
  return out;
}

std::vector<api::InventoryEntry> entries(const Outcome& outcome) {
  std::vector<api::InventoryEntry> out;
  for (const auto& change : outcome.changes) out.push_back({change.id.str(), change.version});
  return out;
}

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
  ApplySet set = owned_by(cluster, "apps");
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
  ApplySet set = owned_by(cluster, "apps");
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
  ApplySet ours = owned_by(cluster, "ours");
  Json kept = cluster.config_map("kept", "1");
  kept["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/prune"] = "disabled";
  const Outcome applied = cluster.run(ours.apply(
      {cluster.config_map("mine", "1"), kept, cluster.config_map("taken", "1"), cluster.config_map("gone", "1")}, {}));
  REQUIRE_FALSE(applied.error);
  REQUIRE_FALSE(cluster.run(owned_by(cluster, "theirs").apply({cluster.config_map("taken", "1")}, {})).error);
  const auto maps = cluster.resource("v1", "ConfigMap");
  REQUIRE(cluster.run(cluster.client->remove(maps, {cluster.namespace_, "gone"}, {})));

  const Outcome pruned = cluster.run(ours.prune(entries(applied), "Background"));
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
  ApplySet set = owned_by(cluster, "apps");
  const auto with = [&cluster](const char* name, const char* value, const char* policy) {
    Json object = cluster.config_map(name, value);
    object["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/ssa"] = policy;
    return object;
  };
  CHECK(actions(cluster.run(set.apply({with("i", "1", "Ignore")}, {}))) == std::vector{Action::skipped});
  CHECK(actions(cluster.run(set.apply({with("p", "1", "IfNotPresent")}, {}))) == std::vector{Action::created});
  CHECK(actions(cluster.run(set.apply({with("p", "2", "IfNotPresent")}, {}))) == std::vector{Action::skipped});
}
