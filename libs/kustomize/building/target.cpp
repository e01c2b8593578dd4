#include "kustomize/building/target.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "kustomize/building/placed.hpp"
#include "kustomize/objects/json_passage.hpp"
#include "kustomize/objects/provenance.hpp"
#include "kustomize/objects/steps.hpp"

namespace sluice::kustomize {
namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::unexpected;
using doc::Json;

// The only OpenAPI version by name that kustomize v5.8.1 has built in.
constexpr const char* kOpenApiVersion = "v1.21.2";

}  // namespace

Result<BuildResult> Target::build(const Kustomization& k, const Folder& folder) {
  track_origin_ = !k.build_metadata.empty();
  warnings_ = k.warnings;
  SLUICE_CHECK(set_schema(k, folder));
  const Origin origin;
  const Here here{k, folder, origin};
  Accumulated all;
  SLUICE_CHECK(accumulate(here, all));
  return finish(here, std::move(all));
}

// Two objects out of one file are told apart by the way that they came.
base::Error Target::say_who(Error error, const Here& here, const Accumulated& into, const std::vector<Brought>& brought,
                            const std::string& entry) {
  if (!into.set.twin() || error.kind != ErrorKind::already_exists) return error;
  const auto from =
      std::find_if(brought.begin(), brought.end(), [&](const Brought& each) { return *into.set.twin() < each.end; });
  // Of what was there before, the kustomization above knows more.
  if (from == brought.end() || from->entry.empty()) return error;
  error.message += fmt::format("; {} brought that one, {} this one", place_of(here.k, from->entry), entry);
  return error;
}

Result<void> Target::accumulate(const Here& here, Accumulated& into) {
  into.set.growth().limit(options_.limits.max_copied_values);
  std::vector<Brought> brought;
  const auto fail = [&](const char* field, std::size_t i, const std::string& entry, Error error) {
    error = say_who(std::move(error), here, into, brought, named(field, i, entry));
    if (error.reason == "placed") return unexpected(std::move(error));
    return placed(here.k, field, i, entry, std::move(error));
  };
  brought.push_back({into.set.size(), ""});
  for (std::size_t i = 0; i < here.k.resources.size(); ++i) {
    const std::string& entry = here.k.resources[i];
    const bool folder = !is_http(entry) && !here.folder.is_file(entry);
    auto added = folder ? add_folder(here, entry, false, into) : add_resource(here, entry, into);
    if (!added && is_http(entry) && added.error().kind != ErrorKind::unsupported) {
      // What is no file behind the URL may be a repository.
      auto tree = add_folder(here, entry, false, into);
      if (tree || tree.error().reason == "placed") added = std::move(tree);
    }
    if (!added) return fail("resources", i, entry, std::move(added).error());
    brought.push_back({into.set.size(), named("resources", i, entry)});
  }
  SLUICE_CHECK(add_config(here, into));
  SLUICE_CHECK(run_generators(here, into));
  brought.push_back({into.set.size(), "a generator"});
  for (std::size_t i = 0; i < here.k.components.size(); ++i) {
    auto added = add_folder(here, here.k.components[i], true, into);
    if (!added) return fail("components", i, here.k.components[i], std::move(added).error());
    brought.push_back({into.set.size(), named("components", i, here.k.components[i])});
  }
  SLUICE_CHECK(run_transformers(here, into));
  SLUICE_CHECK(run_validators(here, into));
  auto attached = attach_vars(into.set, here.k.vars);
  if (attached) attached = merge_vars(into.vars, here.k.vars);
  if (!attached) return placed(here.k, "vars", std::move(attached).error());
  return {};
}

Result<void> Target::add_resource(const Here& here, const std::string& entry, Accumulated& into) {
  SLUICE_TRY(Resources resources, here.folder.resources(entry));
  for (auto& resource : resources) {
    if (track_origin_) set_origin(*resource, here.origin.append(entry));
    SLUICE_CHECK(into.set.append(std::move(resource)));
  }
  return {};
}

Result<void> Target::add_folder(const Here& here, const std::string& entry, bool component, Accumulated& into) {
  SLUICE_TRY(const Folder folder, here.folder.enter(entry));
  const Origin origin = here.origin.append(entry);
  const bool remembers = log_ != nullptr && options_.cache != nullptr && !options_.provenance && !component &&
                         !schema_set_ && &folder.files() == log_;
  return remembers ? add_remembered(here, folder, origin, into) : add_inner(here, folder, origin, component, into);
}

Result<void> Target::add_remembered(const Here& here, const Folder& folder, const Origin& origin, Accumulated& into) {
  BuildCache::Impl& cache = *options_.cache->impl_;
  const std::string key =
      fmt::format("{}\x1f{}\x1f{}{}{}", folder.root(), origin.path, track_origin_, flux_,
                  options_.restriction == LoadRestriction::none);
  if (const auto layer = cache.find(key); layer != nullptr && log_->still_holds(layer->reads)) {
    SLUICE_CHECK(folder.spend(layer->bytes, layer->objects));
    budget_.unknown_kinds = budget_.unknown_kinds || layer->unknown_kinds;
    warnings_.insert(warnings_.end(), layer->warnings.begin(), layer->warnings.end());
    const std::lock_guard lock(cache.mutex);
    ++cache.counters.layers_reused;
    return merge(into, {layer->set.clone(), layer->config, layer->vars});
  }
  const std::size_t mark = log_->mark(), warned = warnings_.size();
  const Budget before = budget_;
  Accumulated below;
  SLUICE_CHECK(add_inner(here, folder, origin, false, below));
  if (!schema_set_ && !below.remote) {
    auto layer = std::make_shared<BuiltLayer>();
    layer->reads = log_->since(mark);
    layer->set = below.set.clone();
    SLUICE_CHECK(take_step());
    layer->config = below.config;
    layer->vars = below.vars;
    layer->warnings.assign(warnings_.begin() + static_cast<std::ptrdiff_t>(warned), warnings_.end());
    layer->bytes = budget_.bytes - before.bytes;
    layer->objects = budget_.objects - before.objects;
    layer->unknown_kinds = budget_.unknown_kinds;
    cache.keep(key, std::move(layer));
  }
  {
    const std::lock_guard lock(cache.mutex);
    ++cache.counters.layers_built;
  }
  return merge(into, std::move(below));
}

Result<void> Target::add_inner(const Here& here, const Folder& folder, const Origin& origin, bool component,
                               Accumulated& into) {
  // From here on errors say themselves where they belong.
  const auto mark = [](Error error) {
    error.reason = "placed";
    return unexpected(std::move(error));
  };
  auto k = folder.kustomization();
  if (!k) return k.error().kind == ErrorKind::not_found ? unexpected(std::move(k).error()) : mark(std::move(k).error());
  warnings_.insert(warnings_.end(), k->warnings.begin(), k->warnings.end());
  if (k->component != component) {
    return unexpected(ErrorKind::invalid, component ? "a Component is expected, this is a Kustomization"
                                                    : "a Component belongs in `components`, not in `resources`");
  }
  if (auto done = set_schema(*k, folder); !done) return mark(std::move(done).error());
  const Here inner{*k, folder, origin};
  if (component) {
    // A component works on what is there already.
    auto done = accumulate(inner, into);
    if (!done) return mark(std::move(done).error());
    return into.set.check_unique();
  }
  Accumulated below;
  below.remote = &folder.files() != &here.folder.files();
  if (auto done = accumulate(inner, below); !done) return mark(std::move(done).error());
  return merge(into, std::move(below));
}

Result<void> Target::merge(Accumulated& into, Accumulated from) {
  into.remote = into.remote || from.remote;
  SLUICE_CHECK(into.set.append_all(std::move(from.set)));
  if (!into.config && from.config == Config::defaults()) {
    into.config = from.config;
  } else if (!into.config && from.config) {
    // A merge into nothing drops the defaults that a more special rule stands in front of.
    auto merged = std::make_shared<Config>();
    SLUICE_CHECK(merged->merge(*from.config));
    into.config = std::move(merged);
  } else if (from.config && into.config != from.config) {
    auto merged = std::make_shared<Config>(*into.config);
    SLUICE_CHECK(merged->merge(*from.config));
    into.config = std::move(merged);
  }
  return merge_vars(into.vars, from.vars);
}

// The first kustomization on the way down that names a schema decides.
Result<void> Target::set_schema(const Kustomization& k, const Folder& folder) {
  const auto path = k.openapi.find("path");
  const auto version = k.openapi.find("version");
  if (path != k.openapi.end()) {
    auto value = folder.load_yaml(path->second);
    if (!value) return placed(k, "openapi.path", std::move(value).error());
    if (schema_set_) return {};
    if (version != k.openapi.end()) {
      return placed(k, "openapi", unexpected(ErrorKind::invalid, "path and version exclude each other").error);
    }
    auto schema = Schema::parse(*value, flux_                    ? Schema::Builtin::below
                                        : budget_.unknown_kinds ? Schema::Builtin::above
                                                                : Schema::Builtin::none);
    if (!schema) return placed(k, "openapi.path", std::move(schema).error());
    schema_ = *std::move(schema);
    if (!schema_->cluster_kinds().empty()) cluster_kinds_.emplace(schema_->cluster_kinds());
    schema_set_ = true;
    return {};
  }
  if (schema_set_ || version == k.openapi.end() || version->second.empty()) return {};
  if (version->second != kOpenApiVersion) {
    return placed(
        k, "openapi.version",
        unexpected(ErrorKind::invalid, fmt::format("{} is not built in, only {} is", version->second, kOpenApiVersion))
            .error);
  }
  schema_set_ = true;
  return {};
}

Result<void> Target::add_config(const Here& here, Accumulated& into) {
  Accumulated layer;
  layer.config = Config::defaults();
  const auto add = [&](const char* field, const std::vector<std::string>& entries, auto read,
                       Config& to) -> Result<void> {
    for (std::size_t i = 0; i < entries.size(); ++i) {
      auto value = here.folder.load_yaml(entries[i]);
      auto more = value ? read(*value) : Result<Config>(unexpected(std::move(value).error()));
      auto merged = more ? to.merge(*more) : Result<void>(unexpected(std::move(more).error()));
      if (!merged) return placed(here.k, field, i, entries[i], std::move(merged).error());
    }
    return {};
  };
  if (!here.k.configurations.empty() || !here.k.crds.empty()) {
    Config with_defaults = *layer.config;
    SLUICE_CHECK(add("configurations", here.k.configurations, Config::parse, with_defaults));
    auto own = std::make_shared<Config>();
    SLUICE_CHECK(own->merge(with_defaults));  // into nothing, as in merge()
    Config of_crds;
    SLUICE_CHECK(add("crds", here.k.crds, Config::from_crds, of_crds));
    SLUICE_CHECK(own->merge(of_crds));
    layer.config = std::move(own);
  }
  return merge(into, std::move(layer));
}

Result<BuildResult> Target::finish(const Here& here, Accumulated all) {
  const auto hashed = [&]() -> Result<void> {
    add_hashes(all.set);
    return {};
  };
  SLUICE_CHECK(run_step(hashed, "hash of the content", all.set));
  const auto fix = [&] { return fix_name_references(all.set, all.config->name_reference); };
  auto fixed = run_step(fix, "name reference", all.set);
  if (!fixed) return placed(here.k, "name references", std::move(fixed).error());
  const auto resolve = [&] { return resolve_vars(all.set, all.vars, all.config->var_reference, warnings_); };
  auto resolved = run_step(resolve, "vars", all.set);
  if (!resolved) return placed(here.k, "vars", std::move(resolved).error());
  ResourceSet::Items kept;
  for (auto& resource : all.set.take()) {
    SLUICE_CHECK(take_step());
    if (auto done = resource->check_identity(); !done) {
      return base::unexpected(std::move(done).error().with_context(here.k.file));
    }
    const auto local = metadata_text(resource->value, "annotations", "config.kubernetes.io/local-config");
    if (!local || *local == "false") kept.push_back(std::move(resource));
  }
  all.set.restore(std::move(kept));
  // JSON patches may give two objects one name; kustomize panics here.
  if (auto unique = all.set.check_unique(); !unique) {
    return base::unexpected(std::move(unique).error().with_context(here.k.file));
  }
  std::optional<SortSpec> by_kind;
  if (options_.legacy_order) by_kind = SortSpec{"legacy", false, {}, {}};
  if (const auto& order = here.k.sort_options ? here.k.sort_options : by_kind) {
    auto sorted = sort_resources(all.set, *order);
    if (!sorted) return placed(here.k, "sortOptions", std::move(sorted).error());
  }
  const auto wants = [&](const char* option) {
    const auto& metadata = here.k.build_metadata;
    return std::find(metadata.begin(), metadata.end(), option) != metadata.end();
  };
  if (wants("managedByLabel")) {
    const auto label = [&] {
      return set_entries(all.set, {{"app.kubernetes.io/managed-by", "kustomize-v5.8.1"}},
                         {{{}, "metadata/labels", true}});
    };
    SLUICE_CHECK(run_step(label, here.k.file + ": buildMetadata", all.set));
  }
  BuildResult result;
  result.warnings = std::move(warnings_);
  for (auto& resource : all.set.take()) {
    SLUICE_CHECK(take_step());
    resource->settle_empty_nulls();
    auto done = tidy_annotations(resource->value, wants("originAnnotations"), wants("transformerAnnotations"));
    if (done) done = pass_through_json(resource->value);
    if (!done) {
      return unexpected(std::move(done).error().with_context(resource->describe()));
    }
    Object object{
        std::move(resource->value), std::move(resource->file), resource->line, {}, std::move(resource->patched_by)};
    if (resource->provenance) object.fields = resource->provenance->fields(object.value);
    result.objects.push_back(std::move(object));
  }
  return result;
}

}  // namespace sluice::kustomize
