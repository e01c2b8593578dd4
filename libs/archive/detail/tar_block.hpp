// The 512-byte header blocks of tar: POSIX.1-2017 pax(1), "ustar Interchange
// Format", with GNU's base-256 numbers (GNU tar manual, "Basic Tar Format").
// Pure; private to libs/archive.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sluice::archive::detail {

inline constexpr std::size_t kBlock = 512;
using Block = std::array<char, kBlock>;

// The typeflag byte, where we need to know it.
inline constexpr char kFile = '0';
inline constexpr char kOldFile = '\0';
inline constexpr char kHardLink = '1';
inline constexpr char kSymlink = '2';
inline constexpr char kCharDevice = '3';
inline constexpr char kBlockDevice = '4';
inline constexpr char kFolder = '5';
inline constexpr char kFifo = '6';
inline constexpr char kContiguous = '7';
inline constexpr char kPax = 'x';
inline constexpr char kPaxGlobal = 'g';
inline constexpr char kGnuLongName = 'L';
inline constexpr char kGnuLongLink = 'K';

struct Header {
  std::string name;  // with ustar's prefix
  std::string link;
  char type = kFile;
  std::uint32_t mode = 0;
  std::uint64_t size = 0;
};

bool is_zero(const Block& block) noexcept;

// `invalid` ("checksum is wrong", "size is no number") without naming the entry.
base::Result<Header> parse_header(const Block& block);

// True if name and link fit a plain header: short enough, ASCII, splittable.
bool fits_ustar(const Header& header);
// What does not fit is cut; a pax record before it then holds the whole.
Block format_header(const Header& header);

// The records of a pax header that change what we read.
struct PaxRecords {
  std::string path;
  std::string link;
  std::string size;  // decimal
};
// `invalid` for broken framing; `unsupported` for sparse files.
base::Result<PaxRecords> parse_pax(std::string_view body);
std::string format_pax_record(std::string_view key, std::string_view value);

// Bytes that fill up the last block of a body.
inline std::uint64_t padding(std::uint64_t size) noexcept { return (kBlock - size % kBlock) % kBlock; }

}  // namespace sluice::archive::detail
