#include "archive/tar_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "archive/detail/entry_path.hpp"
#include "archive/detail/tar_block.hpp"

namespace sluice::archive {

using base::ErrorKind;
using base::Result;
using detail::shown;

namespace {

constexpr std::uint64_t kMaxExtension = 1U << 20U;  // bytes of one pax header or long name

base::Unexpected bad_entry(ErrorKind kind, std::string_view name, std::string_view why) {
  return base::unexpected(kind, fmt::format("entry {}: {}", shown(name), why));
}

// What headers before an entry's own said about it.
struct Extensions {
  detail::PaxRecords pax;
  std::string gnu_name;
  std::string gnu_link;
  int count = 0;
};

Result<void> apply_extensions(detail::Header& header, const Extensions& said) {
  if (!said.gnu_name.empty()) header.name = said.gnu_name;
  if (!said.gnu_link.empty()) header.link = said.gnu_link;
  if (!said.pax.path.empty()) header.name = said.pax.path;
  if (!said.pax.link.empty()) header.link = said.pax.link;
  if (!said.pax.size.empty()) {
    const std::string& digits = said.pax.size;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), header.size);
    if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size()) {
      return bad_entry(ErrorKind::invalid, header.name, "its size is no number");
    }
  }
  return {};
}

Result<EntryType> entry_type(const detail::Header& header) {
  const auto refuse = [&header](std::string_view what) {
    return bad_entry(ErrorKind::invalid, header.name, fmt::format("is {}, which an artifact must not hold", what));
  };
  switch (header.type) {
    case detail::kFile:
    case detail::kContiguous: return EntryType::file;
    // v7 had no type for folders, only the slash.
    case detail::kOldFile: return header.name.ends_with('/') ? EntryType::folder : EntryType::file;
    case detail::kFolder: return EntryType::folder;
    case detail::kSymlink: return EntryType::symlink;
    case detail::kHardLink: return refuse("a hard link");
    case detail::kCharDevice:
    case detail::kBlockDevice: return refuse("a device");
    case detail::kFifo: return refuse("a fifo");
    default: return refuse(fmt::format("of unknown type {}", shown(std::string_view(&header.type, 1))));
  }
}

}  // namespace

struct TarReader::State {
  State(ByteSource& source, const Limits& bounds) : tar(source), limits(bounds) {}

  // Fills `into`, or less at the end of the stream.
  Result<std::size_t> fill(std::span<char> into) {
    std::size_t done = 0;
    while (done < into.size()) {
      SLUICE_TRY(const std::size_t got, tar.read(into.subspan(done)));
      if (got == 0) break;
      done += got;
    }
    return done;
  }

  Result<void> skip(std::uint64_t count) {
    std::array<char, 8192> waste{};
    while (count > 0) {
      SLUICE_TRY(const std::size_t got, tar.read(std::span(waste).first(std::min<std::uint64_t>(count, waste.size()))));
      if (got == 0) return truncated();
      count -= got;
    }
    return {};
  }

  base::Unexpected truncated() const {
    if (last_name.empty()) return base::unexpected(ErrorKind::invalid, "archive is truncated before its first entry");
    return base::unexpected(ErrorKind::invalid, fmt::format("archive is truncated at entry {}", shown(last_name)));
  }

  // The next header block; false at the end of the archive.
  Result<bool> next_block(detail::Block& block) {
    SLUICE_CHECK(skip(unread + pad));
    unread = pad = 0;
    SLUICE_TRY(const std::size_t got, fill(block));
    if (got < block.size()) return truncated();
    if (!detail::is_zero(block)) return true;
    SLUICE_CHECK(drain());
    return false;
  }

  // Reads what follows the end marker, as only then the compression below has
  // verified its checksum. Programs pad with zeros; anything else is a mistake.
  Result<void> drain() {
    std::array<char, 8192> waste{};
    while (true) {
      SLUICE_TRY(const std::size_t got, tar.read(waste));
      if (got == 0) return {};
      if (std::any_of(waste.begin(), waste.begin() + static_cast<std::ptrdiff_t>(got), [](char c) { return c != 0; })) {
        return base::unexpected(
            ErrorKind::invalid,
            fmt::format("archive has data after its end, which is after entry {}", shown(last_name)));
      }
    }
  }

  Result<std::string> read_extension(const detail::Header& header) {
    if (header.size > kMaxExtension)
      return bad_entry(ErrorKind::too_large, header.name, "its extended header is too long");
    std::string body(header.size, '\0');
    SLUICE_TRY(const std::size_t got, fill(body));
    if (got < body.size()) return truncated();
    pad = detail::padding(header.size);
    return body;
  }

  // True if the header was one of those that speak about the next.
  Result<bool> take_extension(const detail::Header& header, Extensions& said) {
    std::string* gnu = header.type == detail::kGnuLongName   ? &said.gnu_name
                       : header.type == detail::kGnuLongLink ? &said.gnu_link
                                                             : nullptr;
    const bool pax = header.type == detail::kPax || header.type == detail::kPaxGlobal;
    if (gnu == nullptr && !pax) return false;
    // One of each kind is what programs write; a chain of them only costs time.
    if (++said.count > 4) return bad_entry(ErrorKind::invalid, header.name, "too many extended headers in a row");
    SLUICE_TRY(const std::string body, read_extension(header));
    if (gnu != nullptr) {
      *gnu = body.substr(0, body.find('\0'));
      return true;
    }
    auto records = detail::parse_pax(body);
    if (!records) return bad_entry(records.error().kind, header.name, records.error().message);
    if (header.type == detail::kPax) {
      said.pax = *std::move(records);
    } else if (!records->path.empty() || !records->link.empty() || !records->size.empty()) {
      // Readers disagree on whether these count; git-archive's global header has only a comment.
      return bad_entry(ErrorKind::invalid, header.name, "a global header names a path or size");
    }
    return true;
  }

  Result<Entry> make_entry(detail::Header header) {
    SLUICE_TRY(const EntryType type, entry_type(header));
    Entry entry;
    entry.type = type;
    SLUICE_TRY(entry.path, detail::clean_entry_path(header.name, limits.max_path_bytes));
    if (entry.path.empty() && type != EntryType::folder) {
      return bad_entry(ErrorKind::invalid, header.name, "only a folder may be the root");
    }
    if (type == EntryType::symlink) {
      SLUICE_TRY(entry.escape, detail::link_escape(entry.path, header.link));
      entry.target = std::move(header.link);
    }
    if (type == EntryType::file) {
      if (header.size > limits.max_file_bytes) {
        return bad_entry(ErrorKind::too_large, header.name,
                         fmt::format("has {} bytes, more than {}", header.size, limits.max_file_bytes));
      }
      entry.size = header.size;
      entry.executable = (header.mode & 0111U) != 0;
      unread = header.size;
      pad = detail::padding(header.size);
    }
    return entry;
  }

  Result<detail::Header> parse(const detail::Block& block) const {
    auto header = detail::parse_header(block);
    if (header) return header;
    const std::string where =
        last_name.empty() ? "first entry of the archive" : fmt::format("entry after {}", shown(last_name));
    return base::unexpected(std::move(header).error().with_context(where));
  }

  ByteSource& tar;
  Limits limits;
  std::string last_name;
  std::size_t headers = 0;
  std::uint64_t unread = 0;  // of the current entry's body
  std::uint64_t pad = 0;     // after it
  bool ended = false;
};

TarReader::TarReader(ByteSource& tar, const Limits& limits) : state_(std::make_unique<State>(tar, limits)) {}
TarReader::~TarReader() = default;

Result<std::optional<Entry>> TarReader::next() {
  State& s = *state_;
  if (s.ended) return std::optional<Entry>();
  Extensions said;
  while (true) {
    detail::Block block{};
    SLUICE_TRY(const bool more, s.next_block(block));
    if (!more) {
      if (said.count > 0) return s.truncated();
      s.ended = true;
      return std::optional<Entry>();
    }
    if (++s.headers > s.limits.max_entries) {
      return base::unexpected(ErrorKind::too_large,
                              fmt::format("archive has more than {} entries", s.limits.max_entries));
    }
    SLUICE_TRY(detail::Header header, s.parse(block));
    SLUICE_TRY(const bool is_extension, s.take_extension(header, said));
    if (is_extension) continue;
    SLUICE_CHECK(apply_extensions(header, said));
    s.last_name = header.name;
    SLUICE_TRY(Entry entry, s.make_entry(std::move(header)));
    return std::optional<Entry>(std::move(entry));
  }
}

Result<std::size_t> TarReader::read(std::span<char> into) {
  State& s = *state_;
  if (s.unread == 0 || into.empty()) return std::size_t{0};
  SLUICE_TRY(const std::size_t got, s.tar.read(into.first(std::min<std::uint64_t>(into.size(), s.unread))));
  if (got == 0) return s.truncated();
  s.unread -= got;
  return got;
}

}  // namespace sluice::archive
