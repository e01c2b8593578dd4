// One commit of a repository, read from the local object cache.
//
// Blocking (disk only). A Snapshot keeps its repository's cache from being
// removed or rewritten while it lives, so keep it short-lived. Safe to use from
// one thread at a time; several Snapshots may be read at once.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "git/refs.hpp"

namespace sluice::git {

struct Person {
  std::string name;
  std::string email;
  base::TimePoint when{};
};

struct Commit {
  Oid oid;
  Person author;
  Person committer;
  std::string message;

  // The first 50 characters of the subject, as events show it (Flux: "stored
  // artifact for commit '...'").
  std::string short_message() const;
};

enum class EntryType { file, executable, symlink, folder, submodule };

struct TreeEntry {
  std::string_view path;  // from the root, with '/'; never absolute, never with ".." or an empty part
  EntryType type = EntryType::file;
  std::string_view oid;  // of the blob, the tree, or the submodule's commit
};

// What to do after an entry. `skip` leaves a folder's content out.
enum class Walk { go_on, skip };

// Equal subtrees may be nested so that a few kilobytes describe more files than
// any disk holds; a bound is what stops such a "Git bomb".
inline constexpr std::size_t kDefaultMaxEntries = 1'000'000;

// An object that has more bytes is not read, and no pack with one is taken in: it
// must fit into memory, with what it is a delta of.
inline constexpr std::uint64_t kMaxObjectBytes = 256ULL << 20U;

class Snapshot {
 public:
  using Visitor = std::function<base::Result<Walk>(const TreeEntry&)>;

  ~Snapshot();
  Snapshot(Snapshot&&) noexcept;
  Snapshot& operator=(Snapshot&&) noexcept;

  const Commit& commit() const noexcept;

  // Visits the tree depth first, a folder before its content, siblings in Git's
  // order: the same commit always gives the same sequence. Holds one path and
  // one tree per level in memory, no blob. Submodules are reported and not
  // entered. Stops with the visitor's error. `invalid` for a path that could
  // leave the tree, `too_large` beyond `max_entries` or 128 levels, `io` for a
  // damaged cache.
  base::Result<void> walk(const Visitor& visit, std::stop_token stop,
                          std::size_t max_entries = kDefaultMaxEntries) const;

  // The bytes of a file, or the target of a symbolic link. `too_large` beyond
  // `max_bytes`.
  base::Result<std::string> read(const TreeEntry& entry, std::uint64_t max_bytes) const;
  // The same without a copy: they are there while `reader` runs, whose error is passed on.
  using Reader = std::function<base::Result<void>(std::string_view)>;
  base::Result<void> read(const TreeEntry& entry, std::uint64_t max_bytes, const Reader& reader) const;

 private:
  friend class RepositoryCache;
  struct State;
  explicit Snapshot(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sluice::git
