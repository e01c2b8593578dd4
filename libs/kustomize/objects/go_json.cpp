#include "kustomize/objects/go_json.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

namespace sluice::kustomize {
namespace {

using doc::Json;

// The shortest digits that give the number again, laid out as encoding/json does: no point behind a
// whole number, an exponent only where digits would take too much room.
std::string float_text(double number) {
  std::array<char, 32> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), std::fabs(number),
                                 std::chars_format::scientific)
                       .ptr;
  const std::string_view text(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
  const std::size_t mark = text.find('e');
  std::string digits;
  for (const char c : text.substr(0, mark)) {
    if (c != '.') digits += c;
  }
  int exponent = 0;
  const bool plus = text[mark + 1] == '+';
  std::from_chars(text.data() + mark + 1 + plus, text.data() + text.size(), exponent);
  const std::string sign = std::signbit(number) ? "-" : "";
  if (number == 0) return sign + "0";
  if (exponent < -6 || exponent >= 21) {
    const std::string rest = digits.size() > 1 ? "." + digits.substr(1) : "";
    return fmt::format("{}{}{}e{}{}", sign, digits[0], rest, exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return sign + digits + std::string(whole - digits.size(), '0');
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::string string_text(const Json& value) {
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = std::string_view(text).substr(i, 3);
    if (text[i] == '<' || text[i] == '>' || text[i] == '&') {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(text[i]));
    } else if (rest == "\xE2\x80\xA8" || rest == "\xE2\x80\xA9") {
      out += rest[2] == '\xA8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

void write(std::string& out, const Json& value, bool pretty, std::size_t depth) {
  const auto new_line = [&](std::size_t level) {
    if (pretty) out.append("\n").append(2 * level, ' ');
  };
  if (!value.is_structured() || value.empty()) {
    out += value.is_number_float() ? float_text(value.get<double>())
           : value.is_string()     ? string_text(value)
                                   : value.dump();
    return;
  }
  const bool map = value.is_object();
  out += map ? '{' : '[';
  bool first = true;
  for (auto it = value.begin(); it != value.end(); ++it) {
    if (!first) out += ',';
    first = false;
    new_line(depth + 1);
    if (map) out.append(string_text(Json(it.key()))).append(pretty ? ": " : ":");
    write(out, *it, pretty, depth + 1);
  }
  new_line(depth);
  out += map ? '}' : ']';
}

}  // namespace

std::string go_json(const Json& value, bool pretty) {
  std::string out;
  write(out, value, pretty, 0);
  return out;
}

}  // namespace sluice::kustomize
