#include "git/wire/connection.hpp"

#include <fmt/core.h>

namespace sluice::git::wire {

base::Result<std::unique_ptr<Connection>> make_connection(const Endpoint& endpoint, const Auth& auth) {
  const bool ssh = endpoint.scheme == Scheme::ssh;
  if (const auto* http = std::get_if<HttpAuth>(&auth); http && !ssh) return make_http_connection(endpoint, *http);
  if (const auto* key = std::get_if<SshAuth>(&auth); key && ssh) return make_ssh_connection(endpoint, *key);
  return base::unexpected(base::ErrorKind::invalid, fmt::format("the credentials for '{}' are not for {}",
                                                                endpoint.display(), to_string(endpoint.scheme)));
}

}  // namespace sluice::git::wire
