// Strategic merge patches, as kustomize applies them (kyaml's merge2).
#pragma once

#include "base/result.hpp"
#include "kustomize/schema.hpp"

namespace sluice::kustomize {

// Merges `patch` into `object`; the kind of the object picks the rules. False
// if the patch says that the object is to be deleted.
//
// Maps are merged, null deletes, `$patch: delete|replace|merge` are obeyed in
// maps and lists. Lists with a merge strategy are merged by their keys, with
// what the patch names in front; other lists are replaced. `invalid` if a map,
// list or scalar of the patch meets another type; `too_large` past a bound on work.
base::Result<bool> strategic_merge(doc::Json& object, const doc::Json& patch, const Schema& schema);

}  // namespace sluice::kustomize
