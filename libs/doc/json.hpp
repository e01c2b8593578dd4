// The document type of the whole project, and strict JSON reading and printing.
//
// A Kubernetes object is a Json object. Numbers keep their kind (signed,
// unsigned, floating) and integers of up to 64 bits are exact. Object keys are
// sorted by byte, as Go's encoding/json prints maps.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sluice::doc {

using Json = nlohmann::json;

// RFC 8259; `invalid` with line and column on bad syntax, on text after the
// value and on nesting deeper than 512; never throws.
base::Result<Json> parse_json(std::string_view text);
// Compact, UTF-8 as it is; bytes that are no UTF-8 become U+FFFD.
std::string print_json(const Json& value);

// Reads a path of object keys without throwing: null where a step is missing
// or is not an object. `find(pod, {"spec", "nodeName"})`.
const Json* find(const Json& value, std::initializer_list<std::string_view> path) noexcept;
// The string at a path, or "" where there is none.
std::string_view find_string(const Json& value, std::initializer_list<std::string_view> path) noexcept;

}  // namespace sluice::doc
