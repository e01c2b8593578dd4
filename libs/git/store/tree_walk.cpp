#include "git/store/tree_walk.hpp"

#include <fmt/core.h>

#include <vector>

namespace sluice::git::store {

using base::ErrorKind;
using base::Result;
using base::unexpected;

namespace {

constexpr std::size_t kMaxDepth = 128;

EntryType type_of(const git_tree_entry* entry) {
  switch (git_tree_entry_filemode(entry)) {
    case GIT_FILEMODE_TREE: return EntryType::folder;
    case GIT_FILEMODE_BLOB_EXECUTABLE: return EntryType::executable;
    case GIT_FILEMODE_LINK: return EntryType::symlink;
    case GIT_FILEMODE_COMMIT: return EntryType::submodule;
    default: return EntryType::file;
  }
}

// Git's own tools never write such names; a crafted repository may.
bool is_safe_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == name.npos;
}

struct Level {
  TreePtr tree;
  std::size_t next = 0;
  std::size_t path_size = 0;  // of the folder's own path, to cut back to
};

}  // namespace

Result<TreePtr> read_tree(git_repository* repository, const git_oid& oid) {
  git_tree* tree = nullptr;
  if (git_tree_lookup(&tree, repository, &oid) < 0) {
    if (is_out_of_memory()) return object_too_large();
    return damaged(last_error(fmt::format("reading tree {}", from_git_oid(oid))));
  }
  return TreePtr(tree);
}

Result<void> walk_tree(git_repository* repository, TreePtr root, const Snapshot::Visitor& visit, std::stop_token stop,
                       std::size_t max_entries) {
  std::vector<Level> levels;
  levels.push_back({.tree = std::move(root), .next = 0, .path_size = 0});
  std::string path;
  std::size_t seen = 0;
  while (!levels.empty()) {
    Level& level = levels.back();
    path.resize(level.path_size);
    if (level.next == git_tree_entrycount(level.tree.get())) {
      levels.pop_back();
      continue;
    }
    if (stop.stop_requested()) return unexpected(ErrorKind::cancelled, "stopped");
    const git_tree_entry* entry = git_tree_entry_byindex(level.tree.get(), level.next++);
    const std::string_view name = git_tree_entry_name(entry);
    if (!is_safe_name(name)) {
      return unexpected(ErrorKind::invalid, fmt::format("the tree holds an entry '{}' in folder '{}'", name, path));
    }
    if (++seen > max_entries) {
      return unexpected(ErrorKind::too_large, fmt::format("the tree has more than {} entries", max_entries));
    }
    if (!path.empty()) path += '/';
    path += name;
    const git_oid& id = *git_tree_entry_id(entry);
    const Oid oid = from_git_oid(id);
    const EntryType type = type_of(entry);
    SLUICE_TRY(const Walk next, visit(TreeEntry{.path = path, .type = type, .oid = oid}));
    if (type != EntryType::folder || next == Walk::skip) continue;
    if (levels.size() >= kMaxDepth) {
      return unexpected(ErrorKind::too_large, fmt::format("folders are nested deeper than {}", kMaxDepth));
    }
    SLUICE_TRY(TreePtr child, read_tree(repository, id));
    levels.push_back({.tree = std::move(child), .next = 0, .path_size = path.size()});
  }
  return {};
}

}  // namespace sluice::git::store
