#include "archive/writer.hpp"

#include <fmt/format.h>

#include <array>

#include "archive/detail/entry_path.hpp"
#include "archive/detail/tar_block.hpp"
#include "archive/gzip.hpp"

namespace sluice::archive {

using base::ErrorKind;
using base::Result;
using detail::shown;

namespace {

constexpr std::uint32_t kFileMode = 0600;
constexpr std::uint32_t kExecutableMode = 0700;
constexpr std::uint32_t kFolderMode = 0750;
constexpr std::uint32_t kLinkMode = 0777;
constexpr std::size_t kMaxPath = 4096;

// Passes bytes on, counting and hashing them.
class HashingSink final : public ByteSink {
 public:
  HashingSink(ByteSink& out, std::optional<base::DigestAlgorithm> algorithm) : out_(out) {
    if (algorithm) hasher_.emplace(*algorithm);
  }
  Result<void> write(std::string_view bytes) override {
    if (hasher_) hasher_->update(bytes);
    size_ += bytes.size();
    return out_.write(bytes);
  }
  std::string digest() { return hasher_ ? hasher_->finish_digest() : std::string(); }
  std::uint64_t size() const { return size_; }

 private:
  ByteSink& out_;
  std::optional<base::Hasher> hasher_;
  std::uint64_t size_ = 0;
};

std::string_view view(const detail::Block& block) { return {block.data(), block.size()}; }

Result<void> check_path(std::string_view path) {
  SLUICE_TRY(const std::string clean, detail::clean_entry_path(path, kMaxPath));
  if (clean != path) return base::unexpected(ErrorKind::invalid, fmt::format("entry {} is no clean path", shown(path)));
  return {};
}

detail::Header file_header(std::string_view path, std::uint64_t size, bool executable) {
  detail::Header header;
  header.name = path;
  header.mode = executable ? kExecutableMode : kFileMode;
  header.size = size;
  return header;
}

}  // namespace

struct Writer::State {
  State(ByteSink& out, std::optional<base::DigestAlgorithm> algorithm) : hashing(out, algorithm), gzip(hashing) {}

  Result<void> pad(std::uint64_t size) {
    static constexpr detail::Block kZeros{};
    return gzip.write(view(kZeros).substr(0, detail::padding(size)));
  }

  // A pax header carries what the plain one after it has no room for.
  Result<void> write_pax(const detail::Header& header) {
    std::string records = detail::format_pax_record("path", header.name);
    if (!header.link.empty()) records += detail::format_pax_record("linkpath", header.link);
    records += detail::format_pax_record("size", std::to_string(header.size));
    detail::Header pax;
    pax.name = "././@PaxHeader";
    pax.type = detail::kPax;
    pax.mode = kFileMode;
    pax.size = records.size();
    SLUICE_CHECK(gzip.write(view(detail::format_header(pax))));
    SLUICE_CHECK(gzip.write(records));
    return pad(records.size());
  }

  Result<void> write_header(const detail::Header& header) {
    ++entries;
    if (!detail::fits_ustar(header)) SLUICE_CHECK(write_pax(header));
    return gzip.write(view(detail::format_header(header)));
  }

  HashingSink hashing;
  GzipWriter gzip;
  std::size_t entries = 0;
};

Writer::Writer(ByteSink& out, std::optional<base::DigestAlgorithm> algorithm)
    : state_(std::make_unique<State>(out, algorithm)) {}
Writer::~Writer() = default;

Result<void> Writer::add_folder(std::string_view path) {
  SLUICE_CHECK(check_path(path));
  detail::Header header;
  header.name = std::string(path) + "/";
  header.type = detail::kFolder;
  header.mode = kFolderMode;
  return state_->write_header(header);
}

Result<void> Writer::add_file(std::string_view path, std::string_view bytes, bool executable) {
  SLUICE_CHECK(check_path(path));
  SLUICE_CHECK(state_->write_header(file_header(path, bytes.size(), executable)));
  SLUICE_CHECK(state_->gzip.write(bytes));
  return state_->pad(bytes.size());
}

Result<void> Writer::add_file(std::string_view path, ByteSource& bytes, std::uint64_t size, bool executable) {
  SLUICE_CHECK(check_path(path));
  SLUICE_CHECK(state_->write_header(file_header(path, size, executable)));
  std::array<char, 16U << 10U> buffer;  // not cleared, as that is a cost per file
  std::uint64_t done = 0;
  while (true) {
    SLUICE_TRY(const std::size_t got, bytes.read(buffer));
    done += got;
    if (done > size || (got == 0 && done < size)) {
      return base::unexpected(ErrorKind::invalid, fmt::format("entry {} is not {} bytes long", shown(path), size));
    }
    if (got == 0) break;
    SLUICE_CHECK(state_->gzip.write(std::string_view(buffer.data(), got)));
  }
  return state_->pad(size);
}

Result<void> Writer::add_symlink(std::string_view path, std::string_view target) {
  SLUICE_CHECK(check_path(path));
  SLUICE_CHECK(detail::check_link(path, target));
  detail::Header header;
  header.name = path;
  header.link = target;
  header.type = detail::kSymlink;
  header.mode = kLinkMode;
  return state_->write_header(header);
}

Result<Summary> Writer::finish() {
  constexpr detail::Block kZeros{};
  for (int i = 0; i < 2; ++i) SLUICE_CHECK(state_->gzip.write(view(kZeros)));
  SLUICE_CHECK(state_->gzip.finish());
  Summary summary;
  summary.digest = state_->hashing.digest();
  summary.size = state_->hashing.size();
  summary.entries = state_->entries;
  return summary;
}

}  // namespace sluice::archive
