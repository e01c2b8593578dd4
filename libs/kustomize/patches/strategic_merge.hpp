// Strategic merge patches, as kustomize applies them (kyaml's merge2).
#pragma once

#include "base/result.hpp"
#include "kustomize/patches/merge_notes.hpp"
#include "kustomize/patches/schema.hpp"

namespace sluice::kustomize {

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
// The notes stay true of what is left in `object`.
// `invalid` if a map, list or scalar of the patch meets another type;
// `too_large` past a bound on work. The patch is used up.
base::Result<bool> strategic_merge(doc::Json& object, doc::Json patch, const Schema& schema,
                                   MergeNotes& notes);

}  // namespace sluice::kustomize
