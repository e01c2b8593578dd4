// What is in an unpacked artifact, by digests: small, and asked without a look at
// the disk. Made while the artifact is unpacked, kept with its Tree.
//
// Two questions are answered:
//   does what was read of another artifact still stand in this one?
//       if (tree->manifest().holds(records)) ...    // base::RecordingView::Records
//   in what do two artifacts differ?
//       const TreeChanges changes = changed_paths(*old_manifest, *new_manifest);
//       if (changes.touch(records)) ...
//
// It is the index of the pack as well, in which the files' bytes stand back to back
// (packed_tree.hpp): content() says where.
//
// Of a file the first 16 bytes of its SHA-256 are kept, so 4000 files take about
// 250 KiB. Of a tree with more than kMaxEntries entries, or whose paths take more
// than kMaxPathBytes, nothing is kept: is_complete() is false, nothing holds in it,
// and it differs from any other in everything.
//
// Immutable; any thread may read. No link is in it: archives are unpacked without.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/unpack.hpp"
#include "base/digest.hpp"
#include "base/file_view.hpp"
#include "base/result.hpp"

namespace sluice::artifact {

class TreeManifest;

// In what a tree answers otherwise than another one did.
class TreeChanges {
 public:
  // True where one of the recorded questions may be answered otherwise now.
  bool touch(const base::RecordingView::Records& records) const;
  // Nothing is known of one of the trees: all may be otherwise.
  bool is_everything() const noexcept { return everything_; }
  // Paths of files that came, went or have other bytes, and of folders that came,
  // went or list others; sorted.
  std::vector<std::string> paths() const;

 private:
  friend TreeChanges changed_paths(const TreeManifest& before, const TreeManifest& after);
  enum Answer : std::uint8_t { kRead = 1, kList = 2, kType = 4 };
  struct Change {
    std::string path;
    std::uint8_t answers = 0;  // those that are other ones now
  };
  std::vector<Change> changes_;  // by path
  bool everything_ = false;
};

class TreeManifest {
 public:
  static constexpr std::size_t kMaxEntries = 100'000;
  static constexpr std::size_t kMaxPathBytes = 8U << 20U;
  static constexpr std::uint64_t kMaxFileSize = 64U << 20U;  // a larger file cannot be read through a Tree

  using Hash = std::array<std::uint8_t, 16>;
  // Where a file's bytes are, if all that was written went into one file.
  struct Content {
    std::uint64_t at = 0;
    std::uint32_t size = 0;
    bool is_large = false;  // more than kMaxFileSize; `size` says nothing then
  };

  // Takes a tree in as it is unpacked. Blocking (hashes). `invalid` where a path is both a file and a folder.
  class Builder final : public archive::TreeSink {
   public:
    base::Result<void> add_folder(const std::string& path) override;
    base::Result<void> begin_file(const archive::Entry& entry) override;
    base::Result<void> write(std::string_view bytes) override;
    // The tree has more than a manifest holds; finish() knows nothing of it.
    bool gave_up() const noexcept { return gave_up_; }
    TreeManifest finish();

   private:
    friend class TreeManifest;
    struct Found {
      bool is_folder = false;
      Content content;  // of a file, as is `digest`
      Hash digest{};
    };
    void end_file();
    base::Result<void> add_parents(std::string_view path);
    void add(std::string path, Found found);

    std::map<std::string, Found, std::less<>> found_;
    std::size_t path_bytes_ = 0;
    std::uint64_t written_ = 0;  // bytes of all files
    bool gave_up_ = false;
    bool in_file_ = false;
    archive::Entry file_;
    std::uint64_t file_at_ = 0;
    base::Hasher hasher_;
  };

  // Nothing is known.
  TreeManifest() = default;
  bool is_complete() const noexcept { return complete_; }
  // Whether a view of this tree would answer every recorded question as it was
  // answered then.
  bool holds(const base::RecordingView::Records& records) const;
  std::size_t files() const noexcept { return files_; }
  // What is at a path; nothing where nothing is.
  std::optional<base::FileType> type(std::string_view path) const;
  // Of a file; nothing where none is.
  std::optional<Content> content(std::string_view path) const;
  // Entries of a folder, sorted by name; none where no folder is.
  std::vector<base::DirEntry> list(std::string_view path) const;
  // Bytes of memory.
  std::size_t memory() const noexcept;

 private:
  friend TreeChanges changed_paths(const TreeManifest& before, const TreeManifest& after);
  enum class Type : std::uint8_t { file, large_file, folder };
  struct Name {
    std::uint32_t at = 0;  // in names_
    std::uint16_t size = 0;
  };
  struct Item {            // of a folder
    std::uint64_t at = 0;  // of a file: Content
    Name name;
    std::uint32_t size = 0;
    Type type = Type::file;
    Hash digest{};
  };
  struct Folder {
    Name path;
    std::uint32_t first = 0;  // of items_
    std::uint32_t count = 0;
    Hash listing{};
  };
  struct Place {  // what is at a path; neither: nothing is
    const Folder* folder = nullptr;
    const Item* item = nullptr;
  };

  std::string_view text(Name name) const { return std::string_view(names_).substr(name.at, name.size); }
  const Folder* find_folder(std::string_view path) const;
  Place find(std::string_view path) const;
  bool answers(std::string_view question, std::string_view record) const;
  static Hash hash_of(std::string_view hex);
  std::vector<base::DirEntry> entries_of(const Folder& folder) const;
  Hash hash_of_listing(const Folder& folder) const;

  std::string names_;
  std::vector<Folder> folders_;  // by path; the first is the root
  std::vector<Item> items_;      // those of a folder together, by name
  std::size_t files_ = 0;
  bool complete_ = false;
};

// Takes time in proportion to both trees; meant to be kept for the pair of digests.
TreeChanges changed_paths(const TreeManifest& before, const TreeManifest& after);

}  // namespace sluice::artifact
