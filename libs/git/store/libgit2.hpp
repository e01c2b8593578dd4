// Ownership and errors of libgit2, for the files of this folder only.
#pragma once

#include <git2.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "git/refs.hpp"

namespace sluice::git::store {

template <auto Free>
struct GitFree {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using OdbPtr = std::unique_ptr<git_odb, GitFree<git_odb_free>>;
using RepositoryPtr = std::unique_ptr<git_repository, GitFree<git_repository_free>>;
using IndexerPtr = std::unique_ptr<git_indexer, GitFree<git_indexer_free>>;
using ObjectPtr = std::unique_ptr<git_object, GitFree<git_object_free>>;
using TreePtr = std::unique_ptr<git_tree, GitFree<git_tree_free>>;
using BlobPtr = std::unique_ptr<git_odb_object, GitFree<git_odb_object_free>>;

// Initialises libgit2 once for the process, and bounds its caches.
void initialise();

// The library's last error on this thread, after `doing`.
std::string last_error(std::string_view doing);

// Expects is_oid(text).
git_oid to_git_oid(std::string_view text);
Oid from_git_oid(const git_oid& oid);

// An object that lacks or does not read: the store can not be trusted.
base::Unexpected damaged(std::string message);

// Whether the last call failed as it wanted more memory at once than it may have.
bool is_out_of_memory();
base::Unexpected object_too_large();

}  // namespace sluice::git::store
