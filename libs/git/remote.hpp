// A conversation with the server of one repository.
//
// Blocking: connect() and what RepositoryCache does with a Remote wait for the
// network, at most until the deadline given to connect(), or until the stop
// token says so. One thread at a time. Owned by the caller, short-lived.
//
// Error kinds of all network work:
//   unauthorized, forbidden  the credentials were refused (HTTP 401, 403; SSH key)
//   untrusted                TLS or the SSH host key did not verify, or a redirect leads to less protection
//   not_found                no such repository
//   unavailable              unreachable, reset, HTTP 5xx, or not Git's protocol
//   rate_limited             HTTP 429, with retry_after where the server says it
//   timeout, cancelled       the deadline, the stop token
//   invalid                  key, certificate or known_hosts do not parse
// Messages name the URL and never a secret.
#pragma once

#include <chrono>
#include <memory>
#include <stop_token>

#include "base/result.hpp"
#include "git/auth.hpp"
#include "git/endpoint.hpp"
#include "git/refs.hpp"

namespace sluice::git {

class Remote {
 public:
  struct State;  // opaque

  // Connects, authenticates and lists the references (one HTTP GET, or one SSH
  // login). `timeout` bounds the whole conversation from here on.
  static base::Result<Remote> connect(Endpoint endpoint, Auth auth, std::chrono::milliseconds timeout,
                                      std::stop_token stop);
  ~Remote();
  Remote(Remote&&) noexcept;
  Remote& operator=(Remote&&) noexcept;

  // From here on another token ends the waiting; the deadline stays. For a
  // conversation that goes on in another job of the pool.
  void continue_with(std::stop_token stop);

  const Endpoint& endpoint() const noexcept;
  const RefList& refs() const noexcept;

 private:
  friend class RepositoryCache;
  explicit Remote(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// The references alone, as `git ls-remote` lists them.
base::Result<RefList> list_refs(Endpoint endpoint, Auth auth, std::chrono::milliseconds timeout, std::stop_token stop);

}  // namespace sluice::git
