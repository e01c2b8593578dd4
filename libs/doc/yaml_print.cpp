// The printer: block style, two spaces, as go-yaml v2's emitter decides.
#include <fmt/format.h>

#include <cstdint>

#include "doc/yaml.hpp"
#include "doc/yaml_scalar.hpp"

namespace sluice::doc {
namespace {

// What go-yaml's emitter finds out about a text before it picks a style
// (emitterc.go, yaml_emitter_analyze_scalar).
struct TextTraits {
  bool plain = true;
  bool single_quoted = true;
  bool block = true;
  bool multiline = false;
};

// Length in bytes of the character at `at` if go-yaml calls it printable, else 0.
// Characters past the basic plane are not, so emoji are printed as escapes.
std::size_t printable_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : static_cast<unsigned char>(0);
  };
  const unsigned char c = byte(at);
  if (c < 0x80) return c == '\n' || (c >= 0x20 && c <= 0x7E) ? 1 : 0;
  if (c < 0xE0) return c > 0xC2 || (c == 0xC2 && byte(at + 1) >= 0xA0) ? 2 : 0;
  if (c == 0xED && byte(at + 1) >= 0xA0) return 0;
  if (c == 0xEF && byte(at + 1) == 0xBB && byte(at + 2) == 0xBF) return 0;
  if (c == 0xEF && byte(at + 1) == 0xBF && byte(at + 2) >= 0xBE) return 0;
  return c < 0xF0 ? 3 : 0;
}

std::size_t utf8_length(unsigned char lead) { return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }

bool is_break(std::string_view text, std::size_t at) {
  const std::string_view rest = text.substr(at, 3);
  return rest[0] == '\n' || rest[0] == '\r' || rest.starts_with("\xC2\x85") || rest.starts_with("\xE2\x80\xA8") ||
         rest.starts_with("\xE2\x80\xA9");
}

bool starts_with_indicator(std::string_view text) {
  const bool lone = text.size() == 1 || text[1] == ' ' || text[1] == '\t';
  return std::string_view("#,[]{}&*!|>'\"%@`").find(text[0]) != std::string_view::npos ||
         (lone && (text[0] == '?' || text[0] == ':' || text[0] == '-')) || text.starts_with("---") ||
         text.starts_with("...");
}

TextTraits analyze(std::string_view text) {
  TextTraits traits;
  if (text.empty()) {
    traits.block = false;
    return traits;
  }
  bool special = false, break_space = false, space_break = false, after_space = false, after_break = false;
  bool after_blank = true;
  if (starts_with_indicator(text)) traits.plain = false;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t width = utf8_length(static_cast<unsigned char>(text[i]));
    const bool blank_next = i + width >= text.size() || text[i + width] == ' ' || text[i + width] == '\t';
    if (i > 0 && ((text[i] == ':' && blank_next) || (text[i] == '#' && after_blank))) traits.plain = false;
    if (printable_length(text, i) == 0) special = true;
    const bool space = text[i] == ' ';
    const bool line_break = is_break(text, i);
    const bool edge = i == 0 || i + width >= text.size();
    if (edge && (space || line_break)) traits.plain = false;
    if (space && i + width >= text.size()) traits.block = false;
    if (space && after_break) break_space = true;
    if (line_break && after_space) space_break = true;
    traits.multiline |= line_break;
    after_blank = space || text[i] == '\t' || line_break;
    after_space = space;
    after_break = line_break;
    i += width;
  }
  if (traits.multiline || break_space || space_break || special) traits.plain = false;
  if (break_space || space_break || special) traits.single_quoted = false;
  if (space_break || special) traits.block = false;
  return traits;
}

class Printer {
 public:
  std::string take() && { return std::move(out_); }

  // `indent` is the column of the value's own keys or dashes; `inline_start`
  // says that the cursor stands right behind "- " or at the line's start.
  void value(const Json& value, std::size_t indent) {
    if (value.is_object() && !value.empty()) {
      map(value, indent);
    } else if (value.is_array() && !value.empty()) {
      list(value, indent);
    } else {
      scalar(value, indent);
      out_ += '\n';
    }
  }

 private:
  void map(const Json& map, std::size_t indent) {
    bool first = true;
    for (const auto& [key, child] : map.items()) {
      if (!first) out_.append(indent, ' ');
      first = false;
      // libyaml's limit on a key without the "? " mark: 128 bytes in one line.
      const bool complex = key.size() > 128 - 4 && analyze_key(key).size() > 128;
      if (complex) out_ += "? ";
      out_ += analyze_key(key);
      if (complex) out_.append("\n").append(indent, ' ');
      out_ += ':';
      member(child, indent);
    }
  }

  void member(const Json& child, std::size_t indent) {
    if (child.is_object() && !child.empty()) {
      out_.append("\n").append(indent + 2, ' ');
      map(child, indent + 2);
    } else if (child.is_array() && !child.empty()) {
      out_.append("\n").append(indent, ' ');
      list(child, indent);
    } else {
      out_ += ' ';
      scalar(child, indent + 2);
      out_ += '\n';
    }
  }

  void list(const Json& list, std::size_t indent) {
    bool first = true;
    for (const Json& child : list) {
      if (!first) out_.append(indent, ' ');
      first = false;
      out_ += "- ";
      value(child, indent + 2);
    }
  }

  void scalar(const Json& scalar, std::size_t indent) {
    switch (scalar.type()) {
      case Json::value_t::null: out_ += "null"; return;
      case Json::value_t::boolean: out_ += scalar.get<bool>() ? "true" : "false"; return;
      case Json::value_t::number_integer: out_ += fmt::format_int(scalar.get<std::int64_t>()).str(); return;
      case Json::value_t::number_unsigned: out_ += fmt::format_int(scalar.get<std::uint64_t>()).str(); return;
      case Json::value_t::number_float: out_ += number(scalar.get<double>()); return;
      case Json::value_t::object: out_ += "{}"; return;
      case Json::value_t::array: out_ += "[]"; return;
      default: text(scalar.get_ref<const std::string&>(), indent);
    }
  }

  // A whole float came from JSON as an integer would, so it is printed as one.
  static std::string number(double value) {
    constexpr double kExact = 9007199254740992.0;
    if (value == static_cast<double>(static_cast<std::int64_t>(value > -kExact && value < kExact ? value : 0.5))) {
      return fmt::format_int(static_cast<std::int64_t>(value)).str();
    }
    return format_float(value);
  }

  void text(const std::string& text, std::size_t indent) {
    const TextTraits traits = analyze(text);
    if (text.find('\n') != std::string::npos) {
      if (traits.block) return literal(text, indent);
      return double_quoted(text);
    }
    if (is_ambiguous_string(text)) return double_quoted(text);
    if (traits.plain) {
      out_ += text;
    } else if (traits.single_quoted) {
      single_quoted(text);
    } else {
      double_quoted(text);
    }
  }

  static std::string analyze_key(const std::string& key) {
    Printer printer;
    const TextTraits traits = analyze(key);
    if (traits.multiline || is_ambiguous_string(key)) {
      printer.double_quoted(key);
    } else {
      printer.text(key, 0);
    }
    return std::move(printer).take();
  }

  void single_quoted(std::string_view text) {
    out_ += '\'';
    for (const char c : text) {
      if (c == '\'') out_ += '\'';
      out_ += c;
    }
    out_ += '\'';
  }

  void literal(std::string_view text, std::size_t indent) {
    out_ += '|';
    if (text[0] == ' ' || text[0] == '\n') out_ += '2';
    if (text.back() != '\n') {
      out_ += '-';
    } else if (text.size() == 1 || text[text.size() - 2] == '\n') {
      out_ += '+';
    }
    if (text.back() == '\n') text.remove_suffix(1);
    for (std::size_t start = 0; start <= text.size();) {
      const std::size_t end = std::min(text.find('\n', start), text.size());
      out_ += '\n';
      if (end > start) out_.append(indent, ' ').append(text.substr(start, end - start));
      start = end + 1;
    }
  }

  void double_quoted(std::string_view text) {
    out_ += '"';
    for (std::size_t i = 0; i < text.size();) {
      const std::size_t width = utf8_length(static_cast<unsigned char>(text[i]));
      if (text[i] == '"' || text[i] == '\\' || is_break(text, i) || printable_length(text, i) == 0) {
        escape(code_point(text, i));
      } else {
        out_.append(text.substr(i, width));
      }
      i += width;
    }
    out_ += '"';
  }

  static std::uint32_t code_point(std::string_view text, std::size_t at) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const std::size_t width = utf8_length(lead);
    std::uint32_t value = width == 1 ? lead : lead & (0x7FU >> width);
    for (std::size_t k = 1; k < width && at + k < text.size(); ++k) {
      value = (value << 6U) + (static_cast<unsigned char>(text[at + k]) & 0x3FU);
    }
    return value;
  }

  void escape(std::uint32_t c) {
    static constexpr std::pair<std::uint32_t, char> kShort[] = {
        {0, '0'},  {7, 'a'},   {8, 'b'},     {9, 't'},    {10, 'n'},   {11, 'v'},     {12, 'f'},    {13, 'r'},
        {27, 'e'}, {'"', '"'}, {'\\', '\\'}, {0x85, 'N'}, {0xA0, '_'}, {0x2028, 'L'}, {0x2029, 'P'}};
    out_ += '\\';
    for (const auto& [value, letter] : kShort) {
      if (value == c) {
        out_ += letter;
        return;
      }
    }
    if (c <= 0xFF) {
      out_ += fmt::format("x{:02X}", c);
    } else if (c <= 0xFFFF) {
      out_ += fmt::format("u{:04X}", c);
    } else {
      out_ += fmt::format("U{:08X}", c);
    }
  }

  std::string out_;
};

}  // namespace

std::string print_yaml(const Json& value) {
  Printer printer;
  printer.value(value, 0);
  return std::move(printer).take();
}

}  // namespace sluice::doc
