// Where a Git repository is served.
//
// Only network transports that authenticate the peer, or are plain HTTP, are
// accepted: http, https and ssh. `file`, `git`, `ext`, local paths and the
// scp-like `user@host:path` are refused, as Flux refuses them (Flux:
// gitrepositories.md, "URL"); a message says what to write instead. A blank in
// the path is taken for %20. Pure; safe from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sluice::git {

enum class Scheme { http, https, ssh };

std::string_view to_string(Scheme scheme) noexcept;

struct Endpoint {
  Scheme scheme = Scheme::https;
  std::string user;        // percent-decoded; from the URL
  std::string password;    // percent-decoded; from the URL. Never part of a message
  std::string host;        // lower case; IPv6 without brackets
  std::uint16_t port = 0;  // always set: the scheme's default if the URL has none
  std::string path;        // as in the URL, still percent-encoded, with its leading '/'

  // What people and logs may see: the URL with no password, and with no user
  // unless it is an SSH login.
  std::string display() const;
  // One spelling per repository: the key of caches. Holds no password.
  std::string cache_key() const;
  // `https://host[:port]` with no path.
  std::string origin() const;
};

// `invalid` with the cause, `unsupported` for a scheme that is not offered.
// The message quotes the URL without its password.
base::Result<Endpoint> parse_endpoint(std::string_view url);

// The path of an endpoint with its %XX decoded, as SSH servers expect it.
base::Result<std::string> percent_decode(std::string_view text);

}  // namespace sluice::git
