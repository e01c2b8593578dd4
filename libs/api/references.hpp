// References from one object to another, as the contract spells them.
// Facts: fluxcd/pkg apis/meta/reference_types.go and each controller's api.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/object_meta.hpp"

namespace sluice::api {

// An object in the namespace of the one that refers to it.
struct LocalObjectReference {
  std::string name;
  bool operator==(const LocalObjectReference&) const = default;
};

struct NamespacedObjectReference {
  std::string name;
  std::string namespace_;  // "" is the namespace of the referring object
  bool operator==(const NamespacedObjectReference&) const = default;
};

// An object of any kind, named by a health check.
struct NamespacedObjectKindReference {
  std::string api_version;  // "" is apps/v1; only the group counts
  std::string kind;
  std::string name;
  std::string namespace_;
  bool operator==(const NamespacedObjectKindReference&) const = default;
};

// The source of a Kustomization.
struct CrossNamespaceSourceReference {
  std::string api_version;  // "" is source.toolkit.fluxcd.io/v1
  std::string kind;
  std::string name;
  std::string namespace_;
  bool operator==(const CrossNamespaceSourceReference&) const = default;
  // "GitRepository/apps", or "GitRepository/flux-system/apps" with a namespace.
  std::string str() const;
};

// What an Alert listens to. `name` may be "*".
struct CrossNamespaceObjectReference {
  std::string api_version;
  std::string kind;
  std::string name;
  std::string namespace_;
  StringMap match_labels;  // only with the name "*"
  bool operator==(const CrossNamespaceObjectReference&) const = default;
};

// An object of the same kind that must be ready first.
struct DependencyReference {
  std::string name;
  std::string namespace_;
  std::string ready_expr;  // CEL; "" is the built-in readiness check
  bool operator==(const DependencyReference&) const = default;
};

struct SecretKeyReference {
  std::string name;
  std::string key;  // "" is a default that the field's meaning gives
  bool operator==(const SecretKeyReference&) const = default;
};

// Exactly one of the two.
struct KubeConfigReference {
  std::optional<LocalObjectReference> config_map_ref;
  std::optional<SecretKeyReference> secret_ref;
  bool operator==(const KubeConfigReference&) const = default;
};

// The key of what `ref` names, seen from an object in `referrer_namespace`.
template <class Reference>
ObjectKey resolve(const Reference& ref, std::string_view referrer_namespace) {
  return {ref.namespace_.empty() ? std::string(referrer_namespace) : ref.namespace_, ref.name};
}
inline ObjectKey resolve(const LocalObjectReference& ref, std::string_view referrer_namespace) {
  return {std::string(referrer_namespace), ref.name};
}

}  // namespace sluice::api
