// Is a dependency of a Kustomization ready? Pure.
#pragma once

#include <string>

#include "api/artifact.hpp"
#include "api/kustomization.hpp"
#include "api/object_meta.hpp"
#include "doc/json.hpp"

namespace sluice::kustomize_controller {

// Why `dependency` (the live Kustomization of that key; null where there is
// none) keeps `dependent` waiting; "" if it does not. Flux: Ready for its newest
// generation and, where both have one source, with the artifact's revision applied.
std::string why_not_ready(const doc::Json* dependency, const api::ObjectKey& key,
                          const api::Kustomization& dependent, const api::Artifact& artifact);

// True if a change of a Kustomization may matter to those that depend on it.
bool matters_to_dependents(const doc::Json& before, const doc::Json& now);

}  // namespace sluice::kustomize_controller
