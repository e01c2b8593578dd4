#include "archive/detail/folder_sink.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "archive/detail/entry_path.hpp"

namespace sluice::archive::detail {

using base::ErrorKind;
using base::Result;

namespace {

constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

// Why a path could not be made: the archive contradicts itself, or the disk refused.
base::Unexpected cannot_make(int error, std::string_view path) {
  if (error == ENOTDIR || error == ELOOP || error == EISDIR) {
    return file_and_folder(path);
  }
  return os_error(error, "unpacking", path);
}

Result<Fd> open_child(int parent, const std::string& name, std::string_view path) {
  if (::mkdirat(parent, name.c_str(), 0700) != 0 && errno != EEXIST) return cannot_make(errno, path);
  Fd child(::openat(parent, name.c_str(), kFolderFlags));
  if (!child) return cannot_make(errno, path);
  return child;
}

}  // namespace

Result<FolderSink> FolderSink::open(const std::string& root) {
  Fd fd(::open(root.c_str(), kFolderFlags));
  if (!fd) return os_error(errno, "opening", root);
  return FolderSink(std::move(fd));
}

Result<int> FolderSink::enter(std::string_view path) {
  if (path.empty()) return root_.get();
  if (folder_ && folder_path_ == path) return folder_.get();
  Fd current;
  for (std::size_t start = 0; start < path.size();) {
    const std::size_t slash = std::min(path.find('/', start), path.size());
    const int parent = current ? current.get() : root_.get();
    SLUICE_TRY(Fd child, open_child(parent, std::string(path.substr(start, slash - start)), path.substr(0, slash)));
    current = std::move(child);
    start = slash + 1;
  }
  folder_ = std::move(current);
  folder_path_ = path;
  return folder_.get();
}

Result<void> FolderSink::add_folder(const std::string& path) {
  SLUICE_CHECK(enter(path));
  return {};
}

Result<void> FolderSink::begin_file(const Entry& entry) {
  const std::size_t slash = entry.path.rfind('/');
  const bool at_root = slash == std::string::npos;
  SLUICE_TRY(const int parent, enter(at_root ? std::string_view() : std::string_view(entry.path).substr(0, slash)));
  const std::string name = at_root ? entry.path : entry.path.substr(slash + 1);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
  file_ = Fd(::openat(parent, name.c_str(), kFlags, entry.executable ? 0700 : 0600));
  if (!file_) return cannot_make(errno, entry.path);
  // An earlier entry of this path may have left the other mode.
  if (::fchmod(file_.get(), entry.executable ? 0700 : 0600) != 0) return cannot_make(errno, entry.path);
  file_path_ = entry.path;
  return {};
}

Result<void> FolderSink::write(std::string_view bytes) { return FdSink(file_.get(), file_path_).write(bytes); }

}  // namespace sluice::archive::detail
