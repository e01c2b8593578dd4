// What is deleted, and what must never be.
#include "apply/adoption.hpp"
#include "cluster/cluster.hpp"
#include "cluster/owned.hpp"

using sluice::apply::Action;
using sluice::apply::Outcome;
using sluice::doc::Json;
using sluice::test::actions;
using sluice::test::Cluster;
using sluice::test::entries;
using sluice::test::Owned;
using sluice::test::owned_by;
namespace api = sluice::api;
namespace kube = sluice::kube;

namespace {

Json claim(const Cluster& cluster) {
  Json object =
      Json::parse(R"({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec":
    {"accessModes": ["ReadWriteOnce"], "storageClassName": "none", "resources": {"requests": {"storage": "1Gi"}}}})");
  object["metadata"]["namespace"] = cluster.namespace_;
  return object;
}

bool is_there(Cluster& cluster, const kube::Resource& resource, const char* name) {
  auto found = cluster.run(cluster.client->get(resource, {cluster.namespace_, name}));
  return found && !api::is_being_deleted(*found);
}

Json patch_labels(const char* name) {
  Json patch = Json::object();
  patch["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] = name;
  return patch;
}

}  // namespace

TEST_CASE("an object that another owner labels between our look and our deletion stays") {
  Cluster cluster;
  Owned ours = owned_by(cluster, "ours");
  const Outcome applied = cluster.run(ours.apply({cluster.config_map("moved", "1")}, {}));
  REQUIRE_FALSE(applied.error);
  const auto maps = cluster.resource("v1", "ConfigMap");
  Cluster elsewhere;  // a loop of its own
  int looks = 0;
  sluice::apply::PruneOptions options;
  options.hold = [&](const api::InventoryEntry&, const Json&) {
    ++looks;
    REQUIRE(elsewhere.run(elsewhere.client->patch(maps, {cluster.namespace_, "moved"}, kube::PatchType::merge,
                                                  patch_labels("theirs"), {})));
    return std::string();
  };
  const Outcome pruned = cluster.run(ours.prune(entries(applied), options));
  CHECK_FALSE(pruned.error);
  CHECK(actions(pruned) == std::vector{Action::skipped});
  CHECK(looks == 1);
  CHECK(is_there(cluster, maps, "moved"));
}

TEST_CASE("what changes while we look is deleted all the same, in the end") {
  Cluster cluster;
  Owned ours = owned_by(cluster, "ours");
  const Outcome applied = cluster.run(ours.apply({cluster.config_map("busy", "1")}, {}));
  const auto maps = cluster.resource("v1", "ConfigMap");
  Cluster elsewhere;
  int looks = 0;
  sluice::apply::PruneOptions options;
  options.hold = [&](const api::InventoryEntry&, const Json&) {
    if (++looks > 2) return std::string();
    Json patch = Json::object();
    patch["data"]["tick"] = std::to_string(looks);
    REQUIRE(
        elsewhere.run(elsewhere.client->patch(maps, {cluster.namespace_, "busy"}, kube::PatchType::merge, patch, {})));
    return std::string();
  };
  CHECK(actions(cluster.run(ours.prune(entries(applied), options))) == std::vector{Action::deleted});
  CHECK_FALSE(is_there(cluster, maps, "busy"));
}

TEST_CASE("what is held stays, and is reported as held with the reason") {
  Cluster cluster;
  Owned ours = owned_by(cluster, "ours");
  const Outcome applied = cluster.run(ours.apply({cluster.config_map("a", "1"), cluster.config_map("b", "1")}, {}));
  sluice::apply::PruneOptions options;
  options.hold = [](const api::InventoryEntry& entry, const Json&) {
    return std::string(entry.id.find("_a_") != std::string::npos ? "somebody builds it" : "");
  };
  const Outcome pruned = cluster.run(ours.prune(entries(applied), options));
  REQUIRE(pruned.changes.size() == 2);
  for (const auto& change : pruned.changes) {
    CHECK(change.action == (change.id.name == "a" ? Action::held : Action::deleted));
    CHECK(change.why == (change.id.name == "a" ? "somebody builds it" : ""));
  }
  CHECK(is_there(cluster, cluster.resource("v1", "ConfigMap"), "a"));
}

TEST_CASE("a claim that was there before us outlives us, unless it says that it may go") {
  Cluster cluster;
  const auto claims = cluster.resource("v1", "PersistentVolumeClaim");
  const char* manager = GENERATE("kubectl-client-side-apply", "some-installer");
  REQUIRE(cluster.run(cluster.client->create(claims, claim(cluster), manager)));
  Owned ours = owned_by(cluster, "ours");
  sluice::apply::ApplyOptions first;
  first.take_over_before_dry_run = GENERATE(false, true);
  const Outcome applied = cluster.run(ours.apply({claim(cluster)}, first));
  if (applied.error) FAIL(applied.error->message);
  CHECK(actions(applied) == std::vector{Action::configured});
  CHECK(actions(cluster.run(ours.apply({claim(cluster)}, {}))) == std::vector{Action::unchanged});
  Owned restarted = owned_by(cluster, "ours");
  CHECK(actions(cluster.run(restarted.apply({claim(cluster)}, {}))) == std::vector{Action::unchanged});

  const Outcome pruned = cluster.run(restarted.prune(entries(applied)));
  CHECK_FALSE(pruned.error);
  REQUIRE(actions(pruned) == std::vector{Action::skipped});
  CHECK(pruned.changes[0].why.find("prune: enabled") != std::string::npos);
  CHECK(is_there(cluster, claims, "data"));

  Json may_go = claim(cluster);
  may_go["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/prune"] = "enabled";
  REQUIRE_FALSE(cluster.run(restarted.apply({may_go}, {})).error);
  CHECK(actions(cluster.run(restarted.prune(entries(applied)))) == std::vector{Action::deleted});
  CHECK_FALSE(is_there(cluster, claims, "data"));
}

TEST_CASE("a namespace that was there before us outlives us") {
  Cluster cluster;
  const Json space{{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", cluster.namespace_}}}};
  Owned ours = owned_by(cluster, "ours");
  const Outcome applied = cluster.run(ours.apply({space}, {}));
  if (applied.error) FAIL(applied.error->message);
  CHECK(actions(cluster.run(ours.prune(entries(applied)))) == std::vector{Action::skipped});
  auto live = cluster.run(cluster.client->get(cluster.resource("v1", "Namespace"), {"", cluster.namespace_}));
  REQUIRE(live);
  CHECK_FALSE(api::is_being_deleted(*live));
  CHECK(api::annotation_of(*live, sluice::apply::kExistedBefore) == "flux-system/ours");
}

TEST_CASE("what we or another Flux controller made is ours to delete, and so is what comes back from Git") {
  Cluster cluster;
  const auto claims = cluster.resource("v1", "PersistentVolumeClaim");
  const auto maps = cluster.resource("v1", "ConfigMap");
  Owned ours = owned_by(cluster, "ours");
  Json object = claim(cluster);
  Outcome applied;
  SECTION("made by us") { applied = cluster.run(ours.apply({object}, {})); }
  SECTION("made by another owner, and moved to us") {
    REQUIRE_FALSE(cluster.run(owned_by(cluster, "theirs").apply({object}, {})).error);
    applied = cluster.run(ours.apply({object}, {}));
  }
  SECTION("its labels are lost, its fields are ours") {
    REQUIRE_FALSE(cluster.run(ours.apply({object}, {})).error);
    Json patch = Json::object();
    patch["metadata"]["labels"] = nullptr;
    REQUIRE(
        cluster.run(cluster.client->patch(claims, {cluster.namespace_, "data"}, kube::PatchType::merge, patch, {})));
    applied = cluster.run(owned_by(cluster, "ours").apply({object}, {}));
  }
  SECTION("made by hand, but an ordinary object") {
    REQUIRE(cluster.run(cluster.client->create(maps, cluster.config_map("a", "1"), "kubectl-create")));
    applied = cluster.run(ours.apply({cluster.config_map("a", "1")}, {}));
  }
  if (applied.error) FAIL(applied.error->message);
  CHECK(actions(cluster.run(ours.prune(entries(applied)))) == std::vector{Action::deleted});
}

TEST_CASE("a Namespace stays with what stays in it, and both are known to the next call") {
  Cluster cluster;
  Owned ours = owned_by(cluster, "ours");
  Json space = Json::parse(R"({"apiVersion": "v1", "kind": "Namespace"})");
  const std::string name = cluster.namespace_ + "-inner";
  space["metadata"]["name"] = name;
  Json inside = cluster.config_map("inside", "1");
  inside["metadata"]["namespace"] = name;
  inside["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/prune"] = "disabled";
  const Outcome applied = cluster.run(ours.apply({space, inside}, {}));
  REQUIRE_FALSE(applied.error);
  const auto all = sluice::apply::entries_to_prune({entries(applied)}, {});
  for (int i = 0; i < 2; ++i) {
    const Outcome pruned = cluster.run(ours.prune(all));
    CHECK_FALSE(pruned.error);
    CHECK(actions(pruned) == std::vector{Action::held, Action::held});
    CHECK(pruned.changes[0].why == "it is switched off");
    CHECK(pruned.changes[1].why == "it would take ConfigMap/" + name + "/inside with it, which stays");
  }
  sluice::apply::PruneOptions options;
  options.is_final = true;
  CHECK(actions(cluster.run(ours.prune(all, options))) == std::vector{Action::skipped, Action::skipped});
  const auto spaces = cluster.resource("v1", "Namespace");
  const auto found = cluster.run(cluster.client->get(spaces, {"", name}));
  REQUIRE(found);
  CHECK_FALSE(api::is_being_deleted(*found));

  // An account that may not look at what is inside does not know whether it stays.
  REQUIRE(cluster.run(cluster.client->remove(cluster.resource("v1", "ConfigMap"), {name, "inside"}, {})));
  const Outcome pruned = cluster.run(ours.prune(all));
  CHECK(actions(pruned) == std::vector{Action::deleted, Action::deleted});
}

TEST_CASE("what is applied still keeps its Namespace and its definition, though these left the set") {
  Cluster cluster;
  Owned ours = owned_by(cluster, "ours");
  Json space = Json::parse(R"({"apiVersion": "v1", "kind": "Namespace"})");
  const std::string name = cluster.namespace_ + "-kept";
  space["metadata"]["name"] = name;
  Json inside = cluster.config_map("inside", "1");
  inside["metadata"]["namespace"] = name;
  const Outcome applied = cluster.run(ours.apply({space, inside}, {}));
  REQUIRE_FALSE(applied.error);
  const Outcome again = cluster.run(ours.apply({inside}, {}));
  const auto dropped = sluice::apply::entries_to_prune({entries(applied)}, {entries(again)});
  REQUIRE(dropped.size() == 1);
  const Outcome pruned = cluster.run(ours.set.prune(dropped, again.changes, {}));
  CHECK(actions(pruned) == std::vector{Action::held});
}
