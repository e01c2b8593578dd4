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

constexpr int kLateRank = 1000;

int rank(std::string_view kind) {
  const auto early = std::find(kEarly.begin(), kEarly.end(), kind);
  if (early != kEarly.end()) return static_cast<int>(early - kEarly.begin());
  const auto late = std::find(kLate.begin(), kLate.end(), kind);
  if (late != kLate.end()) return kLateRank + static_cast<int>(late - kLate.begin());
  return 500;
}

bool is_definition(const api::GroupKind& kind) {
  return (kind.group == "apiextensions.k8s.io" && kind.kind == "CustomResourceDefinition") ||
         (kind.group.empty() && kind.kind == "Namespace") ||
         (kind.group == "rbac.authorization.k8s.io" && kind.kind == "ClusterRole");
}

}  // namespace

int deletion_rank(const api::GroupKind& kind) { return rank(kind.kind); }

std::vector<Stage> split_stages(const std::vector<Manifest>& objects, const std::set<api::GroupKind>& custom_stage) {
  std::array<Stage, 4> stages;
  stages[0].await_ready = true;
  stages[1].await_ready = true;
  for (const Manifest& object : objects) {
    const api::GroupKind kind = object.id.group_kind();
    std::size_t index = 3;
    if (is_definition(kind)) {
      index = 0;
    } else if (kind.kind.ends_with("Class")) {
      index = 1;
    } else if (custom_stage.contains(kind)) {
      index = 2;
    }
    stages[index].objects.push_back(&object);
  }
  std::vector<Stage> out;
  for (Stage& stage : stages) {
    if (stage.objects.empty()) continue;
    std::stable_sort(stage.objects.begin(), stage.objects.end(),
                     [](const Manifest* a, const Manifest* b) { return rank(a->id.kind) < rank(b->id.kind); });
    const auto late = std::find_if(stage.objects.begin(), stage.objects.end(),
                                   [](const Manifest* object) { return rank(object->id.kind) >= kLateRank; });
    stage.late_from = static_cast<std::size_t>(late - stage.objects.begin());
    out.push_back(std::move(stage));
  }
  return out;
}

}  // namespace sluice::apply
