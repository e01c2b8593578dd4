// Secret values of manifests, kept out of what is said about them. Pure.
#pragma once

#include <vector>

#include "apply/manifest.hpp"
#include "base/masks.hpp"

namespace sluice::apply {

// Adds every value of the Secrets among `objects`: as it is written, and as what
// it is base64 of.
void add_secrets(const std::vector<Manifest>& objects, base::Masks& masks);

}  // namespace sluice::apply
