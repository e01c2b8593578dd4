// One kustomization and all below it: the order of work of a build.
//
//   resources -> configurations, crds -> generators -> components
//   -> built-in transformers -> transformers -> validators -> vars
//
// and at the top, once: hashes, name references, vars, local objects dropped.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kustomize/building/layer_memo.hpp"
#include "kustomize/kustomize.hpp"
#include "kustomize/objects/origin.hpp"
#include "kustomize/reading/loader.hpp"
#include "kustomize/transformers/plugins.hpp"

namespace sluice::kustomize {

// What the layers below have brought up so far.
struct Accumulated {
  ResourceSet set;
  std::shared_ptr<const Config> config;  // null: nothing yet
  std::vector<VarSpec> vars;
  bool remote = false;  // some of it came from another tree
};

class Target {
 public:
  // `flux`: an openapi.path adds to the built-in schema in place of replacing it.
  // `log` sees what is read, for options.cache; null without one.
  Target(const BuildOptions& options, bool flux, const ReadLog* log = nullptr)
      : options_(options), log_(log), budget_{options.limits}, flux_(flux) {}

  Budget& budget() { return budget_; }
  base::Result<BuildResult> build(const Kustomization& k, const Folder& folder);

 private:
  using Resources = std::vector<std::unique_ptr<Resource>>;
  // A transformer, and the entry that it comes from.
  struct Step {
    std::string entry;
    Transform run;
    Origin origin;
  };
  // The kustomization being worked on.
  struct Here {
    const Kustomization& k;
    const Folder& folder;
    const Origin& origin;
  };

  base::Result<void> accumulate(const Here& here, Accumulated& into);
  // Which entry of a kustomization brought the objects up to a position.
  struct Brought {
    std::size_t end;
    std::string entry;
  };
  // Adds to an error about two objects of one id which entries they come from, where they look the same.
  static base::Error say_who(base::Error error, const Here& here, const Accumulated& into,
                             const std::vector<Brought>& brought, const std::string& entry);
  base::Result<void> add_resource(const Here& here, const std::string& entry, Accumulated& into);
  base::Result<void> add_folder(const Here& here, const std::string& entry, bool component, Accumulated& into);
  base::Result<void> add_inner(const Here& here, const Folder& folder, const Origin& origin, bool component,
                               Accumulated& into);
  // The same with a look at what an earlier build made of the folder.
  base::Result<void> add_remembered(const Here& here, const Folder& folder, const Origin& origin, Accumulated& into);
  base::Result<void> merge(Accumulated& into, Accumulated from);
  // Runs a step; with provenance, what it changes is put down to `entry`.
  base::Result<void> run_step(const std::function<base::Result<void>()>& step, const std::string& entry,
                              ResourceSet& set) const;
  const std::shared_ptr<const Schema>& schema() const { return schema_ ? schema_ : Schema::builtin(); }
  base::Result<void> set_schema(const Kustomization& k, const Folder& folder);
  base::Result<void> add_config(const Here& here, Accumulated& into);
  base::Result<void> run_generators(const Here& here, Accumulated& into);
  void note_generated(Resource& resource, const std::string& file, const std::string& entry) const;
  base::Result<void> run_transformers(const Here& here, Accumulated& into);
  base::Result<void> run_validators(const Here& here, Accumulated& into);
  base::Result<std::vector<Step>> builtin_steps(const Here& here, const Config& config);
  base::Result<void> patch_steps(const Here& here, std::vector<Step>& steps);
  base::Result<void> label_steps(const Here& here, const Config& config, std::vector<Step>& steps);
  base::Result<void> late_steps(const Here& here, const Config& config, std::vector<Step>& steps);
  base::Result<std::vector<Step>> plugin_steps(const Here& here, const char* field,
                                               const std::vector<std::string>& entries);
  // The objects that entries of `generators` or `transformers` hold or name.
  base::Result<Accumulated> plugin_objects(const Here& here, const char* field,
                                           const std::vector<std::string>& entries);
  base::Result<BuildResult> finish(const Here& here, Accumulated all);

  const BuildOptions& options_;
  const ReadLog* log_;
  Budget budget_;
  bool flux_;
  bool track_origin_ = false;
  bool schema_set_ = false;
  std::shared_ptr<const Schema> schema_;  // null: the built-in one
  std::optional<ClusterKinds> cluster_kinds_;
  std::vector<std::string> warnings_;
};

}  // namespace sluice::kustomize
