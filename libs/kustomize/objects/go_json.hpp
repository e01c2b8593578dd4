// JSON as Go's encoding/json writes it.
#pragma once

#include <string>

#include "doc/json.hpp"

namespace sluice::kustomize {

// Keys sorted, what could end a script in HTML escaped, whole floats without a
// point. Indented by two spaces if `pretty`.
std::string go_json(const doc::Json& value, bool pretty = false);

}  // namespace sluice::kustomize
