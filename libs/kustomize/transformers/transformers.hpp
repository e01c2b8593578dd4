// The built-in transformers, each a function over the objects of a layer.
// Errors name the object; the caller adds the file and the entry.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "kustomize/objects/resource_set.hpp"
#include "kustomize/reading/config.hpp"
#include "kustomize/reading/kustomization.hpp"
#include "kustomize/reading/loader.hpp"

namespace sluice::kustomize {

// How namespaces of (cluster) role binding subjects are set.
enum class SubjectMode { default_only, all_service_accounts, none };

struct NamespaceOptions {
  bool unset_only = false;
  SubjectMode subjects = SubjectMode::default_only;
};

base::Result<void> set_namespace(ResourceSet& set, const std::string& ns, const FieldSpecs& specs,
                                 const NamespaceOptions& options = {});
// The namespace of one object, and of its subjects named default.
base::Result<void> put_namespace(Resource& resource, const std::string& ns, Growth& growth);
base::Result<void> add_prefix(ResourceSet& set, const std::string& prefix, const FieldSpecs& specs);
base::Result<void> add_suffix(ResourceSet& set, const std::string& suffix, const FieldSpecs& specs);
// Labels and annotations alike: entries of a map at each field.
base::Result<void> set_entries(ResourceSet& set, const TextMap& entries, const FieldSpecs& specs);
base::Result<void> set_image(ResourceSet& set, const ImageSpec& image, const FieldSpecs& specs);
base::Result<void> set_replicas(ResourceSet& set, const ReplicaSpec& replica, const FieldSpecs& specs);
base::Result<void> replace_fields(ResourceSet& set, const std::vector<ReplacementSpec>& replacements);
// Reads the files that entries with a `path` stand for.
base::Result<std::vector<ReplacementSpec>> load_replacements(std::vector<ReplacementSpec> specs, const Folder& folder);
base::Result<void> sort_resources(ResourceSet& set, const SortSpec& spec);
// ValueAddTransformer: a text put into fields, or into a place of the file paths there.
base::Result<void> add_value(ResourceSet& set, const std::string& value, const doc::Json& targets);

// Makes the ConfigMap or Secret that a generator describes.
base::Result<std::unique_ptr<Resource>> generate(const GeneratorSpec& spec, const GeneratorOptions& options,
                                                 const Folder& folder);

// kustomize's ten characters over the content of a ConfigMap, Secret or other object.
std::string content_hash(const doc::Json& object);
// Puts the hash behind the names that asked for one.
void add_hashes(ResourceSet& set);

// Follows names that changed to the fields that hold them.
base::Result<void> fix_name_references(ResourceSet& set, const std::vector<NameReference>& rules);

// Vars: attached to objects layer by layer, put in at the end.
base::Result<void> attach_vars(ResourceSet& set, const std::vector<VarSpec>& vars);
base::Result<void> merge_vars(std::vector<VarSpec>& into, const std::vector<VarSpec>& more);
base::Result<void> resolve_vars(ResourceSet& set, const std::vector<VarSpec>& vars, const FieldSpecs& references,
                                std::vector<std::string>& warnings);

}  // namespace sluice::kustomize
