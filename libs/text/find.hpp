// Finding a text in a text in linear time: std::string::find takes the product of both lengths
// where others wrote them for it ("aaa...b" in "aaaa..."). Pure.
#pragma once

#include <cstring>
#include <string_view>

namespace sluice::text {

// Where `part` begins in `text`, at or behind `from`; npos if nowhere.
inline std::size_t find_text(std::string_view text, std::string_view part, std::size_t from = 0) {
  if (from > text.size()) return std::string_view::npos;
  if (part.empty()) return from;
  // One byte is what texts are mostly cut at, and memmem() has more to prepare than to do then.
  const char* begin = text.data() + from;
  const void* found = part.size() == 1 ? std::memchr(begin, part.front(), text.size() - from)
                                       : ::memmem(begin, text.size() - from, part.data(), part.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

}  // namespace sluice::text
