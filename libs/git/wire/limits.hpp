// What bounds one conversation with a server: a deadline and a stop request.
#pragma once

#include <chrono>
#include <stop_token>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace sluice::git::wire {

struct Limits {
  base::SteadyPoint deadline;
  std::stop_token stop;

  // `cancelled` or `timeout` once either has struck.
  base::Result<void> check() const {
    if (stop.stop_requested()) return base::unexpected(base::ErrorKind::cancelled, "stopped");
    if (std::chrono::steady_clock::now() >= deadline) {
      return base::unexpected(base::ErrorKind::timeout, "the timeout passed before the server had answered");
    }
    return {};
  }

  // Milliseconds until the deadline, at least 1 and at most `most`: for poll(2).
  int wait_ms(int most) const {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    return static_cast<int>(left < 1 ? 1 : (left < most ? left : most));
  }
};

}  // namespace sluice::git::wire
