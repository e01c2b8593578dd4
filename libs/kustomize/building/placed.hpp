// Says in an error where in a kustomization file its cause is.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.hpp"
#include "kustomize/reading/kustomization.hpp"

namespace sluice::kustomize {

// "apps/kustomization.yaml: patches[2]: cause". Entries of one layer only; what
// comes from a layer below is placed already.
base::Unexpected placed(const Kustomization& k, const std::string& entry, base::Error error);
// "apps/kustomization.yaml: patches[2]", or "spec.patches[0]" of an entry that a Flux spec added.
std::string place_of(const Kustomization& k, const std::string& entry);
// The same for an entry that is a file or folder, which the error may have named already.
base::Unexpected placed(const Kustomization& k, const char* field, std::size_t index, const std::string& entry,
                        base::Error error);

// "patches[2]"
std::string indexed(const char* field, std::size_t index);
// "resources[2] base", but for an entry that is the text itself.
std::string named(const char* field, std::size_t index, const std::string& entry);

}  // namespace sluice::kustomize
