// Reading trees.
#pragma once

#include <stop_token>

#include "git/snapshot.hpp"
#include "git/store/libgit2.hpp"

namespace sluice::git::store {

base::Result<TreePtr> read_tree(git_repository* repository, const git_oid& oid);

// Snapshot::walk, from a root tree.
base::Result<void> walk_tree(git_repository* repository, TreePtr root, const Snapshot::Visitor& visit,
                             std::stop_token stop, std::size_t max_entries);

}  // namespace sluice::git::store
