// Runs a credential plugin. Private to libs/kube.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>

#include "base/result.hpp"
#include "kube/config.hpp"

namespace sluice::kube::detail {

// Runs the plugin and gives its standard output; blocks until it has ended or
// `limit` is over, when it and its children are killed. `unauthorized` if it
// cannot be started or fails, `timeout`, `cancelled`, `too_large`.
base::Result<std::string> run_exec_plugin(const ExecPlugin& plugin, std::chrono::milliseconds limit,
                                          std::stop_token stop);

}  // namespace sluice::kube::detail
