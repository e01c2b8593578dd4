#include "doc/yaml_scalar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <optional>

namespace sluice::doc {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

template <std::size_t N>
bool one_of(std::string_view text, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

constexpr std::array<std::string_view, 3> kTrue{"true", "True", "TRUE"};
constexpr std::array<std::string_view, 3> kFalse{"false", "False", "FALSE"};
constexpr std::array<std::string_view, 5> kNull{"", "~", "null", "Null", "NULL"};
constexpr std::array<std::string_view, 16> kYaml11Bool{"y", "Y", "yes", "Yes", "YES", "on",  "On",  "ON",
                                                       "n", "N", "no",  "No",  "NO",  "off", "Off", "OFF"};
constexpr std::array<std::string_view, 3> kNan{".nan", ".NaN", ".NAN"};
constexpr std::array<std::string_view, 6> kInfinity{".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"};
constexpr std::array<std::string_view, 3> kNegativeInfinity{"-.inf", "-.Inf", "-.INF"};

constexpr std::size_t kLongestWord = 5;  // "false"

bool may_be_number(char first) { return is_digit(first) || first == '.' || first == '+' || first == '-'; }

template <class Int>
std::optional<Int> to_int(std::string_view digits, int base) {
  Int value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value, base);
  if (error != std::errc() || stop != end || digits.empty()) return std::nullopt;
  return value;
}

// strconv.ParseInt(text, 0, 64), then ParseUint, plus YAML 1.2's "0o" (which
// Go's base 0 accepts as well).
std::optional<Json> parse_integer(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    const char kind = static_cast<char>(text[1] | 0x20);
    base = kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
    text.remove_prefix(kind == 'x' || kind == 'b' || kind == 'o' ? 2 : 1);
  }
  if (text.empty() || text[0] == '-') return std::nullopt;
  const auto magnitude = to_int<std::uint64_t>(text, base);
  if (!magnitude) return std::nullopt;
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!negative) return *magnitude <= kMax ? Json(static_cast<std::int64_t>(*magnitude)) : Json(*magnitude);
  if (*magnitude > kMax + 1) return std::nullopt;
  return Json(static_cast<std::int64_t>(0U - *magnitude));
}

// ^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$
bool looks_like_float(std::string_view text) {
  std::size_t i = 0;
  const auto digits = [&] {
    const std::size_t start = i;
    while (i < text.size() && is_digit(text[i])) ++i;
    return i - start;
  };
  if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
  const std::size_t whole = digits();
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (digits() == 0 && whole == 0) return false;
  } else if (whole == 0) {
    return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
    if (digits() == 0) return false;
  }
  return i == text.size();
}

std::optional<double> parse_float(std::string_view text) {
  if (!looks_like_float(text)) return std::nullopt;
  if (text[0] == '+') text.remove_prefix(1);
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc()) return value;
  // Out of range: what is too small is 0 or nearly so, of what is too large Go keeps the text.
  value = std::strtod(std::string(text).c_str(), nullptr);
  if (std::isinf(value)) return std::nullopt;
  return value;
}

// YAML 1.1's base 60 numbers (1:30), which some readers still know.
bool is_base60(std::string_view text) {
  std::size_t i = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  if (i >= text.size() || !is_digit(text[i])) return false;
  while (i < text.size() && (is_digit(text[i]) || text[i] == '_')) ++i;
  std::size_t groups = 0;
  while (i < text.size() && text[i] == ':') {
    std::size_t digits = 0;
    for (++i; i < text.size() && is_digit(text[i]) && digits < 2; ++i) ++digits;
    if (digits == 0 || (digits == 2 && text[i - 2] > '5')) return false;
    ++groups;
  }
  if (groups > 0 && i < text.size() && text[i] == '.') {
    for (++i; i < text.size() && (is_digit(text[i]) || text[i] == '_');) ++i;
  }
  return groups > 0 && i == text.size();
}

// The dates that go-yaml takes for timestamps: 2006-1-2, then an optional time
// after 'T', 't' or a space.
class Timestamp {
 public:
  explicit Timestamp(std::string_view text) : text_(text) {}

  bool parse() {
    if (!number(4, 4, year_) || !literal('-') || !number(1, 2, month_) || !literal('-') || !number(1, 2, day_)) {
      return false;
    }
    const std::chrono::year_month_day date(std::chrono::year(static_cast<int>(year_)), std::chrono::month(month_),
                                           std::chrono::day(day_));
    if (!date.ok()) return false;
    if (at_ == text_.size()) return true;
    const bool zoned = literal('T') || literal('t');
    if (!zoned && !literal(' ')) return false;
    if (!clock()) return false;
    return zoned ? zone() : at_ == text_.size();
  }

  std::string json() const {
    std::string out = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", year_, month_, day_, hour_, minute_, second_);
    std::string_view fraction = fraction_;
    while (fraction.ends_with('0')) fraction.remove_suffix(1);
    if (!fraction.empty()) out.append(".").append(fraction);
    return out.append(zone_);
  }

 private:
  bool clock() {
    if (!number(1, 2, hour_) || hour_ > 23 || !literal(':') || !number(1, 2, minute_) || minute_ > 59 ||
        !literal(':') || !number(1, 2, second_) || second_ > 59) {
      return false;
    }
    if (!literal('.')) return true;
    const std::size_t start = at_;
    unsigned ignored = 0;
    if (!number(1, 9, ignored)) return false;
    fraction_ = text_.substr(start, at_ - start);
    return true;
  }
  bool zone() {
    if (literal('Z')) return at_ == text_.size();
    const std::string_view zone = text_.substr(at_);
    unsigned hours = 0, minutes = 0;
    if (!literal('+') && !literal('-')) return false;
    if (!number(2, 2, hours) || hours > 24 || !literal(':') || !number(2, 2, minutes) || minutes > 60) return false;
    if (hours != 0 || minutes != 0) zone_ = zone;
    return at_ == text_.size();
  }
  bool number(std::size_t least, std::size_t most, unsigned& value) {
    const std::size_t start = at_;
    for (value = 0; at_ < text_.size() && is_digit(text_[at_]) && at_ - start < most; ++at_) {
      value = value * 10 + static_cast<unsigned>(text_[at_] - '0');
    }
    return at_ - start >= least;
  }
  bool literal(char c) { return at_ < text_.size() && text_[at_] == c ? (++at_, true) : false; }

  std::string_view text_;
  std::size_t at_ = 0;
  unsigned year_ = 0, month_ = 0, day_ = 0, hour_ = 0, minute_ = 0, second_ = 0;
  std::string_view fraction_;
  std::string_view zone_ = "Z";
};

bool is_timestamp(std::string_view text) {
  return text.size() > 7 && text[4] == '-' && is_digit(text[0]) && Timestamp(text).parse();
}

}  // namespace

Json resolve_plain_scalar(std::string_view text) {
  if (one_of(text, kNull)) return Json();
  const char first = text[0];
  if (first == 't' || first == 'T' || first == 'f' || first == 'F') {
    if (one_of(text, kTrue)) return Json(true);
    if (one_of(text, kFalse)) return Json(false);
    return Json(text);
  }
  if (!may_be_number(first)) return Json(text);
  if (one_of(text, kNan)) return Json(std::nan(""));
  if (one_of(text, kInfinity)) return Json(std::numeric_limits<double>::infinity());
  if (one_of(text, kNegativeInfinity)) return Json(-std::numeric_limits<double>::infinity());
  if (is_timestamp(text)) return Json(text);
  std::string plain(text);
  if (first != '.') std::erase(plain, '_');
  if (first != '.') {
    if (auto integer = parse_integer(plain)) return *std::move(integer);
  }
  if (const auto real = parse_float(plain)) return Json(*real);
  return Json(text);
}

Json resolve_plain_scalar_1_1(std::string_view text) {
  const auto known = std::find(kYaml11Bool.begin(), kYaml11Bool.end(), text);
  if (known == kYaml11Bool.end()) return resolve_plain_scalar(text);
  return Json(known - kYaml11Bool.begin() < static_cast<std::ptrdiff_t>(kYaml11Bool.size() / 2));
}

bool is_ambiguous_string(std::string_view text) {
  if (text.empty()) return true;
  if (may_be_number(text[0])) {
    return !resolve_plain_scalar(text).is_string() || is_base60(text) || is_timestamp(text);
  }
  return text.size() <= kLongestWord &&
         (one_of(text, kYaml11Bool) || one_of(text, kTrue) || one_of(text, kFalse) || one_of(text, kNull));
}

std::optional<std::string> timestamp_as_json(std::string_view text) {
  if (text.size() < 8 || text[4] != '-' || !is_digit(text[0])) return std::nullopt;
  Timestamp timestamp(text);
  if (!timestamp.parse()) return std::nullopt;
  return timestamp.json();
}

std::string format_float(double value) {
  if (std::isnan(value)) return ".nan";
  if (std::isinf(value)) return value > 0 ? ".inf" : "-.inf";
  // Go's 'g' with the shortest precision: scientific for exponents < -4 or
  // >= 6, whatever the number of digits, with at least two exponent digits.
  std::array<char, 64> buffer{};
  const auto [end, error] =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
  if (error != std::errc()) return "0";
  const std::string scientific(buffer.data(), end);
  const int exponent = std::atoi(scientific.c_str() + scientific.find('e') + 1);
  if (exponent < -4 || exponent >= 6) return scientific;
  const auto fixed = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed);
  return std::string(buffer.data(), fixed.ptr);
}

}  // namespace sluice::doc
