// Puts credentials on requests: a token, a token file that rotates, basic auth,
// or what an exec plugin prints. On the loop; private to libs/kube.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "http/client.hpp"
#include "kube/config.hpp"
#include "rt/runtime.hpp"

namespace sluice::kube::detail {

class Credentials {
 public:
  Credentials(rt::Runtime& runtime, Config config) : runtime_(runtime), config_(std::move(config)) {}

  // Sets the Authorization header, reading the token anew when it is due. A
  // plugin's client certificate is handed to `client`.
  rt::Task<base::Result<void>> authorize(http::Request& request, http::Client& client);
  // The server said 401: what is cached is not good any more. False if there
  // is nothing that could be read anew.
  bool expire();

 private:
  rt::Task<base::Result<void>> read_token_file();
  rt::Task<base::Result<void>> run_plugin(http::Client& client);

  rt::Runtime& runtime_;
  Config config_;
  std::optional<base::SteadyPoint> token_read_;
  std::optional<base::TimePoint> plugin_expiry_;
  bool plugin_ran_ = false;
};

// Runs the plugin and gives its standard output; blocks, for 60 s at most.
base::Result<std::string> run_exec_plugin(const ExecPlugin& plugin, std::stop_token stop);

}  // namespace sluice::kube::detail
