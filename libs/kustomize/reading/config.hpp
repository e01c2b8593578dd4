// Which fields each transformer works on: kustomize's defaults, and what the
// `configurations` and `crds` of a kustomization add to them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "kustomize/fields/field_spec.hpp"
#include "kustomize/reading/fields.hpp"

namespace sluice::kustomize {

// Fields (of any kind) that hold the name of an object of kind `target`.
struct NameReference {
  Gvk target;
  FieldSpecs referrers;
  bool operator==(const NameReference&) const = default;
};

struct Config {
  FieldSpecs name_prefix, name_suffix, namespace_, common_labels, labels, template_labels, common_annotations,
      var_reference, images, replicas;
  std::vector<NameReference> name_reference;

  // kustomize v5.8.1's defaults, built once.
  static const std::shared_ptr<const Config>& defaults();
  // A `configurations` file.
  static base::Result<Config> parse(const doc::Json& value);
  // What the OpenAPI definitions in a `crds` file say with x-kubernetes-* keys.
  static base::Result<Config> from_crds(const doc::Json& definitions);

  base::Result<void> merge(const Config& other);
  // Puts the rules in kustomize's order of kinds.
  void sort();
  bool operator==(const Config&) const = default;
};

base::Result<FieldSpecs> parse_field_specs(const doc::Json& value, const std::string& where, Strictness strictness);

}  // namespace sluice::kustomize
