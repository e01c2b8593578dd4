// An HTTP/1.1 client for one origin: keep-alive connections, TLS verified,
// a bound on connections, bodies whole or streamed. Runs on the loop.
//
// One Client serves one origin (scheme, host, port) and is shared by all that
// talk to it; it outlives its requests. Connections are shared fairly between the
// owners of requests (rt::FairShares): those of one that the server lets hang hold up no
// others. Requests of one owner wait in order of arrival for a free connection.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "http/message.hpp"
#include "rt/runtime.hpp"

namespace sluice::http {

struct Url {
  std::string scheme;  // "http" or "https"
  std::string host;    // without brackets
  std::string port;    // never empty: 80 or 443 by default
  std::string target;  // path and query, at least "/"
  std::string userinfo;
  std::string origin() const;  // "https://host:port"
  // `invalid` for another scheme, no host or a bad port.
  static base::Result<Url> parse(std::string_view text);
};

struct TlsOptions {
  std::string ca_pem;           // trust only these; empty: the system's store
  std::string certificate_pem;  // client certificate chain, with its key
  std::string key_pem;
  std::string server_name;  // SNI and name to verify; empty: the host
  bool insecure_skip_verify = false;
};

// The proxy for a URL by HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY (either
// case), or "". NO_PROXY as Go reads it: "*", names with all below them,
// addresses, CIDR blocks, each with an optional port. This machine itself is
// never proxied.
std::string proxy_from_environment(const Url& url);

struct ClientOptions {
  TlsOptions tls;
  std::string proxy;  // "http://[user:password@]host:port"; empty: none
  // Of one owner's requests with a body read whole, and of its streams, which have their own. All
  // owners together have twice as many, and the daemon (owner "") those in reserve besides.
  std::size_t max_connections = 32;
  std::size_t max_streams = 64;
  std::size_t reserved_connections = 0;
  std::size_t reserved_streams = 0;
  std::chrono::milliseconds connect_timeout{10'000};  // look-up, connect and TLS handshake together
  std::chrono::milliseconds request_timeout{30'000};  // from sending to the end of the body; not for streams
  std::chrono::milliseconds idle_timeout{60'000};     // a kept connection is closed after that
  std::uint64_t max_body = 256ULL << 20U;
  std::string user_agent = "sluice";
};

// A response whose body arrives in pieces (watches, downloads). Closing it, or
// destroying it, drops the connection.
class ResponseStream {
 public:
  virtual ~ResponseStream() = default;
  virtual int status() const = 0;
  virtual const Headers& headers() const = 0;
  // The next bytes, or "" at the end of the body; `unavailable` if the
  // connection broke before the end, `timeout` if nothing came for `idle`.
  virtual rt::Task<base::Result<std::string>> read_some(std::chrono::nanoseconds idle) = 0;
  virtual void close() noexcept = 0;
};

class Client {
 public:
  // `invalid` if `url`, the proxy's or a PEM in `options` does not parse.
  static base::Result<std::shared_ptr<Client>> create(rt::Runtime& runtime, const std::string& url,
                                                      ClientOptions options = {});
  virtual ~Client() = default;

  // The whole answer, whatever its status is. If a kept connection ends without
  // an answer, the request is sent once more, on a new one, unless the server may
  // have done what it asks for: it must be idempotent (see Request::replayable),
  // or nothing of it must have been sent.
  // Errors: `invalid` (a header or target that would break out of its line),
  // `unavailable` (refused, reset, name unknown), `untrusted` (the server's
  // certificate), `unauthorized` (ours), `timeout`, `too_large`. One that came
  // after the answer's head, in its body, has the http_status of that.
  virtual rt::Task<base::Result<Response>> send(Request request) = 0;
  // The answer's head at once, its body in pieces, on a connection of its own.
  virtual rt::Task<base::Result<std::unique_ptr<ResponseStream>>> open(Request request) = 0;
  // Replaces client certificate or CA for connections made from now on.
  virtual base::Result<void> update_tls(TlsOptions tls) = 0;
  virtual const Url& url() const = 0;
};

// The Error for an HTTP status that is not 2xx, by the kinds of base/error.hpp;
// honours Retry-After in seconds.
base::Error status_error(const Response& response, std::string_view what);

}  // namespace sluice::http
