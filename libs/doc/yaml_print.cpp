// The printer: block style, two spaces, as go-yaml v2's emitter decides.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>

#include "doc/yaml.hpp"
#include "doc/yaml_key_order.hpp"
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
  if (text[at] >= ' ' && text[at] <= '~') return false;
  const std::string_view rest = text.substr(at, 3);
  return rest[0] == '\n' || rest[0] == '\r' || rest.starts_with("\xC2\x85") || rest.starts_with("\xE2\x80\xA8") ||
         rest.starts_with("\xE2\x80\xA9");
}

bool has_break(std::string_view text) {
  for (std::size_t i = text.find_first_of("\n\r\xC2\xE2"); i < text.size(); ++i) {
    if (is_break(text, i)) return true;
  }
  return false;
}

// Of the breaks that a literal may hold.
bool ends_in_break(std::string_view text) {
  return text.ends_with('\n') || text.ends_with("\xE2\x80\xA8") || text.ends_with("\xE2\x80\xA9");
}

bool starts_with_indicator(std::string_view text) {
  const bool lone = text.size() == 1 || text[1] == ' ' || text[1] == '\t';
  return std::string_view("#,[]{}&*!|>'\"%@`").find(text[0]) != std::string_view::npos ||
         (lone && (text[0] == '?' || text[0] == ':' || text[0] == '-')) || text.starts_with("---") ||
         text.starts_with("...");
}

// A word that needs no quotes in any place: most keys and values are.
bool is_plain_word(std::string_view text) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto is_harmless = [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '/';
  };
  return !text.empty() && is_letter(text[0]) && std::all_of(text.begin(), text.end(), is_harmless) &&
         !is_ambiguous_string(text);
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

// Lines are folded at the first space past this column.
constexpr std::size_t kWidth = 80;

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
    const auto one = [&](const std::string& key, const Json& child) {
      if (!first) out_.append(indent, ' ');
      first = false;
      // libyaml's limit on a key without the "? " mark: 128 bytes in one line.
      const bool word = is_plain_word(key);
      const bool complex = key.size() > 128 || (!word && has_break(key));
      if (word && !complex) {
        out_ += key;
      } else if (complex) {
        out_ += "? ";
        text(key, indent + 2);
        out_.append("\n").append(indent, ' ');
      } else {
        simple_key(key);
      }
      out_ += ':';
      if (complex && child.is_structured() && !child.empty()) {
        out_ += ' ';
        value(child, indent + 2);
      } else {
        member(child, indent);
      }
    };
    const std::string* last = nullptr;
    bool in_order = true;
    for (auto it = map.begin(); it != map.end() && in_order; ++it) {
      in_order = last == nullptr || !yaml_key_less(it.key(), *last);
      last = &it.key();
    }
    if (in_order) {
      for (const auto& [key, child] : map.items()) one(key, child);
      return;
    }
    std::vector<std::pair<const std::string*, const Json*>> sorted;
    for (auto it = map.begin(); it != map.end(); ++it) sorted.emplace_back(&it.key(), &*it);
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const auto& a, const auto& b) { return yaml_key_less(*a.first, *b.first); });
    for (const auto& [key, child] : sorted) one(*key, *child);
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

  // Go writes a whole float below 1e21 in JSON as an integer would be, and
  // reads what fits 64 bits back as one.
  static std::string number(double value) {
    if (value == 0) return "0";  // -0, too
    if (std::fabs(value) >= 1e21 || value != std::trunc(value)) return format_float(value);
    std::array<char, 32> buffer{};
    char* const end =
        std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed).ptr;
    const std::string_view digits(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
    return resolve_plain_scalar(digits).is_number_integer() ? std::string(digits) : format_float(value);
  }

  void text(const std::string& text, std::size_t indent) {
    if (is_plain_word(text)) {
      out_ += text;
      return;
    }
    const TextTraits traits = analyze(text);
    if (text.find('\n') != std::string::npos) {
      if (traits.block) return literal(text, indent);
      return double_quoted(text, indent);
    }
    if (is_ambiguous_string(text)) return double_quoted(text, indent);
    if (traits.plain) {
      plain(text, indent);
    } else if (traits.single_quoted) {
      single_quoted(text, indent);
    } else {
      double_quoted(text, indent);
    }
  }

  void simple_key(const std::string& key) {
    folds_ = false;
    text(key, 0);
    folds_ = true;
  }

  // The column at which the next character goes.
  std::size_t column() const {
    const std::size_t line = out_.rfind('\n') + 1;  // npos + 1 == 0
    std::size_t column = 0;
    for (std::size_t i = line; i < out_.size(); ++i) column += (out_[i] & 0xC0) != 0x80;
    return column;
  }
  bool may_fold(std::string_view text) const {
    if (!folds_ || text.find(' ') == std::string_view::npos) return false;
    return out_.size() - (out_.rfind('\n') + 1) + text.size() * 2 > kWidth;
  }
  void fold(std::size_t indent) { out_.append("\n").append(indent, ' '); }

  void plain(std::string_view text, std::size_t indent) {
    if (!may_fold(text)) {
      out_ += text;
      return;
    }
    bool spaces = false;
    std::size_t at = column();
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool space = text[i] == ' ';
      if (space && !spaces && at > kWidth && text[i + 1] != ' ') {
        fold(indent);
        at = indent;
      } else {
        out_ += text[i];
        at += (text[i] & 0xC0) != 0x80;
      }
      spaces = space;
    }
  }

  void single_quoted(std::string_view text, std::size_t indent) {
    const bool folds = may_fold(text);
    out_ += '\'';
    bool spaces = false, breaks = false;
    std::size_t at = folds ? column() : 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool space = text[i] == ' ';
      if (folds && space && !spaces && at > kWidth && i > 0 && i + 1 < text.size() && text[i + 1] != ' ') {
        fold(indent);
        at = indent;
      } else if (is_break(text, i)) {
        out_.append(text.substr(i, 3));
        i += 2;
        at = 0;
        breaks = true;
      } else {
        if (breaks && !space) {
          out_.append(indent, ' ');
          at = indent;
          breaks = false;
        }
        if (text[i] == '\'') out_ += '\'';
        out_ += text[i];
        at += ((text[i] & 0xC0) != 0x80) + (text[i] == '\'');
      }
      spaces = space;
    }
    out_ += '\'';
  }

  void literal(std::string_view text, std::size_t indent) {
    out_ += '|';
    if (text[0] == ' ' || is_break(text, 0)) out_ += '2';
    if (!ends_in_break(text)) {
      out_ += '-';
    } else if (text.size() == 1 || ends_in_break(text.substr(0, text.size() - 1))) {
      out_ += '+';
    }
    if (text.back() == '\n') text.remove_suffix(1);
    for (std::size_t start = 0; start <= text.size();) {
      const std::size_t end = std::min(text.find('\n', start), text.size());
      out_ += '\n';
      literal_line(text.substr(start, end - start), indent);
      start = end + 1;
    }
  }

  // The emitter takes the other breaks of Unicode for ends of lines, too.
  void literal_line(std::string_view line, std::size_t indent) {
    if (line.find('\xE2') == std::string_view::npos) {
      if (!line.empty()) out_.append(indent, ' ').append(line);
      return;
    }
    for (std::size_t start = 0; start < line.size();) {
      std::size_t end = start;
      while (end < line.size() && !is_break(line, end)) ++end;
      if (end > start) out_.append(indent, ' ').append(line.substr(start, end - start));
      if (end < line.size()) out_.append(line.substr(end, 3));
      start = end + 3;
    }
  }

  void double_quoted(std::string_view text, std::size_t indent) {
    const bool folds = may_fold(text);
    // go-yaml asks of each character whether the whole text begins with a byte order mark.
    const bool escapes_all = text.starts_with("\xEF\xBB\xBF");
    out_ += '"';
    bool spaces = false;
    for (std::size_t i = 0; i < text.size();) {
      const std::size_t width = std::min(utf8_length(static_cast<unsigned char>(text[i])), text.size() - i);
      const bool space = text[i] == ' ';
      if (escapes_all || text[i] == '"' || text[i] == '\\' || is_break(text, i) || printable_length(text, i) == 0) {
        escape(code_point(text, i));
      } else if (folds && space && !spaces && i > 0 && i + 1 < text.size() && column() > kWidth) {
        fold(indent);
        if (text[i + 1] == ' ') out_ += '\\';
      } else {
        out_.append(text.substr(i, width));
      }
      spaces = space;
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
  bool folds_ = true;  // keys in one line are not
};

}  // namespace

std::string print_yaml(const Json& value) {
  Printer printer;
  // A lone scalar folds as if it were a value in a map.
  printer.value(value, value.is_structured() && !value.empty() ? 0 : 2);
  return std::move(printer).take();
}

}  // namespace sluice::doc
