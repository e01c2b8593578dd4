// A read-only tree of files, and what was read of it.
//
// Engines (kustomize, helm) see the world only through a FileView, so a build
// is a pure function of the bytes that it read. Paths are relative to the
// view's root, separated by '/', without "." or ".." segments and without a
// leading '/'; "" is the root. Nothing outside of the root can be named.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace sluice::base {

enum class FileType { file, directory };

struct DirEntry {
  std::string name;
  FileType type = FileType::file;
};

class FileView {
 public:
  virtual ~FileView() = default;

  // Bytes of a regular file. `not_found`, `invalid` (it is a folder, or a
  // symbolic link that leaves the root), `too_large`, `io`.
  virtual Result<std::string> read(std::string_view path) const = 0;
  // Entries of a folder, sorted by name in byte order.
  virtual Result<std::vector<DirEntry>> list(std::string_view path) const = 0;
  // Type of what is at a path; `not_found` where nothing is.
  virtual Result<FileType> type(std::string_view path) const = 0;
  // The path that leads to the same without symbolic links: where ".." leads on from.
  virtual Result<std::string> real_path(std::string_view path) const { return std::string(path); }
};

// True for a path of the form above.
bool is_plain_path(std::string_view path);

// Resolves "a/./b/../c" against `base` (a folder of the view). `invalid` if it
// is absolute or leaves the root.
Result<std::string> join_path(std::string_view base, std::string_view relative);

// Files held in memory, as path -> bytes. Folders exist through their files.
std::unique_ptr<FileView> make_memory_view(std::map<std::string, std::string, std::less<>> files);

// Files below a folder of this machine. Symbolic links are followed only while
// they stay below it, and nobody who changes the tree meanwhile can lead a read
// out of it; an absolute link is taken to leave it. `max_file_size` in bytes
// bounds one read. Blocks; safe from several threads.
Result<std::unique_ptr<FileView>> make_disk_view(const std::string& root, std::uint64_t max_file_size = 64U << 20U);

// A whole tree by its content: "path" -> sha256 hex for a file, "path/" -> ""
// for a folder (those that hold files may be left out).
using DigestMap = std::map<std::string, std::string, std::less<>>;

// Reads and hashes all there is. Blocks. `io`, `too_large` (a million entries,
// or 64 levels), `cancelled`. What cannot be read for another reason has its
// record (see RecordingView) in place of a digest.
Result<DigestMap> digest_tree(const FileView& view, std::stop_token stop = {});

// Passes on to another view and remembers what was asked and answered, so that
// a caller can prove that a result still stands. For one thread.
class RecordingView final : public FileView {
 public:
  // What was asked -> what was answered. "path": it was read, "path/": listed,
  // "path//": its type was asked for, "path///": its real path. The answer is the sha256 hex of bytes or
  // listing, "file" or "directory", the real path, "-" for "nothing is there", or "!" and the
  // kind of another error. Questions about paths that no tree can have
  // ("..", "/x") are not recorded.
  using Records = std::map<std::string, std::string, std::less<>>;

  explicit RecordingView(const FileView& inner) : inner_(inner) {}
  Result<std::string> read(std::string_view path) const override;
  Result<std::vector<DirEntry>> list(std::string_view path) const override;
  Result<FileType> type(std::string_view path) const override;
  Result<std::string> real_path(std::string_view path) const override;

  const Records& records() const { return records_; }
  // True if `view` would answer every recorded question as before. Reads every
  // file again. After an I/O error nothing holds: nobody knows what is there.
  static bool still_holds(const Records& records, const FileView& view);
  // The same without a look at any file. Links can't be seen in such a tree:
  // records of what was reached through one don't hold.
  static bool still_holds(const Records& records, const DigestMap& tree);

 private:
  const FileView& inner_;
  mutable Records records_;
};

}  // namespace sluice::base
