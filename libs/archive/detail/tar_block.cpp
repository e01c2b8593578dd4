#include "archive/detail/tar_block.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace sluice::archive::detail {

using base::ErrorKind;
using base::Result;

namespace {

struct Field {
  std::size_t offset;
  std::size_t size;
};
constexpr Field kName{0, 100};
constexpr Field kMode{100, 8};
constexpr Field kUid{108, 8};
constexpr Field kGid{116, 8};
constexpr Field kSize{124, 12};
constexpr Field kTime{136, 12};
constexpr Field kChecksum{148, 8};
constexpr std::size_t kType = 156;
constexpr Field kLink{157, 100};
constexpr Field kMagic{257, 8};
constexpr Field kDevMajor{329, 8};
constexpr Field kDevMinor{337, 8};
constexpr Field kPrefix{345, 155};
constexpr std::string_view kUstar(
    "ustar\0"
    "00",
    8);

std::string_view field(const Block& block, Field f) { return {block.data() + f.offset, f.size}; }

std::string text(const Block& block, Field f) {
  const std::string_view bytes = field(block, f);
  return std::string(bytes.substr(0, bytes.find('\0')));
}

base::Unexpected broken(std::string why) { return base::unexpected(ErrorKind::invalid, std::move(why)); }

// GNU: a set top bit means that the rest is a big-endian binary number.
Result<std::uint64_t> parse_binary(std::string_view bytes) {
  std::uint64_t value = static_cast<unsigned char>(bytes.front()) & 0x7FU;
  for (const char c : bytes.substr(1)) {
    if (value >> 55U != 0) return broken("is out of range");
    value = (value << 8U) | static_cast<unsigned char>(c);
  }
  return value;
}

// Octal digits between spaces and NULs; nothing at all is 0.
Result<std::uint64_t> parse_number(std::string_view bytes) {
  if ((static_cast<unsigned char>(bytes.front()) & 0x80U) != 0) return parse_binary(bytes);
  constexpr std::string_view kFill(" \0", 2);
  const std::size_t first = bytes.find_first_not_of(kFill);
  if (first == std::string_view::npos) return std::uint64_t{0};
  bytes = bytes.substr(first, bytes.find_last_not_of(kFill) - first + 1);
  std::uint64_t value = 0;
  for (const char c : bytes) {
    if (c < '0' || c > '7') return broken("is no octal number");
    value = value * 8 + static_cast<std::uint64_t>(c - '0');  // at most 12 digits: 36 bits
  }
  return value;
}

Result<std::uint64_t> number(const Block& block, Field f, std::string_view what) {
  auto value = parse_number(field(block, f));
  if (!value) return broken(fmt::format("its {} {}", what, value.error().message));
  return value;
}

struct Checksums {
  std::int64_t with_unsigned = 0;
  std::int64_t with_signed = 0;  // as some old programs summed
};

Checksums checksums(const Block& block) {
  Checksums sums;
  for (std::size_t i = 0; i < block.size(); ++i) {
    const bool in_field = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    const char c = in_field ? ' ' : block[i];
    sums.with_unsigned += static_cast<unsigned char>(c);
    sums.with_signed += static_cast<signed char>(c);
  }
  return sums;
}

void put_text(Block& block, Field f, std::string_view value) {
  std::copy_n(value.data(), std::min(value.size(), f.size), block.data() + f.offset);
}

void put_octal(Block& block, Field f, std::uint64_t value) {
  put_text(block, f, fmt::format("{:0{}o}", value, f.size - 1));
}

// Where to cut `name` so that both parts fit; npos if nowhere.
std::size_t split_point(std::string_view name) {
  if (name.size() <= kName.size) return 0;
  for (std::size_t slash = name.find('/'); slash != std::string_view::npos; slash = name.find('/', slash + 1)) {
    const std::size_t rest = name.size() - slash - 1;
    if (slash > 0 && slash <= kPrefix.size && rest > 0 && rest <= kName.size) return slash;
  }
  return std::string_view::npos;
}

bool is_ascii(std::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

constexpr std::uint64_t kMaxOctalSize = 077777777777;  // 8 GiB - 1

}  // namespace

bool is_zero(const Block& block) noexcept {
  return std::all_of(block.begin(), block.end(), [](char c) { return c == '\0'; });
}

Result<Header> parse_header(const Block& block) {
  SLUICE_TRY(const std::uint64_t stated, number(block, kChecksum, "checksum"));
  const Checksums sums = checksums(block);
  const auto sum = static_cast<std::int64_t>(stated);
  if (sum != sums.with_unsigned && sum != sums.with_signed) return broken("its checksum is wrong");
  Header header;
  header.name = text(block, kName);
  header.link = text(block, kLink);
  header.type = block[kType];
  SLUICE_TRY(const std::uint64_t mode, number(block, kMode, "mode"));
  header.mode = static_cast<std::uint32_t>(mode & 07777U);
  SLUICE_TRY(header.size, number(block, kSize, "size"));
  // GNU's own format says "ustar  " and keeps other things where the prefix is.
  if (field(block, kMagic).starts_with(std::string_view("ustar\0", 6))) {
    const std::string prefix = text(block, kPrefix);
    if (!prefix.empty()) header.name = prefix + "/" + header.name;
  }
  return header;
}

bool fits_ustar(const Header& header) {
  return is_ascii(header.name) && is_ascii(header.link) && header.link.size() <= kLink.size &&
         header.size <= kMaxOctalSize && split_point(header.name) != std::string_view::npos;
}

Block format_header(const Header& header) {
  Block block{};
  const std::string_view name = header.name;
  const std::size_t split = split_point(name);
  if (split == 0 || split == std::string_view::npos) {
    put_text(block, kName, name);
  } else {
    put_text(block, kPrefix, name.substr(0, split));
    put_text(block, kName, name.substr(split + 1));
  }
  put_text(block, kLink, header.link);
  put_text(block, kMagic, kUstar);
  block[kType] = header.type;
  put_octal(block, kMode, header.mode);
  put_octal(block, kSize, std::min(header.size, kMaxOctalSize));
  for (const Field zero : {kUid, kGid, kTime, kDevMajor, kDevMinor}) put_octal(block, zero, 0);
  const auto sum = static_cast<std::uint64_t>(checksums(block).with_unsigned);
  put_text(block, kChecksum, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  return block;
}

Result<PaxRecords> parse_pax(std::string_view body) {
  PaxRecords records;
  while (!body.empty()) {
    std::size_t length = 0;  // of the whole record, with its own digits and the newline
    const auto parsed = std::from_chars(body.data(), body.data() + body.size(), length);
    const auto digits = static_cast<std::size_t>(parsed.ptr - body.data());
    if (parsed.ec != std::errc() || digits == 0 || length > body.size() || length < digits + 3 || body[digits] != ' ' ||
        body[length - 1] != '\n') {
      return broken("its pax header is malformed");
    }
    const std::string_view record = body.substr(digits + 1, length - digits - 2);
    const std::size_t equals = record.find('=');
    if (equals == std::string_view::npos || equals == 0) return broken("its pax header is malformed");
    const std::string_view key = record.substr(0, equals);
    const std::string_view value = record.substr(equals + 1);
    if (key == "path") records.path = value;
    if (key == "linkpath") records.link = value;
    if (key == "size") records.size = value;
    if (key.starts_with("GNU.sparse.")) return base::unexpected(ErrorKind::unsupported, "it is a sparse file");
    body.remove_prefix(length);
  }
  return records;
}

std::string format_pax_record(std::string_view key, std::string_view value) {
  const std::size_t fixed = key.size() + value.size() + 3;  // " ", "=" and "\n"
  std::size_t length = fixed + 1;
  while (length != fixed + fmt::formatted_size("{}", length)) length = fixed + fmt::formatted_size("{}", length);
  return fmt::format("{} {}={}\n", length, key, value);
}

}  // namespace sluice::archive::detail
