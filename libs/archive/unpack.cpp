#include "archive/unpack.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "archive/detail/entry_path.hpp"
#include "archive/detail/folder_sink.hpp"
#include "archive/gzip.hpp"

namespace sluice::archive {

using base::ErrorKind;
using base::Result;
using detail::shown;

namespace {

constexpr std::size_t kPiece = 64U << 10U;

base::Unexpected cancelled() { return base::unexpected(ErrorKind::cancelled, "unpacking was cancelled"); }

Result<void> copy_body(TarReader& tar, TreeSink& sink, std::string& buffer, const std::stop_token& stop) {
  while (true) {
    if (stop.stop_requested()) return cancelled();
    SLUICE_TRY(const std::size_t got, tar.read(buffer));
    if (got == 0) return {};
    SLUICE_CHECK(sink.write(std::string_view(buffer).substr(0, got)));
  }
}

// No link is made. Those that lead out are worth a word, as what they were to show is missing.
void note_link(const Entry& link, UnpackReport& report) {
  ++report.skipped_links;
  if (link.escape.empty()) return;
  ++report.escaping_links;
  if (report.escaping_link_names.size() >= UnpackReport::kMaxNames) return;
  report.escaping_link_names.push_back(
      fmt::format("{} -> {}, which {}", shown(link.path), shown(link.target), link.escape));
}

class MemorySink final : public TreeSink {
 public:
  Result<void> add_folder(const std::string& /*path*/) override { return {}; }
  Result<void> begin_file(const Entry& entry) override {
    current_ = &files_.insert_or_assign(entry.path, std::string()).first->second;
    return {};
  }
  Result<void> write(std::string_view bytes) override {
    current_->append(bytes);
    return {};
  }
  Files take() && { return std::move(files_); }

 private:
  Files files_;
  std::string* current_ = nullptr;
};

Result<void> check_no_file_is_a_folder(const Files& files) {
  for (const auto& [path, bytes] : files) {
    for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
      const std::string_view parent = std::string_view(path).substr(0, slash);
      if (files.contains(parent)) return file_and_folder(parent);
    }
  }
  return {};
}

// A folder that vanishes with all it holds unless it was kept.
class TemporaryFolder {
 public:
  static Result<TemporaryFolder> create_beside(const std::string& folder) {
    std::string path = folder + ".partial-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) return os_error(errno, "creating", path);
    return TemporaryFolder(std::move(path));
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;

  const std::string& path() const { return path_; }
  Result<void> rename_to(const std::string& folder) {
    if (::rename(path_.c_str(), folder.c_str()) != 0) {
      if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR) {
        return base::unexpected(ErrorKind::already_exists, fmt::format("'{}' exists already", folder));
      }
      return os_error(errno, "renaming to", folder);
    }
    path_.clear();
    return {};
  }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace

Result<UnpackReport> read_tar_gz(ByteSource& compressed, const Limits& limits, TreeSink& sink, std::stop_token stop) {
  GzipReader gunzipped(compressed, limits);
  TarReader tar(gunzipped, limits);
  UnpackReport report;
  std::string buffer(kPiece, '\0');
  while (true) {
    if (stop.stop_requested()) return cancelled();
    SLUICE_TRY(const std::optional<Entry> entry, tar.next());
    if (!entry) return report;
    switch (entry->type) {
      case EntryType::symlink: note_link(*entry, report); break;
      case EntryType::folder:
        ++report.folders;
        SLUICE_CHECK(sink.add_folder(entry->path));
        break;
      case EntryType::file:
        ++report.files;
        report.bytes += entry->size;
        SLUICE_CHECK(sink.begin_file(*entry));
        SLUICE_CHECK(copy_body(tar, sink, buffer, stop));
        break;
    }
  }
}

Result<Files> unpack_to_memory(ByteSource& compressed, const Limits& limits, std::stop_token stop) {
  MemorySink sink;
  SLUICE_CHECK(read_tar_gz(compressed, limits, sink, std::move(stop)));
  Files files = std::move(sink).take();
  SLUICE_CHECK(check_no_file_is_a_folder(files));
  return files;
}

Result<UnpackReport> unpack_to_folder(ByteSource& compressed, const std::string& folder, const Limits& limits,
                                      std::stop_token stop) {
  SLUICE_TRY(TemporaryFolder partial, TemporaryFolder::create_beside(folder));
  SLUICE_TRY(detail::FolderSink disk, detail::FolderSink::open(partial.path()));
  SLUICE_TRY(const UnpackReport report, read_tar_gz(compressed, limits, disk, std::move(stop)));
  SLUICE_CHECK(partial.rename_to(folder));
  return report;
}

base::Unexpected file_and_folder(std::string_view path) {
  return base::unexpected(ErrorKind::invalid, fmt::format("entry {} is both a file and a folder", shown(path)));
}

}  // namespace sluice::archive
