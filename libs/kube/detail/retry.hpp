// When a request that the server turned away for now is sent again
// ("API Conventions", status codes 429 and 503). Pure; private to libs/kube.
#pragma once

#include <chrono>
#include <optional>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "http/message.hpp"

namespace sluice::kube::detail {

// The attempts at one request.
class Retries {
 public:
  explicit Retries(base::SteadyPoint started) : started_(started) {}

  // How long to wait before the next attempt, by what the server asked for; no
  // value if the answer is final, or patience is at its end (ten attempts, 30 s).
  // Never zero: "Retry-After: 0" from a struggling server must not become a spin.
  std::optional<std::chrono::milliseconds> wait_after(const http::Response& response, const base::Error& error,
                                                      base::SteadyPoint now);

 private:
  base::SteadyPoint started_;
  int attempts_ = 0;
};

}  // namespace sluice::kube::detail
