#include "kustomize/transformers/plugins.hpp"

#include <fmt/format.h>

#include <map>

#include "kustomize/objects/selector.hpp"
#include "kustomize/patches/patches.hpp"
#include "kustomize/reading/fields.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using base::unexpected;
using doc::Json;

// Everything a built-in kind may need to be made ready.
struct Context {
  const Json& config;
  const Folder& folder;
  std::shared_ptr<const Schema> schema;

  Result<FieldSpecs> field_specs() const {
    const auto found = config.find("fieldSpecs");
    if (found == config.end() || found->is_null()) return FieldSpecs{};
    return parse_field_specs(*found, "fieldSpecs", Strictness::config);
  }
  Json member(const char* name) const {
    const auto found = config.find(name);
    return found == config.end() || found->is_null() ? Json::object() : *found;
  }
};
using Make = Result<Transform> (*)(const Context&);

Result<Transform> labels(const Context& context, const char* name) {
  TextMap entries;
  Fields fields(context.config, "", Strictness::config);
  fields.text_map(name, entries);
  SLUICE_CHECK(fields.finish());
  SLUICE_TRY(FieldSpecs specs, context.field_specs());
  return Transform([entries, specs](ResourceSet& set) { return set_entries(set, entries, specs); });
}

Result<Transform> affixes(const Context& context) {
  std::string prefix, suffix;
  Fields fields(context.config, "", Strictness::config);
  fields.text("prefix", prefix);
  fields.text("suffix", suffix);
  SLUICE_CHECK(fields.finish());
  SLUICE_TRY(FieldSpecs specs, context.field_specs());
  if (specs.empty()) return unexpected(ErrorKind::invalid, "fieldSpecs are needed");
  return Transform([prefix, suffix, specs](ResourceSet& set) -> Result<void> {
    if (!prefix.empty()) SLUICE_CHECK(add_prefix(set, prefix, specs));
    if (!suffix.empty()) SLUICE_CHECK(add_suffix(set, suffix, specs));
    return {};
  });
}

Result<Transform> name_space(const Context& context) {
  NamespaceOptions options;
  std::string mode;
  Fields fields(context.config, "", Strictness::config);
  fields.flag("unsetOnly", options.unset_only);
  fields.text("setRoleBindingSubjects", mode);
  SLUICE_CHECK(fields.finish());
  if (mode == "allServiceAccounts") {
    options.subjects = SubjectMode::all_service_accounts;
  } else if (mode == "none") {
    options.subjects = SubjectMode::none;
  } else if (!mode.empty() && mode != "defaultOnly") {
    return unexpected(ErrorKind::invalid,
                      "setRoleBindingSubjects: defaultOnly, allServiceAccounts or none is expected, not " + mode);
  }
  const std::string ns(doc::find_string(context.config, {"metadata", "namespace"}));
  SLUICE_TRY(FieldSpecs specs, context.field_specs());
  return Transform([ns, specs, options](ResourceSet& set) { return set_namespace(set, ns, specs, options); });
}

Result<Transform> image(const Context& context) {
  SLUICE_TRY(ImageSpec spec, parse_image(context.member("imageTag"), "imageTag", Strictness::config));
  SLUICE_TRY(FieldSpecs specs, context.field_specs());
  return Transform([spec, specs](ResourceSet& set) { return set_image(set, spec, specs); });
}

Result<Transform> replicas(const Context& context) {
  SLUICE_TRY(ReplicaSpec spec, parse_replica(context.member("replica"), "replica", Strictness::config));
  SLUICE_TRY(FieldSpecs specs, context.field_specs());
  return Transform([spec, specs](ResourceSet& set) { return set_replicas(set, spec, specs); });
}

Result<Transform> patch_transform(const Context& context, LoadedPatch loaded) {
  const auto patch = std::make_shared<const LoadedPatch>(std::move(loaded));
  return Transform([patch, schema = context.schema](ResourceSet& set) { return apply_patch(set, *patch, *schema); });
}

Result<Transform> patch(const Context& context) {
  SLUICE_TRY(const PatchSpec spec, parse_patch(context.config, "", Strictness::config));
  SLUICE_TRY(LoadedPatch loaded, load_patch(spec, context.folder, false));
  return patch_transform(context, std::move(loaded));
}

Result<Transform> json_patch(const Context& context) {
  SLUICE_TRY(PatchSpec spec, parse_patch(context.config, "", Strictness::config));
  spec.patch = doc::find_string(context.config, {"jsonOp"});
  SLUICE_TRY(LoadedPatch loaded, load_patch(spec, context.folder, true));
  return patch_transform(context, std::move(loaded));
}

Result<Transform> merge_patch(const Context& context) {
  std::vector<std::string> paths;
  std::string text;
  Fields fields(context.config, "", Strictness::config);
  fields.texts("paths", paths);
  fields.text("patches", text);
  SLUICE_CHECK(fields.finish());
  if (!text.empty()) paths.push_back(text.find('\n') == std::string::npos ? text + "\n" : text);
  LoadedPatch all;
  all.by_id_only = true;
  for (const std::string& path : paths) {
    SLUICE_TRY(LoadedPatch loaded, load_merge_patch(path, context.folder));
    for (auto& merge : loaded.merges) all.merges.push_back(std::move(merge));
  }
  if (all.merges.empty()) return unexpected(ErrorKind::invalid, "the patch is empty");
  return patch_transform(context, std::move(all));
}

Result<Transform> replacements(const Context& context) {
  std::vector<ReplacementSpec> specs;
  Fields fields(context.config, "", Strictness::config);
  fields.each("replacements", [&](const Json& value, const std::string& where) -> Result<void> {
    SLUICE_TRY(ReplacementSpec spec, parse_replacement(value, where, Strictness::config));
    specs.push_back(std::move(spec));
    return {};
  });
  SLUICE_CHECK(fields.finish());
  SLUICE_TRY(specs, load_replacements(std::move(specs), context.folder));
  return Transform([specs](ResourceSet& set) { return replace_fields(set, specs); });
}

Result<Transform> value_add(const Context& context) {
  std::string value, file;
  Fields fields(context.config, "", Strictness::config);
  fields.text("value", value);
  fields.text("targetFilePath", file);
  SLUICE_CHECK(fields.finish());
  Json targets = context.config.contains("targets") ? context.config["targets"] : Json::array();
  if (!file.empty()) {
    SLUICE_TRY(const Json more, context.folder.load_yaml(file));
    if (const Json* list = doc::find(more, {"targets"}); list != nullptr && list->is_array()) {
      targets.insert(targets.end(), list->begin(), list->end());
    }
  }
  const std::size_t first = value.find_first_not_of(" \t\r\n");
  value = first == std::string::npos ? "" : value.substr(first, value.find_last_not_of(" \t\r\n") - first + 1);
  if (value.empty()) value = context.folder.root().substr(context.folder.root().rfind('/') + 1);
  if (!targets.is_array() || targets.empty()) return unexpected(ErrorKind::invalid, "at least one target is needed");
  return Transform([value, targets](ResourceSet& set) { return add_value(set, value, targets); });
}

Result<Transform> hashes(const Context&) {
  return Transform([](ResourceSet& set) -> Result<void> {
    add_hashes(set);
    return {};
  });
}

const std::map<std::string_view, Make>& makers() {
  static const std::map<std::string_view, Make> all{
      {"AnnotationsTransformer", [](const Context& c) { return labels(c, "annotations"); }},
      {"LabelTransformer", [](const Context& c) { return labels(c, "labels"); }},
      {"PrefixTransformer", affixes},
      {"SuffixTransformer", affixes},
      {"PrefixSuffixTransformer", affixes},
      {"NamespaceTransformer", name_space},
      {"ImageTagTransformer", image},
      {"ReplicaCountTransformer", replicas},
      {"PatchTransformer", patch},
      {"PatchJson6902Transformer", json_patch},
      {"PatchStrategicMergeTransformer", merge_patch},
      {"ReplacementTransformer", replacements},
      {"ValueAddTransformer", value_add},
      {"HashTransformer", hashes},
  };
  return all;
}

bool is_builtin(const Resource& plugin) { return doc::find_string(plugin.value, {"apiVersion"}) == "builtin"; }

base::Unexpected refuse(const Resource& plugin) {
  return unexpected(ErrorKind::unsupported,
                    fmt::format("{}: functions and plugins that run programs are not supported; use a built-in kind "
                                "(apiVersion: builtin), or run it before and commit what it makes",
                                plugin.describe()));
}

Result<std::unique_ptr<Resource>> gke_account(const Json& config) {
  const std::string_view cloud = doc::find_string(config, {"cloud"});
  if (cloud != "gke") {
    return unexpected(ErrorKind::unsupported, fmt::format("cloud: only gke is supported, not \"{}\"", cloud));
  }
  auto resource = std::make_unique<Resource>();
  const std::string account =
      fmt::format("{}@{}.iam.gserviceaccount.com", doc::find_string(config, {"serviceAccount", "name"}),
                  doc::find_string(config, {"serviceAccount", "projectId"}));
  resource->value = {{"apiVersion", "v1"},
                     {"kind", "ServiceAccount"},
                     {"metadata",
                      {{"annotations", {{"iam.gke.io/gcp-service-account", account}}},
                       {"name", std::string(doc::find_string(config, {"kubernetesService", "name"}))}}}};
  resource->set_ns(std::string(doc::find_string(config, {"kubernetesService", "namespace"})));
  return resource;
}

}  // namespace

base::Unexpected refuse_helm() {
  return unexpected(ErrorKind::unsupported,
                    "Helm charts are not rendered inside of a kustomization; use a HelmRelease, or commit the rendered "
                    "chart as a resource");
}

Result<Transform> make_transform(const Resource& plugin, const Folder& folder,
                                 const std::shared_ptr<const Schema>& schema) {
  const auto found = makers().find(plugin.kind());
  if (!is_builtin(plugin)) return refuse(plugin);
  if (found == makers().end()) {
    return unexpected(ErrorKind::invalid, plugin.describe() + ": no built-in transformer of that kind");
  }
  auto made = found->second(Context{plugin.value, folder, schema});
  if (!made) return unexpected(std::move(made).error().with_context(plugin.describe()));
  return made;
}

Result<std::vector<std::unique_ptr<Resource>>> run_generator(const Resource& plugin, const Folder& folder) {
  if (!is_builtin(plugin)) return refuse(plugin);
  if (plugin.kind() == "HelmChartInflationGenerator") return refuse_helm();
  std::vector<std::unique_ptr<Resource>> made;
  if (plugin.kind() == "IAMPolicyGenerator") {
    SLUICE_TRY(auto account, gke_account(plugin.value));
    made.push_back(std::move(account));
    return made;
  }
  const bool secret = plugin.kind() == "SecretGenerator";
  if (!secret && plugin.kind() != "ConfigMapGenerator") {
    return unexpected(ErrorKind::invalid, plugin.describe() + ": no built-in generator of that kind");
  }
  SLUICE_TRY(GeneratorSpec spec, parse_generator(plugin.value, "", secret, Strictness::config));
  if (spec.name.empty()) spec.name = plugin.name();
  if (spec.namespace_.empty()) spec.namespace_ = plugin.ns();
  auto resource = generate(spec, merge_options(spec.options, std::nullopt), folder);
  if (!resource) return unexpected(std::move(resource).error().with_context(plugin.describe()));
  made.push_back(*std::move(resource));
  return made;
}

}  // namespace sluice::kustomize
