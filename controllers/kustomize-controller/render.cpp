#include "render.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>
#include <utility>

#include "api/names.hpp"
#include "base/digest.hpp"
#include "kustomize/kustomize.hpp"
#include "spec_metadata.hpp"

namespace sluice::kustomize_controller {

using base::ErrorKind;
using base::Result;
using doc::Json;

namespace {

// Fields of spec that a render looks at.
constexpr const char* kRenderFields[] = {"path",      "targetNamespace", "namePrefix", "nameSuffix",
                                         "patches",   "images",          "components", "ignoreMissingComponents",
                                         "postBuild", "commonMetadata",  "decryption", "buildMetadata"};

kustomize::Overlay overlay_of(const api::KustomizationSpec& spec) {
  kustomize::Overlay overlay;
  overlay.target_namespace = spec.target_namespace;
  overlay.name_prefix = spec.name_prefix;
  overlay.name_suffix = spec.name_suffix;
  overlay.components = spec.components;
  overlay.ignore_missing_components = spec.ignore_missing_components;
  overlay.build_metadata = spec.build_metadata;
  for (const api::Patch& patch : spec.patches) {
    kustomize::Patch made;
    made.patch = patch.patch;
    if (patch.target) {
      const api::Selector& s = *patch.target;
      made.target = kustomize::Selector{
          s.group, s.version, s.kind, s.name, s.namespace_, s.label_selector, s.annotation_selector};
    }
    overlay.patches.push_back(std::move(made));
  }
  for (const api::Image& image : spec.images) {
    overlay.images.push_back({image.name, image.new_name, image.new_tag, image.digest});
  }
  return overlay;
}

void set_all(Json& object, const char* where, const api::StringMap& values) {
  if (values.empty()) return;
  Json& map = object["metadata"][where];
  if (!map.is_object()) map = Json::object();
  for (const auto& [key, value] : values) map[key] = value;
}

std::string origin_of(const kustomize::Object& object) {
  if (object.origin_file.empty()) return {};
  if (object.origin_line <= 0) return object.origin_file;
  return fmt::format("{}:{}", object.origin_file, object.origin_line);
}

bool is_encrypted_secret(const Json& object) {
  return api::kind_of(object) == "Secret" && doc::find(object, {"sops", "mac"}) != nullptr &&
         api::annotation_of(object, api::annotation::kDecrypt) != api::annotation_value::kDisabled;
}

base::Unexpected encrypted(const api::ObjectId& id, const std::string& origin) {
  base::Error error;
  error.kind = ErrorKind::unsupported;
  error.reason = kEncrypted;
  error.message = fmt::format(
      "{} ({}) is SOPS encrypted, configuring decryption is required for this secret to be "
      "reconciled",
      id.display(), origin);
  return base::unexpected(std::move(error));
}

// A path that begins at the root, and one that leads out of it, are paths below the artifact's root:
// "../good" is "good". Flux: so does SecureJoin.
std::string below_root(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  return parts.empty() ? std::string(".") : fmt::format("{}", fmt::join(parts, "/"));
}

Result<std::string> build_path(const base::FileView& files, const std::string& path) {
  auto joined = base::join_path("", below_root(path));
  const auto missing = [&path](std::string_view why) {
    base::Error error;
    error.kind = ErrorKind::not_found;
    error.reason = kPathNotFound;
    error.message = fmt::format("kustomization path not found: spec.path '{}' {}", path, why);
    return base::unexpected(std::move(error));
  };
  if (!joined) return missing("leads out of the artifact");
  const auto type = files.type(*joined);
  if (!type && type.error().kind == ErrorKind::not_found) return missing("is not in the artifact");
  if (!type) return base::unexpected(type.error().with_context("spec.path '" + path + "'"));
  if (*type != base::FileType::directory) return missing("is not a folder");
  return joined;
}

Result<void> unless_stopped(const std::stop_token& stop) {
  if (!stop.stop_requested()) return {};
  return base::unexpected(ErrorKind::cancelled, "the build was stopped");
}

Result<std::string> digest_of(const kustomize::BuildResult& built, const std::stop_token& stop) {
  base::Hasher hasher;
  kustomize::print(built, [&](std::string_view text) {
    if (!stop.stop_requested()) hasher.update(text);
  });
  SLUICE_CHECK(unless_stopped(stop));
  return hasher.finish_digest();
}

// Values may be secret: they are told apart by their digest. It is made on the loop, so of
// the values as they are, not of a text that holds them.
std::string digest_of(const api::StringMap& variables) {
  base::Hasher hasher;
  for (const auto& [name, value] : variables) {
    hasher.update(fmt::format("{} {} ", name.size(), value.size()));
    hasher.update(name);
    hasher.update(value);
  }
  return hasher.finish_hex();
}

// The file that an object comes from, and what of the spec the API server may
// refuse in it: the file alone would be blamed for what is not in it.
std::string origin_in(const kustomize::Object& object, const api::KustomizationSpec& spec) {
  constexpr std::size_t kShortName = 63;  // longer ones are refused for some kinds
  std::string origin = origin_of(object);
  for (const std::string& entry : object.patched_by) origin += fmt::format(", patched by {}", entry);
  if (api::name_of(object.value).size() > kShortName) {
    if (!spec.name_prefix.empty()) origin += ", named by spec.namePrefix";
    if (!spec.name_suffix.empty()) origin += ", named by spec.nameSuffix";
  }
  return origin;
}

}  // namespace

std::string render_key(const Json& kustomization, const api::StringMap& variables) {
  Json key = Json::object();
  key["name"] = api::name_of(kustomization);
  key["namespace"] = api::namespace_of(kustomization);
  for (const char* field : kRenderFields) {
    if (const Json* value = doc::find(kustomization, {"spec", field})) key[field] = *value;
  }
  if (!variables.empty()) key["variables"] = digest_of(variables);
  return doc::print_json(key);
}

Result<Rendered> render(const base::FileView& files, const RenderInput& input, kustomize::BuildCache* layers,
                        std::stop_token stop) {
  const api::KustomizationSpec& spec = input.kustomization.spec;
  SLUICE_CHECK(check_spec_metadata(input.kustomization));
  SLUICE_TRY(const std::string path, build_path(files, spec.path));
  kustomize::BuildOptions options;
  options.cache = layers;
  options.stop = stop;
  auto built = kustomize::build_flux(files, path, overlay_of(spec), options);
  if (!built) return base::unexpected(std::move(built).error().with_context("kustomize build failed"));
  BuildBudget budget;
  if (spec.post_build) {
    SLUICE_CHECK(check_variable_names(input.substitution.variables));
    for (kustomize::Object& object : built->objects) {
      SLUICE_CHECK(unless_stopped(stop));
      const std::string what = fmt::format("post build failed for {}/{} ({})", api::kind_of(object.value),
                                           api::name_of(object.value), origin_of(object));
      auto done = substitute_in(std::move(object.value), input.substitution, stop, &budget);
      if (!done) return base::unexpected(std::move(done).error().with_context(what));
      object.value = *std::move(done);
    }
  }
  Rendered rendered;
  SLUICE_TRY(rendered.digest, digest_of(*built, stop));
  rendered.warnings = std::move(built->warnings);
  rendered.derived_secrets.assign(budget.derived.values().begin(), budget.derived.values().end());
  auto manifests = std::make_shared<std::vector<apply::Manifest>>();
  manifests->reserve(built->objects.size());
  std::unordered_map<api::ObjectId, std::string> seen;
  for (kustomize::Object& object : built->objects) {
    SLUICE_CHECK(unless_stopped(stop));
    const std::string origin = origin_in(object, spec);
    if (spec.common_metadata) {
      set_all(object.value, "labels", spec.common_metadata->labels);
      set_all(object.value, "annotations", spec.common_metadata->annotations);
    }
    const bool is_secret_text = is_encrypted_secret(object.value);
    auto made = apply::make_manifest(std::move(object.value), input.owner, origin);
    if (!made) return base::unexpected(std::move(made).error().with_context("build of " + origin));
    if (is_secret_text) return encrypted(made->id, origin);
    const auto [first, is_new] = seen.try_emplace(made->id, origin);
    if (!is_new) {
      return base::unexpected(ErrorKind::invalid,
                              fmt::format("{} is there twice: {} and {}", made->id.display(), first->second, origin));
    }
    manifests->push_back(*std::move(made));
  }
  rendered.manifests = std::move(manifests);
  return rendered;
}

namespace {

std::size_t bytes_of(const RenderCache::Entry& entry) {
  std::size_t bytes = entry.key.size();
  for (const auto& [path, digest] : entry.records) bytes += path.size() + digest.size();
  for (const std::string& value : entry.rendered->derived_secrets) bytes += value.size();
  for (const apply::Manifest& manifest : *entry.rendered->manifests) {
    bytes += sizeof(manifest) + manifest.id.name.size() + manifest.text.size() + manifest.origin.size();
  }
  return bytes;
}

// What others ask of a build: who it names, and what it read. No key finds it.
RenderCache::Entry outline_of(const RenderCache::Entry& entry) {
  auto manifests = std::make_shared<std::vector<apply::Manifest>>();
  manifests->reserve(entry.rendered->manifests->size());
  for (const apply::Manifest& whole : *entry.rendered->manifests) {
    apply::Manifest& manifest = manifests->emplace_back();
    manifest.id = whole.id;
    manifest.skip = whole.skip;
  }
  auto rendered = std::make_shared<Rendered>();
  rendered->manifests = std::move(manifests);
  return {{}, entry.artifact_digest, entry.records, std::move(rendered)};
}

}  // namespace

std::shared_ptr<const RenderCache::Entry> RenderCache::find(const api::ObjectKey& owner, const std::string& key) {
  const auto found = entries_.find(owner);
  if (found == entries_.end() || found->second->entry->key != key) return nullptr;
  whole_.splice(whole_.begin(), whole_, found->second);
  return found->second->entry;
}

std::shared_ptr<const RenderCache::Entry> RenderCache::last(const api::ObjectKey& owner) const {
  const auto found = entries_.find(owner);
  return found == entries_.end() ? nullptr : found->second->entry;
}

void RenderCache::put(const api::ObjectKey& owner, Entry entry) {
  forget(owner);
  const std::size_t bytes = bytes_of(entry);
  whole_.push_front({owner, std::make_shared<const Entry>(std::move(entry)), bytes, false});
  entries_.emplace(owner, whole_.begin());
  bytes_ += bytes;
  if (bytes > max_bytes_) shorten(whole_.begin());  // it alone, or it would leave no room to others
  while (bytes_ > max_bytes_) {
    if (!whole_.empty() && outline_bytes_ <= max_bytes_ / 2) {
      shorten(std::prev(whole_.end()));
    } else {
      const api::ObjectKey oldest = outlines_.back().owner;
      forget(oldest);
    }
  }
}

void RenderCache::shorten(std::list<Kept>::iterator kept) {
  bytes_ -= kept->bytes;
  kept->entry = std::make_shared<const Entry>(outline_of(*kept->entry));
  kept->bytes = bytes_of(*kept->entry);
  kept->is_outline = true;
  bytes_ += kept->bytes;
  outline_bytes_ += kept->bytes;
  outlines_.splice(outlines_.begin(), whole_, kept);
}

void RenderCache::forget(const api::ObjectKey& owner) {
  const auto found = entries_.find(owner);
  if (found == entries_.end()) return;
  const auto kept = found->second;
  bytes_ -= kept->bytes;
  if (kept->is_outline) outline_bytes_ -= kept->bytes;
  (kept->is_outline ? outlines_ : whole_).erase(kept);
  entries_.erase(found);
}

}  // namespace sluice::kustomize_controller
