// Whom the new artifact of a source concerns. Pure.
//
// Of a thousand Kustomizations of one repository a commit changes one. That one goes
// first; the others only have a new revision to write down, and do so at their leisure.
// Who has nothing to lose by that is told by what its last build read: if the new
// artifact answers all of it as before, the build would be the same. What their status
// says meanwhile is true: that they are Ready at the revision before.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/object_meta.hpp"
#include "artifact/tree_manifest.hpp"
#include "doc/json.hpp"
#include "render.hpp"

namespace sluice::kustomize_controller {

// A Kustomization that has not seen the artifact.
struct Reader {
  api::ObjectKey key;
  bool is_suspended = false;
  bool is_ready = false;                  // for its newest spec
  std::vector<std::string> dependencies;  // sources::dependencies_of() it
  // The build of what it has taken up; null where none is known, or is still being made.
  std::shared_ptr<const RenderCache::Entry> last;
};
Reader make_reader(const doc::Json& kustomization, std::shared_ptr<const RenderCache::Entry> last);

struct Concern {
  std::vector<api::ObjectKey> now;
  std::vector<api::ObjectKey> later;
};

// `later` are those that are suspended, and those that are Ready, whose last build holds, and for whom
// none of `now` waits (dependsOn, over any number of steps: a dependant wants their new revision).
// `tree` is the artifact's.
Concern sort_by_concern(const std::vector<Reader>& readers, const artifact::TreeManifest& tree);

}  // namespace sluice::kustomize_controller
