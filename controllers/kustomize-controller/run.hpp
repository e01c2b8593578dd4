// One reconciliation of a Kustomization, as it goes from step to step.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/artifact.hpp"
#include "api/inventory.hpp"
#include "api/kustomization.hpp"
#include "apply/apply_set.hpp"
#include "artifact/tree_cache.hpp"
#include "base/clock.hpp"
#include "controller/run_context.hpp"
#include "kube/client.hpp"
#include "render.hpp"

namespace sluice::kustomize_controller {

struct Run {
  controller::RunContext& context;
  api::Kustomization kustomization;
  base::SteadyPoint started;
  apply::Owner owner;
  std::shared_ptr<kube::Client> client;  // speaks as the one in whose name objects are applied

  // resolve_source
  api::Artifact artifact;
  std::string origin_revision;
  // read_variables
  api::StringMap variables;
  // fetch_artifact
  std::shared_ptr<const artifact::Tree> tree;
  // build
  std::shared_ptr<const Rendered> rendered;
  // apply
  api::ResourceInventory before;  // as it was when the run began, and what this run has announced
  std::vector<apply::Change> changes;
  bool changed = false;  // something was created, configured or deleted
  // prune
  std::string held_text = {};  // appended to what Ready says: what Git has no more and is not deleted yet, and why

  const api::KustomizationSpec& spec() const { return kustomization.spec; }
  // Names what happens once until the status tells of it: every run that has news ends
  // with another history.
  std::string occurrence(std::string_view what) const;
  // The last run that came to its end found all well at this revision. Ready alone does not tell that:
  // it is Unknown where a later run was cut off, by a kill for instance, and there is no news in that.
  bool was_well() const;
};

}  // namespace sluice::kustomize_controller
