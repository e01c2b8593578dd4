// An object that moves from one Kustomization to another in one commit must live
// through it, whichever of the two is first to see the commit. So who is about to
// delete what left its build asks first: does anybody else build it?
//
// The answer is in the builds, not in what was applied: a sibling (a Kustomization
// of the same source) may be suspended, may wait for the one that asks (dependsOn),
// may not have got so far, or may come into being with this very commit, as an
// object that another sibling builds. Each is built here at the revision of the
// one that asks; mostly it was already, or the sibling's own run finds it built. Of
// Kustomizations of other sources the last build counts.
//
//   a sibling builds it   held until its labels say that it was taken over; who
//                         holds it back is no less ready for that
//   none does             deleted
//   a sibling's build     held for kPatience after the artifact came; what holds
//   fails                 others (apply/adoption.hpp) for as long as it fails
//
// What is held stays in the inventory. The owner is woken when the one that it
// waits for has got further. Kustomizations of another shard are not seen here:
// what they have applied is known by its labels alone.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "api/artifact.hpp"
#include "api/inventory.hpp"
#include "api/kustomization.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "controller/watch_cache.hpp"
#include "render.hpp"
#include "rt/runtime.hpp"

namespace sluice::kustomize_controller {

// How long a sibling whose build fails may hold back what it could be about to own.
inline constexpr base::Duration kPatience = std::chrono::minutes(1);

using Build = std::function<rt::Task<base::Result<std::shared_ptr<const Rendered>>>(controller::Object kustomization)>;

// Names what a Kustomization is built from: the same text for the same source.
std::string source_text(const doc::Json& kustomization);

struct HandoverInput {
  api::ObjectKey self;
  std::string source;                              // source_text() of it
  std::vector<controller::Object> kustomizations;  // all that are known
  std::vector<api::InventoryEntry> entries;       // to be deleted
  bool is_deletion = false;  // of `self`: then those that are suspended or fail hold nothing
  Build build;               // at the revision of the one that asks
  std::function<std::shared_ptr<const Rendered>(const api::ObjectKey&)> last_build;  // of whatever revision; or null
};

struct Claims {
  std::map<std::string, api::ObjectKey> by;  // InventoryEntry::id -> who builds it
  std::vector<api::ObjectKey> unknown;       // siblings whose build fails

  // Why an entry is not to be deleted now, or "".
  std::string why_held(const api::InventoryEntry& entry, bool is_patient) const;
  // All that `entries` may wait for.
  std::set<api::ObjectKey> holders(const std::vector<api::InventoryEntry>& entries) const;
};

rt::Task<Claims> find_claims(HandoverInput input);

// True if a change of a Kustomization may decide about what others hold for it.
bool decides_claims(const doc::Json& before, const doc::Json& now);

}  // namespace sluice::kustomize_controller
