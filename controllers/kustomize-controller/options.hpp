// What kustomize-controller can be told beyond what all daemons can. Names and
// defaults are upstream's where upstream has the flag.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "api/object_meta.hpp"
#include "base/result.hpp"
#include "controller/flags.hpp"

namespace sluice::kustomize_controller {

struct KustomizeOptions {
  int concurrent_ssa = 16;  // objects of one Kustomization on their way to the server at once
  std::vector<std::string> override_managers;
  bool override_before_dry_run = false;  // take fields of such managers over before the dry run, not after it
  std::string custom_apply_stage_kinds;  // "group/Kind,..."
  std::string artifact_folder;           // "": $TMPDIR, else /tmp
};

void add_flags(controller::FlagSet& flags, KustomizeOptions& options);
// --custom-apply-stage-kinds, read; `invalid` names the part that is wrong.
base::Result<std::set<api::GroupKind>> custom_stage_of(const KustomizeOptions& options);

}  // namespace sluice::kustomize_controller
