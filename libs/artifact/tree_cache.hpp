// Unpacked artifacts, one for each digest, shared by all who read them.
//
//   <root>/sluice-artifacts-XXXXXX/     one for each process, held by a lock on .lock
//       (files without a name)          the artifacts, packed (packed_tree.hpp)
//       sha256-<hex>/                   the files of one that is too large for that
//
// A tree lives on disk for as long as somebody holds it, and for a while after:
// of those that nobody holds the newest stay, within bounds. Nothing outlives the
// process: folders whose process is gone, however it ended, are removed by the
// next one. Not thread-safe but for the removal of trees; meant for the loop.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "artifact/tree_manifest.hpp"
#include "base/file_view.hpp"
#include "base/result.hpp"
#include "rt/runtime.hpp"

namespace sluice::artifact {

// The files of an artifact. Any thread may read them.
class Tree {
 public:
  Tree(std::string digest, std::unique_ptr<base::FileView> files, std::uint64_t bytes,
       std::shared_ptr<const TreeManifest> manifest)
      : digest_(std::move(digest)), files_(std::move(files)), bytes_(bytes), manifest_(std::move(manifest)) {}
  const std::string& digest() const noexcept { return digest_; }
  const base::FileView& files() const noexcept { return *files_; }
  // What is in it, without a look at the disk.
  const TreeManifest& manifest() const noexcept { return *manifest_; }
  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  std::string digest_;
  std::unique_ptr<base::FileView> files_;
  std::uint64_t bytes_ = 0;
  std::shared_ptr<const TreeManifest> manifest_;  // never null
};

struct UnpackedTree {
  std::uint64_t bytes = 0;  // of the files
  std::shared_ptr<const TreeManifest> manifest;
  std::unique_ptr<base::FileView> files;
  std::string folder;  // TreeCache::path_of(its digest), where it was unpacked there
};

struct TreeCacheOptions {
  std::string root;  // an existing folder; may be shared by processes
  std::uint64_t max_unused_bytes = 256ULL << 20U;
  std::size_t max_unused_trees = 16;
};

class TreeCache {
 public:
  // Makes this process's folder, and removes those of dead ones. Blocking. `io`.
  static base::Result<std::shared_ptr<TreeCache>> open(rt::Runtime& runtime, TreeCacheOptions options);
  ~TreeCache();  // removes the folder
  TreeCache(const TreeCache&) = delete;
  TreeCache& operator=(const TreeCache&) = delete;

  const std::string& folder() const noexcept { return folder_; }
  // Where the tree of a digest has its place, if it is not packed; it is there only once add() has been called.
  std::string path_of(std::string_view digest) const;

  // Null where there is none. Counts as use.
  std::shared_ptr<const Tree> find(std::string_view digest);
  // Takes over the folder too.
  std::shared_ptr<const Tree> add(const std::string& digest, UnpackedTree unpacked);
  // In what the second differs from the first. Worked out once for a pair of digests,
  // while it is among the last few that were asked for.
  std::shared_ptr<const TreeChanges> changes(const Tree& before, const Tree& after);
  std::size_t size() const noexcept { return trees_.size(); }

 private:
  TreeCache(rt::Runtime& runtime, TreeCacheOptions options) : runtime_(runtime), options_(std::move(options)) {}
  void trim();

  rt::Runtime& runtime_;
  TreeCacheOptions options_;
  std::string folder_;
  int lock_ = -1;
  std::list<std::shared_ptr<const Tree>> trees_;  // used last first
  struct Compared {
    std::string before;  // digests
    std::string after;
    std::shared_ptr<const TreeChanges> changes;
  };
  std::list<Compared> compared_;  // used last first
};

}  // namespace sluice::artifact
