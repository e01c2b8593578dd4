// How we prove who we are to a Git server, and how it proves who it is to us.
//
// Values of this type hold secrets: they are passed on, never printed.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.hpp"
#include "git/endpoint.hpp"

namespace sluice::git {

// PEM texts, each empty if not given.
struct TlsMaterial {
  std::string ca;    // trusted in addition to the system's authorities, for this repository alone
  std::string cert;  // client certificate, for mutual TLS
  std::string key;
  bool operator==(const TlsMaterial&) const = default;
};

struct HttpAuth {
  std::string username;  // Basic, if either of these is set
  std::string password;
  std::string bearer_token;  // wins over Basic
  TlsMaterial tls;
  bool operator==(const HttpAuth&) const = default;
};

struct SshAuth {
  std::string username = "git";
  std::string private_key;  // PEM or OpenSSH format
  std::string passphrase;
  std::string known_hosts;  // the only host keys that are trusted; there is no trust on first use
  bool operator==(const SshAuth&) const = default;
};

using Auth = std::variant<HttpAuth, SshAuth>;

// The data of a Kubernetes Secret, decoded.
using SecretData = std::map<std::string, std::string, std::less<>>;

// Reads the keys that Flux documents for `spec.secretRef` (gitrepositories.md,
// "Secret reference"): username, password | bearerToken | ca.crt (or caFile),
// tls.crt, tls.key | identity, known_hosts, password. No data means what the
// URL itself says. `invalid` names the key that is missing or contradictory,
// and quotes no value.
base::Result<Auth> auth_from_secret(const Endpoint& endpoint, const SecretData& data);

}  // namespace sluice::git
