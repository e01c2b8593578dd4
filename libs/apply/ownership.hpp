// What of a live object is ours, read from metadata.managedFields. Pure.
//
// Server-side apply records for each manager the fields that it set. The values
// at our fields, and the set of those fields, are all that a dry run of the same
// manifest could find different; so a hash over them tells drift from changes
// that are nobody's business of ours (a status, a replica count that an
// autoscaler owns, an annotation of a built-in controller).
// Facts: "Server-Side Apply" in the Kubernetes documentation, "Field management";
// sigs.k8s.io/structured-merge-diff, fieldpath (the form of fieldsV1).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "doc/json.hpp"

namespace sluice::apply {

// A hash of any document, the same for equal ones. Not for use across versions
// of this program, and no defence against somebody who seeks collisions.
std::uint64_t hash_of(const doc::Json& document) noexcept;

// A hash over all of an object but what servers and controllers write: status
// and the fields of metadata that move by themselves.
std::uint64_t content_hash(const doc::Json& object);

// A hash over the fields of `object` that `manager` has applied, with their
// values; 0 if it has applied none. An object without managedFields (some
// aggregated APIs) is hashed by its content.
std::uint64_t owned_hash(const doc::Json& object, std::string_view manager);

// True if `manager` has applied on `live` every field that it has applied on
// `answer`: what the answer to a dry run makes ours is ours already. False where
// that cannot be said.
bool owns_all_of(const doc::Json& live, const doc::Json& answer, std::string_view manager);

// True if `manager` has applied the field at `path`, or a part of it.
bool has_applied(const doc::Json& object, std::string_view manager, std::initializer_list<std::string_view> path = {});

// Managers whose fields become ours, so that what they added goes away when it
// is not in the manifest. Flux: to undo changes made with kubectl.
struct ForeignManager {
  std::string prefix;     // of the manager's name
  std::string operation;  // "Apply" or "Update"
};
// kubectl in all its forms, this controller's own past before server-side apply,
// and those of --override-manager.
std::vector<ForeignManager> foreign_managers(std::string_view own, const std::vector<std::string>& overridden);

// True if the object holds fields of such a manager, or annotations and labels
// that are taken off on apply (kubectl's last-applied-configuration, keys of
// Flux's early versions), and is not annotated `ssa: Merge`.
bool needs_takeover(const doc::Json& object, const std::vector<ForeignManager>& foreign);

// The JSON Patch (RFC 6902) that gives those fields to `own` and takes those
// annotations off, under the object's resourceVersion as lock; nothing if there
// is nothing to do.
std::optional<doc::Json> takeover_patch(const doc::Json& object, std::string_view own,
                                        const std::vector<ForeignManager>& foreign);

}  // namespace sluice::apply
