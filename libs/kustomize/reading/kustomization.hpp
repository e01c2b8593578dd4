// A kustomization file, read and checked.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "kustomize/objects/resource.hpp"
#include "kustomize/objects/selector.hpp"
#include "kustomize/reading/config.hpp"
#include "kustomize/reading/fields.hpp"

namespace sluice::kustomize {

using TextMap = std::map<std::string, std::string>;

struct GeneratorOptions {
  TextMap labels;
  TextMap annotations;
  bool disable_hash = false;
  bool immutable = false;
};

struct GeneratorSpec {
  bool secret = false;
  std::string name, namespace_, behavior, type;
  std::vector<std::string> literals, files, envs;
  std::optional<GeneratorOptions> options;
};

struct LabelSpec {
  TextMap pairs;
  bool include_selectors = false;
  bool include_templates = false;
  FieldSpecs fields;
};

struct PatchSpec {
  std::string path, patch;
  std::optional<SelectorSpec> target;
  bool allow_name_change = false;
  bool allow_kind_change = false;
  std::string from_spec;  // "spec.patches[0]" of one that a Flux spec adds
};

struct ImageSpec {
  std::string name, new_name, new_tag, tag_suffix, digest;
};

struct ReplicaSpec {
  std::string name;
  std::int64_t count = 0;
};

struct FieldOptions {
  std::string delimiter, encoding;
  std::int64_t index = 0;
  bool create = false;
};

struct ReplacementSource {
  Gvk gvk;
  std::string name, namespace_, field_path;
  FieldOptions options;
};

struct ReplacementTarget {
  std::optional<SelectorSpec> select;
  std::vector<SelectorSpec> reject;
  std::vector<std::string> field_paths;
  FieldOptions options;
};

struct ReplacementSpec {
  std::string entry;  // "replacements[2]", for messages
  std::string path;  // a file of replacements, in place of the rest
  std::optional<ReplacementSource> source;
  std::optional<std::string> source_value;
  std::vector<ReplacementTarget> targets;
  bool has_targets = false;
};

struct VarSpec {
  std::string name;
  ResId object;
  std::string field_path = "metadata.name";
};

struct SortSpec {
  std::string order;
  bool has_legacy = false;
  std::vector<std::string> first, last;
};

struct Kustomization {
  std::string file;  // path in the view
  bool component = false;
  std::vector<std::string> resources, components, crds, configurations, generators, transformers, validators,
      build_metadata, patches_strategic_merge;
  std::string name_prefix, name_suffix, namespace_;
  TextMap common_labels, common_annotations;
  std::vector<LabelSpec> labels;
  std::vector<GeneratorSpec> config_maps, secrets;
  std::optional<GeneratorOptions> generator_options;
  std::vector<PatchSpec> patches, patches_json6902;
  std::vector<ImageSpec> images;
  std::vector<ReplicaSpec> replicas;
  std::vector<ReplacementSpec> replacements;
  std::vector<VarSpec> vars;
  std::optional<SortSpec> sort_options;
  TextMap openapi;
  bool has_helm = false;
  std::vector<std::string> warnings;  // deprecated fields in use
  // Entries that a Flux spec put here, or put something into: "patches[2]" -> "spec.patches[0]".
  std::map<std::string, std::string> from_spec;
  bool lists_resources = false;  // under `resources`, not `bases`

  // `invalid` for unknown fields, wrong types, wrong apiVersion or kind, and a
  // file that says nothing (which passes with Strictness::config). The message
  // starts with the field's place.
  static base::Result<Kustomization> parse(const doc::Json& value, std::string file,
                                           Strictness strictness = Strictness::file);
};

// The parts that built-in transformer and generator objects share with the file.
base::Result<SelectorSpec> parse_selector(const doc::Json& value, const std::string& where, Strictness strictness);
base::Result<ReplacementSpec> parse_replacement(const doc::Json& value, const std::string& where,
                                                Strictness strictness);
base::Result<ImageSpec> parse_image(const doc::Json& value, const std::string& where, Strictness strictness);
base::Result<ReplicaSpec> parse_replica(const doc::Json& value, const std::string& where, Strictness strictness);
base::Result<PatchSpec> parse_patch(const doc::Json& value, const std::string& where, Strictness strictness);
base::Result<GeneratorSpec> parse_generator(const doc::Json& value, const std::string& where, bool secret,
                                            Strictness strictness);
base::Result<SortSpec> parse_sort(const doc::Json& value, const std::string& where, Strictness strictness);

// Options of the file fill in what a generator leaves open.
GeneratorOptions merge_options(const std::optional<GeneratorOptions>& local,
                               const std::optional<GeneratorOptions>& global);

}  // namespace sluice::kustomize
