// What a daemon serves about itself: GET /metrics, /healthz, /readyz. Runs on
// the loop; private to this library.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "controller/metrics.hpp"
#include "http/server.hpp"
#include "rt/runtime.hpp"

namespace sluice::controller {

// `address` "0" or "" serves nothing and gives a null pointer.
base::Result<std::unique_ptr<http::Server>> serve_metrics(rt::Runtime& runtime, const std::string& address,
                                                          std::shared_ptr<const Metrics> metrics);
// `why_not_ready` gives "" when ready, else a line for each reason.
base::Result<std::unique_ptr<http::Server>> serve_health(rt::Runtime& runtime, const std::string& address,
                                                         std::function<std::string()> why_not_ready);

}  // namespace sluice::controller
