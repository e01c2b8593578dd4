// kustomize's notes on an object: what it was called, what was put around its
// name, how it was generated. kustomize keeps them in annotations of the object
// while it builds, where patches meet them: one that adds
// `/metadata/annotations/x` finds the map there once kustomize has noted
// anything, though the file has none. Here they are fields of a Resource; these
// functions write them where kustomize has them, for as long as somebody looks.
#pragma once

#include <map>
#include <string>

#include "kustomize/objects/resource.hpp"

namespace sluice::kustomize {

using Notes = std::map<std::string, std::string>;

// What kustomize has noted by now, by annotation.
Notes notes_of(const Resource& resource);
bool has_notes(const Resource& resource);
// Writes them into metadata.annotations.
void put_notes(Resource& resource, const Notes& notes);
// Takes out what is left of them. Those that are gone are forgotten with `Gone::forgotten`, as after a strategic merge;
// after a JSON patch kustomize puts all of them back.
enum class Gone { forgotten, kept };
void take_notes(Resource& resource, const Notes& notes, Gone gone);

}  // namespace sluice::kustomize
