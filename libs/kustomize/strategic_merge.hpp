// Strategic merge patches, as kustomize applies them (kyaml's merge2).
#pragma once

#include <unordered_set>

#include "base/result.hpp"
#include "kustomize/schema.hpp"
#include "kustomize/shared_entries.hpp"

namespace sluice::kustomize {

// Nulls of an object that were written as nothing at all ("field:"), by address.
using EmptyNulls = std::unordered_set<const doc::Json*>;

// Merges `patch` into `object`; the kind of the object picks the rules. False
// if the patch says that the object is to be deleted.
//
// Maps are merged, null deletes, `$patch: delete|replace|merge` are obeyed in
// maps and lists. Lists with a merge strategy are merged by their keys, with
// what the patch names in front; other lists are replaced. As in kustomize the
// whole object is walked, not only what the patch names: a null without text
// goes, and of list elements with one key the last one stays.
//
// What the patch gives to a marked entry goes to all entries that share it.
// `invalid` if a map, list or scalar of the patch meets another type;
// `too_large` past a bound on work. The patch is used up.
base::Result<bool> strategic_merge(doc::Json& object, doc::Json patch, const Schema& schema,
                                   const EmptyNulls& empty_nulls, SharedEntries& shared);

}  // namespace sluice::kustomize
