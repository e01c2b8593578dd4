#include "doc/detail/yaml_text.hpp"

namespace sluice::doc {
namespace {

void append_utf8(std::string& out, char32_t c) {
  const auto put = [&out](char32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (c < 0x80) return put(c);
  if (c >= 0x10000) put(0xF0U | (c >> 18U));
  if (c >= 0x10000) put(0x80U | ((c >> 12U) & 0x3FU));
  if (c >= 0x800 && c < 0x10000) put(0xE0U | (c >> 12U));
  if (c >= 0x800) put(0x80U | ((c >> 6U) & 0x3FU));
  if (c < 0x800) put(0xC0U | (c >> 6U));
  put(0x80U | (c & 0x3FU));
}

}  // namespace

std::optional<std::string> utf16_as_utf8(std::string_view text) {
  if (!text.starts_with("\xFF\xFE") && !text.starts_with("\xFE\xFF")) return std::nullopt;
  const bool big = text[0] == '\xFE';
  const auto unit = [&](std::size_t at) -> char32_t {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    return big ? byte(at) * 256U + byte(at + 1) : byte(at + 1) * 256U + byte(at);
  };
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 2; at + 1 < text.size(); at += 2) {
    char32_t c = unit(at);
    const bool pair =
        c >= 0xD800 && c < 0xDC00 && at + 3 < text.size() && unit(at + 2) >= 0xDC00 && unit(at + 2) < 0xE000;
    if (pair) {
      c = 0x10000 + ((c - 0xD800) << 10U) + (unit(at + 2) - 0xDC00);
      at += 2;
    }
    if (c >= 0xD800 && c < 0xE000) {
      out += '\xFF';
    } else {
      append_utf8(out, c);
    }
  }
  if (text.size() % 2 != 0) out += '\xFF';
  return out;
}

std::optional<std::string> with_plain_separators(std::string_view text) {
  const bool glued = text.starts_with("---#") || text.find("\n---#") != text.npos;
  if (!glued && text.find(kBom) == text.npos) return std::nullopt;
  std::string out;
  bool begins = true;  // a document
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    if (line.size() < text.size()) line = text.substr(0, line.size() + 1);
    text.remove_prefix(line.size());
    if (begins && line.starts_with(kBom)) line.remove_prefix(kBom.size());
    begins = line.starts_with("---");
    if (line.starts_with("---#")) {
      out += "--- ";
      line.remove_prefix(3);
    }
    out += line;
  }
  return out;
}

}  // namespace sluice::doc
