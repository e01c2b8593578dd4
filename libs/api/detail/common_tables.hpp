// Field tables of the structs that several kinds share. Internal to libs/api.
#pragma once

#include "api/artifact.hpp"
#include "api/conditions.hpp"
#include "api/detail/fields.hpp"
#include "api/history.hpp"
#include "api/inventory.hpp"
#include "api/references.hpp"

namespace sluice::api::detail {

using std::string_view_literals::operator""sv;

template <>
struct EnumNames<ConditionStatus> {
  static constexpr std::array values{std::pair{ConditionStatus::is_true, "True"sv},
                                     std::pair{ConditionStatus::is_false, "False"sv},
                                     std::pair{ConditionStatus::unknown, "Unknown"sv}};
};

template <>
struct Table<Condition> {
  static constexpr auto fields = std::tuple{
      field("type", &Condition::type).required(),
      field("status", &Condition::status).required(),
      field("observedGeneration", &Condition::observed_generation),
      field("lastTransitionTime", &Condition::last_transition_time).required(),
      field("reason", &Condition::reason).required(),
      field("message", &Condition::message).required(),
  };
};

template <>
struct Table<Artifact> {
  static constexpr auto fields = std::tuple{
      field("digest", &Artifact::digest).required(),
      field("path", &Artifact::path).required(),
      field("url", &Artifact::url).required(),
      field("revision", &Artifact::revision).required(),
      field("lastUpdateTime", &Artifact::last_update_time).required(),
      field("size", &Artifact::size),
      field("metadata", &Artifact::metadata),
  };
};

template <>
struct Table<InventoryEntry> {
  static constexpr auto fields = std::tuple{
      field("id", &InventoryEntry::id).required(),
      field("v", &InventoryEntry::version).required(),
  };
};

template <>
struct Table<ResourceInventory> {
  static constexpr auto fields = std::tuple{field("entries", &ResourceInventory::entries).required()};
};

template <>
struct Table<Snapshot> {
  static constexpr auto fields = std::tuple{
      field("digest", &Snapshot::digest).required(),
      field("firstReconciled", &Snapshot::first_reconciled).required(),
      field("lastReconciled", &Snapshot::last_reconciled).required(),
      field("lastReconciledDuration", &Snapshot::last_reconciled_duration).required(),
      field("lastReconciledStatus", &Snapshot::last_reconciled_status).required(),
      field("totalReconciliations", &Snapshot::total_reconciliations).required(),
      field("metadata", &Snapshot::metadata),
  };
};

template <>
struct Table<LocalObjectReference> {
  static constexpr auto fields = std::tuple{field("name", &LocalObjectReference::name).required()};
};

template <>
struct Table<NamespacedObjectKindReference> {
  static constexpr auto fields = std::tuple{
      field("apiVersion", &NamespacedObjectKindReference::api_version),
      field("kind", &NamespacedObjectKindReference::kind).required(),
      field("name", &NamespacedObjectKindReference::name).required(),
      field("namespace", &NamespacedObjectKindReference::namespace_),
  };
};

template <>
struct Table<DependencyReference> {
  static constexpr auto fields = std::tuple{
      field("name", &DependencyReference::name).required(),
      field("namespace", &DependencyReference::namespace_),
      field("readyExpr", &DependencyReference::ready_expr)
          .unsupported("readiness of a dependency by a CEL expression is not implemented"),
  };
};

template <>
struct Table<SecretKeyReference> {
  static constexpr auto fields = std::tuple{
      field("name", &SecretKeyReference::name).required(),
      field("key", &SecretKeyReference::key),
  };
};

template <>
struct Table<KubeConfigReference> {
  static constexpr auto fields = std::tuple{
      field("configMapRef", &KubeConfigReference::config_map_ref),
      field("secretRef", &KubeConfigReference::secret_ref),
  };
};

}  // namespace sluice::api::detail
