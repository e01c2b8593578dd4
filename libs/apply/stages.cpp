#include "apply/stages.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace sluice::apply {
namespace {

// Kinds that others need, before all that is not listed.
constexpr std::array<std::string_view, 20> kEarly{"CustomResourceDefinition",
                                                  "Namespace",
                                                  "ClusterRole",
                                                  "PriorityClass",
                                                  "StorageClass",
                                                  "IngressClass",
                                                  "ResourceQuota",
                                                  "LimitRange",
                                                  "NetworkPolicy",
                                                  "ServiceAccount",
                                                  "Role",
                                                  "ClusterRoleBinding",
                                                  "RoleBinding",
                                                  "ConfigMap",
                                                  "Secret",
                                                  "PersistentVolume",
                                                  "PersistentVolumeClaim",
                                                  "Service",
                                                  "Endpoints",
                                                  "PodDisruptionBudget"};
// Kinds that could stand in the way of the others, after all that is not listed.
constexpr std::array<std::string_view, 4> kLate{"APIService", "ValidatingAdmissionPolicyBinding",
                                                "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"};

int rank(std::string_view kind) {
  const auto early = std::find(kEarly.begin(), kEarly.end(), kind);
  if (early != kEarly.end()) return static_cast<int>(early - kEarly.begin());
  const auto late = std::find(kLate.begin(), kLate.end(), kind);
  if (late != kLate.end()) return 1000 + static_cast<int>(late - kLate.begin());
  return 500;
}

bool is_definition(const api::GroupKind& kind) {
  return (kind.group == "apiextensions.k8s.io" && kind.kind == "CustomResourceDefinition") ||
         (kind.group.empty() && kind.kind == "Namespace") ||
         (kind.group == "rbac.authorization.k8s.io" && kind.kind == "ClusterRole");
}

}  // namespace

int deletion_rank(const api::GroupKind& kind) { return rank(kind.kind); }

std::vector<Stage> split_stages(std::vector<doc::Json> objects, const std::set<api::GroupKind>& custom_stage) {
  std::array<Stage, 4> stages;
  stages[0].await_ready = true;
  stages[1].await_ready = true;
  for (doc::Json& object : objects) {
    const auto gvk = api::gvk_of(object);
    const api::GroupKind kind = gvk ? gvk->group_kind() : api::GroupKind{};
    std::size_t index = 3;
    if (is_definition(kind)) {
      index = 0;
    } else if (kind.kind.ends_with("Class")) {
      index = 1;
    } else if (custom_stage.contains(kind)) {
      index = 2;
    }
    stages[index].objects.push_back(std::move(object));
  }
  std::vector<Stage> out;
  for (Stage& stage : stages) {
    if (stage.objects.empty()) continue;
    std::stable_sort(stage.objects.begin(), stage.objects.end(), [](const doc::Json& a, const doc::Json& b) {
      return rank(api::kind_of(a)) < rank(api::kind_of(b));
    });
    out.push_back(std::move(stage));
  }
  return out;
}

}  // namespace sluice::apply
