// JSON in which each scalar is the text that it is written as: "1.0" and "1" differ there, as do
// "\u0041" and "A". Null stays null.
//
// The library behind kustomize's JSON patches keeps what a patch in JSON brings as text, and compares
// texts in `test`. What was YAML went through an encoder, so that only its value counts.
#pragma once

#include <string_view>

#include "base/result.hpp"
#include "doc/json.hpp"

namespace sluice::kustomize {

// Of a JSON text; errors as in doc::parse_json.
base::Result<doc::Json> spelled_text(std::string_view json);
// Of a value as Go's encoding/json writes it.
doc::Json spelled(const doc::Json& value);
// The value again.
base::Result<doc::Json> unspelled(const doc::Json& spelling);

}  // namespace sluice::kustomize
