#include "artifact/packed_tree.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "archive/stream.hpp"

namespace sluice::artifact {

using base::DirEntry;
using base::ErrorKind;
using base::FileType;
using base::Result;

namespace {

constexpr std::size_t kBuffer = 256U << 10U;
constexpr const char* kLabel = "the unpacked artifact";

std::string quote(std::string_view path) { return fmt::format("'{}'", path.empty() ? "." : path); }

class PackedView final : public base::FileView {
 public:
  PackedView(archive::Fd file, std::shared_ptr<const TreeManifest> manifest)
      : file_(std::move(file)), manifest_(std::move(manifest)) {}

  Result<std::string> read(std::string_view path) const override {
    SLUICE_TRY(const FileType type, type_of(path));
    if (type == FileType::directory) return base::unexpected(ErrorKind::invalid, quote(path) + " is a folder");
    const TreeManifest::Content content = manifest_->content(path).value();
    if (content.is_large) {
      return base::unexpected(ErrorKind::too_large,
                              fmt::format("{} has more than {} bytes", quote(path), TreeManifest::kMaxFileSize));
    }
    return read_at(path, content);
  }

  Result<std::vector<DirEntry>> list(std::string_view path) const override {
    SLUICE_TRY(const FileType type, type_of(path));
    if (type == FileType::directory) return manifest_->list(path);
    return base::unexpected(ErrorKind::invalid, quote(path) + " is a file, not a folder");
  }

  Result<FileType> type(std::string_view path) const override { return type_of(path); }

  Result<std::string> real_path(std::string_view path) const override {
    SLUICE_CHECK(type_of(path));
    return std::string(path);
  }

 private:
  Result<FileType> type_of(std::string_view path) const {
    if (!base::is_plain_path(path)) {
      return base::unexpected(ErrorKind::invalid, quote(path) + " is not a plain path below the root");
    }
    const auto type = manifest_->type(path);
    if (!type) return base::unexpected(ErrorKind::not_found, quote(path) + ": no such file or folder");
    return *type;
  }

  Result<std::string> read_at(std::string_view path, const TreeManifest::Content& content) const {
    std::string bytes(content.size, '\0');
    for (std::size_t filled = 0; filled < bytes.size();) {
      const auto at = static_cast<off_t>(content.at + filled);
      const ssize_t got = ::pread(file_.get(), bytes.data() + filled, bytes.size() - filled, at);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return base::unexpected(ErrorKind::io, fmt::format("{}: {}", quote(path), std::strerror(errno)));
      if (got == 0) return base::unexpected(ErrorKind::io, quote(path) + ": the unpacked artifact has lost its end");
      filled += static_cast<std::size_t>(got);
    }
    return bytes;
  }

  archive::Fd file_;
  std::shared_ptr<const TreeManifest> manifest_;
};

}  // namespace

Result<PackWriter> PackWriter::create(const std::string& folder) {
  std::string path = folder + "/pack-XXXXXX";
  archive::Fd file(::mkostemp(path.data(), O_CLOEXEC));  // 0600
  if (!file || ::unlink(path.c_str()) != 0) return archive::os_error(errno, "making", path);
  return PackWriter(std::move(file));
}

Result<void> PackWriter::unless_too_many() const {
  if (!has_too_many()) return {};
  return base::unexpected(ErrorKind::too_large, "the archive has more entries than an index is kept of");
}

Result<void> PackWriter::flush() {
  auto written = archive::FdSink(file_.get(), kLabel).write(buffer_);
  buffer_.clear();
  return written;
}

Result<void> PackWriter::add_folder(const std::string& path) {
  SLUICE_CHECK(manifest_.add_folder(path));
  return unless_too_many();
}

Result<void> PackWriter::begin_file(const archive::Entry& entry) {
  SLUICE_CHECK(manifest_.begin_file(entry));
  return unless_too_many();
}

Result<void> PackWriter::write(std::string_view bytes) {
  SLUICE_CHECK(manifest_.write(bytes));
  buffer_.append(bytes);
  if (buffer_.size() < kBuffer) return {};
  return flush();
}

Result<PackedTree> PackWriter::finish() {
  SLUICE_CHECK(flush());
  PackedTree packed;
  packed.manifest = std::make_shared<const TreeManifest>(manifest_.finish());
  SLUICE_CHECK(unless_too_many());
  packed.files = std::make_unique<PackedView>(std::move(file_), packed.manifest);
  return packed;
}

}  // namespace sluice::artifact
