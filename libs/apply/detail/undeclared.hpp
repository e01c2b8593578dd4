// Fields that a kind does not have. Flux reads the objects of Kubernetes' own kinds into their Go types before it
// applies them, and what these do not know is gone then; server-side apply refuses an object for it. The server's
// refusal names such fields, by its own schema (of one map the first that it meets): they are left out, of the same
// kinds, and told. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/object_meta.hpp"
#include "doc/json.hpp"

namespace sluice::apply {

// True of the kinds that Flux reads so: those of Kubernetes itself, but for Role and ClusterRole, whose rules
// would suffer; definitions and APIServices are not among them, nor is anything that a definition brings.
bool is_read_by_type(const api::GroupKind& kind);

// The paths that `refusal`, the answer to a server-side apply, says the schema lacks, as it writes them
// (".spec.containers[name=\"c\"].resource"). Empty if it says anything else besides.
std::vector<std::string> undeclared_fields(std::string_view refusal);

// Takes the field at a path out of the object; false, and nothing is changed, if it is not there.
bool erase_field(doc::Json& object, std::string_view path);

}  // namespace sluice::apply
