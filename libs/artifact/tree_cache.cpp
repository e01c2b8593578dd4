#include "artifact/tree_cache.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace sluice::artifact {

namespace fs = std::filesystem;
using base::ErrorKind;
using base::Result;

namespace {

constexpr std::string_view kPrefix = "sluice-artifacts-";
constexpr std::size_t kMaxCompared = 16;  // pairs of trees

// Opens and locks `<folder>/.lock`; -1 if somebody holds it or it cannot be made.
int lock_folder(const fs::path& folder) {
  const int fd = ::open((folder / ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return -1;
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  ::close(fd);
  return -1;
}

void remove_dead(const fs::path& root) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(root, ignored)) {
    if (!entry.path().filename().string().starts_with(kPrefix) || entry.is_symlink(ignored)) continue;
    const int lock = lock_folder(entry.path());
    if (lock < 0) continue;  // its process lives
    fs::remove_all(entry.path(), ignored);
    ::close(lock);
  }
}

}  // namespace

Result<std::shared_ptr<TreeCache>> TreeCache::open(rt::Runtime& runtime, TreeCacheOptions options) {
  const fs::path root = options.root;
  remove_dead(root);
  std::string folder = (root / (std::string(kPrefix) + "XXXXXX")).string();
  if (::mkdtemp(folder.data()) == nullptr) {
    return base::unexpected(ErrorKind::io,
                            "cannot make a folder for artifacts in '" + options.root + "': " + std::strerror(errno));
  }
  std::shared_ptr<TreeCache> cache(new TreeCache(runtime, std::move(options)));
  cache->folder_ = std::move(folder);
  cache->lock_ = lock_folder(cache->folder_);
  if (cache->lock_ < 0) {
    return base::unexpected(ErrorKind::io, "cannot lock '" + cache->folder_ + "': " + std::strerror(errno));
  }
  return cache;
}

TreeCache::~TreeCache() {
  if (!folder_.empty()) {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  if (lock_ >= 0) ::close(lock_);
}

std::string TreeCache::path_of(std::string_view digest) const {
  std::string name(digest);
  std::replace(name.begin(), name.end(), ':', '-');
  return folder_ + "/" + name;
}

std::shared_ptr<const Tree> TreeCache::find(std::string_view digest) {
  const auto found = std::find_if(trees_.begin(), trees_.end(), [&](const auto& t) { return t->digest() == digest; });
  if (found == trees_.end()) return nullptr;
  trees_.splice(trees_.begin(), trees_, found);
  return trees_.front();
}

std::shared_ptr<const Tree> TreeCache::add(const std::string& digest, UnpackedTree unpacked) {
  // The last one to let go has the tree removed; a large file or folder takes its time to vanish.
  auto remove = [&runtime = runtime_, path = std::move(unpacked.folder)](const Tree* gone) {
    const std::shared_ptr<const Tree> tree(gone);
    std::string old;
    if (!path.empty()) {
      // Renamed first, so that the same digest may come anew meanwhile.
      old = path + ".old-XXXXXX";
      std::error_code failed;
      if (::mkdtemp(old.data()) == nullptr) return;
      fs::rename(path, old, failed);
    }
    runtime.post_blocking("", [tree, old] {
      std::error_code ignored;
      if (!old.empty()) fs::remove_all(old, ignored);
    });
  };
  std::shared_ptr<const Tree> tree(
      new Tree(digest, std::move(unpacked.files), unpacked.bytes, std::move(unpacked.manifest)), std::move(remove));
  trees_.push_front(tree);
  trim();
  return tree;
}

std::shared_ptr<const TreeChanges> TreeCache::changes(const Tree& before, const Tree& after) {
  const auto found = std::find_if(compared_.begin(), compared_.end(), [&](const Compared& pair) {
    return pair.before == before.digest() && pair.after == after.digest();
  });
  if (found != compared_.end()) {
    compared_.splice(compared_.begin(), compared_, found);
    return compared_.front().changes;
  }
  auto made = std::make_shared<const TreeChanges>(changed_paths(before.manifest(), after.manifest()));
  compared_.push_front({before.digest(), after.digest(), made});
  if (compared_.size() > kMaxCompared) compared_.pop_back();
  return made;
}

void TreeCache::trim() {
  std::uint64_t unused_bytes = 0;
  std::size_t unused = 0;
  for (auto it = trees_.begin(); it != trees_.end();) {
    const bool in_use = it->use_count() > 1;
    if (!in_use) {
      unused_bytes += (*it)->bytes();
      ++unused;
    }
    const bool too_much = unused > options_.max_unused_trees || unused_bytes > options_.max_unused_bytes;
    it = !in_use && too_much ? trees_.erase(it) : std::next(it);
  }
}

}  // namespace sluice::artifact
