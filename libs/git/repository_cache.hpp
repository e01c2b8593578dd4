// The local copies of remote repositories: objects only, no work trees.
//
// Per repository (by URL, without credentials) one folder. The first fetch is
// shallow: one commit. Later ones bring what the new commit has and the known
// ones have not. History is never needed: a force-pushed branch is a new
// commit like any other.
//
// Safe against kill -9: see store/object_store.hpp. A damaged copy is
// noticed when opened, fetched into or read, and replaced by a new fetch.
// A file lock per repository lets one fetch run at a time, also between
// processes, and readers beside each other.
//
// Sharing a copy between users of one URL gives nobody access: who can not list
// the repository's references with own credentials gets no Remote to fetch with.
//
// Blocking; safe from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>

#include "base/result.hpp"
#include "git/remote.hpp"
#include "git/snapshot.hpp"

namespace sluice::git {

struct CacheLimits {
  std::uint64_t max_pack_bytes = 4ULL << 30U;  // of one fetch
  // Beyond so many fetched packs a copy is dropped and fetched anew, which
  // bounds what dead history can occupy.
  std::size_t max_packs = 50;
};

class RepositoryCache {
 public:
  explicit RepositoryCache(std::filesystem::path folder, CacheLimits limits = {});

  // Makes the target's commit available and opens it. Talks to the server only
  // if the commit is not here yet. A commit that no reference points to is
  // asked for by its id and, where the server refuses that, searched for in
  // the whole history of the target's branch (of all branches if it has none).
  //
  // Where the target's commit must be in the history of its reference, that is proven
  // first, also if the commit is here: by the commits alone where the server can send
  // those, else by the whole history.
  //
  // Error kinds: those of Remote; `not_found` if the commit is not in the
  // repository, or not in that history; `too_large`; `io` for the local disk;
  // `invalid` if the target is not a commit.
  base::Result<Snapshot> fetch(Remote& remote, const Target& target) const;

  // The commit, if a copy of the repository holds it already: no network. For
  // whoever has listed the references with credentials of its own.
  base::Result<std::optional<Snapshot>> find(const Endpoint& endpoint, const Oid& commit, std::stop_token stop) const;

  // Removes copies that nothing has used for so long, and what killed processes left.
  // Returns how many.
  base::Result<std::size_t> collect(std::chrono::seconds unused_for) const;

  // Where the copy of a repository lies.
  std::filesystem::path folder_of(const Endpoint& endpoint) const;

 private:
  base::Result<std::optional<Snapshot>> open(const std::filesystem::path& folder, const Oid& commit,
                                             const std::function<base::Result<void>()>& keep_waiting) const;
  base::Result<void> update(Remote::State& remote, const Target& target, const std::filesystem::path& folder) const;
  base::Result<void> prove(Remote::State& remote, const Target& target) const;

  std::filesystem::path folder_;
  CacheLimits limits_;
};

}  // namespace sluice::git
