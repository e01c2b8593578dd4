// The objects of one repository on disk, and the only code that calls libgit2.
//
// Layout of the folder, each file replaced as a whole (write, rename):
//   objects/   a Git object database (packs)
//   shallow    commits whose parents are not here, one a line
//   commits    commits whose whole tree is here, one a line, the newest last
// A kill at any instruction leaves at worst a pack that `commits` does not
// vouch for, or a temporary file that the next opening removes.
//
// Not thread-safe per object; any number of objects may be open on one folder
// for reading. libgit2 is initialised on first use and never shut down. What it
// may allocate at once is bounded (kMaxObjectBytes): a pack of some kilobytes can
// describe an object of gigabytes.
#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "git/refs.hpp"
#include "git/snapshot.hpp"
#include "git/wire/limits.hpp"

namespace sluice::git::store {

class PackWriter {
 public:
  ~PackWriter();
  PackWriter(PackWriter&&) noexcept;

  // `unavailable` if the bytes are not a pack, `too_large` beyond the bound or for an
  // object of more than kMaxObjectBytes, `io`.
  base::Result<void> append(std::string_view bytes);
  // Makes the objects visible, all at once. `unavailable` if the pack is truncated.
  base::Result<void> commit();

 private:
  friend class ObjectStore;
  struct State;
  explicit PackWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class ObjectStore {
 public:
  // Opens the folder, creating what lacks. Removes what a killed process left
  // behind. Returns an Error with the reason kDamaged if what is there can not
  // be trusted: a truncated pack, or a note left by mark_damaged().
  static base::Result<ObjectStore> open(const std::filesystem::path& folder);
  // For readers: changes nothing on disk.
  static base::Result<ObjectStore> open_existing(const std::filesystem::path& folder);
  ~ObjectStore();
  ObjectStore(ObjectStore&&) noexcept;

  // A store whose objects fail to read is `io` with this reason; the folder
  // should be removed and fetched anew.
  static constexpr std::string_view kDamaged = "DamagedObjectStore";

  // Leaves a note that makes the next opening fail as damaged.
  void mark_damaged() const;

  // Commits whose whole tree is here, the newest last.
  const std::vector<Oid>& commits() const;
  const std::vector<Oid>& shallow() const;
  bool holds(const Oid& commit) const;
  std::size_t pack_count() const;

  base::Result<PackWriter> write_pack(std::uint64_t max_bytes, wire::Limits limits);
  bool has_object(const Oid& oid) const;
  // Checks that the commit and all that its tree names are here, then vouches
  // for it. Damaged (see above) if an object lacks; what `limits` say.
  base::Result<void> record(const Oid& commit, const std::vector<Oid>& shallow, const wire::Limits& limits);

  // Follows tags to a commit. `invalid` if it leads to something else.
  base::Result<Commit> read_commit(const Oid& oid) const;
  base::Result<void> walk(const Oid& commit, const Snapshot::Visitor& visit, std::stop_token stop,
                          std::size_t max_entries) const;
  base::Result<void> read_blob(const Oid& oid, std::uint64_t max_bytes, const Snapshot::Reader& reader) const;

 private:
  struct State;
  explicit ObjectStore(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sluice::git::store
