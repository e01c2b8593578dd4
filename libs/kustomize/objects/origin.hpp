// Where an object came from and what changed it, as the annotations that
// `buildMetadata` asks for.
#pragma once

#include <string>

#include "kustomize/objects/resource_set.hpp"

namespace sluice::kustomize {

struct Origin {
  std::string path;  // of a file, relative to the folder that is built
  std::string repo, ref;
  std::string configured_in;  // of a generator or transformer: its file
  std::string api_version, kind, name, namespace_;

  // Of a file or folder below this one.
  Origin append(const std::string& entry) const;
  // Of a built-in generator or transformer in the kustomization file `file` here.
  Origin builtin(const std::string& file, const std::string& kind_name) const;
  std::string yaml() const;
};

inline constexpr const char* kOriginAnnotation = "config.kubernetes.io/origin";
inline constexpr const char* kTransformationsAnnotation = "alpha.config.kubernetes.io/transformations";

void set_origin(Resource& resource, const Origin& origin);
bool has_origin(const Resource& resource);
// Notes a transformer on all objects; what has no origin yet was made by it.
void note_transformer(const ResourceSet& set, const Origin& origin);
// Makes annotations what kustomize leaves of them: strings, none where the map
// is empty, and these two only where they were asked for.
base::Result<void> tidy_annotations(doc::Json& object, bool keep_origin, bool keep_transformations);
// The origin of an object that configures a plugin, seen from what it makes.
Origin plugin_origin(const Resource& plugin);

}  // namespace sluice::kustomize
