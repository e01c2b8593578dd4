// Scalars that a replacement wrote: kustomize puts in the text and leaves the type, or there is none
// where the field is made for it. What has no type counts as a number, a boolean or a time in the end,
// but as a string to what asks for strings before: patches, vars and other replacements.
#pragma once

#include <string>
#include <vector>

#include "doc/json.hpp"

namespace sluice::kustomize {

struct Resource;

struct WrittenText {
  doc::Json::json_pointer place;
  doc::Json value;  // what it amounts to; the note is void once something else is there
  std::string text;
  bool untyped = false;
};

// What a scalar counts as when it is about to be written to, or read from.
struct ScalarState {
  std::string text;
  bool untyped = false;
  bool is_time = false;  // a date or time without quotes
};

// The value of text without a type.
doc::Json untyped_value(const std::string& text);
// Of a scalar of the object.
ScalarState state_of(const Resource& resource, const doc::Json& scalar);
// `text` was written to `place`; true of `before` was what it was then.
void note_written(Resource& resource, const doc::Json::json_pointer& place, const ScalarState& before,
                  const std::string& text);
// Makes text of a scalar that has no type.
void settle_untyped(const Resource& resource, doc::Json& scalar);

}  // namespace sluice::kustomize
