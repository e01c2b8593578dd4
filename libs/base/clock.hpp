// Time as an injected service, and the two time formats of the Kubernetes API.
//
// Whoever needs the time takes a Clock&, so that tests can move it by hand.
// Wall time (TimePoint) is what the API stores; steady time is for measuring
// and for deadlines, as it never jumps.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sluice::base {

using TimePoint = std::chrono::system_clock::time_point;
using SteadyPoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::nanoseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
  virtual SteadyPoint steady() const = 0;
};

// The machine's clock. Lives as long as the process.
const Clock& system_clock() noexcept;

// A clock that stands still until told otherwise; for tests.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(TimePoint start) : now_(start) {}
  TimePoint now() const override { return now_; }
  SteadyPoint steady() const override { return steady_; }
  void advance(Duration by) {
    now_ += std::chrono::duration_cast<TimePoint::duration>(by);
    steady_ += std::chrono::duration_cast<SteadyPoint::duration>(by);
  }

 private:
  TimePoint now_;
  SteadyPoint steady_{};
};

// RFC 3339 in UTC to the second, as metav1.Time prints it: 2026-01-31T10:00:00Z.
std::string format_time(TimePoint time);
// The same with microseconds, as metav1.MicroTime prints it (Lease, Event).
std::string format_micro_time(TimePoint time);
// RFC 3339 with any fraction and any offset. `invalid` on anything else.
Result<TimePoint> parse_time(std::string_view text);

// Go's time.ParseDuration, which metav1.Duration uses: "1h30m", "750ms", "0",
// "1.5s", "-1h"; units ns, us, µs, ms, s, m, h. `invalid` on anything else or
// on overflow of 64 bits of nanoseconds.
Result<Duration> parse_duration(std::string_view text);
// Go's Duration.String: "1h30m0s", "750ms", "0s".
std::string format_duration(Duration duration);

}  // namespace sluice::base
