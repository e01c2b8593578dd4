// kustomize's default configuration as tables. The facts are those of
// `kustomize config save` (v5.8.1); the rows are ordered by what they mean.
#include <array>

#include "kustomize/objects/kind_order.hpp"
#include "kustomize/reading/config.hpp"

namespace sluice::kustomize {
namespace {

// A kind that carries a pod, and where its pod spec (or pod metadata) is.
struct PodCarrier {
  const char* kind;
  const char* version;
  const char* pod;  // in front of "spec/..." and "metadata/..."
};
constexpr PodCarrier kPod{"Pod", "v1", ""};
constexpr PodCarrier kPodAnyVersion{"Pod", "", ""};
constexpr PodCarrier kPodTemplate{"PodTemplate", "", "template/"};
constexpr PodCarrier kDeployment{"Deployment", "", "spec/template/"};
constexpr PodCarrier kReplicaSet{"ReplicaSet", "", "spec/template/"};
constexpr PodCarrier kDaemonSet{"DaemonSet", "", "spec/template/"};
constexpr PodCarrier kStatefulSet{"StatefulSet", "", "spec/template/"};
constexpr PodCarrier kReplicationController{"ReplicationController", "", "spec/template/"};
constexpr PodCarrier kJob{"Job", "", "spec/template/"};
constexpr PodCarrier kCronJob{"CronJob", "", "spec/jobTemplate/spec/template/"};

// ConfigMaps and Secrets are looked for in these.
constexpr std::array kDataUsers{kPod, kPodTemplate, kDeployment, kReplicaSet, kDaemonSet, kStatefulSet, kJob, kCronJob};
// Service accounts, claims and priority classes in these.
constexpr std::array kSpecUsers{kPodAnyVersion, kStatefulSet, kDeployment, kReplicationController,
                                kCronJob,       kJob,         kDaemonSet};
// Vars in these.
constexpr std::array kVarUsers{kCronJob, kDaemonSet, kDeployment, kJob, kPodAnyVersion, kReplicaSet, kStatefulSet};

struct Row {
  std::string_view group, version, kind, path;
  bool create = false;
  std::string_view pod{};  // goes in front of the path
};

template <std::size_t N, std::size_t M>
constexpr std::array<Row, N * M> in_pods(const std::array<PodCarrier, N>& carriers,
                                         const std::array<const char*, M>& fields) {
  std::array<Row, N * M> rows;
  for (std::size_t i = 0; i < N * M; ++i) {
    const PodCarrier& carrier = carriers[i / M];
    rows[i] = {"", carrier.version, carrier.kind, fields[i % M], false, carrier.pod};
  }
  return rows;
}

template <std::size_t N, std::size_t M>
constexpr std::array<Row, N + M> operator+(const std::array<Row, N>& a, const std::array<Row, M>& b) {
  std::array<Row, N + M> rows;
  std::copy(b.begin(), b.end(), std::copy(a.begin(), a.end(), rows.begin()));
  return rows;
}

// In kustomize's order of kinds. By insertion, which keeps the order of equals.
template <typename Each, std::size_t N>
constexpr std::array<Each, N> sorted(std::array<Each, N> rows) {
  for (std::size_t i = 1; i < N; ++i) {
    const Each row = rows[i];
    std::size_t at = i;
    for (; at > 0; --at) {
      const Each& before = rows[at - 1];
      if (!kind_before({row.group, row.version, row.kind}, {before.group, before.version, before.kind})) break;
      rows[at] = before;
    }
    rows[at] = row;
  }
  return rows;
}

FieldSpecs specs_of(std::span<const Row> rows) {
  FieldSpecs specs;
  specs.reserve(rows.size());
  for (const Row& row : rows) {
    FieldSpec& spec = specs.emplace_back();
    spec.gvk = {std::string(row.group), std::string(row.version), std::string(row.kind)};
    spec.path.reserve(row.pod.size() + row.path.size());
    spec.path.append(row.pod).append(row.path);
    spec.create = row.create;
  }
  return specs;
}

constexpr const char* kRbac = "rbac.authorization.k8s.io";
constexpr const char* kAdmission = "admissionregistration.k8s.io";

constexpr auto kOfConfigMaps =
    in_pods(kDataUsers,
            std::array{"spec/volumes/configMap/name", "spec/containers/env/valueFrom/configMapKeyRef/name",
                       "spec/initContainers/env/valueFrom/configMapKeyRef/name",
                       "spec/containers/envFrom/configMapRef/name", "spec/initContainers/envFrom/configMapRef/name",
                       "spec/volumes/projected/sources/configMap/name"}) +
    std::array{Row{"", "", "Node", "spec/configSource/configMap"}, Row{"", "", "Role", "rules/resourceNames"},
               Row{"", "", "ClusterRole", "rules/resourceNames"},
               Row{"", "", "Ingress", "metadata/annotations/nginx.ingress.kubernetes.io\\/fastcgi-params-configmap"}};

constexpr auto kOfSecrets =
    in_pods(kDataUsers,
            std::array{"spec/volumes/secret/secretName", "spec/containers/env/valueFrom/secretKeyRef/name",
                       "spec/initContainers/env/valueFrom/secretKeyRef/name", "spec/containers/envFrom/secretRef/name",
                       "spec/initContainers/envFrom/secretRef/name", "spec/imagePullSecrets/name",
                       "spec/volumes/projected/sources/secret/name"}) +
    std::array{
        Row{"", "", "Ingress", "spec/tls/secretName"},
        Row{"", "", "Ingress", "metadata/annotations/ingress.kubernetes.io\\/auth-secret"},
        Row{"", "", "Ingress", "metadata/annotations/nginx.ingress.kubernetes.io\\/auth-secret"},
        Row{"", "", "Ingress", "metadata/annotations/nginx.ingress.kubernetes.io\\/auth-tls-secret"},
        Row{"", "", "ServiceAccount", "imagePullSecrets/name"}, Row{"", "", "StorageClass", "parameters/secretName"},
        Row{"", "", "StorageClass", "parameters/adminSecretName"},
        Row{"", "", "StorageClass", "parameters/userSecretName"}, Row{"", "", "StorageClass", "parameters/secretRef"},
        Row{"", "", "Role", "rules/resourceNames"}, Row{"", "", "ClusterRole", "rules/resourceNames"},
        Row{"serving.knative.dev", "v1", "Service", "spec/template/spec/containers/env/valueFrom/secretKeyRef/name"},
        Row{"", "", "PersistentVolume", "spec/azureFile/secretName"}};

constexpr std::array kOfServices{Row{"apps", "", "StatefulSet", "spec/serviceName"},
                                 Row{"", "", "Ingress", "spec/rules/http/paths/backend/serviceName"},
                                 Row{"", "", "Ingress", "spec/backend/serviceName"},
                                 Row{"", "", "Ingress", "spec/rules/http/paths/backend/service/name"},
                                 Row{"", "", "Ingress", "spec/defaultBackend/service/name"},
                                 Row{"apiregistration.k8s.io", "", "APIService", "spec/service/name"},
                                 Row{kAdmission, "", "ValidatingWebhookConfiguration", "webhooks/clientConfig/service"},
                                 Row{kAdmission, "", "MutatingWebhookConfiguration", "webhooks/clientConfig/service"}};

constexpr auto kOfServiceAccounts =
    std::array{Row{kRbac, "", "RoleBinding", "subjects"}, Row{kRbac, "", "ClusterRoleBinding", "subjects"}} +
    in_pods(kSpecUsers, std::array{"spec/serviceAccountName"});
constexpr auto kOfClaims = in_pods(kSpecUsers, std::array{"spec/volumes/persistentVolumeClaim/claimName"});
constexpr auto kOfPriorities = in_pods(kSpecUsers, std::array{"spec/priorityClassName"});
constexpr std::array kOfScaled{Row{"", "", "HorizontalPodAutoscaler", "spec/scaleTargetRef/name"}};
constexpr std::array kOfRoles{Row{kRbac, "", "RoleBinding", "roleRef/name"}};
constexpr std::array kOfClusterRoles{Row{kRbac, "", "RoleBinding", "roleRef/name"},
                                     Row{kRbac, "", "ClusterRoleBinding", "roleRef/name"}};
constexpr std::array kOfVolumes{Row{"", "", "PersistentVolumeClaim", "spec/volumeName"},
                                Row{"", "", "ClusterRole", "rules/resourceNames"}};
constexpr std::array kOfStorage{Row{"", "", "PersistentVolume", "spec/storageClassName"},
                                Row{"", "", "PersistentVolumeClaim", "spec/storageClassName"},
                                Row{"", "", "StatefulSet", "spec/volumeClaimTemplates/spec/storageClassName"}};
constexpr std::array kOfIngressClasses{Row{"", "", "Ingress", "spec/ingressClassName"}};
constexpr std::array kOfPolicies{Row{kAdmission, "", "ValidatingAdmissionPolicyBinding", "spec/policyName"}};

struct Rule {
  std::string_view group, version, kind;
  std::span<const Row> rows;
};

constexpr auto kNameReferences = sorted(std::array{
    Rule{"", "", "Deployment", kOfScaled}, Rule{"", "", "ReplicationController", kOfScaled},
    Rule{"", "", "ReplicaSet", kOfScaled}, Rule{"", "", "StatefulSet", kOfScaled},
    Rule{"", "v1", "ConfigMap", kOfConfigMaps}, Rule{"", "v1", "Secret", kOfSecrets},
    Rule{"", "v1", "Service", kOfServices}, Rule{kRbac, "", "Role", kOfRoles},
    Rule{kRbac, "", "ClusterRole", kOfClusterRoles}, Rule{"", "v1", "ServiceAccount", kOfServiceAccounts},
    Rule{"", "v1", "PersistentVolumeClaim", kOfClaims}, Rule{"", "v1", "PersistentVolume", kOfVolumes},
    Rule{"storage.k8s.io", "v1", "StorageClass", kOfStorage},
    Rule{"scheduling.k8s.io", "v1", "PriorityClass", kOfPriorities},
    // The group is written so in kustomize, too, and matches no class; a rule all the same.
    Rule{"networking.k8s.io/v1", "v1", "IngressClass", kOfIngressClasses},
    Rule{kAdmission, "", "ValidatingAdmissionPolicy", kOfPolicies}});

// Pod templates that get the labels of their owner.
constexpr std::array kTemplateLabels{
    Row{"", "", "", "metadata/labels", true},
    Row{"", "v1", "ReplicationController", "spec/template/metadata/labels", true},
    Row{"", "", "Deployment", "spec/template/metadata/labels", true},
    Row{"", "", "ReplicaSet", "spec/template/metadata/labels", true},
    Row{"", "", "DaemonSet", "spec/template/metadata/labels", true},
    Row{"apps", "", "StatefulSet", "spec/template/metadata/labels", true},
    Row{"apps", "", "StatefulSet", "spec/volumeClaimTemplates[]/metadata/labels", true},
    Row{"batch", "", "Job", "spec/template/metadata/labels", true},
    Row{"batch", "", "CronJob", "spec/jobTemplate/metadata/labels", true},
    Row{"batch", "", "CronJob", "spec/jobTemplate/spec/template/metadata/labels", true}};

constexpr std::array kAnnotations{
    Row{"", "", "", "metadata/annotations", true},
    Row{"", "v1", "ReplicationController", "spec/template/metadata/annotations", true},
    Row{"", "", "Deployment", "spec/template/metadata/annotations", true},
    Row{"", "", "ReplicaSet", "spec/template/metadata/annotations", true},
    Row{"", "", "DaemonSet", "spec/template/metadata/annotations", true},
    Row{"", "", "StatefulSet", "spec/template/metadata/annotations", true},
    Row{"batch", "", "Job", "spec/template/metadata/annotations", true},
    Row{"batch", "", "CronJob", "spec/jobTemplate/metadata/annotations", true},
    Row{"batch", "", "CronJob", "spec/jobTemplate/spec/template/metadata/annotations", true}};

// Selectors that name the pods of a workload in its own spec.
constexpr std::array<const char*, 5> kOfPeers{
    "affinity/podAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm"
    "/labelSelector/matchLabels",
    "affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
    "affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm"
    "/labelSelector/matchLabels",
    "affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
    "topologySpreadConstraints/labelSelector/matchLabels"};

constexpr auto peers_of(std::string_view kind) {
  std::array<Row, kOfPeers.size()> rows;
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = {"apps", "", kind, kOfPeers[i], false, "spec/template/spec/"};
  return rows;
}

constexpr auto kCommonLabels =
    std::array{Row{"", "v1", "Service", "spec/selector", true},
               Row{"", "v1", "ReplicationController", "spec/selector", true},
               Row{"", "", "Deployment", "spec/selector/matchLabels", true},
               Row{"", "", "ReplicaSet", "spec/selector/matchLabels", true},
               Row{"", "", "DaemonSet", "spec/selector/matchLabels", true},
               Row{"apps", "", "StatefulSet", "spec/selector/matchLabels", true}} +
    peers_of("Deployment") + peers_of("StatefulSet") +
    std::array{Row{"batch", "", "Job", "spec/selector/matchLabels"},
               Row{"batch", "", "CronJob", "spec/jobTemplate/spec/selector/matchLabels"},
               Row{"policy", "", "PodDisruptionBudget", "spec/selector/matchLabels"},
               Row{"networking.k8s.io", "", "NetworkPolicy", "spec/podSelector/matchLabels"},
               Row{"networking.k8s.io", "", "NetworkPolicy", "spec/ingress/from/podSelector/matchLabels"},
               Row{"networking.k8s.io", "", "NetworkPolicy", "spec/egress/to/podSelector/matchLabels"}} +
    kTemplateLabels;

constexpr auto kVarReferences =
    in_pods(kVarUsers, std::array{"spec/containers/args", "spec/containers/command", "spec/containers/env/value",
                                  "spec/containers/volumeMounts/mountPath", "spec/initContainers/args",
                                  "spec/initContainers/command", "spec/initContainers/env/value",
                                  "spec/initContainers/volumeMounts/mountPath"}) +
    std::array{Row{"", "", "CronJob", "spec/jobTemplate/spec/template/volumes/nfs/server"},
               Row{"", "", "DaemonSet", "spec/template/spec/volumes/nfs/server"},
               Row{"", "", "Deployment", "spec/template/spec/volumes/nfs/server"},
               Row{"", "", "Deployment", "spec/template/metadata/annotations"},
               Row{"", "", "Ingress", "spec/rules/host"}, Row{"", "", "Ingress", "spec/tls/hosts"},
               Row{"", "", "Ingress", "spec/tls/secretName"},
               Row{"", "", "Job", "spec/template/spec/volumes/nfs/server"},
               Row{"", "", "Pod", "spec/volumes/nfs/server"},
               Row{"", "", "ReplicaSet", "spec/template/spec/volumes/nfs/server"},
               Row{"", "", "Service", "spec/ports/port"}, Row{"", "", "Service", "spec/ports/targetPort"},
               Row{"", "", "StatefulSet", "spec/volumeClaimTemplates/spec/nfs/server"},
               Row{"", "", "PersistentVolume", "spec/nfs/server"}, Row{"", "", "", "metadata/labels"},
               Row{"", "", "", "metadata/annotations"}};

constexpr std::array kNames{Row{"", "", "", "metadata/name"}};

constexpr std::array kNamespaces{Row{"", "", "Namespace", "metadata/name", true},
                                 Row{"apiregistration.k8s.io", "", "APIService", "spec/service/namespace", true},
                                 Row{"apiextensions.k8s.io", "", "CustomResourceDefinition",
                                     "spec/conversion/webhook/clientConfig/service/namespace"}};

constexpr std::array kImages{Row{"", "", "", "spec/containers[]/image", true},
                             Row{"", "", "", "spec/initContainers[]/image", true},
                             Row{"", "", "", "spec/volumes[]/image/reference", true},
                             Row{"", "", "", "spec/template/spec/containers[]/image", true},
                             Row{"", "", "", "spec/template/spec/initContainers[]/image", true},
                             Row{"", "", "", "spec/template/spec/volumes[]/image/reference", true}};

constexpr std::array kReplicas{
    Row{"", "", "Deployment", "spec/replicas", true}, Row{"", "", "ReplicationController", "spec/replicas", true},
    Row{"", "", "ReplicaSet", "spec/replicas", true}, Row{"", "", "StatefulSet", "spec/replicas", true}};

template <const auto& rows>
FieldSpecs made_of() {
  static constexpr auto kSorted = sorted(rows);
  return specs_of(kSorted);
}

Config make_defaults() {
  Config config;
  config.name_prefix = made_of<kNames>();
  config.name_suffix = config.name_prefix;
  config.namespace_ = made_of<kNamespaces>();
  config.common_labels = made_of<kCommonLabels>();
  config.template_labels = made_of<kTemplateLabels>();
  config.common_annotations = made_of<kAnnotations>();
  config.var_reference = made_of<kVarReferences>();
  config.images = made_of<kImages>();
  config.replicas = made_of<kReplicas>();
  config.name_reference.reserve(kNameReferences.size());
  for (const Rule& rule : kNameReferences) {
    config.name_reference.push_back({{std::string(rule.group), std::string(rule.version), std::string(rule.kind)},
                                     specs_of(rule.rows)});
  }
  return config;
}

}  // namespace

const std::shared_ptr<const Config>& Config::defaults() {
  static const auto config = std::make_shared<const Config>(make_defaults());
  return config;
}

}  // namespace sluice::kustomize
