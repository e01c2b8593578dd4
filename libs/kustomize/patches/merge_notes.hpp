// What a strategic merge has to know of the text that an object and its patch
// were written as. By address: a merge moves maps, but not what is in them.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>

#include "kustomize/objects/resource.hpp"

namespace sluice::kustomize {

struct MergeNotes {
  // Nulls of the object that were written as nothing at all ("field:").
  std::unordered_set<const doc::Json*> empty_nulls;
  // Strings of both that are in quotes or blocks.
  std::unordered_set<const doc::Json*> quoted;
  // Contents of maps and lists of both that are written in flow style.
  std::unordered_set<const void*> flow;
  // Scalars of the patch that are not printed as they were written.
  std::unordered_map<const doc::Json*, std::string> texts;
  // Scalars of the object that a replacement wrote, and times: they have no quotes, whatever their text.
  std::unordered_map<const doc::Json*, WrittenText> written;
  SharedEntries shared;

  // Takes the notes of a target, and gives back what is still true of it.
  void take(Resource& target);
  void give_back(Resource& target);
  // Reads those of a patch, of which `content` is a copy to be merged.
  void read(const Resource& patch, const doc::Json& content);

  // `patch` is merged into `dest`: a map or list that is empty has no style of its own.
  void take_style(const doc::Json& dest, const doc::Json& patch);

  // What becomes of a scalar of the object where `patch` overrides it: quotes
  // stay, and make a string of a number.
  doc::Json overridden(const doc::Json& old, bool in_quotes, const doc::Json& patch) const;
  // The same for a value in its place.
  void override(doc::Json& old, const doc::Json& patch);
};

}  // namespace sluice::kustomize
