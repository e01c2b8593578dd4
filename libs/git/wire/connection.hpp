// One conversation with git-upload-pack, over HTTP or SSH alike: it advertises
// its references, then answers one request with a pack.
//
// Not thread-safe: one thread at a time. Error kinds as remote.hpp lists them.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/result.hpp"
#include "git/auth.hpp"
#include "git/endpoint.hpp"
#include "git/wire/limits.hpp"

namespace sluice::git::wire {

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // At least one byte, or 0 at the end of the stream.
  virtual base::Result<std::size_t> read(std::span<char> into) = 0;
};

class Connection {
 public:
  virtual ~Connection() = default;

  // The stream that starts with the advertised references. Call once, first.
  virtual base::Result<ByteStream*> advertisement(const Limits& limits) = 0;
  // Sends a request and hands out the stream of its answer.
  virtual base::Result<ByteStream*> exchange(const std::string& request, const Limits& limits) = 0;
  // True if each exchange is a request of its own (HTTP), so that a refused
  // one can be followed by another.
  virtual bool stateless() const = 0;
};

std::unique_ptr<Connection> make_http_connection(const Endpoint& endpoint, const HttpAuth& auth);
std::unique_ptr<Connection> make_ssh_connection(const Endpoint& endpoint, const SshAuth& auth);

// `invalid` if the credentials are not of the endpoint's kind.
base::Result<std::unique_ptr<Connection>> make_connection(const Endpoint& endpoint, const Auth& auth);

}  // namespace sluice::git::wire
