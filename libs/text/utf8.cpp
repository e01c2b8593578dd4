#include "text/utf8.hpp"

#include <algorithm>
#include <iterator>
#include <span>

namespace sluice::text {

namespace {

// Every `step`th character from `first` to `last` is mapped to one `distance` away.
struct CaseRange {
  char32_t first;
  char32_t last;
  char32_t step;
  int distance;
};

#include "text/case_ranges.inc"

char32_t mapped(std::span<const CaseRange> ranges, char32_t code) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), code,
                                      [](char32_t c, const CaseRange& range) { return c < range.first; });
  // Ranges of every second character may lie within each other.
  for (auto range = after; range != ranges.begin() && std::distance(range, after) < 3;) {
    --range;
    if (code > range->last || (code - range->first) % range->step != 0) continue;
    return static_cast<char32_t>(static_cast<int>(code) + range->distance);
  }
  return code;
}

unsigned char byte_at(std::string_view text, std::size_t at) { return static_cast<unsigned char>(text[at]); }

}  // namespace

Character first_character(std::string_view text) noexcept {
  if (text.empty()) return {};
  const unsigned char lead = byte_at(text, 0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t width = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if (width == 0 || text.size() < width) return {kReplacement, 1};
  char32_t code = lead & (0xFFU >> (width + 1));
  for (std::size_t i = 1; i < width; ++i) {
    if ((byte_at(text, i) & 0xC0U) != 0x80U) return {kReplacement, 1};
    code = (code << 6U) | (byte_at(text, i) & 0x3FU);
  }
  const bool overlong = (width == 3 && code < 0x800) || (width == 4 && code < 0x10000);
  if (overlong || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return {kReplacement, 1};
  return {code, width};
}

void append_character(std::string& out, char32_t code) {
  const auto put = [&out](char32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xC0U | (code >> 6U));
  } else if (code < 0x10000) {
    put(0xE0U | (code >> 12U));
    put(0x80U | ((code >> 6U) & 0x3FU));
  } else {
    put(0xF0U | (code >> 18U));
    put(0x80U | ((code >> 12U) & 0x3FU));
    put(0x80U | ((code >> 6U) & 0x3FU));
  }
  put(0x80U | (code & 0x3FU));
}

char32_t to_upper(char32_t code) noexcept {
  if (code < 0x80) return code >= 'a' && code <= 'z' ? code - 'a' + 'A' : code;
  return mapped(kToUpper, code);
}

char32_t to_lower(char32_t code) noexcept {
  if (code < 0x80) return code >= 'A' && code <= 'Z' ? code - 'A' + 'a' : code;
  return mapped(kToLower, code);
}

bool is_space(char32_t code) noexcept {
  return (code >= 9 && code <= 13) || code == ' ' || code == 0x85 || code == 0xA0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F ||
         code == 0x3000;
}

}  // namespace sluice::text
