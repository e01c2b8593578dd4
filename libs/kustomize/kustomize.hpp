// The kustomize build engine: kustomization folders in, Kubernetes objects out.
//
// What kustomize v5.8.1 builds, this builds, with the same result and in the
// same order, from a read-only base::FileView. Pure: it touches no disk, no
// network, no clock and no environment; the same bytes give the same objects.
// Time is linear in the number of objects.
//
// Helm charts and KRM functions are refused (`unsupported`) with the reason.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_view.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"
#include "doc/yaml.hpp"

namespace sluice::kustomize {

// Fetches what a kustomization names by URL. Called while building, so an
// implementation that needs the network blocks: run the build on the pool.
class RemoteLoader {
 public:
  virtual ~RemoteLoader() = default;
  // The bytes behind an http(s) URL.
  virtual base::Result<std::string> file(const std::string& url) = 0;
  // A Git or archive base: a tree, and the folder in it to build.
  struct Tree {
    std::shared_ptr<const base::FileView> files;
    std::string path;
  };
  virtual base::Result<Tree> tree(const std::string& url) = 0;
};

// Bounds on what others wrote; past them a build ends in `too_large`.
struct Limits {
  std::size_t max_layers = 256;       // kustomizations inside of each other
  std::size_t max_objects = 200'000;  // in one build
  std::size_t max_file_bytes = 64U << 20U;
  std::size_t max_total_bytes = 512U << 20U;  // of all files read, each time it is read
  // Values that patches, labels, replacements and the like copy; long text counts as several.
  std::size_t max_copied_values = 10'000'000;
  doc::YamlLimits yaml;
};

enum class LoadRestriction {
  // Files must lie below the folder of the kustomization that names them, as
  // the kustomize command has it. Folders with a kustomization of their own
  // may lie anywhere in the view.
  root_only,
  // Files may lie anywhere in the view, as Flux has it.
  none,
};

// Remembers what the folders below a kustomization amounted to, for builds to
// come: of a tree in which one leaf changed, that leaf and the layers above it
// are built, and of all others the files are read and compared by digest.
// Costs memory in the order of the documents, up to `max_bytes`. Thread-safe.
class BuildCache {
 public:
  explicit BuildCache(std::size_t max_bytes = 64U << 20U);
  ~BuildCache();
  struct Counters {
    std::size_t layers_built = 0;
    std::size_t layers_reused = 0;
  };
  Counters counters() const;

 private:
  friend class Target;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct BuildOptions {
  Limits limits;
  LoadRestriction restriction = LoadRestriction::root_only;
  RemoteLoader* remote = nullptr;  // null: URLs are refused
  BuildCache* cache = nullptr;     // null: nothing is remembered
  bool provenance = false;         // fill Object::fields; costs nothing when off
  bool legacy_order = false;       // sort by kind where the file has no sortOptions
  std::stop_token stop;            // once it is asked for, the build ends in `cancelled`, whatever it is at
};

// Where a value was written, or what made it: one of both is given.
struct FieldSource {
  std::string file;  // path in the view
  int line = 0;      // 1-based
  std::string entry;  // "apps/kustomization.yaml: patches[0]" that changed it last
};
struct FieldOrigin {
  std::string pointer;  // JSON pointer of a scalar, or of an empty map or list
  FieldSource source;
};

struct Object {
  doc::Json value;
  std::string origin_file;  // path in the view of the file that it comes from
  int origin_line = 0;      // 1-based line of its first content there; 0 for a generated object
  std::vector<FieldOrigin> fields;  // of a build with provenance
  std::vector<std::string> patched_by;  // entries of the overlay: "spec.patches[0]"
};

struct BuildResult {
  std::vector<Object> objects;
  std::vector<std::string> warnings;  // use of deprecated fields, one line each
};

// Builds the kustomization in folder `path` of the view.
//
// Errors are one line that names the kustomization file, the entry in it, the
// file and line of the resource, and the cause. Kinds: `invalid` (what was
// written is wrong), `not_found` (a file or folder named is not there),
// `unsupported`, `too_large`, `cancelled`, and what the view or the remote loader answers.
base::Result<BuildResult> build(const base::FileView& files, std::string_view path, const BuildOptions& options = {});

// What the spec of a Flux Kustomization adds to the kustomization.yaml at its
// path (fluxcd/pkg/kustomize, kustomize_generator.go).
struct Selector {
  std::string group, version, kind, name, namespace_;  // regular expressions; "" matches all
  std::string label_selector, annotation_selector;
};
struct Patch {
  std::string patch;  // strategic merge or JSON 6902, as YAML or JSON
  std::optional<Selector> target;
};
struct Image {
  std::string name, new_name, new_tag, digest;
};
struct Overlay {
  std::string target_namespace;
  std::string name_prefix;
  std::string name_suffix;
  std::vector<Patch> patches;
  std::vector<Image> images;
  std::vector<std::string> components;  // local relative paths
  bool ignore_missing_components = false;
  std::vector<std::string> build_metadata;
};

// Builds as Flux's kustomize-controller does: fields of `overlay` are put on
// top of the kustomization file in `path`. Without such a file one is made of
// all .yaml and .yml files below, and of folders with a kustomization of their
// own. An empty folder gives no objects. Load restriction `none` applies.
base::Result<BuildResult> build_flux(const base::FileView& files, std::string_view path, const Overlay& overlay,
                                     const BuildOptions& options = {});

// True if the folder has a kustomization file of its own, which build() needs and build_flux() makes.
base::Result<bool> has_kustomization(const base::FileView& files, std::string_view path);

// The objects as `kustomize build` prints them: YAML documents, keys sorted.
std::string print(const BuildResult& result);
// The same, object by object.
void print(const BuildResult& result, const std::function<void(std::string_view)>& take);

}  // namespace sluice::kustomize
