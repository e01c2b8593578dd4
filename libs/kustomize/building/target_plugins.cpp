// What a kustomization's generators, transformers and validators do.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "kustomize/building/placed.hpp"
#include "kustomize/building/target.hpp"
#include "kustomize/objects/provenance.hpp"
#include "kustomize/objects/steps.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using base::unexpected;
using doc::Json;

// The one label that a validator may leave behind.
Json without_validated_label(Json object) {
  const auto meta = object.find("metadata");
  if (meta == object.end() || !meta->is_object()) return object;
  const auto labels = meta->find("labels");
  if (labels == meta->end() || !labels->is_object() || labels->erase("validated-by") == 0) return object;
  if (labels->empty()) meta->erase(labels);
  return object;
}

}  // namespace

Result<void> Target::run_generators(const Here& here, Accumulated& into) {
  if (here.k.has_helm) return placed(here.k, "helmCharts", refuse_helm().error);
  for (const auto* list : {&here.k.config_maps, &here.k.secrets}) {
    for (std::size_t i = 0; i < list->size(); ++i) {
      const GeneratorSpec& spec = (*list)[i];
      auto made = generate(spec, merge_options(spec.options, here.k.generator_options), here.folder);
      auto added = made ? Result<void>{} : Result<void>(unexpected(std::move(made).error()));
      if (made) {
        (*made)->file = here.k.file;
        const char* field = spec.secret ? "secretGenerator" : "configMapGenerator";
        note_generated(**made, here.k.file, named(field, i, spec.name));
        const char* kind = spec.secret ? "SecretGenerator" : "ConfigMapGenerator";
        if (track_origin_) set_origin(**made, here.origin.builtin(here.k.file, kind));
        added = into.set.absorb(*std::move(made));
      }
      if (!added) {
        const char* field = spec.secret ? "secretGenerator" : "configMapGenerator";
        return placed(here.k, field, i, spec.name, std::move(added).error());
      }
    }
  }
  SLUICE_TRY(Accumulated plugins, plugin_objects(here, "generators", here.k.generators));
  for (const auto& plugin : plugins.set.items()) {
    auto made = run_generator(*plugin, here.folder);
    if (!made) return placed(here.k, "generators", std::move(made).error());
    for (auto& resource : *made) {
      resource->file = plugin->file;
      note_generated(*resource, here.k.file, "generators " + plugin->describe());
      if (track_origin_ && !has_origin(*resource)) set_origin(*resource, plugin_origin(*plugin));
      auto added = into.set.absorb(std::move(resource));
      if (!added) return placed(here.k, "generators", std::move(added).error());
    }
  }
  return {};
}

void Target::note_generated(Resource& resource, const std::string& file, const std::string& entry) const {
  if (!options_.provenance) return;
  const FieldSource source{"", 0, fmt::format("{}: {}", file, entry)};
  resource.provenance = std::make_shared<Provenance>(resource.value, source);
}

Result<Accumulated> Target::plugin_objects(const Here& here, const char* field,
                                           const std::vector<std::string>& entries) {
  Accumulated plugins;
  std::vector<std::size_t> paths;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    // What parses as objects is the configuration itself, all else a path.
    auto parsed = here.folder.inline_objects(entries[i], here.k.file);
    if (!parsed) {
      paths.push_back(i);
      continue;
    }
    for (auto& resource : *parsed) {
      const std::string file = here.k.file.substr(here.k.file.rfind('/') + 1);
      if (track_origin_) set_origin(*resource, here.origin.append(file));
      auto added = plugins.set.append(std::move(resource));
      if (!added) return placed(here.k, indexed(field, i), std::move(added).error());
    }
  }
  for (const std::size_t i : paths) {
    const std::string& entry = entries[i];
    auto added = is_http(entry) || here.folder.is_file(entry) ? add_resource(here, entry, plugins)
                                                              : add_folder(here, entry, false, plugins);
    if (added) continue;
    if (added.error().reason == "placed") return unexpected(std::move(added).error());
    return placed(here.k, field, i, entry, std::move(added).error());
  }
  return plugins;
}

Result<std::vector<Target::Step>> Target::plugin_steps(const Here& here, const char* field,
                                                       const std::vector<std::string>& entries) {
  std::vector<Step> steps;
  SLUICE_TRY(Accumulated plugins, plugin_objects(here, field, entries));
  for (const auto& plugin : plugins.set.items()) {
    auto made = make_transform(*plugin, here.folder, schema());
    if (!made) return placed(here.k, field, std::move(made).error());
    steps.push_back({fmt::format("{} {}", field, plugin->describe()), *std::move(made), plugin_origin(*plugin)});
  }
  return steps;
}

Result<void> Target::run_transformers(const Here& here, Accumulated& into) {
  SLUICE_TRY(std::vector<Step> steps, builtin_steps(here, *into.config));
  SLUICE_TRY(std::vector<Step> plugins, plugin_steps(here, "transformers", here.k.transformers));
  std::move(plugins.begin(), plugins.end(), std::back_inserter(steps));
  for (const Step& step : steps) {
    SLUICE_CHECK(take_step());
    auto done = run_step([&] { return step.run(into.set); }, place_of(here.k, step.entry), into.set);
    if (!done) return placed(here.k, step.entry, std::move(done).error());
    if (track_origin_) note_transformer(into.set, step.origin);
    into.set.drop_empty();
  }
  return {};
}

Result<void> Target::run_step(const std::function<Result<void>()>& step, const std::string& entry,
                              ResourceSet& set) const {
  if (!options_.provenance) return step();
  std::unordered_map<const Resource*, Json> before;
  for (const auto& resource : set.items()) {
    SLUICE_CHECK(take_step());
    before.emplace(resource.get(), resource->value);
  }
  SLUICE_CHECK(step());
  const FieldSource source{"", 0, entry};
  for (const auto& resource : set.items()) {
    SLUICE_CHECK(take_step());
    const auto old = before.find(resource.get());
    if (old == before.end() || !resource->provenance) {
      resource->provenance = std::make_shared<Provenance>(resource->value, source);
    } else {
      resource->provenance->change(old->second, resource->value, source);
    }
  }
  return {};
}

Result<void> Target::run_validators(const Here& here, Accumulated& into) {
  if (here.k.validators.empty()) return {};
  SLUICE_TRY(const std::vector<Step> steps, plugin_steps(here, "validators", here.k.validators));
  for (const Step& step : steps) {
    const ResourceSet before = into.set.clone();
    if (auto done = step.run(into.set); !done) return placed(here.k, step.entry, std::move(done).error());
    const bool same =
        std::equal(before.items().begin(), before.items().end(), into.set.items().begin(), into.set.items().end(),
                   [](const auto& a, const auto& b) {
                     // kustomize compares its notes on names, too, and how the object is written, which no patch
                     // leaves as it was.
                     return a->value == without_validated_label(b->value) && a->past == b->past &&
                            a->patched == b->patched && a->prefixes == b->prefixes && a->suffixes == b->suffixes;
                   });
    if (!same) {
      return placed(here.k, step.entry, unexpected(ErrorKind::invalid, "a validator must not change anything").error);
    }
  }
  return {};
}

}  // namespace sluice::kustomize
