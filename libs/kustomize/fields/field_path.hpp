// Dotted field paths of replacements and vars: "spec.containers.[name=web].image",
// "spec.ports.0.port", "metadata.annotations.[example.com/key]".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "doc/json.hpp"

namespace sluice::kustomize {

using FieldPath = std::vector<std::string>;

// The one value at a path, or null. List elements by number, "-" (the last) or
// [key=value]. `invalid` where a step does not fit what it meets.
base::Result<const doc::Json*> lookup_field(const doc::Json& root, const FieldPath& path);

// What missing steps are made of.
enum class MakeMissing { no, scalar, list, map };

// A field found for writing.
struct FoundField {
  doc::Json* value;
  bool created;  // it has no type of its own yet
  doc::Json::json_pointer place;
  std::optional<doc::Json::json_pointer> filled;  // a map or list on the way that was empty before
};

// All values at a path, where "*" means each element and [key=regex] each that
// matches. With `make`, missing fields are made and the last one gets that shape.
base::Result<std::vector<FoundField>> match_fields(doc::Json& root, const FieldPath& path, MakeMissing make);

}  // namespace sluice::kustomize
