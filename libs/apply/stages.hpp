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
#include "doc/json.hpp"

namespace sluice::apply {

struct Stage {
  std::vector<doc::Json> objects;
  bool await_ready = false;  // before the next stage starts
};

// Splits `objects`, keeping their order within a stage but for kinds that
// others of the same stage need (service accounts, roles, configuration before
// workloads, webhooks last). Stages without objects are left out.
std::vector<Stage> split_stages(std::vector<doc::Json> objects, const std::set<api::GroupKind>& custom_stage);

// The same rank for deletion: higher goes first.
int deletion_rank(const api::GroupKind& kind);

}  // namespace sluice::apply
