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
};

// Resolves "a/./b/../c" against `base` (a folder of the view). `invalid` if it
// is absolute or leaves the root.
Result<std::string> join_path(std::string_view base, std::string_view relative);

// Files held in memory, as path -> bytes. Folders exist through their files.
std::unique_ptr<FileView> make_memory_view(std::map<std::string, std::string, std::less<>> files);

// Files below a folder of this machine. Symbolic links are followed only while
// they stay below it. `max_file_size` in bytes bounds one read.
Result<std::unique_ptr<FileView>> make_disk_view(const std::string& root, std::uint64_t max_file_size = 64U << 20U);

// Passes on to another view and remembers what was asked and answered, so that
// a caller can prove that a result still stands.
class RecordingView final : public FileView {
 public:
  explicit RecordingView(const FileView& inner) : inner_(inner) {}
  Result<std::string> read(std::string_view path) const override;
  Result<std::vector<DirEntry>> list(std::string_view path) const override;
  Result<FileType> type(std::string_view path) const override;

  // Path -> sha256 hex of what was read there ("-" for "nothing is there");
  // a listing is recorded under its path with a trailing '/'.
  const std::map<std::string, std::string, std::less<>>& records() const { return records_; }
  // True if `view` would answer every recorded question as before.
  static bool still_holds(const std::map<std::string, std::string, std::less<>>& records, const FileView& view);

 private:
  const FileView& inner_;
  mutable std::map<std::string, std::string, std::less<>> records_;
};

}  // namespace sluice::base
