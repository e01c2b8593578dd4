// The built-in transformers of a kustomization file, in kustomize's order.
#include <fmt/format.h>

#include "kustomize/building/placed.hpp"
#include "kustomize/building/target.hpp"
#include "kustomize/patches/patches.hpp"

namespace sluice::kustomize {
namespace {

using base::Result;
using base::unexpected;

}  // namespace

Result<std::vector<Target::Step>> Target::builtin_steps(const Here& here, const Config& config) {
  std::vector<Step> steps;
  const Kustomization& k = here.k;
  const auto origin = [&](const char* kind) { return here.origin.builtin(k.file, kind); };
  SLUICE_CHECK(patch_steps(here, steps));
  // The configuration outlives the steps: the caller holds it while they run.
  if (!k.namespace_.empty()) {
    steps.push_back({"namespace", [&](ResourceSet& set) { return set_namespace(set, k.namespace_, config.namespace_); },
                     origin("NamespaceTransformer")});
  }
  if (!k.name_prefix.empty()) {
    steps.push_back({"namePrefix", [&](ResourceSet& set) { return add_prefix(set, k.name_prefix, config.name_prefix); },
                     origin("PrefixTransformer")});
  }
  if (!k.name_suffix.empty()) {
    steps.push_back({"nameSuffix", [&](ResourceSet& set) { return add_suffix(set, k.name_suffix, config.name_suffix); },
                     origin("SuffixTransformer")});
  }
  SLUICE_CHECK(label_steps(here, config, steps));
  SLUICE_CHECK(late_steps(here, config, steps));
  return steps;
}

Result<void> Target::patch_steps(const Here& here, std::vector<Step>& steps) {
  const Kustomization& k = here.k;
  const auto add = [&](std::string entry, const char* kind, LoadedPatch loaded) {
    const auto patch = std::make_shared<const LoadedPatch>(std::move(loaded));
    steps.push_back({std::move(entry),
                     [patch, schema = schema()](ResourceSet& set) { return apply_patch(set, *patch, *schema); },
                     here.origin.builtin(k.file, kind)});
  };
  LoadedPatch all;
  all.by_id_only = true;
  for (std::size_t i = 0; i < k.patches_strategic_merge.size(); ++i) {
    auto loaded = load_merge_patch(k.patches_strategic_merge[i], here.folder);
    if (!loaded) return placed(k, "patchesStrategicMerge", i, k.patches_strategic_merge[i], std::move(loaded).error());
    for (auto& merge : loaded->merges) {
      all.merges.push_back(std::move(merge));
      all.entries.push_back(named("patchesStrategicMerge", i, k.patches_strategic_merge[i]));
    }
  }
  if (!k.patches_strategic_merge.empty()) {
    if (all.merges.empty()) {
      return placed(k, "patchesStrategicMerge", unexpected(base::ErrorKind::invalid, "the patch is empty").error);
    }
    add("patchesStrategicMerge", "PatchStrategicMergeTransformer", std::move(all));
  }
  for (std::size_t i = 0; i < k.patches.size(); ++i) {
    const std::string entry =
        k.patches[i].path.empty() ? indexed("patches", i) : indexed("patches", i) + " " + k.patches[i].path;
    auto loaded = load_patch(k.patches[i], here.folder, false);
    if (!loaded) return placed(k, entry, std::move(loaded).error());
    add(entry, "PatchTransformer", *std::move(loaded));
  }
  return {};
}

Result<void> Target::label_steps(const Here& here, const Config& config, std::vector<Step>& steps) {
  const Kustomization& k = here.k;
  const Origin origin = here.origin.builtin(k.file, "LabelTransformer");
  for (std::size_t i = 0; i < k.labels.size(); ++i) {
    const LabelSpec& label = k.labels[i];
    FieldSpecs specs = label.fields;
    auto merged = add_field_specs(specs, config.labels);
    if (merged && label.include_selectors) merged = add_field_specs(specs, config.common_labels);
    if (merged && !label.include_selectors) {
      if (label.include_templates) merged = add_field_specs(specs, config.template_labels);
      if (merged) merged = add_field_spec(specs, {{}, "metadata/labels", true});
    }
    if (!merged) return placed(k, indexed("labels", i), std::move(merged).error());
    steps.push_back({indexed("labels", i),
                     [&label, specs](ResourceSet& set) { return set_entries(set, label.pairs, specs); }, origin});
  }
  if (!k.labels.empty() || !k.common_labels.empty()) {
    steps.push_back({"commonLabels",
                     [&](ResourceSet& set) { return set_entries(set, k.common_labels, config.common_labels); },
                     origin});
  }
  if (!k.common_annotations.empty()) {
    steps.push_back(
        {"commonAnnotations",
         [&](ResourceSet& set) { return set_entries(set, k.common_annotations, config.common_annotations); },
         here.origin.builtin(k.file, "AnnotationsTransformer")});
  }
  return {};
}

Result<void> Target::late_steps(const Here& here, const Config& config, std::vector<Step>& steps) {
  const Kustomization& k = here.k;
  const auto origin = [&](const char* kind) { return here.origin.builtin(k.file, kind); };
  for (std::size_t i = 0; i < k.patches_json6902.size(); ++i) {
    auto loaded = load_patch(k.patches_json6902[i], here.folder, true);
    if (!loaded) return placed(k, indexed("patchesJson6902", i), std::move(loaded).error());
    const auto patch = std::make_shared<const LoadedPatch>(*std::move(loaded));
    steps.push_back({indexed("patchesJson6902", i),
                     [patch, schema = schema()](ResourceSet& set) { return apply_patch(set, *patch, *schema); },
                     origin("PatchJson6902Transformer")});
  }
  for (std::size_t i = 0; i < k.replicas.size(); ++i) {
    steps.push_back({indexed("replicas", i),
                     [&, i](ResourceSet& set) { return set_replicas(set, k.replicas[i], config.replicas); },
                     origin("ReplicaCountTransformer")});
  }
  for (std::size_t i = 0; i < k.images.size(); ++i) {
    steps.push_back({indexed("images", i),
                     [&, i](ResourceSet& set) { return set_image(set, k.images[i], config.images); },
                     origin("ImageTagTransformer")});
  }
  if (!k.replacements.empty()) {
    auto loaded = load_replacements(k.replacements, here.folder);
    if (!loaded) return placed(k, "replacements", std::move(loaded).error());
    steps.push_back({"replacements",
                     [specs = *std::move(loaded)](ResourceSet& set) { return replace_fields(set, specs); },
                     origin("ReplacementTransformer")});
  }
  return {};
}

}  // namespace sluice::kustomize
