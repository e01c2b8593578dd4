// What the spec itself writes into the metadata of every object: checked before the build, as the
// API server's answer would be about one object after the other, and the file that it came from. Pure.
#pragma once

#include "api/kustomization.hpp"
#include "base/result.hpp"

namespace sluice::kustomize_controller {

// `invalid` for the first label or annotation of spec.commonMetadata that the API server refuses on any
// object, and for a name that is too long for the owner label; the message names the field.
// Facts: "Labels and Selectors" and "Annotations" of the Kubernetes documentation, syntax and character set.
base::Result<void> check_spec_metadata(const api::Kustomization& kustomization);

}  // namespace sluice::kustomize_controller
