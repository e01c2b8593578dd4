// Inside of ApplySet: one object on its way through a stage.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apply/apply_set.hpp"
#include "apply/detail/switches.hpp"

namespace sluice::apply {

struct ApplySet::Job {
  const Manifest* manifest = nullptr;
  api::ObjectId id;  // as the server has it
  kube::Resource resource;
  doc::Json object;      // read when it is needed
  bool settled = false;  // `change` says all; nothing to write
  bool recreate = false;
  bool take_over = false;
  bool adopt = false;                 // it is to be marked as not made by us
  bool exists = false;                // as the dry run saw it
  std::string live_version;           // its resourceVersion before the write
  std::vector<std::string> left_out;  // see Change
  std::optional<Change> change;
  std::optional<base::Error> error;

  // `change`, with what is to be said of the manifest.
  Change told() const {
    Change all = *change;
    all.left_out = left_out;
    std::sort(all.left_out.begin(), all.left_out.end());  // the server names them in any order
    if (!left_out.empty()) all.origin = manifest->origin;
    return all;
  }
  void settle(Action action, std::string version = {}, std::string uid = {}) {
    settled = true;
    change = Change{id, manifest->version, action, std::move(version), std::move(uid)};
  }
};

// True if the server would keep what the manifest does not say (any more).
bool is_removal_lost(const api::ObjectId& id, const doc::Json& manifest, const doc::Json& seen);

}  // namespace sluice::apply
