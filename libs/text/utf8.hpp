// Characters of UTF-8 texts that may be broken. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice::text {

struct Character {
  char32_t code = 0;
  std::size_t width = 0;  // bytes; 0 at the end of the text
};

inline constexpr char32_t kReplacement = 0xFFFD;

// The first character. A byte that begins none (surrogates and overlong forms
// included) is U+FFFD of one byte, as Go reads it.
Character first_character(std::string_view text) noexcept;
void append_character(std::string& out, char32_t code);

// unicode.ToUpper and ToLower of Go: one character for one character.
char32_t to_upper(char32_t code) noexcept;
char32_t to_lower(char32_t code) noexcept;

// White space as Unicode has it.
bool is_space(char32_t code) noexcept;

}  // namespace sluice::text
