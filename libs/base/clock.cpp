#include "base/clock.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace sluice::base {
namespace {

class SystemClock final : public Clock {
 public:
  TimePoint now() const override { return std::chrono::system_clock::now(); }
  SteadyPoint steady() const override { return std::chrono::steady_clock::now(); }
};

struct Civil {
  int year, month, day, hour, minute, second;
  std::int64_t micros;
};

Civil to_civil(TimePoint time) {
  using namespace std::chrono;
  const auto micros_total = floor<microseconds>(time);
  const auto days_total = floor<days>(micros_total);
  const year_month_day date{days_total};
  const hh_mm_ss clock{micros_total - days_total};
  return {static_cast<int>(date.year()),
          static_cast<int>(static_cast<unsigned>(date.month())),
          static_cast<int>(static_cast<unsigned>(date.day())),
          static_cast<int>(clock.hours().count()),
          static_cast<int>(clock.minutes().count()),
          static_cast<int>(clock.seconds().count()),
          clock.subseconds().count()};
}

// Reads exactly `width` digits at `pos` and moves past them; -1 if there are none.
int take_digits(std::string_view text, std::size_t& pos, std::size_t width) {
  if (pos + width > text.size()) return -1;
  int value = 0;
  for (std::size_t i = 0; i < width; ++i) {
    const char c = text[pos + i];
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  pos += width;
  return value;
}

bool take(std::string_view text, std::size_t& pos, char expected) {
  if (pos >= text.size() || text[pos] != expected) return false;
  ++pos;
  return true;
}

Unexpected bad_time(std::string_view text) {
  return unexpected(ErrorKind::invalid, fmt::format("'{}' is not an RFC 3339 time", text));
}

Unexpected bad_duration(std::string_view text) {
  return unexpected(ErrorKind::invalid, fmt::format("'{}' is not a duration such as 30s, 5m or 1h30m", text));
}

// The reason "TooLarge" tells it from what is no duration.
Unexpected large_duration(std::string_view text) {
  Error error;
  error.kind = ErrorKind::invalid;
  error.reason = "TooLarge";
  error.message =
      fmt::format("'{}' is too large a duration, at most {} are allowed", text, format_duration(Duration::max()));
  return unexpected(std::move(error));
}

struct Unit {
  std::string_view name;
  std::int64_t nanos;
};
// Longer names first, so that "ms" is not read as "m" and a stray "s".
constexpr std::array<Unit, 8> kUnits{{{"ns", 1},
                                      {"us", 1'000},
                                      {"\u00b5s", 1'000},
                                      {"\u03bcs", 1'000},
                                      {"ms", 1'000'000},
                                      {"s", 1'000'000'000},
                                      {"m", 60'000'000'000},
                                      {"h", 3'600'000'000'000}}};

constexpr std::uint64_t kMaxNanos = 1ULL << 63U;
constexpr std::uint64_t kTooMany = kMaxNanos + 1;  // stands for all numbers over kMaxNanos

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Takes the digits at the front of `rest`.
std::uint64_t take_number(std::string_view& rest) {
  std::uint64_t value = 0;
  for (; !rest.empty() && is_digit(rest.front()); rest.remove_prefix(1)) {
    const auto digit = static_cast<unsigned>(rest.front() - '0');
    value = value > (kMaxNanos - digit) / 10 ? kTooMany : value * 10 + digit;
  }
  return value;
}

// Takes the digits after the point as a numerator and its power of ten. What a
// 64-bit numerator cannot hold is dropped, as Go does.
void take_fraction(std::string_view& rest, std::uint64_t& numerator, double& scale) {
  numerator = 0;
  scale = 1;
  for (bool full = false; !rest.empty() && is_digit(rest.front()); rest.remove_prefix(1)) {
    const auto digit = static_cast<unsigned>(rest.front() - '0');
    full = full || numerator > (kMaxNanos - 1) / 10 || numerator * 10 + digit > kMaxNanos;
    if (full) continue;
    numerator = numerator * 10 + digit;
    scale *= 10;
  }
}

// Takes one number with its unit, "1.5h", and gives its nanoseconds; what is
// below one is cut off. None if it is not of that form.
std::optional<std::uint64_t> take_part(std::string_view& rest) {
  const std::size_t before = rest.size();
  const std::uint64_t whole = take_number(rest);
  std::size_t digits = before - rest.size();
  std::uint64_t numerator = 0;
  double scale = 1;
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    const std::size_t after_point = rest.size();
    take_fraction(rest, numerator, scale);
    digits += after_point - rest.size();
  }
  if (digits == 0) return std::nullopt;
  const auto unit = std::find_if(kUnits.begin(), kUnits.end(),
                                 [rest](const Unit& candidate) { return rest.starts_with(candidate.name); });
  if (unit == kUnits.end()) return std::nullopt;
  rest.remove_prefix(unit->name.size());
  const auto nanos = static_cast<std::uint64_t>(unit->nanos);
  if (whole > kMaxNanos / nanos) return kTooMany;
  // The same floating-point steps as Go takes, so that they round alike.
  const auto below = static_cast<std::uint64_t>(static_cast<double>(numerator) * (static_cast<double>(nanos) / scale));
  const std::uint64_t sum = whole * nanos + below;
  return std::min(sum, kTooMany);
}

// "1.50" -> "1.5", "2.000" -> "2"
std::string trim_fraction(std::string digits) {
  while (!digits.empty() && digits.back() == '0') digits.pop_back();
  if (!digits.empty() && digits.back() == '.') digits.pop_back();
  return digits;
}

}  // namespace

const Clock& system_clock() noexcept {
  static const SystemClock clock;
  return clock;
}

std::string format_time(TimePoint time) {
  const Civil c = to_civil(time);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second);
}

std::string format_micro_time(TimePoint time) {
  const Civil c = to_civil(time);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", c.year, c.month, c.day, c.hour, c.minute, c.second,
                     c.micros);
}

Result<TimePoint> parse_time(std::string_view text) {
  using namespace std::chrono;
  std::size_t pos = 0;
  const int year_value = take_digits(text, pos, 4);
  if (year_value < 0 || !take(text, pos, '-')) return bad_time(text);
  const int month_value = take_digits(text, pos, 2);
  if (month_value < 0 || !take(text, pos, '-')) return bad_time(text);
  const int day_value = take_digits(text, pos, 2);
  if (day_value < 0 || pos >= text.size() || (text[pos] != 'T' && text[pos] != 't')) return bad_time(text);
  ++pos;
  const int hour = take_digits(text, pos, 2);
  if (hour < 0 || hour > 23 || !take(text, pos, ':')) return bad_time(text);
  const int minute = take_digits(text, pos, 2);
  if (minute < 0 || minute > 59 || !take(text, pos, ':')) return bad_time(text);
  const int second = take_digits(text, pos, 2);
  if (second < 0 || second > 59) return bad_time(text);
  std::int64_t nanos = 0;
  if (take(text, pos, '.')) {
    const std::size_t first = pos;
    std::int64_t scale = 100'000'000;
    for (int digit = take_digits(text, pos, 1); digit >= 0; digit = take_digits(text, pos, 1)) {
      nanos += digit * scale;
      scale /= 10;
    }
    if (pos == first) return bad_time(text);
  }
  seconds offset{0};
  if (pos < text.size() && (text[pos] == 'Z' || text[pos] == 'z')) {
    ++pos;
  } else if (pos < text.size() && (text[pos] == '+' || text[pos] == '-')) {
    const int sign = text[pos++] == '-' ? -1 : 1;
    const int offset_hours = take_digits(text, pos, 2);
    if (offset_hours < 0 || offset_hours > 23 || !take(text, pos, ':')) return bad_time(text);
    const int offset_minutes = take_digits(text, pos, 2);
    if (offset_minutes < 0 || offset_minutes > 59) return bad_time(text);
    offset = seconds{sign * (offset_hours * 3600 + offset_minutes * 60)};
  } else {
    return bad_time(text);
  }
  const year_month_day date{year{year_value}, month{static_cast<unsigned>(month_value)},
                            day{static_cast<unsigned>(day_value)}};
  if (pos != text.size() || !date.ok() || year_value < 1678 || year_value > 2261) return bad_time(text);
  return TimePoint{sys_days{date}} + hours{hour} + minutes{minute} + seconds{second} - offset +
         duration_cast<TimePoint::duration>(nanoseconds{nanos});
}

Result<Duration> parse_duration(std::string_view text) {
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest == "0") return Duration{0};
  if (rest.empty()) return bad_duration(text);
  std::uint64_t total = 0;  // of nanoseconds
  while (!rest.empty()) {
    const auto part = take_part(rest);
    if (!part) return bad_duration(text);
    total = *part > kMaxNanos || total > kMaxNanos - *part ? kTooMany : total + *part;
  }
  if (total == kTooMany) return large_duration(text);
  // As in Go, only a negative duration reaches the 2^63rd nanosecond.
  if (negative) return Duration{static_cast<std::int64_t>(0 - total)};
  if (total == kMaxNanos) return large_duration(text);
  return Duration{static_cast<std::int64_t>(total)};
}

std::string format_duration(Duration duration) {
  const std::int64_t nanos = duration.count();
  if (nanos == 0) return "0s";
  const std::string sign = nanos < 0 ? "-" : "";
  const auto magnitude = nanos < 0 ? 0 - static_cast<std::uint64_t>(nanos) : static_cast<std::uint64_t>(nanos);
  if (magnitude < 1'000) return fmt::format("{}{}ns", sign, magnitude);
  if (magnitude < 1'000'000) {
    return sign + trim_fraction(fmt::format("{}.{:03}", magnitude / 1'000, magnitude % 1'000)) + "\u00b5s";
  }
  if (magnitude < 1'000'000'000) {
    return sign + trim_fraction(fmt::format("{}.{:06}", magnitude / 1'000'000, magnitude % 1'000'000)) + "ms";
  }
  const std::uint64_t whole_seconds = magnitude / 1'000'000'000;
  const std::string seconds_text =
      trim_fraction(fmt::format("{}.{:09}", whole_seconds % 60, magnitude % 1'000'000'000)) + "s";
  const std::uint64_t whole_hours = whole_seconds / 3600;
  const std::uint64_t whole_minutes = whole_seconds / 60 % 60;
  if (whole_hours > 0) return fmt::format("{}{}h{}m{}", sign, whole_hours, whole_minutes, seconds_text);
  if (whole_minutes > 0) return fmt::format("{}{}m{}", sign, whole_minutes, seconds_text);
  return sign + seconds_text;
}

}  // namespace sluice::base
