#include "kustomize/reading/kustomization.hpp"

#include <fmt/format.h>

#include "kustomize/reading/fields.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using doc::Json;

// Reads a list of things with a parser that takes (value, place, strictness).
template <class T, class Parse>
Fields::Read into(std::vector<T>& list, Parse parse, Strictness strictness) {
  return [&list, parse, strictness](const Json& value, const std::string& where) -> Result<void> {
    SLUICE_TRY(T item, parse(value, where, strictness));
    list.push_back(std::move(item));
    return {};
  };
}

Result<GeneratorOptions> parse_options(const Json& value, const std::string& where, Strictness strictness) {
  GeneratorOptions options;
  Fields fields(value, where, strictness);
  fields.text_map("labels", options.labels);
  fields.text_map("annotations", options.annotations);
  fields.flag("disableNameSuffixHash", options.disable_hash);
  fields.flag("immutable", options.immutable);
  SLUICE_CHECK(fields.finish());
  return options;
}

Result<LabelSpec> parse_label(const Json& value, const std::string& where, Strictness strictness) {
  LabelSpec label;
  Fields fields(value, where, strictness);
  fields.text_map("pairs", label.pairs);
  fields.flag("includeSelectors", label.include_selectors);
  fields.flag("includeTemplates", label.include_templates);
  fields.value("fields", [&](const Json& specs, const std::string& place) -> Result<void> {
    SLUICE_TRY(label.fields, parse_field_specs(specs, place, strictness));
    return {};
  });
  SLUICE_CHECK(fields.finish());
  return label;
}

Result<FieldOptions> parse_field_options(const Json& value, const std::string& where, Strictness strictness) {
  FieldOptions options;
  Fields fields(value, where, strictness);
  fields.text("delimiter", options.delimiter);
  fields.integer("index", options.index);
  fields.text("encoding", options.encoding);
  fields.flag("create", options.create);
  SLUICE_CHECK(fields.finish());
  return options;
}

Fields::Read field_options(FieldOptions& options, Strictness strictness) {
  return [&options, strictness](const Json& value, const std::string& where) -> Result<void> {
    SLUICE_TRY(options, parse_field_options(value, where, strictness));
    return {};
  };
}

Result<ReplacementSource> parse_source(const Json& value, const std::string& where, Strictness strictness) {
  ReplacementSource source;
  Fields fields(value, where, strictness);
  fields.text("group", source.gvk.group);
  fields.text("version", source.gvk.version);
  fields.text("kind", source.gvk.kind);
  fields.text("name", source.name);
  fields.text("namespace", source.namespace_);
  fields.text("fieldPath", source.field_path);
  fields.value("options", field_options(source.options, strictness));
  SLUICE_CHECK(fields.finish());
  return source;
}

Result<ReplacementTarget> parse_target(const Json& value, const std::string& where, Strictness strictness) {
  ReplacementTarget target;
  Fields fields(value, where, strictness);
  fields.value("select", [&](const Json& select, const std::string& place) -> Result<void> {
    SLUICE_TRY(target.select, parse_selector(select, place, strictness));
    return {};
  });
  fields.each("reject", into(target.reject, parse_selector, strictness));
  fields.texts("fieldPaths", target.field_paths);
  fields.value("options", field_options(target.options, strictness));
  SLUICE_CHECK(fields.finish());
  return target;
}

Result<VarSpec> parse_var(const Json& value, const std::string& where, Strictness strictness) {
  VarSpec var;
  std::string api_version, group, version, kind;
  Fields fields(value, where, strictness);
  fields.text("name", var.name);
  fields.value("objref", [&](const Json& ref, const std::string& place) -> Result<void> {
    Fields object(ref, place, strictness);
    object.text("apiVersion", api_version);
    object.text("group", group);
    object.text("version", version);
    object.text("kind", kind);
    object.text("name", var.object.name);
    object.text("namespace", var.object.ns);
    return object.finish();
  });
  fields.value("fieldref", [&](const Json& ref, const std::string& place) -> Result<void> {
    Fields field(ref, place, strictness);
    field.text("fieldPath", var.field_path);
    return field.finish();
  });
  SLUICE_CHECK(fields.finish());
  var.object.gvk = api_version.empty() ? Gvk{group, version, kind} : Gvk::from_api_version(api_version, kind);
  return var;
}

template <class T>
void warn_if(const T& used, const char* field, const char* instead, Kustomization& k) {
  if (!used.empty()) {
    k.warnings.push_back(fmt::format("{}: '{}' is deprecated, use '{}' instead", k.file, field, instead));
  }
}

Result<void> check_type(const std::string& api_version, const std::string& kind, Kustomization& k) {
  if (!kind.empty() && kind != "Kustomization" && kind != "Component") {
    return base::unexpected(ErrorKind::invalid, "kind: Kustomization or Component is expected, not " + kind);
  }
  k.component = kind == "Component";
  const std::string wanted = k.component ? "kustomize.config.k8s.io/v1alpha1" : "kustomize.config.k8s.io/v1beta1";
  if (!api_version.empty() && api_version != wanted) {
    return base::unexpected(ErrorKind::invalid, fmt::format("apiVersion: {} is expected, not {}", wanted, api_version));
  }
  return {};
}

// As kustomize sees it after its own clean-up: an empty text says nothing, nor
// do empty lists under names that are out of use; other empty lists do.
bool says_something(const Json& value) {
  for (const auto& [key, field] : value.items()) {
    if (key == "apiVersion" || key == "kind" || field.is_null() || field == "") continue;
    const bool out_of_use = key == "bases" || key == "imageTags" || key == "helmChartInflationGenerator";
    if (!out_of_use || !field.empty()) return true;
  }
  return false;
}

void read_lists(Fields& fields, Kustomization& k) {
  std::vector<std::string> bases;
  fields.texts("resources", k.resources);
  k.lists_resources = !k.resources.empty();
  fields.texts("bases", bases);
  warn_if(bases, "bases", "resources", k);
  k.resources.insert(k.resources.end(), bases.begin(), bases.end());
  fields.texts("components", k.components);
  fields.texts("crds", k.crds);
  fields.texts("configurations", k.configurations);
  fields.texts("generators", k.generators);
  fields.texts("transformers", k.transformers);
  fields.texts("validators", k.validators);
  fields.texts("buildMetadata", k.build_metadata);
  fields.texts("patchesStrategicMerge", k.patches_strategic_merge);
  warn_if(k.patches_strategic_merge, "patchesStrategicMerge", "patches", k);
}

void read_generators(Fields& fields, Kustomization& k, Strictness strictness) {
  const auto generator = [](bool secret) {
    return [secret](const Json& value, const std::string& where, Strictness how) {
      return parse_generator(value, where, secret, how);
    };
  };
  fields.each("configMapGenerator", into(k.config_maps, generator(false), strictness));
  fields.each("secretGenerator", into(k.secrets, generator(true), strictness));
  fields.value("generatorOptions", [&k, strictness](const Json& value, const std::string& where) -> Result<void> {
    SLUICE_TRY(k.generator_options, parse_options(value, where, strictness));
    return {};
  });
  const auto helm = [&k](const Json& value, const std::string&) -> Result<void> {
    k.has_helm = k.has_helm || !value.empty();
    return {};
  };
  fields.value("helmCharts", helm);
  fields.value("helmChartInflationGenerator", helm);
  fields.ignore("helmGlobals");
}

void read_transformers(Fields& fields, Kustomization& k, Strictness strictness) {
  fields.text("namePrefix", k.name_prefix);
  fields.text("nameSuffix", k.name_suffix);
  fields.text("namespace", k.namespace_);
  fields.text_map("commonLabels", k.common_labels);
  warn_if(k.common_labels, "commonLabels", "labels", k);
  fields.each("labels", into(k.labels, parse_label, strictness));
  fields.text_map("commonAnnotations", k.common_annotations);
  fields.each("patches", into(k.patches, parse_patch, strictness));
  fields.each("patchesJson6902", into(k.patches_json6902, parse_patch, strictness));
  warn_if(k.patches_json6902, "patchesJson6902", "patches", k);
  fields.each("images", into(k.images, parse_image, strictness));
  fields.each("imageTags", into(k.images, parse_image, strictness));
  fields.each("replicas", into(k.replicas, parse_replica, strictness));
  fields.each("replacements", into(k.replacements, parse_replacement, strictness));
  fields.each("vars", into(k.vars, parse_var, strictness));
  warn_if(k.vars, "vars", "replacements", k);
  fields.value("sortOptions", [&k, strictness](const Json& value, const std::string& where) -> Result<void> {
    SLUICE_TRY(k.sort_options, parse_sort(value, where, strictness));
    return {};
  });
}

}  // namespace

Result<SelectorSpec> parse_selector(const Json& value, const std::string& where, Strictness strictness) {
  SelectorSpec selector;
  Fields fields(value, where, strictness);
  fields.text("group", selector.gvk.group);
  fields.text("version", selector.gvk.version);
  fields.text("kind", selector.gvk.kind);
  fields.text("name", selector.name);
  fields.text("namespace", selector.namespace_);
  fields.text("labelSelector", selector.label_selector);
  fields.text("annotationSelector", selector.annotation_selector);
  SLUICE_CHECK(fields.finish());
  return selector;
}

Result<PatchSpec> parse_patch(const Json& value, const std::string& where, Strictness strictness) {
  PatchSpec patch;
  Fields fields(value, where, strictness);
  fields.text("path", patch.path);
  fields.text("patch", patch.patch);
  fields.value("target", [&](const Json& target, const std::string& place) -> Result<void> {
    SLUICE_TRY(patch.target, parse_selector(target, place, strictness));
    return {};
  });
  fields.value("options", [&](const Json& options, const std::string& place) -> Result<void> {
    Fields flags(options, place, strictness);
    flags.flag("allowNameChange", patch.allow_name_change);
    flags.flag("allowKindChange", patch.allow_kind_change);
    return flags.finish();
  });
  SLUICE_CHECK(fields.finish());
  return patch;
}

Result<ImageSpec> parse_image(const Json& value, const std::string& where, Strictness strictness) {
  ImageSpec image;
  Fields fields(value, where, strictness);
  fields.text("name", image.name);
  fields.text("newName", image.new_name);
  fields.text("newTag", image.new_tag);
  fields.text("tagSuffix", image.tag_suffix);
  fields.text("digest", image.digest);
  SLUICE_CHECK(fields.finish());
  return image;
}

Result<ReplicaSpec> parse_replica(const Json& value, const std::string& where, Strictness strictness) {
  ReplicaSpec replica;
  Fields fields(value, where, strictness);
  fields.text("name", replica.name);
  fields.integer("count", replica.count);
  SLUICE_CHECK(fields.finish());
  return replica;
}

Result<ReplacementSpec> parse_replacement(const Json& value, const std::string& where, Strictness strictness) {
  ReplacementSpec replacement;
  Fields fields(value, where, strictness);
  fields.text("path", replacement.path);
  fields.value("source", [&](const Json& source, const std::string& place) -> Result<void> {
    SLUICE_TRY(replacement.source, parse_source(source, place, strictness));
    return {};
  });
  fields.value("sourceValue", [&](const Json& text, const std::string& place) -> Result<void> {
    if (!text.is_string() && (strictness == Strictness::file || text.is_structured())) {
      return base::unexpected(ErrorKind::invalid, place + ": a string is expected");
    }
    replacement.source_value = scalar_text(text);
    return {};
  });
  fields.value("targets", [&](const Json&, const std::string&) -> Result<void> {
    replacement.has_targets = true;
    return {};
  });
  fields.each("targets", into(replacement.targets, parse_target, strictness));
  SLUICE_CHECK(fields.finish());
  return replacement;
}

Result<GeneratorSpec> parse_generator(const Json& value, const std::string& where, bool secret,
                                      Strictness strictness) {
  GeneratorSpec spec;
  spec.secret = secret;
  std::string env;
  Fields fields(value, where, strictness);
  fields.text("name", spec.name);
  fields.text("namespace", spec.namespace_);
  fields.text("behavior", spec.behavior);
  if (secret) fields.text("type", spec.type);
  fields.texts("literals", spec.literals);
  fields.texts("files", spec.files);
  fields.texts("envs", spec.envs);
  fields.text("env", env);
  if (!env.empty()) spec.envs.push_back(env);
  fields.value("options", [&](const Json& options, const std::string& place) -> Result<void> {
    SLUICE_TRY(spec.options, parse_options(options, place, strictness));
    return {};
  });
  SLUICE_CHECK(fields.finish());
  return spec;
}

Result<SortSpec> parse_sort(const Json& value, const std::string& where, Strictness strictness) {
  SortSpec sort;
  Fields fields(value, where, strictness);
  fields.text("order", sort.order);
  fields.value("legacySortOptions", [&](const Json& legacy, const std::string& place) -> Result<void> {
    sort.has_legacy = true;
    Fields lists(legacy, place, strictness);
    lists.texts("orderFirst", sort.first);
    lists.texts("orderLast", sort.last);
    return lists.finish();
  });
  SLUICE_CHECK(fields.finish());
  return sort;
}

GeneratorOptions merge_options(const std::optional<GeneratorOptions>& local,
                               const std::optional<GeneratorOptions>& global) {
  GeneratorOptions merged = local.value_or(GeneratorOptions{});
  if (!global) return merged;
  merged.labels.insert(global->labels.begin(), global->labels.end());
  merged.annotations.insert(global->annotations.begin(), global->annotations.end());
  merged.disable_hash = merged.disable_hash || global->disable_hash;
  merged.immutable = merged.immutable || global->immutable;
  return merged;
}

Result<Kustomization> Kustomization::parse(const Json& value, std::string file, Strictness strictness) {
  Kustomization k;
  k.file = std::move(file);
  if (value.is_null() && strictness == Strictness::file) {
    return base::unexpected(ErrorKind::invalid, "the file is empty");
  }
  Fields fields(value, "", strictness);
  std::string api_version, kind;
  fields.text("apiVersion", api_version);
  fields.text("kind", kind);
  fields.ignore("metadata");
  read_lists(fields, k);
  read_generators(fields, k, strictness);
  read_transformers(fields, k, strictness);
  fields.text_map("openapi", k.openapi);
  SLUICE_CHECK(fields.finish());
  SLUICE_CHECK(check_type(api_version, kind, k));
  if (strictness == Strictness::file && !says_something(value)) {
    return base::unexpected(ErrorKind::invalid, "the file says nothing");
  }
  for (const auto& [first, second] : spelled_twice(value)) {
    k.warnings.push_back(fmt::format("{}: {} and {} are one field, given in two spellings", k.file, first, second));
  }
  return k;
}

}  // namespace sluice::kustomize
