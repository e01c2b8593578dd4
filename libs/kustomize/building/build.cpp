// The public functions: a build, a build as Flux does it, and printing.
#include <fmt/format.h>

#include "kustomize/building/target.hpp"
#include "kustomize/kustomize.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using base::unexpected;

Result<std::string> clean(std::string_view path) { return base::join_path("", path.empty() ? "." : path); }

bool is_manifest(std::string_view name) { return name.ends_with(".yaml") || name.ends_with(".yml"); }

// Manifests below a folder, in the order of a walk; a folder with a
// kustomization of its own stands for all in it.
Result<void> find_manifests(const Folder& folder, const std::string& below, std::size_t depth, Kustomization& k) {
  if (depth > folder.budget().limits.max_layers) {
    return unexpected(ErrorKind::too_large, fmt::format("{}: folders nested too deep", below));
  }
  SLUICE_TRY(const std::string path, base::join_path(folder.root(), below));
  SLUICE_TRY(const auto entries, folder.files().list(path));
  for (const base::DirEntry& entry : entries) {
    const std::string name = below + "/" + entry.name;
    if (entry.type == base::FileType::file) {
      if (is_manifest(entry.name)) k.resources.push_back(name);
      continue;
    }
    // A walk does not go through links, though a file may be one.
    SLUICE_TRY(const std::string inner_path, base::join_path(path, entry.name));
    SLUICE_TRY(const std::string real_path, folder.files().real_path(inner_path));
    if (real_path != inner_path) continue;
    SLUICE_TRY(const Folder inner, folder.enter(name));
    SLUICE_TRY(const std::string file, inner.kustomization_file());
    if (!file.empty()) {
      k.resources.push_back(name);
    } else {
      SLUICE_CHECK(find_manifests(folder, name, depth + 1, k));
    }
  }
  return {};
}

Result<Kustomization> find_or_make(const Folder& folder) {
  SLUICE_TRY(const std::string file, folder.kustomization_file());
  if (!file.empty()) {
    SLUICE_TRY(Kustomization own, folder.kustomization(Strictness::config));
    // Flux's way to keep a file without resources from counting as empty, which can be seen in what is built.
    if (own.resources.empty()) own.build_metadata = {"originAnnotations"};
    return own;
  }
  Kustomization k;
  k.file = folder.root().empty() ? "kustomization.yaml" : folder.root() + "/kustomization.yaml";
  SLUICE_CHECK(find_manifests(folder, ".", 0, k));
  return k;
}

void put_image(std::vector<ImageSpec>& images, const Image& image) {
  for (ImageSpec& known : images) {
    if (known.name != image.name) continue;
    if (!image.new_name.empty()) known.new_name = image.new_name;
    // Tag and digest both say which version, so either replaces both.
    if (!image.new_tag.empty() || !image.digest.empty()) {
      known.new_tag = image.new_tag;
      known.digest = image.digest;
    }
    return;
  }
  images.push_back({image.name, image.new_name, image.new_tag, "", image.digest});
}

SelectorSpec to_spec(const Selector& selector) {
  return {{selector.group, selector.version, selector.kind},
          selector.name,
          selector.namespace_,
          selector.label_selector,
          selector.annotation_selector};
}

bool is_local(const std::string& path) { return !path.empty() && !path.starts_with('/') && !is_url(path); }

Result<void> put_overlay(const Overlay& overlay, const Folder& folder, Kustomization& k) {
  if (!overlay.target_namespace.empty()) k.namespace_ = overlay.target_namespace;
  if (!overlay.name_prefix.empty()) k.name_prefix = overlay.name_prefix;
  if (!overlay.name_suffix.empty()) k.name_suffix = overlay.name_suffix;
  for (const Patch& patch : overlay.patches) {
    PatchSpec spec;
    spec.patch = patch.patch;
    if (patch.target) spec.target = to_spec(*patch.target);
    k.patches.push_back(std::move(spec));
  }
  for (const std::string& component : overlay.components) {
    if (!is_local(component)) {
      return unexpected(ErrorKind::invalid, fmt::format("component path {} must be local and relative", component));
    }
    if (overlay.ignore_missing_components && !folder.is_folder(component)) continue;
    k.components.push_back(component);
  }
  for (const Image& image : overlay.images) put_image(k.images, image);
  if (!overlay.build_metadata.empty()) k.build_metadata = overlay.build_metadata;
  return {};
}

}  // namespace

Result<BuildResult> build(const base::FileView& files, std::string_view path, const BuildOptions& options) {
  SLUICE_TRY(std::string root, clean(path));
  root = files.real_path(root).value_or(root);
  const ReadLog log(files);
  Target target(options, false, &log);
  const base::FileView& seen = options.cache != nullptr ? static_cast<const base::FileView&>(log) : files;
  const Folder folder(seen, root, options, target.budget());
  SLUICE_TRY(const Kustomization k, folder.kustomization());
  return target.build(k, folder);
}

Result<BuildResult> build_flux(const base::FileView& files, std::string_view path, const Overlay& overlay,
                               const BuildOptions& options) {
  SLUICE_TRY(std::string root, clean(path));
  root = files.real_path(root).value_or(root);
  BuildOptions open = options;
  open.restriction = LoadRestriction::none;
  const ReadLog log(files);
  Target target(open, true, &log);
  const base::FileView& seen = options.cache != nullptr ? static_cast<const base::FileView&>(log) : files;
  const Folder folder(seen, root, open, target.budget());
  auto type = files.type(root);
  if (!type) return unexpected(std::move(type).error().with_context(fmt::format("path {}", path)));
  if (*type != base::FileType::directory) {
    return unexpected(ErrorKind::invalid, fmt::format("path {}: a folder is expected", path));
  }
  SLUICE_TRY(Kustomization k, find_or_make(folder));
  SLUICE_CHECK(put_overlay(overlay, folder, k));
  return target.build(k, folder);
}

std::string print(const BuildResult& result) {
  std::string out;
  for (const Object& object : result.objects) {
    if (!out.empty()) out += "---\n";
    out += doc::print_yaml(object.value);
  }
  return out;
}

}  // namespace sluice::kustomize
