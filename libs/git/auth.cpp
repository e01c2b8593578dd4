#include "git/auth.hpp"

#include <fmt/core.h>

namespace sluice::git {

using base::ErrorKind;
using base::Result;
using base::unexpected;

namespace {

std::string value(const SecretData& data, std::string_view key) {
  const auto at = data.find(key);
  return at == data.end() ? std::string() : at->second;
}

// A header value with a line end would be two headers.
bool fits_a_header(std::string_view text) { return text.find_first_of(std::string_view("\r\n\0", 3)) == text.npos; }

// Editors and `kubectl create secret --from-file` leave a line end behind.
std::string without_line_end(std::string text) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  return text;
}

Result<Auth> http_auth(const Endpoint& endpoint, const SecretData& data) {
  HttpAuth auth;
  auth.tls.ca = value(data, "ca.crt");
  if (auth.tls.ca.empty()) auth.tls.ca = value(data, "caFile");
  auth.tls.cert = value(data, "tls.crt");
  auth.tls.key = value(data, "tls.key");
  if (auth.tls.cert.empty() != auth.tls.key.empty()) {
    return unexpected(ErrorKind::invalid, "'tls.crt' and 'tls.key' must both be set or both be absent");
  }
  auth.bearer_token = without_line_end(value(data, "bearerToken"));
  if (auth.bearer_token.empty()) {
    auth.username = without_line_end(value(data, "username"));
    auth.password = without_line_end(value(data, "password"));
    if (auth.username.empty()) auth.username = endpoint.user;
    if (auth.password.empty()) auth.password = endpoint.password;
  }
  if (auth.username.empty() && !auth.password.empty()) {
    return unexpected(ErrorKind::invalid, "'password' requires 'username' to be set");
  }
  if (!fits_a_header(auth.bearer_token) || !fits_a_header(auth.username) || !fits_a_header(auth.password)) {
    return unexpected(ErrorKind::invalid, "the credentials hold a line end");
  }
  return Auth(std::move(auth));
}

Result<Auth> ssh_auth(const Endpoint& endpoint, const SecretData& data) {
  SshAuth auth;
  if (!endpoint.user.empty()) auth.username = endpoint.user;
  auth.private_key = value(data, "identity");
  auth.known_hosts = value(data, "known_hosts");
  auth.passphrase = value(data, "password");
  for (const auto& [key, text] : {std::pair("identity", &auth.private_key), {"known_hosts", &auth.known_hosts}}) {
    if (text->empty()) {
      return unexpected(ErrorKind::invalid, fmt::format("'{}' is required to use '{}'", key, endpoint.display()));
    }
  }
  return Auth(std::move(auth));
}

}  // namespace

Result<Auth> auth_from_secret(const Endpoint& endpoint, const SecretData& data) {
  return endpoint.scheme == Scheme::ssh ? ssh_auth(endpoint, data) : http_auth(endpoint, data);
}

}  // namespace sluice::git
