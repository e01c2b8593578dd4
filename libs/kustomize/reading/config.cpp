#include "kustomize/reading/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "kustomize/objects/steps.hpp"
#include "kustomize/reading/fields.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using doc::Json;

base::Result<FieldSpec> parse_spec(const Json& value, const std::string& where, Strictness strictness) {
  FieldSpec spec;
  Fields fields(value, where, strictness);
  fields.text("group", spec.gvk.group);
  fields.text("version", spec.gvk.version);
  fields.text("kind", spec.gvk.kind);
  fields.text("path", spec.path);
  fields.flag("create", spec.create);
  SLUICE_CHECK(fields.finish());
  return spec;
}

Fields::Read into(FieldSpecs& specs, Strictness strictness = Strictness::strict_config) {
  return [&specs, strictness](const Json& value, const std::string& where) -> base::Result<void> {
    SLUICE_TRY(FieldSpec spec, parse_spec(value, where, strictness));
    specs.push_back(std::move(spec));
    return {};
  };
}

base::Result<void> merge_rule(std::vector<NameReference>& rules, const NameReference& rule) {
  bool found = false;
  for (NameReference& known : rules) {
    if (known.target != rule.target) continue;
    SLUICE_CHECK(add_field_specs(known.referrers, rule.referrers));
    found = true;
  }
  if (!found) rules.push_back(rule);
  return {};
}

const Json* extension(const Json& property, const char* name) {
  const auto found = property.find(name);
  return found != property.end() && found->is_string() ? &*found : nullptr;
}

// Walks the properties of one definition, and of those it refers to.
struct CrdReader {
  const Json& definitions;
  Gvk gvk;
  Config& config;
  std::set<std::string> open;  // definitions on the way here, which may refer to each other in circles

  base::Result<void> read(const std::string& type, const std::string& path) {
    const Json* properties = doc::find(definitions, {type, "Schema", "properties"});
    if (properties == nullptr || !properties->is_object() || !open.insert(type).second) return {};
    for (const auto& [name, property] : properties->items()) {
      if (!property.is_object()) continue;
      SLUICE_CHECK(read_property(property, path.empty() ? name : path + "/" + name));
    }
    open.erase(type);
    return {};
  }

  base::Result<void> read_property(const Json& property, const std::string& path) {
    SLUICE_CHECK(take_step());
    const FieldSpec spec{gvk, path, false};
    if (extension(property, "x-kubernetes-annotation") != nullptr) {
      SLUICE_CHECK(add_field_spec(config.common_annotations, spec));
    }
    if (extension(property, "x-kubernetes-label-selector") != nullptr) {
      SLUICE_CHECK(add_field_spec(config.common_labels, spec));
    }
    if (extension(property, "x-kubernetes-identity") != nullptr) {
      SLUICE_CHECK(add_field_spec(config.name_prefix, spec));
    }
    const Json* version = extension(property, "x-kubernetes-object-ref-api-version");
    const Json* kind = extension(property, "x-kubernetes-object-ref-kind");
    if (version != nullptr && kind != nullptr) {
      const Json* key = extension(property, "x-kubernetes-object-ref-name-key");
      const std::string name_key = key != nullptr ? key->get<std::string>() : "name";
      SLUICE_CHECK(merge_rule(config.name_reference, {{"", version->get<std::string>(), kind->get<std::string>()},
                                                      {{gvk, path + "/" + name_key, false}}}));
    }
    const Json* ref = extension(property, "$ref");
    return ref != nullptr ? read(ref->get<std::string>(), path) : base::Result<void>{};
  }
};

bool looks_like_kind(const Json& definition) {
  const Json* properties = doc::find(definition, {"Schema", "properties"});
  return properties != nullptr && properties->is_object() && properties->contains("kind") &&
         properties->contains("apiVersion") && properties->contains("metadata");
}

}  // namespace

base::Result<FieldSpecs> parse_field_specs(const Json& value, const std::string& where, Strictness strictness) {
  FieldSpecs specs;
  if (!value.is_array()) {
    return base::unexpected(ErrorKind::invalid,
                            fmt::format("{}: a list is expected, not a {}", where, value.type_name()));
  }
  for (std::size_t i = 0; i < value.size(); ++i) {
    SLUICE_TRY(FieldSpec spec, parse_spec(value[i], fmt::format("{}[{}]", where, i), strictness));
    specs.push_back(std::move(spec));
  }
  return specs;
}

base::Result<Config> Config::parse(const Json& value) {
  Config config;
  if (value.is_null()) return config;
  Fields fields(value, "", Strictness::strict_config);
  fields.each("namePrefix", into(config.name_prefix));
  fields.each("nameSuffix", into(config.name_suffix));
  fields.each("namespace", into(config.namespace_));
  fields.each("commonLabels", into(config.common_labels));
  fields.each("labels", into(config.labels));
  fields.each("templateLabels", into(config.template_labels));
  fields.each("commonAnnotations", into(config.common_annotations));
  fields.each("varReference", into(config.var_reference));
  fields.each("images", into(config.images));
  fields.each("replicas", into(config.replicas));
  fields.each("nameReference", [&](const Json& entry, const std::string& where) -> base::Result<void> {
    NameReference rule;
    Fields reference(entry, where, Strictness::strict_config);
    reference.text("group", rule.target.group);
    reference.text("version", rule.target.version);
    reference.text("kind", rule.target.kind);
    reference.each("fieldSpecs", into(rule.referrers));
    SLUICE_CHECK(reference.finish());
    config.name_reference.push_back(std::move(rule));
    return {};
  });
  SLUICE_CHECK(fields.finish());
  config.sort();
  return config;
}

base::Result<Config> Config::from_crds(const Json& definitions) {
  Config config;
  if (!definitions.is_object()) {
    return base::unexpected(ErrorKind::invalid, "a map of OpenAPI definitions is expected");
  }
  for (const auto& [name, definition] : definitions.items()) {
    if (!looks_like_kind(definition)) continue;
    const std::size_t dot = name.rfind('.');
    const std::string kind = dot == std::string::npos ? name : name.substr(dot + 1);
    CrdReader reader{definitions, {"", "", kind}, config, {}};
    SLUICE_CHECK(reader.read(name, ""));
  }
  return config;
}

void Config::sort() {
  for (FieldSpecs* specs : {&name_prefix, &name_suffix, &namespace_, &common_labels, &labels, &template_labels,
                            &common_annotations, &var_reference, &images, &replicas}) {
    std::stable_sort(specs->begin(), specs->end(),
                     [](const FieldSpec& a, const FieldSpec& b) { return a.gvk.before(b.gvk); });
  }
  std::stable_sort(name_reference.begin(), name_reference.end(),
                   [](const NameReference& a, const NameReference& b) { return a.target.before(b.target); });
}

base::Result<void> Config::merge(const Config& other) {
  const std::pair<FieldSpecs&, const FieldSpecs&> lists[] = {{name_prefix, other.name_prefix},
                                                             {name_suffix, other.name_suffix},
                                                             {namespace_, other.namespace_},
                                                             {common_labels, other.common_labels},
                                                             {labels, other.labels},
                                                             {template_labels, other.template_labels},
                                                             {common_annotations, other.common_annotations},
                                                             {var_reference, other.var_reference},
                                                             {images, other.images},
                                                             {replicas, other.replicas}};
  for (const auto& [mine, more] : lists) SLUICE_CHECK(add_field_specs(mine, more));
  for (const NameReference& rule : other.name_reference) SLUICE_CHECK(merge_rule(name_reference, rule));
  sort();
  return {};
}

}  // namespace sluice::kustomize
