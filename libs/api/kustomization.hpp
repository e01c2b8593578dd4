// Kustomization (kustomize.toolkit.fluxcd.io/v1): an artifact that becomes
// objects in a cluster. Plain data, with the defaults that the CRD declares;
// docs/spec/kustomization.md says what each field means.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/conditions.hpp"
#include "api/history.hpp"
#include "api/inventory.hpp"
#include "api/object_meta.hpp"
#include "api/references.hpp"

namespace sluice::api {

struct CommonMetadata {
  StringMap annotations;
  StringMap labels;
  bool operator==(const CommonMetadata&) const = default;
};

// Which objects a patch or rule is for. Names and kinds are anchored regular
// expressions; "" matches everything.
struct Selector {
  std::string group;
  std::string version;
  std::string kind;
  std::string namespace_;
  std::string name;
  std::string annotation_selector;
  std::string label_selector;
  bool operator==(const Selector&) const = default;
};

struct Patch {
  std::string patch;  // a strategic merge patch or a list of JSON 6902 operations
  std::optional<Selector> target;
  bool operator==(const Patch&) const = default;
};

struct Image {
  std::string name;
  std::string new_name;
  std::string new_tag;
  std::string digest;  // beats new_tag
  bool operator==(const Image&) const = default;
};

struct Decryption {
  std::string provider;
  std::string service_account_name;
  std::optional<LocalObjectReference> secret_ref;
  bool operator==(const Decryption&) const = default;
};

struct SubstituteReference {
  std::string kind;  // Secret or ConfigMap
  std::string name;
  bool optional = false;
  bool operator==(const SubstituteReference&) const = default;
};

enum class SubstituteStrategy { with_variables, always };

struct PostBuild {
  std::optional<SubstituteStrategy> substitute_strategy;
  StringMap substitute;
  std::vector<SubstituteReference> substitute_from;
  bool operator==(const PostBuild&) const = default;
};

struct CustomHealthCheck {
  std::string api_version;
  std::string kind;
  std::string current;
  std::string in_progress;
  std::string failed;
  bool operator==(const CustomHealthCheck&) const = default;
};

struct IgnoreRule {
  std::vector<std::string> paths;  // JSON pointers
  std::optional<Selector> target;
  bool operator==(const IgnoreRule&) const = default;
};

// What happens to the applied objects when the Kustomization is deleted.
enum class DeletionPolicy {
  mirror_prune,          // as `prune` says
  remove,                // "Delete": delete them
  wait_for_termination,  // delete them and wait until they are gone
  orphan,                // leave them
};

struct KustomizationSpec {
  std::optional<CommonMetadata> common_metadata;
  std::vector<DependencyReference> depends_on;
  std::optional<Decryption> decryption;
  base::Duration interval{};
  std::optional<base::Duration> retry_interval;
  std::optional<KubeConfigReference> kube_config;
  std::string path;  // "" is the root of the artifact
  std::optional<PostBuild> post_build;
  bool prune = false;
  std::optional<DeletionPolicy> deletion_policy;
  std::vector<NamespacedObjectKindReference> health_checks;
  std::string name_prefix;
  std::string name_suffix;
  std::vector<Patch> patches;
  std::vector<Image> images;
  std::string service_account_name;
  CrossNamespaceSourceReference source_ref;
  bool suspend = false;
  std::string target_namespace;
  std::optional<base::Duration> timeout;
  bool force = false;
  bool wait = false;
  std::vector<std::string> build_metadata;
  std::vector<std::string> components;
  bool ignore_missing_components = false;
  std::vector<CustomHealthCheck> health_check_exprs;
  std::vector<IgnoreRule> ignore;
  bool operator==(const KustomizationSpec&) const = default;
};

struct KustomizationStatus {
  std::string last_handled_reconcile_at;
  std::int64_t observed_generation = 0;
  Conditions conditions;
  std::string last_applied_revision;
  std::string last_applied_origin_revision;
  std::string last_attempted_revision;
  std::optional<ResourceInventory> inventory;
  History history;
  bool operator==(const KustomizationStatus&) const = default;
};

struct Kustomization {
  ObjectMeta metadata;
  KustomizationSpec spec;
  KustomizationStatus status;
};

// What the deletion of a Kustomization asks of it.
struct KustomizationDeletion {
  DeletionPolicy policy = DeletionPolicy::orphan;  // never mirror_prune; orphan where it is suspended
  std::string service_account_name;
  bool is_elsewhere = false;    // spec.kubeConfig is set
  base::Duration timeout{};     // effective_timeout()
  ResourceInventory inventory;  // the entries that can be read
  // Fields that cannot be read, each with its path and why. Where that leaves open whether, or in
  // whose name, objects are to be deleted, the policy is orphan: nothing is deleted by mistake.
  std::vector<std::string> unreadable;
  bool is_decided = true;
  std::vector<std::string> unreadable_entries;  // of the inventory
};

// `invalid`, with a message that starts with the field ("spec.interval: ...").
base::Result<Kustomization> parse_kustomization(const doc::Json& object);
// Go's `omitempty`: what is empty is left out.
doc::Json to_json(const KustomizationStatus& status);

// `timeout`, else the interval less 30 s; never below 30 s.
base::Duration effective_timeout(const KustomizationSpec& spec);
// `retryInterval`, else the interval.
base::Duration effective_retry_interval(const KustomizationSpec& spec);
DeletionPolicy effective_deletion_policy(const KustomizationSpec& spec);
// True if deleting the Kustomization deletes what it applied.
bool deletes_objects(const KustomizationSpec& spec);
// Reads field by field, so that a fault in one that does not matter here (an interval beyond all
// bounds) holds up no deletion.
KustomizationDeletion read_deletion(const doc::Json& object);

}  // namespace sluice::api
