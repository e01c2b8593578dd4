// Field specs: which fields of which kinds a transformer works on.
//
// A path is "spec/template/metadata/labels"; "\/" stands for a slash in a key,
// lists are passed through, and "containers[]" says that a list is meant.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "kustomize/objects/resource.hpp"

namespace sluice::kustomize {

struct FieldSpec {
  Gvk gvk;  // empty parts match everything
  std::string path;
  bool create = false;
  bool operator==(const FieldSpec&) const = default;
};
using FieldSpecs = std::vector<FieldSpec>;

// Splits at an unescaped delimiter; a leading one is dropped ("/a/b" is "a/b").
std::vector<std::string> split_path(std::string_view path, char delimiter);
// As split_path, but "[name=a.b]" stays one part and "[a.b]" loses its brackets.
std::vector<std::string> split_field_path(std::string_view path);

using SetField = std::function<base::Result<void>(doc::Json&)>;

// What to put where a spec with `create` finds nothing.
enum class CreateKind { none, scalar, map };

// Calls `set` on each field of the object that the spec leads to, and lets
// others have what it makes of an entry that they share. Where the path meets
// a scalar before its end the answer is `invalid`.
base::Result<void> visit_field(Resource& resource, const FieldSpec& spec, CreateKind create, const SetField& set);
// The same with the path split already.
base::Result<void> visit_path(Resource& resource, const FieldSpec& spec, const std::vector<std::string>& path,
                              CreateKind create, const SetField& set);
// What is said where a path meets a scalar in front of a step.
base::Error no_map_before(const FieldSpec& spec, const std::string& step);
// For each spec whose kind matches the object.
base::Result<void> visit_fields(Resource& resource, std::span<const FieldSpec> specs, CreateKind create,
                                const SetField& set);

// Adds a spec unless the list has it; `invalid` if it is there with another `create`.
base::Result<void> add_field_spec(FieldSpecs& specs, const FieldSpec& spec);
base::Result<void> add_field_specs(FieldSpecs& specs, std::span<const FieldSpec> more);

}  // namespace sluice::kustomize
