// What happens to an object where kustomize writes it as JSON and reads that
// as YAML: on its way out, and for each item of a List on its way in.
#pragma once

#include "base/result.hpp"
#include "doc/json.hpp"

namespace sluice::kustomize {

// JSON has no NaN and no infinities: `invalid`, with the field.
base::Result<void> check_numbers(const doc::Json& value);

// Changes the value as the passage does: a NEL (U+0085) folds as a line break.
// `invalid`, with the field, for what YAML refuses: numbers as above, DEL and
// C1 controls, U+FFFE and U+FFFF, keys of more than 1022 characters or with a NEL.
base::Result<void> pass_through_json(doc::Json& value);

}  // namespace sluice::kustomize
