#include "git/repository_cache.hpp"

#include <fmt/core.h>

#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "base/digest.hpp"
#include "git/store/snapshot_state.hpp"
#include "git/wire/remote_state.hpp"

namespace sluice::git {

namespace fs = std::filesystem;
using base::ErrorKind;
using base::Result;
using base::unexpected;
using store::FileLock;
using store::ObjectStore;

namespace {

// Naming more of our commits costs bytes in each request and gains little: the
// newest ones are what a new commit resembles.
constexpr std::size_t kMaxHaves = 16;
constexpr std::string_view kScratchPrefix = ".history-";

fs::path lock_file(const fs::path& folder) { return folder.string() + ".lock"; }

Result<void> remove_copy(const fs::path& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  if (error)
    return unexpected(ErrorKind::io, fmt::format("could not remove '{}': {}", folder.string(), error.message()));
  return {};
}

bool is_damaged(const base::Error& error) { return error.reason == ObjectStore::kDamaged; }

// Opens a copy for writing; a damaged or overgrown one is started anew.
Result<ObjectStore> open_for_fetch(const fs::path& folder, const CacheLimits& limits) {
  auto opened = ObjectStore::open(folder);
  const bool damaged = !opened && is_damaged(opened.error());
  const bool overgrown = opened && opened->pack_count() > limits.max_packs;
  if (!damaged && !overgrown) return opened;
  SLUICE_CHECK(remove_copy(folder));
  return ObjectStore::open(folder);
}

std::vector<Oid> shallow_after(const std::vector<Oid>& before, const wire::ShallowUpdate& update) {
  std::set<Oid> now(before.begin(), before.end());
  now.insert(update.shallow.begin(), update.shallow.end());
  for (const auto& oid : update.unshallow) now.erase(oid);
  return {now.begin(), now.end()};
}

// The tips whose history may hold a commit that nothing points to.
Result<std::vector<Oid>> tips_to_search(const RefList& refs, const Target& target) {
  std::vector<Oid> tips;
  for (const auto& ref : refs.refs) {
    if (target.ref.empty() ? ref.name.starts_with("refs/heads/") : ref.name == target.ref) tips.push_back(ref.oid);
  }
  std::sort(tips.begin(), tips.end());
  tips.erase(std::unique(tips.begin(), tips.end()), tips.end());
  if (tips.empty()) {
    return unexpected(ErrorKind::not_found, target.ref.empty() ? "the repository has no branch"
                                                               : fmt::format("reference '{}' not found", target.ref));
  }
  return tips;
}

base::Unexpected commit_missing(const Endpoint& endpoint, const Target& target) {
  const auto where = target.ref.empty() ? std::string("any branch") : fmt::format("'{}'", target.ref);
  return unexpected(ErrorKind::not_found,
                    fmt::format("commit '{}' was not found in {} of '{}'", target.commit, where, endpoint.display()));
}

// A folder for a while.
class ScratchFolder {
 public:
  static Result<ScratchFolder> create_in(const fs::path& parent) {
    std::string path = (parent / (std::string(kScratchPrefix) + "XXXXXX")).string();
    if (::mkdtemp(path.data()) == nullptr) {
      return unexpected(ErrorKind::io, fmt::format("could not make '{}': {}", path, std::strerror(errno)));
    }
    return ScratchFolder(std::move(path));
  }
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  const fs::path& path() const { return path_; }

 private:
  explicit ScratchFolder(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

// One fetch into one copy, under its exclusive lock.
class Fetch {
 public:
  Fetch(Remote::State& remote, const Target& target, ObjectStore& store, const CacheLimits& limits)
      : remote_(remote), target_(target), store_(store), limits_(limits) {}

  Result<void> run() {
    // History that an earlier search brought may hold it already.
    const bool may_be_here = !target_.advertised && store_.has_object(target_.commit);
    if (may_be_here && store_.record(target_.commit, store_.shallow(), remote_.limits)) {
      return {};
    }
    auto direct = transfer({target_.wanted}, 1);
    const bool search = !direct && direct.error().kind == ErrorKind::not_found && !target_.advertised;
    if (!search) return direct;
    if (!remote_.connection->stateless()) SLUICE_CHECK(remote_.open());
    SLUICE_TRY(const auto tips, tips_to_search(remote_.advertisement.refs, target_));
    return transfer(tips, wire::kWholeHistory);
  }

 private:
  Result<void> transfer(std::vector<Oid> wants, int depth) {
    const auto& commits = store_.commits();
    const auto first = commits.size() > kMaxHaves ? commits.end() - kMaxHaves : commits.begin();
    const wire::FetchRequest request{.wants = std::move(wants),
                                     .haves = {first, commits.end()},
                                     .shallow = store_.shallow(),
                                     .depth = depth,
                                     .commits_only = false};
    SLUICE_TRY(auto pack, store_.write_pack(limits_.max_pack_bytes, remote_.limits));
    SLUICE_TRY(const auto update, remote_.fetch(request, [&](std::string_view bytes) { return pack.append(bytes); }));
    auto committed = pack.commit();
    if (!committed) {
      const auto doing = fmt::format("fetching from '{}'", remote_.endpoint.display());
      return unexpected(std::move(committed).error().with_context(doing));
    }
    if (!store_.has_object(target_.commit)) return commit_missing(remote_.endpoint, target_);
    return store_.record(target_.commit, shallow_after(store_.shallow(), update), remote_.limits);
  }

  Remote::State& remote_;
  const Target& target_;
  ObjectStore& store_;
  const CacheLimits& limits_;
};

}  // namespace

RepositoryCache::RepositoryCache(fs::path folder, CacheLimits limits) : folder_(std::move(folder)), limits_(limits) {}

fs::path RepositoryCache::folder_of(const Endpoint& endpoint) const {
  return folder_ / base::sha256_hex(endpoint.cache_key()).substr(0, 40);
}

// Opens the commit if the copy vouches for it; nothing if it does not.
Result<std::optional<Snapshot>> RepositoryCache::open(const fs::path& folder, const Oid& commit,
                                                      const FileLock::KeepWaiting& keep_waiting) const {
  SLUICE_TRY(FileLock lock, FileLock::acquire(lock_file(folder), FileLock::Mode::shared, keep_waiting));
  std::error_code ignored;
  if (!fs::exists(folder, ignored)) return std::optional<Snapshot>();
  auto opened = ObjectStore::open_existing(folder);
  if (!opened && is_damaged(opened.error())) return std::optional<Snapshot>();
  if (!opened) return unexpected(std::move(opened).error());
  if (!opened->holds(commit)) return std::optional<Snapshot>();
  auto read = opened->read_commit(commit);
  if (!read && is_damaged(read.error())) {
    opened->mark_damaged();
    return std::optional<Snapshot>();
  }
  if (!read) return unexpected(std::move(read).error());
  return std::optional(Snapshot(std::make_unique<Snapshot::State>(
      Snapshot::State{.lock = std::move(lock), .store = *std::move(opened), .commit = *std::move(read)})));
}

Result<void> RepositoryCache::update(Remote::State& remote, const Target& target, const fs::path& folder) const {
  SLUICE_TRY(const FileLock lock,
             FileLock::acquire(lock_file(folder), FileLock::Mode::exclusive, [&] { return remote.limits.check(); }));
  SLUICE_TRY(auto store, open_for_fetch(folder, limits_));
  if (store.holds(target.commit)) return {};  // somebody else has just fetched it
  auto fetched = Fetch(remote, target, store, limits_).run();
  if (fetched || !is_damaged(fetched.error())) return fetched;
  // What we told the server that we have, we have not: start from nothing.
  SLUICE_CHECK(remove_copy(folder));
  SLUICE_CHECK(remote.open());
  SLUICE_TRY(auto fresh, ObjectStore::open(folder));
  return Fetch(remote, target, fresh, limits_).run();
}

// All that the reference's history has is fetched, and nothing else: what is in it is in the history.
Result<void> RepositoryCache::prove(Remote::State& remote, const Target& target) const {
  SLUICE_TRY(const ScratchFolder scratch, ScratchFolder::create_in(folder_));
  SLUICE_TRY(auto store, ObjectStore::open(scratch.path()));
  const wire::FetchRequest request{.wants = {target.must_be_found_from},
                                   .haves = {},
                                   .shallow = {},
                                   .depth = wire::kWholeHistory,
                                   .commits_only = true};
  SLUICE_TRY(auto pack, store.write_pack(limits_.max_pack_bytes, remote.limits));
  SLUICE_CHECK(remote.fetch(request, [&](std::string_view bytes) { return pack.append(bytes); }));
  SLUICE_CHECK(pack.commit());
  if (!store.has_object(target.commit)) return commit_missing(remote.endpoint, target);
  // That conversation is over.
  if (!remote.connection->stateless()) SLUICE_CHECK(remote.open());
  return {};
}

Result<Snapshot> RepositoryCache::fetch(Remote& remote, const Target& target) const {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error)
    return unexpected(ErrorKind::io, fmt::format("could not make '{}': {}", folder_.string(), error.message()));
  if (!target.must_be_found_from.empty()) SLUICE_CHECK(prove(*remote.state_, target));
  const fs::path folder = folder_of(remote.endpoint());
  const auto keep_waiting = [&] { return remote.state_->limits.check(); };
  for (;;) {
    SLUICE_TRY(auto here, open(folder, target.commit, keep_waiting));
    if (here) return *std::move(here);
    SLUICE_CHECK(keep_waiting());
    auto updated = update(*remote.state_, target, folder);
    if (updated) continue;
    const bool is_no_commit = updated.error().kind == ErrorKind::invalid && !target.ref.empty();
    if (!is_no_commit) return unexpected(std::move(updated).error());
    return unexpected(std::move(updated).error().with_context(fmt::format("reference '{}'", target.ref)));
  }
}

Result<std::optional<Snapshot>> RepositoryCache::find(const Endpoint& endpoint, const Oid& commit,
                                                      std::stop_token stop) const {
  const fs::path folder = folder_of(endpoint);
  std::error_code ignored;
  if (!fs::exists(folder, ignored)) return std::optional<Snapshot>();
  // Somebody who fetches holds the lock; what he fetches may be what is asked for.
  const auto keep_waiting = [&stop]() -> Result<void> {
    if (stop.stop_requested()) return unexpected(ErrorKind::cancelled, "waiting for the local copy");
    return {};
  };
  return open(folder, commit, keep_waiting);
}

Result<std::size_t> RepositoryCache::collect(std::chrono::seconds unused_for) const {
  std::size_t removed = 0;
  std::error_code error;
  const auto oldest = fs::file_time_type::clock::now() - unused_for;
  const auto do_not_wait = [] { return Result<void>(unexpected(ErrorKind::conflict, "in use")); };
  for (fs::directory_iterator at(folder_, error), end; !error && at != end; at.increment(error)) {
    std::error_code gone;
    if (at->path().filename().string().starts_with(kScratchPrefix) && fs::last_write_time(at->path(), gone) <= oldest) {
      SLUICE_CHECK(remove_copy(at->path()));
      ++removed;
      continue;
    }
    if (at->path().extension() != ".lock" || fs::last_write_time(at->path(), gone) > oldest || gone) continue;
    const auto lock = FileLock::acquire(at->path(), FileLock::Mode::exclusive, do_not_wait);
    if (!lock) continue;
    SLUICE_CHECK(remove_copy(fs::path(at->path()).replace_extension()));
    fs::remove(at->path(), gone);
    ++removed;
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return unexpected(ErrorKind::io, fmt::format("could not list '{}': {}", folder_.string(), error.message()));
  }
  return removed;
}

}  // namespace sluice::git
