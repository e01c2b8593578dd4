// Generators and transformers that are configured as objects of their own
// (`generators`, `transformers`, `validators`): the built-in kinds.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kustomize/patches/schema.hpp"
#include "kustomize/transformers/transformers.hpp"

namespace sluice::kustomize {

using Transform = std::function<base::Result<void>(ResourceSet&)>;

// A transformer object made ready. `unsupported` for KRM functions and kinds
// that are not built in, with what to do instead.
base::Result<Transform> make_transform(const Resource& plugin, const Folder& folder,
                                       const std::shared_ptr<const Schema>& schema);
// Runs a generator object.
base::Result<std::vector<std::unique_ptr<Resource>>> run_generator(const Resource& plugin, const Folder& folder);

// What is said about Helm charts.
base::Unexpected refuse_helm();

}  // namespace sluice::kustomize
