#include "base/clock.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <limits>

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
  bool negative = false;
  if (!rest.empty() && (rest.front() == '-' || rest.front() == '+')) {
    negative = rest.front() == '-';
    rest.remove_prefix(1);
  }
  if (rest == "0") return Duration{0};
  if (rest.empty()) return bad_duration(text);
  long double total = 0;
  std::int64_t exact = 0;
  while (!rest.empty()) {
    std::size_t digits = 0;
    std::int64_t whole = 0;
    while (digits < rest.size() && rest[digits] >= '0' && rest[digits] <= '9') {
      if (whole > (std::numeric_limits<std::int64_t>::max() - 9) / 10) return bad_duration(text);
      whole = whole * 10 + (rest[digits++] - '0');
    }
    std::size_t used = digits;
    long double fraction = 0;
    if (used < rest.size() && rest[used] == '.') {
      long double scale = 0.1L;
      for (++used; used < rest.size() && rest[used] >= '0' && rest[used] <= '9'; ++used, ++digits, scale /= 10) {
        fraction += scale * static_cast<long double>(rest[used] - '0');
      }
    }
    if (digits == 0) return bad_duration(text);
    rest.remove_prefix(used);
    const Unit* unit = nullptr;
    for (const Unit& candidate : kUnits) {
      if (rest.substr(0, candidate.name.size()) == candidate.name) {
        unit = &candidate;
        break;
      }
    }
    if (unit == nullptr) return bad_duration(text);
    rest.remove_prefix(unit->name.size());
    total += (static_cast<long double>(whole) + fraction) * static_cast<long double>(unit->nanos);
    if (total > static_cast<long double>(std::numeric_limits<std::int64_t>::max())) return bad_duration(text);
    exact += whole * unit->nanos + static_cast<std::int64_t>(fraction * static_cast<long double>(unit->nanos) + 0.5L);
  }
  return Duration{negative ? -exact : exact};
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
