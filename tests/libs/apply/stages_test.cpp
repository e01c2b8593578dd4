#include "apply/stages.hpp"

#include <catch2/catch.hpp>

#include "apply/apply_set.hpp"

using sluice::apply::split_stages;
using sluice::doc::Json;

namespace {

Json object(std::string api_version, std::string kind, std::string name = "x") {
  return {{"apiVersion", std::move(api_version)}, {"kind", std::move(kind)}, {"metadata", {{"name", std::move(name)}}}};
}

std::vector<sluice::apply::Manifest> manifests(std::vector<Json> objects) {
  auto made = sluice::apply::make_manifests(std::move(objects), {"example.com", "owner", "apps", "manager"});
  REQUIRE(made);
  return *std::move(made);
}

std::vector<std::string> kinds(const sluice::apply::Stage& stage) {
  std::vector<std::string> out;
  for (const auto* entry : stage.objects) out.push_back(entry->id.kind);
  return out;
}

}  // namespace

TEST_CASE("definitions and classes come in stages of their own, which are awaited") {
  const auto all = manifests({object("apps/v1", "Deployment"), object("storage.k8s.io/v1", "StorageClass"),
                              object("v1", "Namespace"), object("rbac.authorization.k8s.io/v1", "ClusterRole"),
                              object("apiextensions.k8s.io/v1", "CustomResourceDefinition")});
  const auto stages = split_stages(all, {});
  REQUIRE(stages.size() == 3);
  CHECK(kinds(stages[0]) == std::vector<std::string>{"CustomResourceDefinition", "Namespace", "ClusterRole"});
  CHECK(stages[0].await_ready);
  CHECK(kinds(stages[1]) == std::vector<std::string>{"StorageClass"});
  CHECK(kinds(stages[2]) == std::vector<std::string>{"Deployment"});
  CHECK_FALSE(stages[2].await_ready);
}

TEST_CASE("a kind of the same name in another group is no definition") {
  const auto all = manifests({object("example.com/v1", "Namespace"), object("v1", "Pod")});
  CHECK(split_stages(all, {}).size() == 1);
}

TEST_CASE("kinds named by the user come before the rest") {
  const auto all = manifests({object("v1", "Pod"), object("cert-manager.io/v1", "Issuer")});
  const auto stages = split_stages(all, {{"cert-manager.io", "Issuer"}});
  REQUIRE(stages.size() == 2);
  CHECK(kinds(stages[0]) == std::vector<std::string>{"Issuer"});
}

TEST_CASE("within a stage what others need comes first and the order of equals is kept") {
  const auto all = manifests({object("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
                              object("apps/v1", "Deployment", "b"), object("apps/v1", "Deployment", "a"),
                              object("v1", "Secret"), object("v1", "ServiceAccount")});
  const auto stages = split_stages(all, {});
  REQUIRE(stages.size() == 1);
  CHECK(kinds(stages[0]) == std::vector<std::string>{"ServiceAccount", "Secret", "Deployment", "Deployment",
                                                     "ValidatingWebhookConfiguration"});
  CHECK(stages[0].objects[2]->id.name == "b");
  CHECK(stages[0].late_from == 4);
}

TEST_CASE("what left the inventory is pruned, workloads before what they need, versions ignored") {
  using sluice::api::ResourceInventory;
  const ResourceInventory before{{{"_apps__Namespace", "v1"},
                                  {"apps_web_apps_Deployment", "v1"},
                                  {"apps_cfg__ConfigMap", "v1"},
                                  {"apps_kept_autoscaling_HorizontalPodAutoscaler", "v2beta2"}}};
  const ResourceInventory after{{{"apps_kept_autoscaling_HorizontalPodAutoscaler", "v2"}}};
  std::vector<std::string> ids;
  for (const auto& entry : sluice::apply::entries_to_prune(before, after)) ids.push_back(entry.id);
  CHECK(ids == std::vector<std::string>{"apps_web_apps_Deployment", "apps_cfg__ConfigMap", "_apps__Namespace"});
}
