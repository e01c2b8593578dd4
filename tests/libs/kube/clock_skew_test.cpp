#include "kube/detail/clock_skew.hpp"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using namespace sluice;
using kube::detail::ClockSkew;

namespace {
const base::TimePoint kTen = base::parse_time("2026-11-24T10:00:00.7Z").value();
}

TEST_CASE("the Date of an answer tells how far the server's clock is ahead") {
  ClockSkew skew;
  CHECK(skew.value() == 0s);
  skew.observe("Tue, 24 Nov 2026 13:00:00 GMT", kTen);
  CHECK(skew.value() == 3h - 700ms);
  // The next answers differ by their way and by the cut to the second; the time told does not waver.
  skew.observe("Tue, 24 Nov 2026 13:00:01 GMT", kTen);
  CHECK(skew.value() == 3h - 700ms);
  skew.observe("Tue, 24 Nov 2026 07:00:00 GMT", kTen);
  CHECK(skew.value() == -3h - 700ms);
}

TEST_CASE("clocks that agree to the second are left alone, also when they come to agree") {
  ClockSkew skew;
  skew.observe("Tue, 24 Nov 2026 10:00:00 GMT", kTen);
  CHECK(skew.value() == 0s);
  skew.observe("Tue, 24 Nov 2026 11:00:00 GMT", kTen);
  CHECK(skew.value() > 59min);
  skew.observe("Tue, 24 Nov 2026 10:00:00 GMT", kTen);
  CHECK(skew.value() == 0s);
}

TEST_CASE("what is no date changes nothing") {
  ClockSkew skew;
  for (const char* text : {"", "yesterday", "Tue, 24 Nov 2026", "Tue, 24 Nov 2026 13:00:00 GMT and more",
                           "Tue, 24 Foo 2026 13:00:00 GMT", "2026-11-24T13:00:00Z"}) {
    skew.observe(text, kTen);
    CHECK(skew.value() == 0s);
  }
}
