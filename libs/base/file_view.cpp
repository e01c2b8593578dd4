#include "base/file_view.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/detail/open_beneath.hpp"
#include "base/digest.hpp"

namespace sluice::base {
namespace {

using detail::Fd;

std::string quote(std::string_view path) { return fmt::format("'{}'", path.empty() ? "." : path); }
Unexpected no_such_file(std::string_view path) {
  return unexpected(ErrorKind::not_found, quote(path) + ": no such file or folder");
}
Unexpected is_a_folder(std::string_view path) { return unexpected(ErrorKind::invalid, quote(path) + " is a folder"); }
Unexpected is_a_file(std::string_view path) {
  return unexpected(ErrorKind::invalid, quote(path) + " is a file, not a folder");
}

class MemoryView final : public FileView {
 public:
  explicit MemoryView(std::map<std::string, std::string, std::less<>> files) : files_(std::move(files)) {}

  Result<std::string> read(std::string_view path) const override {
    const auto found = files_.find(path);
    if (found != files_.end()) return found->second;
    if (is_folder(path)) return is_a_folder(path);
    return no_such_file(path);
  }

  Result<std::vector<DirEntry>> list(std::string_view path) const override {
    if (files_.contains(path)) return is_a_file(path);
    if (!is_folder(path)) return no_such_file(path);
    const std::string prefix = path.empty() ? std::string() : std::string(path) + "/";
    std::vector<DirEntry> entries;
    for (auto it = files_.lower_bound(prefix); it != files_.end() && it->first.starts_with(prefix); ++it) {
      const std::string_view rest = std::string_view(it->first).substr(prefix.size());
      const std::size_t slash = rest.find('/');
      const std::string name(rest.substr(0, slash));
      if (!entries.empty() && entries.back().name == name) continue;
      entries.push_back({name, slash == std::string_view::npos ? FileType::file : FileType::directory});
    }
    // "a-b" sorts before "a/..." as a key but after "a" as a name.
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    entries.erase(
        std::unique(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name == b.name; }),
        entries.end());
    return entries;
  }

  Result<FileType> type(std::string_view path) const override {
    if (files_.contains(path)) return FileType::file;
    if (is_folder(path)) return FileType::directory;
    return no_such_file(path);
  }

 private:
  bool is_folder(std::string_view path) const {
    if (path.empty()) return true;
    const std::string prefix = std::string(path) + "/";
    const auto it = files_.lower_bound(prefix);
    return it != files_.end() && it->first.starts_with(prefix);
  }
  std::map<std::string, std::string, std::less<>> files_;
};

class DiskView final : public FileView {
 public:
  DiskView(Fd root, bool root_is_all, std::uint64_t max_file_size)
      : root_(std::move(root)), root_is_all_(root_is_all), max_file_size_(max_file_size) {}

  Result<std::string> read(std::string_view path) const override {
    // O_NONBLOCK: opening a FIFO would wait for somebody to write to it.
    SLUICE_TRY(const Fd file, open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
    SLUICE_TRY(const struct stat status, status_of(file, path));
    if (S_ISDIR(status.st_mode)) return is_a_folder(path);
    if (!S_ISREG(status.st_mode)) return unexpected(ErrorKind::invalid, quote(path) + " is not a regular file");
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size > max_file_size_) return too_large(path, size);
    return read_all(file, path, size);
  }

  Result<std::vector<DirEntry>> list(std::string_view path) const override {
    SLUICE_TRY(Fd folder, open(path, O_PATH));
    SLUICE_TRY(const struct stat status, status_of(folder, path));
    if (!S_ISDIR(status.st_mode)) return is_a_file(path);
    Fd readable(::openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!readable) return system_error(path, errno);
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(readable.get()), ::closedir);
    if (!stream) return system_error(path, errno);
    readable.release();  // the stream's now
    std::vector<DirEntry> entries;
    errno = 0;
    while (const dirent* entry = ::readdir(stream.get())) {
      const std::string_view name(entry->d_name);
      if (name != "." && name != "..") entries.push_back({std::string(name), type_of(*entry, path)});
      errno = 0;
    }
    if (errno != 0) return system_error(path, errno);
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return entries;
  }

  Result<FileType> type(std::string_view path) const override {
    SLUICE_TRY(const Fd file, open(path, O_PATH));
    SLUICE_TRY(const struct stat status, status_of(file, path));
    return S_ISDIR(status.st_mode) ? FileType::directory : FileType::file;
  }

  Result<std::string> real_path(std::string_view path) const override {
    if (is_plain_path(path) && detail::is_without_links(root_.get(), std::string(path))) return std::string(path);
    SLUICE_TRY(const Fd file, open(path, O_PATH));
    SLUICE_TRY(const std::string real, place_of(file, path));
    std::string root = "/";
    if (!root_is_all_) {
      SLUICE_TRY(root, place_of(root_, path));
    }
    if (real == root) return std::string();
    if (!root.ends_with('/')) root += '/';
    if (real.starts_with(root)) return real.substr(root.size());
    return std::filesystem::path(real).lexically_relative(root).string();
  }

 private:
  static Unexpected system_error(std::string_view path, int error) {
    switch (error) {
      case ENOENT:
      case ENOTDIR:
      case ENAMETOOLONG: return no_such_file(path);
      case EXDEV: return unexpected(ErrorKind::invalid, quote(path) + " is a symbolic link that leaves the root");
      case ELOOP: return unexpected(ErrorKind::invalid, quote(path) + " is a symbolic link that leads in a circle");
      default: return unexpected(ErrorKind::io, fmt::format("{}: {}", quote(path), std::strerror(error)));
    }
  }

  // Where an open file is on this machine, as the kernel knows it.
  static Result<std::string> place_of(const Fd& file, std::string_view path) {
    const std::string link = fmt::format("/proc/self/fd/{}", file.get());
    std::string place(128, '\0');
    while (true) {
      const ssize_t size = ::readlink(link.c_str(), place.data(), place.size());
      if (size < 0) return unexpected(ErrorKind::io, fmt::format("{}: {}", quote(path), std::strerror(errno)));
      if (static_cast<std::size_t>(size) < place.size()) {
        place.resize(static_cast<std::size_t>(size));
        return place;
      }
      place.resize(place.size() * 2);
    }
  }

  Unexpected too_large(std::string_view path, std::uint64_t size) const {
    return unexpected(ErrorKind::too_large,
                      fmt::format("{} has {} bytes, more than {}", quote(path), size, max_file_size_));
  }

  Result<Fd> open(std::string_view path, int flags) const {
    if (!is_plain_path(path)) {
      return unexpected(ErrorKind::invalid, quote(path) + " is not a plain path below the root");
    }
    Fd file = detail::open_beneath(root_.get(), root_is_all_, path, flags);
    if (!file) return system_error(path, errno);
    return file;
  }

  static Result<struct stat> status_of(const Fd& file, std::string_view path) {
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return system_error(path, errno);
    return status;
  }

  // The file may grow while it is read: the bound counts what came.
  Result<std::string> read_all(const Fd& file, std::string_view path, std::uint64_t expected) const {
    std::string bytes(static_cast<std::size_t>(expected) + 1, '\0');
    std::size_t filled = 0;
    while (true) {
      const ssize_t got = ::read(file.get(), bytes.data() + filled, bytes.size() - filled);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return system_error(path, errno);
      if (got == 0) break;
      filled += static_cast<std::size_t>(got);
      if (filled > max_file_size_) return too_large(path, filled);
      if (filled == bytes.size()) bytes.resize(bytes.size() * 2);
    }
    bytes.resize(filled);
    return bytes;
  }

  // A link that dangles or leaves the root is listed as a file; reading it says what it is.
  FileType type_of(const dirent& entry, std::string_view folder) const {
    if (entry.d_type == DT_DIR) return FileType::directory;
    if (entry.d_type != DT_LNK && entry.d_type != DT_UNKNOWN) return FileType::file;
    const std::string path = folder.empty() ? entry.d_name : fmt::format("{}/{}", folder, entry.d_name);
    const auto found = type(path);
    return found ? *found : FileType::file;
  }

  Fd root_;
  bool root_is_all_;  // "/": nothing is outside
  std::uint64_t max_file_size_;
};

// --- records: what a view answered, as text ---

constexpr std::string_view kNothing = "-";
constexpr std::string_view kUncertain = "!i/o";  // record_of(ErrorKind::io)

// An error that is a fact about the tree is recorded as such. One of the disk
// is none, and never stands.
std::string record_of(const Error& error) {
  if (error.kind == ErrorKind::not_found) return std::string(kNothing);
  return "!" + std::string(to_string(error.kind));
}
std::string record_of(const Result<std::string>& answer) {
  return answer ? sha256_hex(*answer) : record_of(answer.error());
}
std::string record_of_path(const Result<std::string>& answer) { return answer ? *answer : record_of(answer.error()); }
std::string record_of(const Result<FileType>& answer) {
  if (!answer) return record_of(answer.error());
  return *answer == FileType::file ? "file" : "directory";
}
std::string record_of(const Result<std::vector<DirEntry>>& answer) {
  if (!answer) return record_of(answer.error());
  Hasher hasher;
  for (const DirEntry& entry : *answer) {
    hasher.update(entry.name);
    hasher.update(entry.type == FileType::file ? std::string_view("\0f", 2) : std::string_view("\0d", 2));
  }
  return hasher.finish_hex();
}

// A tree of which only the digests are known, answering as a view would.
class DigestedTree {
 public:
  explicit DigestedTree(const DigestMap& tree) : tree_(tree) {}

  std::string read(std::string_view path) const {
    if (const auto found = tree_.find(path); found != tree_.end()) return found->second;
    return is_folder(path) ? "!invalid" : std::string(kNothing);
  }
  std::string type(std::string_view path) const {
    if (tree_.contains(path)) return "file";
    return is_folder(path) ? "directory" : std::string(kNothing);
  }
  std::string list(std::string_view path) const {
    if (tree_.contains(path)) return "!invalid";
    if (!is_folder(path)) return std::string(kNothing);
    const std::string prefix = path.empty() ? std::string() : std::string(path) + "/";
    std::map<std::string_view, FileType> entries;
    for (auto it = tree_.lower_bound(prefix); it != tree_.end() && it->first.starts_with(prefix);) {
      const std::string_view rest = std::string_view(it->first).substr(prefix.size());
      const std::size_t slash = rest.find('/');
      if (rest.empty()) {  // the folder itself
        ++it;
      } else if (slash == std::string_view::npos) {
        entries.emplace(rest, FileType::file);
        ++it;
      } else {
        entries.emplace(rest.substr(0, slash), FileType::directory);
        // Past all that is below it: '0' follows '/'.
        it = tree_.lower_bound(prefix + std::string(rest.substr(0, slash)) + "0");
      }
    }
    std::vector<DirEntry> sorted;
    for (const auto& [name, type] : entries) sorted.push_back({std::string(name), type});
    return record_of(Result<std::vector<DirEntry>>(std::move(sorted)));
  }

 private:
  bool is_folder(std::string_view path) const {
    if (path.empty()) return true;
    const std::string prefix = std::string(path) + "/";
    const auto it = tree_.lower_bound(prefix);
    return it != tree_.end() && it->first.starts_with(prefix);
  }
  const DigestMap& tree_;
};

// Asks `tree` every recorded question. The key tells the question: "path" was
// read, "path/" listed, of "path//" the type was asked and of "path///" the real path. No clean path ends so.
template <class Read, class List, class Type, class RealPath>
bool all_stand(const RecordingView::Records& records, const Read& read, const List& list, const Type& type,
               const RealPath& real_path) {
  return std::all_of(records.begin(), records.end(), [&](const auto& entry) {
    const auto& [key, record] = entry;
    if (record == kUncertain) return false;
    const std::string_view path(key);
    if (path.ends_with("///")) return real_path(path.substr(0, path.size() - 3)) == record;
    if (path.ends_with("//")) return type(path.substr(0, path.size() - 2)) == record;
    if (path.ends_with('/')) return list(path.substr(0, path.size() - 1)) == record;
    return read(path) == record;
  });
}

constexpr std::size_t kMaxDepth = 64;  // links to a parent folder make trees without end
constexpr std::size_t kMaxEntries = 1'000'000;

Result<void> digest_folder(const FileView& view, const std::string& folder, std::size_t depth, std::stop_token stop,
                           DigestMap& tree) {
  if (depth > kMaxDepth) return unexpected(ErrorKind::too_large, quote(folder) + " is nested too deeply");
  SLUICE_TRY(const auto entries, view.list(folder));
  for (const DirEntry& entry : entries) {
    if (stop.stop_requested()) return unexpected(ErrorKind::cancelled, "cancelled while hashing files");
    if (tree.size() >= kMaxEntries) return unexpected(ErrorKind::too_large, "the tree has over a million entries");
    std::string path = folder.empty() ? entry.name : folder + "/" + entry.name;
    if (entry.type == FileType::directory) {
      tree.emplace(path + "/", "");
      SLUICE_CHECK(digest_folder(view, path, depth + 1, stop, tree));
      continue;
    }
    const auto bytes = view.read(path);
    if (!bytes && bytes.error().kind == ErrorKind::io) return unexpected(bytes.error());
    tree.emplace(std::move(path), record_of(bytes));
  }
  return {};
}

}  // namespace

bool is_plain_path(std::string_view path) {
  if (path.find('\0') != std::string_view::npos) return false;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    if (segment.empty() || segment == "." || segment == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
    if (path.empty()) return false;
  }
  return true;
}

Result<std::string> join_path(std::string_view base, std::string_view relative) {
  if (relative.starts_with('/')) {
    return unexpected(ErrorKind::invalid, quote(relative) + " is absolute; a path must be relative");
  }
  std::vector<std::string_view> segments;
  for (std::string_view part : {base, relative}) {
    while (!part.empty()) {
      const std::size_t slash = part.find('/');
      const std::string_view segment = part.substr(0, slash);
      part = slash == std::string_view::npos ? std::string_view() : part.substr(slash + 1);
      if (segment.empty() || segment == ".") continue;
      if (segment != "..") {
        segments.push_back(segment);
      } else if (!segments.empty()) {
        segments.pop_back();
      } else {
        return unexpected(ErrorKind::invalid, fmt::format("'{}' in '{}' leaves the root", relative, base));
      }
    }
  }
  return fmt::format("{}", fmt::join(segments, "/"));
}

std::unique_ptr<FileView> make_memory_view(std::map<std::string, std::string, std::less<>> files) {
  return std::make_unique<MemoryView>(std::move(files));
}

Result<std::unique_ptr<FileView>> make_disk_view(const std::string& root, std::uint64_t max_file_size) {
  // The root itself may be reached through links; whoever calls chose it.
  Fd folder(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder && errno == ENOTDIR) return is_a_file(root);
  if (!folder) return unexpected(ErrorKind::not_found, fmt::format("{}: {}", quote(root), std::strerror(errno)));
  struct stat here {};
  struct stat top {};
  const bool is_all = ::fstat(folder.get(), &here) == 0 && ::stat("/", &top) == 0 && here.st_ino == top.st_ino &&
                      here.st_dev == top.st_dev;
  return std::unique_ptr<FileView>(std::make_unique<DiskView>(std::move(folder), is_all, max_file_size));
}

Result<DigestMap> digest_tree(const FileView& view, std::stop_token stop) {
  DigestMap tree;
  SLUICE_CHECK(digest_folder(view, "", 0, std::move(stop), tree));
  return tree;
}

// Of an unclean path every tree says the same, so nothing is recorded.
Result<std::string> RecordingView::read(std::string_view path) const {
  auto answer = inner_.read(path);
  if (is_plain_path(path)) records_.insert_or_assign(std::string(path), record_of(answer));
  return answer;
}

Result<std::vector<DirEntry>> RecordingView::list(std::string_view path) const {
  auto answer = inner_.list(path);
  if (is_plain_path(path)) records_.insert_or_assign(std::string(path) + "/", record_of(answer));
  return answer;
}

Result<std::string> RecordingView::real_path(std::string_view path) const {
  auto answer = inner_.real_path(path);
  if (is_plain_path(path)) {
    records_.insert_or_assign(std::string(path) + "///", record_of_path(answer));
  }
  return answer;
}

Result<FileType> RecordingView::type(std::string_view path) const {
  auto answer = inner_.type(path);
  if (is_plain_path(path)) records_.insert_or_assign(std::string(path) + "//", record_of(answer));
  return answer;
}

bool RecordingView::still_holds(const Records& records, const FileView& view) {
  return all_stand(
      records, [&view](std::string_view path) { return record_of(view.read(path)); },
      [&view](std::string_view path) { return record_of(view.list(path)); },
      [&view](std::string_view path) { return record_of(view.type(path)); },
      [&view](std::string_view path) { return record_of_path(view.real_path(path)); });
}

bool RecordingView::still_holds(const Records& records, const DigestMap& map) {
  const DigestedTree tree(map);
  return all_stand(
      records, [&tree](std::string_view path) { return tree.read(path); },
      [&tree](std::string_view path) { return tree.list(path); },
      [&tree](std::string_view path) { return tree.type(path); },
      [&tree](std::string_view path) { return tree.type(path) == kNothing ? std::string(kNothing) : std::string(path); });
}

}  // namespace sluice::base
