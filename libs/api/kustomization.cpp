#include "api/kustomization.hpp"

#include <algorithm>

#include "api/detail/common_tables.hpp"
#include "api/detail/describe.hpp"
#include "api/detail/kinds.hpp"
#include "api/detail/read.hpp"
#include "api/detail/write.hpp"
#include "api/names.hpp"

namespace sluice::api {

namespace detail {

constexpr std::array kSourceKinds{"OCIRepository"sv, "GitRepository"sv, "Bucket"sv, "ExternalArtifact"sv};
constexpr std::array kDecryptionProviders{"sops"sv};
constexpr std::array kValuesKinds{"Secret"sv, "ConfigMap"sv};
constexpr std::array kBuildMetadata{"originAnnotations"sv, "transformerAnnotations"sv};

template <>
struct EnumNames<DeletionPolicy> {
  static constexpr std::array values{std::pair{DeletionPolicy::mirror_prune, "MirrorPrune"sv},
                                     std::pair{DeletionPolicy::remove, "Delete"sv},
                                     std::pair{DeletionPolicy::wait_for_termination, "WaitForTermination"sv},
                                     std::pair{DeletionPolicy::orphan, "Orphan"sv}};
};

template <>
struct EnumNames<SubstituteStrategy> {
  static constexpr std::array values{std::pair{SubstituteStrategy::with_variables, "WithVariables"sv},
                                     std::pair{SubstituteStrategy::always, "Always"sv}};
};

template <>
struct Table<CrossNamespaceSourceReference> {
  using Reference = CrossNamespaceSourceReference;
  static constexpr auto fields = std::tuple{
      field("apiVersion", &Reference::api_version),
      field("kind", &Reference::kind).required().one_of(kSourceKinds),
      field("name", &Reference::name).required(),
      field("namespace", &Reference::namespace_),
  };
};

template <>
struct Table<CommonMetadata> {
  static constexpr auto fields = std::tuple{
      field("annotations", &CommonMetadata::annotations),
      field("labels", &CommonMetadata::labels),
  };
};

template <>
struct Table<Selector> {
  static constexpr auto fields = std::tuple{
      field("group", &Selector::group),
      field("version", &Selector::version),
      field("kind", &Selector::kind),
      field("namespace", &Selector::namespace_),
      field("name", &Selector::name),
      field("annotationSelector", &Selector::annotation_selector),
      field("labelSelector", &Selector::label_selector),
  };
};

template <>
struct Table<Patch> {
  static constexpr auto fields = std::tuple{
      field("patch", &Patch::patch).required(),
      field("target", &Patch::target),
  };
};

template <>
struct Table<Image> {
  static constexpr auto fields = std::tuple{
      field("name", &Image::name).required(),
      field("newName", &Image::new_name),
      field("newTag", &Image::new_tag),
      field("digest", &Image::digest),
  };
};

template <>
struct Table<Decryption> {
  static constexpr auto fields = std::tuple{
      field("provider", &Decryption::provider).required().one_of(kDecryptionProviders),
      field("serviceAccountName", &Decryption::service_account_name),
      field("secretRef", &Decryption::secret_ref),
  };
};

template <>
struct Table<SubstituteReference> {
  static constexpr auto fields = std::tuple{
      field("kind", &SubstituteReference::kind).required().one_of(kValuesKinds),
      field("name", &SubstituteReference::name).required(),
      field("optional", &SubstituteReference::optional).defaulted(),
  };
};

template <>
struct Table<PostBuild> {
  static constexpr auto fields = std::tuple{
      field("substituteStrategy", &PostBuild::substitute_strategy),
      field("substitute", &PostBuild::substitute),
      field("substituteFrom", &PostBuild::substitute_from),
  };
};

template <>
struct Table<CustomHealthCheck> {
  static constexpr auto fields = std::tuple{
      field("apiVersion", &CustomHealthCheck::api_version).required(),
      field("kind", &CustomHealthCheck::kind),
      field("current", &CustomHealthCheck::current).required(),
      field("inProgress", &CustomHealthCheck::in_progress),
      field("failed", &CustomHealthCheck::failed),
  };
};

template <>
struct Table<IgnoreRule> {
  static constexpr auto fields = std::tuple{
      field("paths", &IgnoreRule::paths).required(),
      field("target", &IgnoreRule::target),
  };
};

template <>
struct Table<KustomizationSpec> {
  using Spec = KustomizationSpec;
  static constexpr auto fields = std::tuple{
      field("commonMetadata", &Spec::common_metadata),
      field("dependsOn", &Spec::depends_on),
      field("decryption", &Spec::decryption).unsupported("encrypted manifests are not decrypted"),
      field("interval", &Spec::interval).required(),
      field("retryInterval", &Spec::retry_interval),
      field("kubeConfig", &Spec::kube_config).unsupported("objects are applied to the daemon's own cluster only"),
      field("path", &Spec::path),
      field("postBuild", &Spec::post_build),
      field("prune", &Spec::prune).required(),
      field("deletionPolicy", &Spec::deletion_policy),
      field("healthChecks", &Spec::health_checks),
      field("namePrefix", &Spec::name_prefix),
      field("nameSuffix", &Spec::name_suffix),
      field("patches", &Spec::patches),
      field("images", &Spec::images),
      field("serviceAccountName", &Spec::service_account_name),
      field("sourceRef", &Spec::source_ref).required(),
      field("suspend", &Spec::suspend),
      field("targetNamespace", &Spec::target_namespace),
      field("timeout", &Spec::timeout),
      field("force", &Spec::force).defaulted(),
      field("wait", &Spec::wait),
      field("buildMetadata", &Spec::build_metadata).one_of(kBuildMetadata),
      field("components", &Spec::components),
      field("ignoreMissingComponents", &Spec::ignore_missing_components),
      field("healthCheckExprs", &Spec::health_check_exprs).unsupported("health by CEL expressions is not implemented"),
      field("ignore", &Spec::ignore).unsupported("drift is corrected in every applied field"),
  };
};

template <>
struct Table<KustomizationStatus> {
  using Status = KustomizationStatus;
  static constexpr auto fields = std::tuple{
      field("lastHandledReconcileAt", &Status::last_handled_reconcile_at),
      field("observedGeneration", &Status::observed_generation),
      field("conditions", &Status::conditions),
      field("lastAppliedRevision", &Status::last_applied_revision),
      field("lastAppliedOriginRevision", &Status::last_applied_origin_revision),
      field("lastAttemptedRevision", &Status::last_attempted_revision),
      field("inventory", &Status::inventory),
      field("history", &Status::history),
  };
};

KindInfo describe_kustomization() {
  return {.gvk = {std::string(group::kKustomize), "v1", std::string(kind::kKustomization)},
          .plural = "kustomizations",
          .short_names = {"ks"},
          .categories = {"all", "fluxcd", "fluxcd-appliers"},
          .spec = describe<KustomizationSpec>(),
          .status = describe<KustomizationStatus>()};
}

// False if it is there and cannot be read, which is noted.
template <class T>
bool read_leniently(const doc::Json& object, const char* part, const char* name, T& out,
                    std::vector<std::string>& unreadable) {
  const doc::Json* value = doc::find(object, {part, name});
  if (value == nullptr || value->is_null()) return true;
  const FieldPath parent(part);
  auto done = read(*value, FieldPath(parent, name), out);
  if (done) return true;
  unreadable.push_back(std::move(done).error().message);
  return false;
}

// Entries one by one, so that one that cannot be read costs that one.
ResourceInventory read_inventory_leniently(const doc::Json& object, std::vector<std::string>& unreadable) {
  ResourceInventory inventory;
  const doc::Json* entries = doc::find(object, {"status", "inventory", "entries"});
  if (entries == nullptr || entries->is_null()) return inventory;
  const FieldPath at("status.inventory.entries");
  if (!entries->is_array()) {
    unreadable.push_back(type_error(at, "a list", *entries).error.message);
    return inventory;
  }
  for (std::size_t i = 0; i < entries->size(); ++i) {
    InventoryEntry entry;
    auto done = read((*entries)[i], FieldPath(at, i), entry);
    if (done) {
      if (auto id = ObjectId::parse(entry.id); !id) done = base::unexpected(std::move(id).error());
    }
    if (done) {
      inventory.entries.push_back(std::move(entry));
    } else {
      unreadable.push_back(std::move(done).error().message);
    }
  }
  return inventory;
}

}  // namespace detail

base::Result<Kustomization> parse_kustomization(const doc::Json& object) {
  return detail::read_object<Kustomization>(object, group::kKustomize, kind::kKustomization);
}

doc::Json to_json(const KustomizationStatus& status) { return detail::write(status); }

base::Duration effective_timeout(const KustomizationSpec& spec) {
  constexpr base::Duration kFloor = std::chrono::seconds(30);
  return std::max(spec.timeout.value_or(spec.interval - kFloor), kFloor);
}

base::Duration effective_retry_interval(const KustomizationSpec& spec) {
  return spec.retry_interval.value_or(spec.interval);
}

DeletionPolicy effective_deletion_policy(const KustomizationSpec& spec) {
  return spec.deletion_policy.value_or(DeletionPolicy::mirror_prune);
}

bool deletes_objects(const KustomizationSpec& spec) {
  switch (effective_deletion_policy(spec)) {
    case DeletionPolicy::mirror_prune: return spec.prune;
    case DeletionPolicy::remove:
    case DeletionPolicy::wait_for_termination: return true;
    case DeletionPolicy::orphan: return false;
  }
  return false;
}

KustomizationDeletion read_deletion(const doc::Json& object) {
  KustomizationDeletion out;
  KustomizationSpec spec;
  std::vector<std::string>& bad = out.unreadable;
  bool is_known = detail::read_leniently(object, "spec", "suspend", spec.suspend, bad);
  is_known = detail::read_leniently(object, "spec", "deletionPolicy", spec.deletion_policy, bad) && is_known;
  if (effective_deletion_policy(spec) == DeletionPolicy::mirror_prune) {
    is_known = detail::read_leniently(object, "spec", "prune", spec.prune, bad) && is_known;
  }
  is_known = detail::read_leniently(object, "spec", "serviceAccountName", spec.service_account_name, bad) && is_known;
  // Without them the shortest timeout counts.
  static_cast<void>(detail::read_leniently(object, "spec", "interval", spec.interval, bad));
  static_cast<void>(detail::read_leniently(object, "spec", "timeout", spec.timeout, bad));
  out.is_decided = is_known;
  if (is_known && !spec.suspend && deletes_objects(spec)) {
    out.policy = effective_deletion_policy(spec) == DeletionPolicy::wait_for_termination
                     ? DeletionPolicy::wait_for_termination
                     : DeletionPolicy::remove;
  }
  const doc::Json* kube_config = doc::find(object, {"spec", "kubeConfig"});
  out.is_elsewhere = kube_config != nullptr && !kube_config->is_null();
  out.service_account_name = std::move(spec.service_account_name);
  out.timeout = effective_timeout(spec);
  out.inventory = detail::read_inventory_leniently(object, out.unreadable_entries);
  return out;
}

}  // namespace sluice::api
