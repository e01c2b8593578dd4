#include "base/file_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/digest.hpp"

namespace sluice::base {
namespace {

namespace fs = std::filesystem;

std::string quote(std::string_view path) { return fmt::format("'{}'", path.empty() ? "." : path); }
Unexpected no_such_file(std::string_view path) {
  return unexpected(ErrorKind::not_found, quote(path) + ": no such file or folder");
}
Unexpected is_a_folder(std::string_view path) { return unexpected(ErrorKind::invalid, quote(path) + " is a folder"); }
Unexpected is_a_file(std::string_view path) {
  return unexpected(ErrorKind::invalid, quote(path) + " is a file, not a folder");
}

// True for a path of the form that FileView asks for.
bool is_clean(std::string_view path) {
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
  DiskView(fs::path root, std::uint64_t max_file_size) : root_(std::move(root)), max_file_size_(max_file_size) {}

  Result<std::string> read(std::string_view path) const override {
    SLUICE_TRY(const fs::path real, resolve(path));
    std::error_code ec;
    const fs::file_status status = fs::status(real, ec);
    if (fs::is_directory(status)) return is_a_folder(path);
    if (!fs::is_regular_file(status)) {
      return unexpected(ErrorKind::invalid, quote(path) + " is not a regular file");
    }
    if (const std::uint64_t size = fs::file_size(real, ec); !ec && size > max_file_size_) {
      return unexpected(ErrorKind::too_large,
                        fmt::format("{} has {} bytes, more than {}", quote(path), size, max_file_size_));
    }
    std::ifstream in(real, std::ios::binary);
    if (!in) return unexpected(ErrorKind::io, quote(path) + ": cannot be opened");
    std::string bytes(std::istreambuf_iterator<char>(in), {});
    if (in.bad()) return unexpected(ErrorKind::io, quote(path) + ": reading failed");
    return bytes;
  }

  Result<std::vector<DirEntry>> list(std::string_view path) const override {
    SLUICE_TRY(const fs::path real, resolve(path));
    std::error_code ec;
    if (!fs::is_directory(real, ec)) return is_a_file(path);
    std::vector<DirEntry> entries;
    for (fs::directory_iterator it(real, ec), end; !ec && it != end; it.increment(ec)) {
      std::error_code ignored;  // a dangling link is listed; reading it then says so
      entries.push_back(
          {it->path().filename().string(), it->is_directory(ignored) ? FileType::directory : FileType::file});
    }
    if (ec) return unexpected(ErrorKind::io, quote(path) + ": " + ec.message());
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return entries;
  }

  Result<FileType> type(std::string_view path) const override {
    SLUICE_TRY(const fs::path real, resolve(path));
    std::error_code ec;
    return fs::is_directory(real, ec) ? FileType::directory : FileType::file;
  }

 private:
  // The real path, after links, proven to be below the root.
  Result<fs::path> resolve(std::string_view path) const {
    if (!is_clean(path) || path.find('\0') != std::string_view::npos) {
      return unexpected(ErrorKind::invalid, quote(path) + " is not a plain path below the root");
    }
    std::error_code ec;
    fs::path real = fs::canonical(root_ / fs::path(path), ec);
    if (ec == std::errc::no_such_file_or_directory || ec == std::errc::not_a_directory) return no_such_file(path);
    if (ec) return unexpected(ErrorKind::io, quote(path) + ": " + ec.message());
    const auto mismatch = std::mismatch(root_.begin(), root_.end(), real.begin(), real.end());
    if (mismatch.first != root_.end()) {
      return unexpected(ErrorKind::invalid, quote(path) + " is a symbolic link that leaves the root");
    }
    return real;
  }

  fs::path root_;
  std::uint64_t max_file_size_;
};

// What is recorded for an answer: the digest of the bytes or names, or "-".
std::string record_of(const Result<std::string>& answer) { return answer ? sha256_hex(*answer) : "-"; }
std::string record_of(const Result<FileType>& answer) {
  if (!answer) return "-";
  return *answer == FileType::file ? "file" : "directory";
}
std::string record_of(const Result<std::vector<DirEntry>>& answer) {
  if (!answer) return "-";
  Hasher hasher;
  for (const DirEntry& entry : *answer) {
    hasher.update(entry.name);
    hasher.update(entry.type == FileType::file ? std::string_view("\0f", 2) : std::string_view("\0d", 2));
  }
  return hasher.finish_hex();
}

}  // namespace

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
  std::error_code ec;
  const fs::path real = fs::canonical(root, ec);
  if (ec) return unexpected(ErrorKind::not_found, quote(root) + ": " + ec.message());
  if (!fs::is_directory(real, ec)) return is_a_file(root);
  return std::unique_ptr<FileView>(std::make_unique<DiskView>(real, max_file_size));
}

Result<std::string> RecordingView::read(std::string_view path) const {
  auto answer = inner_.read(path);
  records_.insert_or_assign(std::string(path), record_of(answer));
  return answer;
}

Result<std::vector<DirEntry>> RecordingView::list(std::string_view path) const {
  auto answer = inner_.list(path);
  records_.insert_or_assign(std::string(path) + "/", record_of(answer));
  return answer;
}

Result<FileType> RecordingView::type(std::string_view path) const {
  auto answer = inner_.type(path);
  // A read of the same path says more; keep it.
  records_.emplace(std::string(path), record_of(answer));
  return answer;
}

bool RecordingView::still_holds(const std::map<std::string, std::string, std::less<>>& records, const FileView& view) {
  for (const auto& [path, record] : records) {
    std::string now;
    if (path.ends_with('/')) {
      now = record_of(view.list(std::string_view(path).substr(0, path.size() - 1)));
    } else if (record == "file" || record == "directory") {
      now = record_of(view.type(path));
    } else if (record == "-") {
      now = record_of(view.type(path));
    } else {
      now = record_of(view.read(path));
    }
    if (now != record) return false;
  }
  return true;
}

}  // namespace sluice::base
