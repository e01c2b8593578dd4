// The order in which a set of objects is applied. Pure.
//
// Flux: CRDs, Namespaces and ClusterRoles first, then *Class kinds, then kinds
// that the user named as a stage, then everything else; a stage is applied and
// ready before the next one is looked at, so a custom resource may come with
// its definition.
#pragma once

#include <cstddef>
#include <set>
#include <vector>

#include "api/object_meta.hpp"
#include "apply/manifest.hpp"

namespace sluice::apply {

struct Stage {
  std::vector<const Manifest*> objects;
  bool await_ready = false;  // before the next stage starts
  // From here on come webhooks and the like, which could refuse what comes
  // before them: they are written when the others are.
  std::size_t late_from = 0;
};

// Splits `objects`, keeping their order within a stage but for kinds that
// others of the same stage need (service accounts, roles, configuration before
// workloads, webhooks last). Stages without objects are left out. The stages
// point into `objects`.
std::vector<Stage> split_stages(const std::vector<Manifest>& objects, const std::set<api::GroupKind>& custom_stage);

// The same rank for deletion: higher goes first.
int deletion_rank(const api::GroupKind& kind);

}  // namespace sluice::apply
