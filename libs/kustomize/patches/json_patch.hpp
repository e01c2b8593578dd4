// JSON Patch (RFC 6902) with the habits of the Go library that kustomize uses:
// an index may be negative, counting from behind; a path must exist for
// `remove` and `replace`; null members count as members; `test` compares JSON
// as text (see json_spelling.hpp), and a list with a null is equal to nothing.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "doc/json.hpp"
#include "kustomize/objects/growth.hpp"

namespace sluice::kustomize {

struct PatchOperation {
  std::string op;
  std::string path;
  std::string from;
  bool has_value = false;
  doc::Json value;
  doc::Json spelling;  // of the value, in a patch in JSON that has a `test`
};

// Reads a patch document; `invalid` if it is no list of operations.
base::Result<std::vector<PatchOperation>> parse_json_patch(const doc::Json& document);
// The same of a text in JSON.
base::Result<std::vector<PatchOperation>> parse_json_patch_text(std::string_view json);
// True if an operation names `place` (steps from the top), something in it, or something that it is in.
bool touches(const std::vector<PatchOperation>& operations, std::initializer_list<std::string_view> place);
// Applies all operations or answers the first error, naming it; the object is
// then left half changed. `too_large` past what may be copied or moved.
base::Result<void> apply_json_patch(doc::Json& object, const std::vector<PatchOperation>& operations, Growth& growth);

}  // namespace sluice::kustomize
