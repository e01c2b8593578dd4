// kustomize's default configuration as tables. The facts are those of
// `kustomize config save` (v5.8.1); the rows are ordered by what they mean.
#include <array>

#include "kustomize/config.hpp"

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

template <std::size_t N, std::size_t M>
FieldSpecs in_pods(const std::array<PodCarrier, N>& carriers, const std::array<const char*, M>& fields) {
  FieldSpecs specs;
  for (const PodCarrier& carrier : carriers) {
    for (const char* field : fields)
      specs.push_back({{"", carrier.version, carrier.kind}, carrier.pod + std::string(field), false});
  }
  return specs;
}

struct Row {
  const char* group;
  const char* version;
  const char* kind;
  const char* path;
  bool create = false;
};

template <std::size_t N>
void add(FieldSpecs& specs, const std::array<Row, N>& rows) {
  for (const Row& row : rows) specs.push_back({{row.group, row.version, row.kind}, row.path, row.create});
}

constexpr const char* kRbac = "rbac.authorization.k8s.io";
constexpr const char* kAdmission = "admissionregistration.k8s.io";

NameReference config_maps() {
  NameReference rule{
      {"", "v1", "ConfigMap"},
      in_pods(kDataUsers,
              std::array{"spec/volumes/configMap/name", "spec/containers/env/valueFrom/configMapKeyRef/name",
                         "spec/initContainers/env/valueFrom/configMapKeyRef/name",
                         "spec/containers/envFrom/configMapRef/name", "spec/initContainers/envFrom/configMapRef/name",
                         "spec/volumes/projected/sources/configMap/name"})};
  add(rule.referrers,
      std::array{
          Row{"", "", "Node", "spec/configSource/configMap"}, Row{"", "", "Role", "rules/resourceNames"},
          Row{"", "", "ClusterRole", "rules/resourceNames"},
          Row{"", "", "Ingress", "metadata/annotations/nginx.ingress.kubernetes.io\\/fastcgi-params-configmap"}});
  return rule;
}

NameReference secrets() {
  NameReference rule{
      {"", "v1", "Secret"},
      in_pods(kDataUsers,
              std::array{"spec/volumes/secret/secretName", "spec/containers/env/valueFrom/secretKeyRef/name",
                         "spec/initContainers/env/valueFrom/secretKeyRef/name",
                         "spec/containers/envFrom/secretRef/name", "spec/initContainers/envFrom/secretRef/name",
                         "spec/imagePullSecrets/name", "spec/volumes/projected/sources/secret/name"})};
  add(rule.referrers,
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
          Row{"", "", "PersistentVolume", "spec/azureFile/secretName"}});
  return rule;
}

NameReference services() {
  NameReference rule{{"", "v1", "Service"}, {}};
  add(rule.referrers, std::array{Row{"apps", "", "StatefulSet", "spec/serviceName"},
                                 Row{"", "", "Ingress", "spec/rules/http/paths/backend/serviceName"},
                                 Row{"", "", "Ingress", "spec/backend/serviceName"},
                                 Row{"", "", "Ingress", "spec/rules/http/paths/backend/service/name"},
                                 Row{"", "", "Ingress", "spec/defaultBackend/service/name"},
                                 Row{"apiregistration.k8s.io", "", "APIService", "spec/service/name"},
                                 Row{kAdmission, "", "ValidatingWebhookConfiguration", "webhooks/clientConfig/service"},
                                 Row{kAdmission, "", "MutatingWebhookConfiguration", "webhooks/clientConfig/service"}});
  return rule;
}

NameReference service_accounts() {
  NameReference rule{{"", "v1", "ServiceAccount"}, {}};
  add(rule.referrers,
      std::array{Row{kRbac, "", "RoleBinding", "subjects"}, Row{kRbac, "", "ClusterRoleBinding", "subjects"}});
  const FieldSpecs in_specs = in_pods(kSpecUsers, std::array{"spec/serviceAccountName"});
  rule.referrers.insert(rule.referrers.end(), in_specs.begin(), in_specs.end());
  return rule;
}

template <std::size_t N>
NameReference rule(const char* group, const char* version, const char* kind, const std::array<Row, N>& rows) {
  NameReference rule{{group, version, kind}, {}};
  add(rule.referrers, rows);
  return rule;
}

std::vector<NameReference> name_references() {
  std::vector<NameReference> rules;
  for (const char* scaled : {"Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"}) {
    rules.push_back(
        rule("", "", scaled, std::array{Row{"", "", "HorizontalPodAutoscaler", "spec/scaleTargetRef/name"}}));
  }
  rules.push_back(config_maps());
  rules.push_back(secrets());
  rules.push_back(services());
  rules.push_back(rule(kRbac, "", "Role", std::array{Row{kRbac, "", "RoleBinding", "roleRef/name"}}));
  rules.push_back(rule(
      kRbac, "", "ClusterRole",
      std::array{Row{kRbac, "", "RoleBinding", "roleRef/name"}, Row{kRbac, "", "ClusterRoleBinding", "roleRef/name"}}));
  rules.push_back(service_accounts());
  rules.push_back({{"", "v1", "PersistentVolumeClaim"},
                   in_pods(kSpecUsers, std::array{"spec/volumes/persistentVolumeClaim/claimName"})});
  rules.push_back(rule("", "v1", "PersistentVolume",
                       std::array{Row{"", "", "PersistentVolumeClaim", "spec/volumeName"},
                                  Row{"", "", "ClusterRole", "rules/resourceNames"}}));
  rules.push_back(rule("storage.k8s.io", "v1", "StorageClass",
                       std::array{Row{"", "", "PersistentVolume", "spec/storageClassName"},
                                  Row{"", "", "PersistentVolumeClaim", "spec/storageClassName"},
                                  Row{"", "", "StatefulSet", "spec/volumeClaimTemplates/spec/storageClassName"}}));
  rules.push_back(
      {{"scheduling.k8s.io", "v1", "PriorityClass"}, in_pods(kSpecUsers, std::array{"spec/priorityClassName"})});
  // The group is written so in kustomize, too, and matches no class; a rule all the same.
  rules.push_back(
      rule("networking.k8s.io/v1", "v1", "IngressClass", std::array{Row{"", "", "Ingress", "spec/ingressClassName"}}));
  rules.push_back(rule(kAdmission, "", "ValidatingAdmissionPolicy",
                       std::array{Row{kAdmission, "", "ValidatingAdmissionPolicyBinding", "spec/policyName"}}));
  return rules;
}

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

FieldSpecs common_labels() {
  FieldSpecs specs;
  add(specs, std::array{Row{"", "v1", "Service", "spec/selector", true},
                        Row{"", "v1", "ReplicationController", "spec/selector", true},
                        Row{"", "", "Deployment", "spec/selector/matchLabels", true},
                        Row{"", "", "ReplicaSet", "spec/selector/matchLabels", true},
                        Row{"", "", "DaemonSet", "spec/selector/matchLabels", true},
                        Row{"apps", "", "StatefulSet", "spec/selector/matchLabels", true}});
  for (const char* kind : {"Deployment", "StatefulSet"}) {
    for (const char* affinity : {"podAffinity", "podAntiAffinity"}) {
      const std::string at = std::string("spec/template/spec/affinity/") + affinity;
      specs.push_back(
          {{"apps", "", kind},
           at + "/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
           false});
      specs.push_back({{"apps", "", kind},
                       at + "/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
                       false});
    }
    specs.push_back(
        {{"apps", "", kind}, "spec/template/spec/topologySpreadConstraints/labelSelector/matchLabels", false});
  }
  add(specs, std::array{Row{"batch", "", "Job", "spec/selector/matchLabels"},
                        Row{"batch", "", "CronJob", "spec/jobTemplate/spec/selector/matchLabels"},
                        Row{"policy", "", "PodDisruptionBudget", "spec/selector/matchLabels"},
                        Row{"networking.k8s.io", "", "NetworkPolicy", "spec/podSelector/matchLabels"},
                        Row{"networking.k8s.io", "", "NetworkPolicy", "spec/ingress/from/podSelector/matchLabels"},
                        Row{"networking.k8s.io", "", "NetworkPolicy", "spec/egress/to/podSelector/matchLabels"}});
  add(specs, kTemplateLabels);
  return specs;
}

FieldSpecs var_references() {
  FieldSpecs specs =
      in_pods(kVarUsers, std::array{"spec/containers/args", "spec/containers/command", "spec/containers/env/value",
                                    "spec/containers/volumeMounts/mountPath", "spec/initContainers/args",
                                    "spec/initContainers/command", "spec/initContainers/env/value",
                                    "spec/initContainers/volumeMounts/mountPath"});
  add(specs, std::array{Row{"", "", "CronJob", "spec/jobTemplate/spec/template/volumes/nfs/server"},
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
                        Row{"", "", "", "metadata/annotations"}});
  return specs;
}

Config make_defaults() {
  Config config;
  config.name_prefix = {{{}, "metadata/name", false}};
  config.name_suffix = config.name_prefix;
  add(config.namespace_, std::array{Row{"", "", "Namespace", "metadata/name", true},
                                    Row{"apiregistration.k8s.io", "", "APIService", "spec/service/namespace", true},
                                    Row{"apiextensions.k8s.io", "", "CustomResourceDefinition",
                                        "spec/conversion/webhook/clientConfig/service/namespace"}});
  config.common_labels = common_labels();
  add(config.template_labels, kTemplateLabels);
  add(config.common_annotations, kAnnotations);
  config.var_reference = var_references();
  for (const char* pod : {"spec/", "spec/template/spec/"}) {
    for (const char* image : {"containers[]/image", "initContainers[]/image", "volumes[]/image/reference"}) {
      config.images.push_back({{}, pod + std::string(image), true});
    }
  }
  for (const char* kind : {"Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"}) {
    config.replicas.push_back({{"", "", kind}, "spec/replicas", true});
  }
  config.name_reference = name_references();
  config.sort();
  return config;
}

}  // namespace

const std::shared_ptr<const Config>& Config::defaults() {
  static const auto config = std::make_shared<const Config>(make_defaults());
  return config;
}

}  // namespace sluice::kustomize
