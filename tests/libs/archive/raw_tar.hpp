// Makes tar archives by hand, also such as no sane program writes. Shares no
// code with libs/archive on purpose.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

namespace sluice::test {

struct RawEntry {
  std::string name;
  char type = '0';
  std::string body{};
  std::string link{};
  unsigned mode = 0644;
  std::string size_field{};  // overrides the octal size when not empty
  bool break_checksum = false;
};

inline std::string raw_header(const RawEntry& entry) {
  std::string block(512, '\0');
  const auto put = [&block](std::size_t at, std::string_view text, std::size_t room) {
    block.replace(at, std::min(text.size(), room), text.substr(0, room));
  };
  char number[16];
  put(0, entry.name, 100);
  std::snprintf(number, sizeof number, "%07o", entry.mode);
  put(100, number, 8);
  put(108, "0000000", 8);
  put(116, "0000000", 8);
  std::snprintf(number, sizeof number, "%011llo", static_cast<unsigned long long>(entry.body.size()));
  put(124, entry.size_field.empty() ? std::string(number) : entry.size_field, 12);
  put(136, "00000000000", 12);
  block[156] = entry.type;
  put(157, entry.link, 100);
  put(257,
      std::string_view("ustar\0"
                       "00",
                       8),
      8);
  put(148, "        ", 8);
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  std::snprintf(number, sizeof number, "%06o", entry.break_checksum ? sum + 1 : sum);
  put(148, std::string_view(number, 7), 7);
  return block;
}

inline std::string raw_entry(const RawEntry& entry) {
  std::string out = raw_header(entry) + entry.body;
  out.resize((out.size() + 511) / 512 * 512, '\0');
  return out;
}

inline std::string end_marker() { return std::string(1024, '\0'); }

inline std::string gzip(std::string_view bytes, int level = 6) {
  z_stream zlib{};
  if (deflateInit2(&zlib, level, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK) throw std::runtime_error("deflate");
  std::string out(deflateBound(&zlib, static_cast<uLong>(bytes.size())) + 64, '\0');
  zlib.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  zlib.avail_in = static_cast<uInt>(bytes.size());
  zlib.next_out = reinterpret_cast<Bytef*>(out.data());
  zlib.avail_out = static_cast<uInt>(out.size());
  if (::deflate(&zlib, Z_FINISH) != Z_STREAM_END) throw std::runtime_error("deflate");
  out.resize(zlib.total_out);
  deflateEnd(&zlib);
  return out;
}

// One archive of these entries, ended and compressed.
inline std::string archive_of(std::initializer_list<RawEntry> entries) {
  std::string tar;
  for (const RawEntry& entry : entries) tar += raw_entry(entry);
  return gzip(tar + end_marker());
}

}  // namespace sluice::test
