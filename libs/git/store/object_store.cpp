#include "git/store/object_store.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <fstream>
#include <unordered_set>

#include "git/store/folder.hpp"
#include "git/store/libgit2.hpp"
#include "git/store/tree_walk.hpp"

namespace sluice::git::store {

namespace fs = std::filesystem;
using base::ErrorKind;
using base::Result;
using base::unexpected;

namespace {
constexpr const char* kDamagedNote = "damaged";
}

struct PackWriter::State {
  IndexerPtr indexer;
  git_odb* odb = nullptr;
  git_indexer_progress progress{};
  std::uint64_t received = 0;
  std::uint64_t max_bytes = 0;
  wire::Limits limits;

  static int on_progress(const git_indexer_progress*, void* self) {
    return static_cast<State*>(self)->limits.check() ? 0 : GIT_EUSER;
  }

  base::Unexpected failure(std::string_view doing) const {
    if (auto ours = limits.check(); !ours) return unexpected(std::move(ours).error());
    if (is_out_of_memory()) return object_too_large();
    const git_error* error = git_error_last();
    const bool disk = error && error->klass == GIT_ERROR_OS;
    return unexpected(disk ? ErrorKind::io : ErrorKind::unavailable, last_error(doing));
  }
};

struct ObjectStore::State {
  fs::path folder;
  OdbPtr odb;
  RepositoryPtr repository;
  std::vector<Oid> commits;
  std::vector<Oid> shallow;

  fs::path packs() const { return folder / "objects" / "pack"; }
};

PackWriter::PackWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
PackWriter::~PackWriter() = default;
PackWriter::PackWriter(PackWriter&&) noexcept = default;

Result<void> PackWriter::append(std::string_view bytes) {
  state_->received += bytes.size();
  if (state_->received > state_->max_bytes) {
    return unexpected(ErrorKind::too_large, fmt::format("the pack exceeds {} bytes", state_->max_bytes));
  }
  if (git_indexer_append(state_->indexer.get(), bytes.data(), bytes.size(), &state_->progress) < 0) {
    return state_->failure("reading the pack");
  }
  return {};
}

Result<void> PackWriter::commit() {
  if (git_indexer_commit(state_->indexer.get(), &state_->progress) < 0) return state_->failure("completing the pack");
  git_odb_refresh(state_->odb);
  return {};
}

ObjectStore::ObjectStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
ObjectStore::~ObjectStore() = default;
ObjectStore::ObjectStore(ObjectStore&&) noexcept = default;

Result<ObjectStore> ObjectStore::open(const fs::path& folder) {
  const fs::path packs = folder / "objects" / "pack";
  std::error_code error;
  fs::create_directories(packs, error);
  if (error) return unexpected(ErrorKind::io, fmt::format("could not make '{}': {}", packs.string(), error.message()));
  SLUICE_CHECK(remove_leftovers(packs));
  return open_existing(folder);
}

Result<ObjectStore> ObjectStore::open_existing(const fs::path& folder) {
  initialise();
  auto state = std::make_unique<State>();
  state->folder = folder;
  std::error_code ignored;
  if (fs::exists(folder / kDamagedNote, ignored)) return damaged("an object did not read");
  SLUICE_CHECK(check_packs(state->packs()));
  git_odb* odb = nullptr;
  if (git_odb_open(&odb, (folder / "objects").c_str()) < 0) return damaged(last_error("opening the objects"));
  state->odb.reset(odb);
  git_repository* repository = nullptr;
  if (git_repository_wrap_odb(&repository, odb) < 0) return damaged(last_error("opening the objects"));
  state->repository.reset(repository);
  state->commits = read_oids(folder / "commits");
  state->shallow = read_oids(folder / "shallow");
  return ObjectStore(std::move(state));
}

void ObjectStore::mark_damaged() const { std::ofstream(state_->folder / kDamagedNote); }

const std::vector<Oid>& ObjectStore::commits() const { return state_->commits; }
const std::vector<Oid>& ObjectStore::shallow() const { return state_->shallow; }
std::size_t ObjectStore::pack_count() const { return count_packs(state_->packs()); }

bool ObjectStore::holds(const Oid& commit) const {
  return std::find(state_->commits.begin(), state_->commits.end(), commit) != state_->commits.end();
}

Result<PackWriter> ObjectStore::write_pack(std::uint64_t max_bytes, wire::Limits limits) {
  auto writer = std::make_unique<PackWriter::State>();
  writer->odb = state_->odb.get();
  writer->max_bytes = max_bytes;
  writer->limits = std::move(limits);
  git_indexer_options options = GIT_INDEXER_OPTIONS_INIT;
  options.progress_cb = &PackWriter::State::on_progress;
  options.progress_cb_payload = writer.get();
  git_indexer* indexer = nullptr;
  // The object database completes thin packs: deltas against what we have.
  if (git_indexer_new(&indexer, state_->packs().c_str(), 0, state_->odb.get(), &options) < 0) {
    return unexpected(ErrorKind::io, last_error("starting a pack"));
  }
  writer->indexer.reset(indexer);
  return PackWriter(std::move(writer));
}

namespace {

Result<ObjectPtr> read_commit_object(git_repository* repository, const Oid& oid) {
  const git_oid id = to_git_oid(oid);
  git_object* raw = nullptr;
  if (git_object_lookup(&raw, repository, &id, GIT_OBJECT_ANY) < 0) {
    return damaged(last_error(fmt::format("reading commit {}", oid)));
  }
  const ObjectPtr object(raw);
  git_object* commit = nullptr;
  if (git_object_peel(&commit, raw, GIT_OBJECT_COMMIT) < 0) {
    return unexpected(ErrorKind::invalid,
                      fmt::format("{} is a {} and not a commit", oid, git_object_type2string(git_object_type(raw))));
  }
  return ObjectPtr(commit);
}

Result<TreePtr> root_tree(git_repository* repository, const Oid& commit) {
  SLUICE_TRY(const ObjectPtr object, read_commit_object(repository, commit));
  return read_tree(repository, *git_commit_tree_id(reinterpret_cast<const git_commit*>(object.get())));
}

// Every tree and blob below is here. Visits equal trees once.
Result<void> check_closure(git_repository* repository, git_odb* odb, TreePtr root, const wire::Limits& limits) {
  std::unordered_set<Oid> seen;
  std::vector<TreePtr> open;
  open.push_back(std::move(root));
  while (!open.empty()) {
    SLUICE_CHECK(limits.check());
    const TreePtr tree = std::move(open.back());
    open.pop_back();
    for (std::size_t i = 0; i < git_tree_entrycount(tree.get()); ++i) {
      const git_tree_entry* entry = git_tree_entry_byindex(tree.get(), i);
      const git_oid& oid = *git_tree_entry_id(entry);
      if (git_tree_entry_type(entry) == GIT_OBJECT_COMMIT) continue;  // a submodule lives elsewhere
      if (git_tree_entry_type(entry) == GIT_OBJECT_TREE) {
        if (!seen.insert(from_git_oid(oid)).second) continue;
        SLUICE_TRY(TreePtr child, read_tree(repository, oid));
        open.push_back(std::move(child));
      } else if (!git_odb_exists(odb, &oid)) {
        return damaged(fmt::format("blob {} lacks", from_git_oid(oid)));
      }
    }
  }
  return {};
}

Person to_person(const git_signature* signature) {
  if (!signature) return {};
  return {.name = signature->name ? signature->name : "",
          .email = signature->email ? signature->email : "",
          .when = base::TimePoint(std::chrono::seconds(signature->when.time))};
}

}  // namespace

Result<void> ObjectStore::record(const Oid& commit, const std::vector<Oid>& shallow, const wire::Limits& limits) {
  SLUICE_TRY(TreePtr root, root_tree(state_->repository.get(), commit));
  SLUICE_CHECK(check_closure(state_->repository.get(), state_->odb.get(), std::move(root), limits));
  // `shallow` first: what `commits` vouches for must be described truly.
  SLUICE_CHECK(write_oids(state_->folder / "shallow", shallow));
  state_->shallow = shallow;
  auto commits = state_->commits;
  std::erase(commits, commit);
  commits.push_back(commit);
  SLUICE_CHECK(write_oids(state_->folder / "commits", commits));
  state_->commits = std::move(commits);
  return {};
}

bool ObjectStore::has_object(const Oid& oid) const {
  const git_oid id = to_git_oid(oid);
  return git_odb_exists(state_->odb.get(), &id) == 1;
}

Result<Commit> ObjectStore::read_commit(const Oid& oid) const {
  SLUICE_TRY(const ObjectPtr object, read_commit_object(state_->repository.get(), oid));
  const auto* commit = reinterpret_cast<const git_commit*>(object.get());
  const char* message = git_commit_message(commit);
  return Commit{.oid = from_git_oid(*git_commit_id(commit)),
                .author = to_person(git_commit_author(commit)),
                .committer = to_person(git_commit_committer(commit)),
                .message = message ? message : ""};
}

Result<void> ObjectStore::walk(const Oid& commit, const Snapshot::Visitor& visit, std::stop_token stop,
                               std::size_t max_entries) const {
  SLUICE_TRY(TreePtr root, root_tree(state_->repository.get(), commit));
  return walk_tree(state_->repository.get(), std::move(root), visit, std::move(stop), max_entries);
}

Result<void> ObjectStore::read_blob(const Oid& oid, std::uint64_t max_bytes, const Snapshot::Reader& reader) const {
  const git_oid id = to_git_oid(oid);
  std::size_t size = 0;
  git_object_t type = GIT_OBJECT_INVALID;
  if (git_odb_read_header(&size, &type, state_->odb.get(), &id) < 0) {
    return damaged(last_error(fmt::format("reading blob {}", oid)));
  }
  if (size > max_bytes) {
    return unexpected(ErrorKind::too_large, fmt::format("it has {} bytes, more than {}", size, max_bytes));
  }
  git_odb_object* raw = nullptr;
  if (git_odb_read(&raw, state_->odb.get(), &id) < 0) {
    if (is_out_of_memory()) return object_too_large();
    return damaged(last_error(fmt::format("reading blob {}", oid)));
  }
  const BlobPtr blob(raw);
  return reader({static_cast<const char*>(git_odb_object_data(raw)), git_odb_object_size(raw)});
}

}  // namespace sluice::git::store
