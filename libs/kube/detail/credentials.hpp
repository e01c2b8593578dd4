// Puts credentials on requests: a token, a token file that rotates, basic auth,
// or what an exec plugin prints. On the loop; private to libs/kube.
#pragma once

#include <cstdint>
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
  // Which credentials a request went out with: counts up with each renewal.
  using Generation = std::uint64_t;

  Credentials(rt::Runtime& runtime, Config config, const base::Clock& clock = base::system_clock())
      : runtime_(runtime), clock_(clock), config_(std::move(config)) {}

  // Sets the Authorization header, reading the token anew when it is due: one
  // renewal at a time, whose outcome all share who ask meanwhile. A plugin's
  // client certificate is handed to `client`.
  rt::Task<base::Result<Generation>> authorize(http::Request& request, http::Client& client);
  // Whether requests carry a token, or a user and password.
  bool are_sent() const noexcept { return !config_.token.empty() || !config_.username.empty(); }
  // The server said 401 to `used`: true if the request should be sent again,
  // with credentials that are new or will be read anew.
  bool expire(Generation used);

 private:
  struct Round;
  bool is_due() const;
  rt::Task<base::Result<void>> renew_once(http::Client& client);
  rt::Task<base::Result<void>> renew(http::Client& client);
  rt::Task<base::Result<void>> read_token_file();
  rt::Task<base::Result<void>> run_plugin(http::Client& client);

  rt::Runtime& runtime_;
  const base::Clock& clock_;
  Config config_;
  Generation generation_ = 0;
  std::shared_ptr<Round> round_;  // the renewal that is under way
  bool expired_ = true;           // nothing read yet, or refused by the server
  std::optional<base::SteadyPoint> token_file_due_;
  std::optional<base::TimePoint> plugin_expiry_;
};

}  // namespace sluice::kube::detail
