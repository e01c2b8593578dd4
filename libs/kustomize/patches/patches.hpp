// Patches: read, told apart, aimed and applied. Errors name the object; the
// caller adds the file and the entry.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "kustomize/objects/resource_set.hpp"
#include "kustomize/patches/json_patch.hpp"
#include "kustomize/patches/schema.hpp"
#include "kustomize/reading/kustomization.hpp"
#include "kustomize/reading/loader.hpp"

namespace sluice::kustomize {

// A patch read and told apart, ready to be applied.
struct LoadedPatch {
  std::vector<std::unique_ptr<Resource>> merges;
  std::vector<std::string> entries;  // of patchesStrategicMerge: which one each merge comes from
  std::vector<PatchOperation> operations;
  std::optional<SelectorSpec> target;
  std::string from_spec;    // entry of a Flux spec, noted on what it patches
  bool by_id_only = false;  // patchesStrategicMerge: the object must be there, and only one
};
// `must_be_json` for patchesJson6902.
base::Result<LoadedPatch> load_patch(const PatchSpec& spec, const Folder& folder, bool must_be_json);
// An entry of patchesStrategicMerge: a file, or the patch itself.
base::Result<LoadedPatch> load_merge_patch(const std::string& entry, const Folder& folder);
base::Result<void> apply_patch(ResourceSet& set, const LoadedPatch& patch, const Schema& schema);

}  // namespace sluice::kustomize
