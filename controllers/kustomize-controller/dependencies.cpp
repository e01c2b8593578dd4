#include "dependencies.hpp"

#include "sources/dependencies.hpp"

namespace sluice::kustomize_controller {

std::string why_not_ready(const doc::Json* dependency, const api::ObjectKey& key, const api::Kustomization& dependent,
                          const api::Artifact& artifact) {
  std::string why = sources::why_not_ready(dependency, key);
  if (!why.empty()) return why;
  const auto& ref = dependent.spec.source_ref;
  std::string_view source_namespace = doc::find_string(*dependency, {"spec", "sourceRef", "namespace"});
  if (source_namespace.empty()) source_namespace = key.namespace_;
  const api::ObjectKey own = api::resolve(ref, dependent.metadata.namespace_);
  const bool same_source = doc::find_string(*dependency, {"spec", "sourceRef", "kind"}) == ref.kind &&
                           doc::find_string(*dependency, {"spec", "sourceRef", "name"}) == own.name &&
                           source_namespace == own.namespace_;
  if (same_source && doc::find_string(*dependency, {"status", "lastAppliedRevision"}) != artifact.revision) {
    return "dependency '" + key.str() + "' revision is not up to date";
  }
  return {};
}

bool matters_to_dependents(const doc::Json& before, const doc::Json& now) {
  return sources::is_ready(before) != sources::is_ready(now) ||
         doc::find_string(before, {"status", "lastAppliedRevision"}) !=
             doc::find_string(now, {"status", "lastAppliedRevision"});
}

}  // namespace sluice::kustomize_controller
