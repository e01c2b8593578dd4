#include "doc/yaml_key_order.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

namespace sluice::doc {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Blocks past ASCII without letters: punctuation, marks, signs and symbols. All else counts as letters there.
constexpr std::array<std::pair<char32_t, char32_t>, 26> kNoLetters{
    {{0x80, 0xA9},     {0xAB, 0xB4},      {0xB6, 0xB9},     {0xBB, 0xBF},     {0xD7, 0xD7},     {0xF7, 0xF7},
     {0x300, 0x36F},   {0x2000, 0x2070},  {0x2072, 0x207E}, {0x2080, 0x208F}, {0x20A0, 0x20FF}, {0x2190, 0x2BFF},
     {0x2E00, 0x2E2E}, {0x2E30, 0x3004},  {0x3007, 0x3030}, {0x3036, 0x303A}, {0xD7A4, 0xD7AF}, {0xD7C7, 0xD7CA},
     {0xD7FC, 0xD7FF}, {0xE000, 0xF8FF},  {0xFE00, 0xFE6F}, {0xFEFF, 0xFF20}, {0xFF3B, 0xFF40}, {0xFF5B, 0xFF65},
     {0xFFE0, 0xFFFF}, {0x1F000, 0x1FAFF}}};

// Of the character that the byte at `i` belongs to.
bool is_letter(std::string_view text, std::size_t i) {
  const auto byte = [&](std::size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U; };
  if (byte(i) < 0x80) return (text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z');
  while (i > 0 && (byte(i) & 0xC0) == 0x80) --i;
  const unsigned first = byte(i);
  char32_t c = first < 0xE0 ? first & 0x1F : first < 0xF0 ? first & 0x0F : first & 0x07;
  for (std::size_t more = first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3; more > 0; --more) c = (c << 6) | (byte(++i) & 0x3F);
  return std::none_of(kNoLetters.begin(), kNoLetters.end(),
                      [&](const auto& range) { return c >= range.first && c <= range.second; });
}

// The number at `from`, where digits start at or before it, and where it ends.
std::pair<std::uint64_t, std::size_t> number_at(std::string_view text, std::size_t from, std::uint64_t start) {
  std::uint64_t value = start;
  for (; from < text.size() && is_digit(text[from]); ++from) {
    value = value * 10 + static_cast<std::uint64_t>(text[from] - '0');
  }
  return {value, from};
}

}  // namespace

bool yaml_key_less(const std::string& a, const std::string& b) {
  const std::size_t shorter = std::min(a.size(), b.size());
  std::size_t i = 0;
  while (i < shorter && a[i] == b[i]) ++i;
  if (i == shorter) return a.size() < b.size();
  const bool a_letter = is_letter(a, i), b_letter = is_letter(b, i);
  if (a_letter && b_letter) return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[i]);
  if (a_letter || b_letter) return b_letter;
  std::uint64_t start = 0;
  if (a[i] == '0' || b[i] == '0') {
    for (std::size_t j = i; j > 0 && is_digit(a[j - 1]); --j) {
      if (a[j - 1] != '0') start = 1;
    }
  }
  const auto [a_number, a_end] = number_at(a, i, start);
  const auto [b_number, b_end] = number_at(b, i, start);
  // Go counts in 64 bits with a sign, and lets them overflow.
  if (a_number != b_number) return static_cast<std::int64_t>(a_number) < static_cast<std::int64_t>(b_number);
  if (a_end != b_end) return a_end < b_end;
  return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[i]);
}

}  // namespace sluice::doc
