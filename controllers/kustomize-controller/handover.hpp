// An object that moves from one Kustomization to another in one commit must live
// through it, whichever of the two is first to see the commit. So who is about to
// delete what left its build asks first: does anybody else build it?
//
// The answer is in the builds, not in what was applied: a sibling (a Kustomization
// of the same source and namespace) may be suspended, may wait for the one that
// asks (dependsOn), may not have got so far, or may come into being with this very
// commit, as an object that another sibling builds. Each is built here at the
// revision of the one that asks; mostly it was already, or the sibling's own run
// finds it built. A build proves nothing but that somebody wrote a manifest, so
// that of another namespace or source would let a tenant keep what another one
// deletes: of those counts what their own inventory names, which is written only
// when the server has accepted it from them in a dry run. But Flux's `edit` role lets
// a tenant write that status by hand. So what is listed in another namespace holds
// nothing that comes back from Git in a second, if it is so: only what holds others
// (apply/adoption.hpp). Who may not use its source (sources/access.hpp) claims nothing.
//
//   a sibling builds it   held until its labels say that it was taken over; who
//                         holds it back is no less ready for that
//   a sibling builds      a Namespace is held for as long as it does, and so is a definition of whose
//   something in it       kind it builds one: the commit that drops the one keeps the other
//   none does             deleted
//   a sibling's build     held for kPatience after the artifact came; what holds
//   fails                 others (apply/adoption.hpp) for as long as it fails
//   it cannot be told     held: a server that does not answer deletes nothing
//   now
//
// What is held stays in the inventory. The owner is woken when the one that it
// waits for has got further. One that is being deleted keeps its finalizer for as
// long as anything is held, but no longer than kDeletionPatience: then what comes
// back from Git is deleted, and what holds others is left and told.
// Kustomizations of another shard are not seen here: what they have applied is
// known by its labels alone.
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
#include "sources/access.hpp"

namespace sluice::kustomize_controller {

// How long a sibling whose build fails may hold back what it could be about to own.
inline constexpr base::Duration kPatience = std::chrono::minutes(1);
// How long others may hold back the end of a Kustomization that is deleted, from when this process first saw that.
inline constexpr base::Duration kDeletionPatience = std::chrono::minutes(10);

// Reason of the error of a build that lacks what mostly comes by itself: a Secret for its variables, the artifact.
inline constexpr const char* kNotYet = "NotYet";

using Build = std::function<rt::Task<base::Result<std::shared_ptr<const Rendered>>>(controller::Object kustomization)>;

// Names what a Kustomization is built from: the same text for the same source.
std::string source_text(const doc::Json& kustomization);

struct HandoverInput {
  api::ObjectKey self;
  std::string source;                              // source_text() of it
  std::vector<controller::Object> kustomizations;  // all that are known
  std::vector<api::InventoryEntry> entries;        // to be deleted
  bool is_deletion = false;                        // of `self`: then those that are suspended hold nothing
  sources::AccessRules rules;                      // of the daemon
  Build build;                                     // at the revision of the one that asks; null where there is none
};

struct Claim {
  api::ObjectKey who;
  bool is_applied = false;  // its inventory names it; else it builds it
  std::string inside = {};  // what it builds in this Namespace, or of this kind, if not itself
};

struct Claims {
  std::map<std::string, Claim> by;          // by InventoryEntry::id
  std::map<api::GroupKind, Claim> of_kind;  // what siblings build, if a definition is to be deleted
  std::vector<api::ObjectKey> unknown;      // siblings whose build fails
  std::string not_now;                      // why it cannot be told now who else builds something; "": it can

  // Why an entry, which is `live` in the cluster, is not to be deleted now, or "".
  std::string why_held(const api::InventoryEntry& entry, const doc::Json& live, bool is_patient) const;
  // The same where its Kustomization is being deleted; `is_over` is kDeletionPatience.
  std::string why_left(const api::InventoryEntry& entry, const doc::Json& live, bool is_over) const;
  // All that `entries` may wait for.
  std::set<api::ObjectKey> holders(const std::vector<api::InventoryEntry>& entries) const;
};

rt::Task<Claims> find_claims(HandoverInput input);

// True of an error that passes with no edit by a person: it tells nothing of what was asked for.
bool is_passing(const base::Error& error);

// True if a change of a Kustomization may decide about what others hold for it.
bool decides_claims(const doc::Json& before, const doc::Json& now);

}  // namespace sluice::kustomize_controller
