#include "base/clock.hpp"

#include <catch2/catch.hpp>
#include <limits>

using namespace sluice::base;
using namespace std::chrono_literals;

namespace {

// What Go's time.ParseDuration says of the text, in nanoseconds.
struct GoDuration {
  const char* text;
  std::int64_t nanos;
};

}  // namespace

TEST_CASE("durations are read as Go reads them") {
  const GoDuration cases[] = {
      {"0", 0},
      {"+0", 0},
      {"5s", 5'000'000'000},
      {"-5s", -5'000'000'000},
      {"+5s", 5'000'000'000},
      {"1h30m", 5'400'000'000'000},
      {"750ms", 750'000'000},
      {"5.0s", 5'000'000'000},
      {"5.s", 5'000'000'000},
      {".5s", 500'000'000},
      {"-.5s", -500'000'000},
      {"1.004s", 1'004'000'000},
      {"100.00100s", 100'001'000'000},
      {"10ns", 10},
      {"11us", 11'000},
      {"12\u00b5s", 12'000},  // micro sign
      {"12\u03bcs", 12'000},  // Greek mu
      {"3h30m30s", 12'630'000'000'000},
      {"39h9m14.425s", 140'954'425'000'000},
      {"1h1h", 7'200'000'000'000},
      // What is below a nanosecond is cut off, not rounded.
      {"0.9ns", 0},
      {"1.9ns", 1},
      {"-1.9ns", -1},
      {"0.0000000009s", 0},
      {"0.3333333333333333333h", 1'200'000'000'000},
      {"0.100000000000000000000h", 360'000'000'000},
      {"0.830103483285477580700h", 2'988'372'539'827},
      {"9007199254740993ns", 9007199254740993},  // 2^53 + 1
      {"9223372036854775807ns", std::numeric_limits<std::int64_t>::max()},
      {"9223372036854775.807us", std::numeric_limits<std::int64_t>::max()},
      {"9223372036s854ms775us807ns", std::numeric_limits<std::int64_t>::max()},
      {"-9223372036854775808ns", std::numeric_limits<std::int64_t>::min()},
      {"-2562047h47m16.854775808s", std::numeric_limits<std::int64_t>::min()},
  };
  for (const auto& [text, nanos] : cases) {
    CAPTURE(text);
    const auto read = parse_duration(text);
    REQUIRE(read);
    CHECK(read->count() == nanos);
  }
}

TEST_CASE("what Go refuses as a duration is refused, and named") {
  for (const char* text : {"",          "3",           "-",           "+",     "s",
                           ".",         "-.",          ".s",          "+.s",   "1d",
                           "1 h",       " 1h",         "1h ",         "1hour", "1,5s",
                           "--1s",      "1s-1s",       "1e3s",        "\x80s", "99999999999999999999",
                           "3000000h1", "3000000h 1s", "3000000hours"}) {
    CAPTURE(text);
    const auto read = parse_duration(text);
    REQUIRE_FALSE(read);
    CHECK(read.error().kind == ErrorKind::invalid);
    CHECK(read.error().reason.empty());
    CHECK(read.error().message.find(std::string("'") + text + "'") == 0);
  }
}

TEST_CASE("a duration that 64 bits cannot hold is too large, and the largest is named") {
  for (const char* text : {"9223372036854775808ns", "9223372036854775.808us", "3000000h", "-9223372036854775809ns",
                           "9223372036854ms775us808ns", "99999999999999999999s", "3000000h1s", "1s3000000h",
                           "2562047h47m16.854775808s", "3000000h3000000h3000000h"}) {
    CAPTURE(text);
    const auto read = parse_duration(text);
    REQUIRE_FALSE(read);
    CHECK(read.error().kind == ErrorKind::invalid);
    CHECK(read.error().reason == "TooLarge");
    CHECK(read.error().message ==
          "'" + std::string(text) + "' is too large a duration, at most 2562047h47m16.854775807s are allowed");
  }
  const auto largest = parse_duration("2562047h47m16.854775807s");
  REQUIRE(largest);
  CHECK(largest->count() == std::numeric_limits<std::int64_t>::max());
}

TEST_CASE("durations are printed as Go prints them, and read back as they were") {
  const GoDuration cases[] = {{"0s", 0},
                              {"1ns", 1},
                              {"1.1\u00b5s", 1'100},
                              {"2.2ms", 2'200'000},
                              {"3.3s", 3'300'000'000},
                              {"4m5s", 245'000'000'000},
                              {"4m5.001s", 245'001'000'000},
                              {"5h6m7.001s", 18'367'001'000'000},
                              {"1h0m0s", 3'600'000'000'000},
                              {"8m0.000000001s", 480'000'000'001},
                              {"-1m30s", -90'000'000'000},
                              {"2562047h47m16.854775807s", std::numeric_limits<std::int64_t>::max()},
                              {"-2562047h47m16.854775808s", std::numeric_limits<std::int64_t>::min()}};
  for (const auto& [text, nanos] : cases) {
    CHECK(format_duration(Duration{nanos}) == text);
    const auto again = parse_duration(text);
    REQUIRE(again);
    CHECK(again->count() == nanos);
  }
}

TEST_CASE("times are read with any offset and fraction, and printed in UTC") {
  const auto printed = [](const char* text) {
    const auto time = parse_time(text);
    if (!time) return time.error().message;
    return format_micro_time(*time);
  };
  CHECK(printed("2026-01-31T10:00:00Z") == "2026-01-31T10:00:00.000000Z");
  CHECK(printed("2026-01-31T10:00:00.123456789Z") == "2026-01-31T10:00:00.123456Z");
  CHECK(printed("2026-01-31T10:00:00+02:30") == "2026-01-31T07:30:00.000000Z");
  CHECK(printed("2026-12-31T23:30:00-01:00") == "2027-01-01T00:30:00.000000Z");
  CHECK(printed("2024-02-29T00:00:00Z") == "2024-02-29T00:00:00.000000Z");
  CHECK(printed("1969-12-31T23:59:59.999999Z") == "1969-12-31T23:59:59.999999Z");
  CHECK(format_time(TimePoint{}) == "1970-01-01T00:00:00Z");
  CHECK(format_time(*parse_time("2026-01-31T10:00:00.999Z")) == "2026-01-31T10:00:00Z");
}

TEST_CASE("what is no time is refused") {
  for (const char* text :
       {"", "2026-01-31", "2026-01-31T10:00:00", "2026-01-31 10:00:00Z", "2026-02-30T10:00:00Z", "2025-02-29T10:00:00Z",
        "2026-13-01T10:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T10:60:00Z", "2026-01-31T10:00:60Z",
        "2026-01-31T10:00:00.Z", "2026-01-31T10:00:00Zx", "2026-01-31T10:00:00+2:00", "2026-01-31T10:00:00+02",
        "26-01-31T10:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z"}) {
    CAPTURE(text);
    const auto time = parse_time(text);
    REQUIRE_FALSE(time);
    CHECK(time.error().kind == ErrorKind::invalid);
  }
}

TEST_CASE("a manual clock moves only when it is told to, wall and steady time together") {
  ManualClock clock(*parse_time("2026-01-31T10:00:00Z"));
  const SteadyPoint before = clock.steady();
  CHECK(clock.now() == clock.now());
  clock.advance(90s);
  CHECK(format_time(clock.now()) == "2026-01-31T10:01:30Z");
  CHECK(clock.steady() - before == 90s);
}
