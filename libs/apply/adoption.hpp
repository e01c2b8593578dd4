// Objects that were there before anything of ours applied them, and hold more
// than their manifest says. Pure.
//
// Deleting a Namespace, a definition or a volume deletes what others have put
// there, and nothing in Git brings it back. If such an object existed before its
// first apply, without the labels or the field manager of a Flux controller, it
// is marked with an annotation, and never deleted with what we apply: not by
// pruning, nor with its owner. All other kinds are deleted as upstream does it,
// whoever made them: they come back from Git.
// The mark belongs to a field manager of its own, so that no apply takes it off
// and upstream's controllers neither see nor touch it. Who annotates the object
// `kustomize.toolkit.fluxcd.io/prune: enabled`, or takes the mark off, says that
// it may be deleted. docs/decisions/0007 tells why.
#pragma once

#include <string>
#include <string_view>

#include "api/object_meta.hpp"
#include "apply/manifest.hpp"
#include "doc/json.hpp"

namespace sluice::apply {

inline constexpr std::string_view kExistedBefore = "sluice.dev/existed-before";  // value: the owner that took it up
inline constexpr std::string_view kAdoptionManager = "sluice-adoption";

// CustomResourceDefinitions.
bool is_definition(const api::GroupKind& kind);
// Namespaces, CustomResourceDefinitions, PersistentVolumes and their claims.
bool holds_others(const api::GroupKind& kind);

// True if a Flux controller has applied the object before: it has the owner
// labels, of whatever owner, or fields of our manager's.
bool was_applied(const doc::Json& live, const Owner& owner);

// A merge patch (RFC 7386) that sets the mark.
doc::Json adoption_mark(const Owner& owner);

// True if it has the mark, and nobody has said that it may be deleted.
bool is_to_outlive_us(const doc::Json& live);

}  // namespace sluice::apply
