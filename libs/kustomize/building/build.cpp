// The public functions: a build, a build as Flux does it, and printing.
#include <fmt/format.h>

#include "kustomize/building/placed.hpp"
#include "kustomize/building/target.hpp"
#include "kustomize/kustomize.hpp"
#include "kustomize/objects/steps.hpp"

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
    SLUICE_CHECK(take_step());
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
    // Flux decides before `bases` count as resources.
    if (!own.lists_resources) own.build_metadata = {"originAnnotations"};
    return own;
  }
  Kustomization k;
  k.file = folder.root().empty() ? "kustomization.yaml" : folder.root() + "/kustomization.yaml";
  SLUICE_CHECK(find_manifests(folder, ".", 0, k));
  return k;
}

// The index of the entry that it is in.
std::size_t put_image(std::vector<ImageSpec>& images, const Image& image) {
  for (ImageSpec& known : images) {
    if (known.name != image.name) continue;
    if (!image.new_name.empty()) known.new_name = image.new_name;
    // Tag and digest both say which version, so either replaces both.
    if (!image.new_tag.empty() || !image.digest.empty()) {
      known.new_tag = image.new_tag;
      known.digest = image.digest;
    }
    return static_cast<std::size_t>(&known - images.data());
  }
  images.push_back({image.name, image.new_name, image.new_tag, "", image.digest});
  return images.size() - 1;
}

SelectorSpec to_spec(const Selector& selector) {
  return {{selector.group, selector.version, selector.kind},
          selector.name,
          selector.namespace_,
          selector.label_selector,
          selector.annotation_selector};
}

bool is_local(const std::string& path) { return !path.empty() && !path.starts_with('/') && !is_url(path); }

void put_text(const std::string& value, const char* field, const char* in_spec, std::string Kustomization::*into,
              Kustomization& k) {
  if (value.empty()) return;
  k.*into = value;
  k.from_spec[field] = in_spec;
}

// Messages name the entry of the spec: of one that it adds to a list, the file knows nothing.
Result<void> put_overlay(const Overlay& overlay, const Folder& folder, Kustomization& k) {
  put_text(overlay.target_namespace, "namespace", "spec.targetNamespace", &Kustomization::namespace_, k);
  put_text(overlay.name_prefix, "namePrefix", "spec.namePrefix", &Kustomization::name_prefix, k);
  put_text(overlay.name_suffix, "nameSuffix", "spec.nameSuffix", &Kustomization::name_suffix, k);
  for (std::size_t i = 0; i < overlay.patches.size(); ++i) {
    PatchSpec spec;
    spec.patch = overlay.patches[i].patch;
    spec.from_spec = indexed("spec.patches", i);
    if (overlay.patches[i].target) spec.target = to_spec(*overlay.patches[i].target);
    k.from_spec[indexed("patches", k.patches.size())] = spec.from_spec;
    k.patches.push_back(std::move(spec));
  }
  for (std::size_t i = 0; i < overlay.components.size(); ++i) {
    const std::string& component = overlay.components[i];
    const std::string entry = indexed("spec.components", i);
    if (!is_local(component)) {
      return unexpected(ErrorKind::invalid, fmt::format("{}: {} must be local and relative", entry, component));
    }
    if (overlay.ignore_missing_components && !folder.is_folder(component)) continue;
    k.from_spec[indexed("components", k.components.size())] = entry;
    k.components.push_back(component);
  }
  for (std::size_t i = 0; i < overlay.images.size(); ++i) {
    k.from_spec[indexed("images", put_image(k.images, overlay.images[i]))] = indexed("spec.images", i);
  }
  if (!overlay.build_metadata.empty()) k.build_metadata = overlay.build_metadata;
  return {};
}

Result<BuildResult> build_folder(const base::FileView& files, std::string_view path, const BuildOptions& options) {
  SLUICE_TRY(std::string root, clean(path));
  root = files.real_path(root).value_or(root);
  const ReadLog log(files);
  Target target(options, false, &log);
  const base::FileView& seen = options.cache != nullptr ? static_cast<const base::FileView&>(log) : files;
  const Folder folder(seen, root, options, target.budget());
  SLUICE_TRY(const Kustomization k, folder.kustomization());
  return target.build(k, folder);
}

Result<BuildResult> build_flux_folder(const base::FileView& files, std::string_view path, const Overlay& overlay,
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

// What a build that was told to stop came to is not looked at: loops may have left it unfinished.
Result<BuildResult> unless_stopped(Result<BuildResult> result) {
  if (Steps::ended()) return cancelled();
  return result;
}

}  // namespace

Result<BuildResult> build(const base::FileView& files, std::string_view path, const BuildOptions& options) {
  const Steps steps(options.stop);
  return unless_stopped(build_folder(files, path, options));
}

Result<BuildResult> build_flux(const base::FileView& files, std::string_view path, const Overlay& overlay,
                               const BuildOptions& options) {
  const Steps steps(options.stop);
  return unless_stopped(build_flux_folder(files, path, overlay, options));
}

Result<bool> has_kustomization(const base::FileView& files, std::string_view path) {
  SLUICE_TRY(const std::string root, clean(path));
  const BuildOptions options;
  Budget budget{options.limits};
  const Folder folder(files, root, options, budget);
  SLUICE_TRY(const std::string file, folder.kustomization_file());
  return !file.empty();
}

std::string print(const BuildResult& result) {
  std::string out;
  print(result, [&](std::string_view text) { out += text; });
  return out;
}

void print(const BuildResult& result, const std::function<void(std::string_view)>& take) {
  for (const Object& object : result.objects) {
    if (&object != result.objects.data()) take("---\n");
    take(doc::print_yaml(object.value));
  }
}

}  // namespace sluice::kustomize
