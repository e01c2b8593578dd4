#include "dependencies.hpp"

#include "api/conditions.hpp"
#include "api/names.hpp"

namespace sluice::kustomize_controller {

namespace {

bool is_ready(const doc::Json& object) {
  const auto* observed = doc::find(object, {"status", "observedGeneration"});
  if (observed == nullptr || !observed->is_number_integer()) return false;
  if (observed->get<std::int64_t>() != api::generation_of(object)) return false;
  return api::conditions_of(object).is_true(api::condition::kReady);
}

}  // namespace

std::string why_not_ready(const doc::Json* dependency, const api::ObjectKey& key, const api::Kustomization& dependent,
                          const api::Artifact& artifact) {
  const std::string name = "dependency '" + key.str() + "'";
  if (dependency == nullptr) return name + " not found";
  if (!is_ready(*dependency)) return name + " is not ready";
  const auto& ref = dependent.spec.source_ref;
  std::string_view source_namespace = doc::find_string(*dependency, {"spec", "sourceRef", "namespace"});
  if (source_namespace.empty()) source_namespace = key.namespace_;
  const api::ObjectKey own = api::resolve(ref, dependent.metadata.namespace_);
  const bool same_source = doc::find_string(*dependency, {"spec", "sourceRef", "kind"}) == ref.kind &&
                           doc::find_string(*dependency, {"spec", "sourceRef", "name"}) == own.name &&
                           source_namespace == own.namespace_;
  if (same_source && doc::find_string(*dependency, {"status", "lastAppliedRevision"}) != artifact.revision) {
    return name + " revision is not up to date";
  }
  return {};
}

bool matters_to_dependents(const doc::Json& before, const doc::Json& now) {
  return is_ready(before) != is_ready(now) ||
         doc::find_string(before, {"status", "lastAppliedRevision"}) !=
             doc::find_string(now, {"status", "lastAppliedRevision"});
}

}  // namespace sluice::kustomize_controller
