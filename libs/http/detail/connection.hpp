// One client connection, plain or TLS, and the exchanges on it. Private to libs/http.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <memory>

#include "http/client.hpp"

namespace sluice::http::detail {

// What became of one exchange.
struct Exchange {
  base::Result<Response> response;
  bool reusable = false;      // the connection may carry the next request
  bool nothing_came = false;  // failed before the first byte of an answer
};

class Connection {
 public:
  virtual ~Connection() = default;
  virtual rt::Task<Exchange> exchange(Request request, std::chrono::milliseconds timeout, std::uint64_t max_body) = 0;
  // Sends the request and reads the head; the body follows through read_some.
  virtual rt::Task<base::Result<Response>> open(Request request, std::chrono::milliseconds timeout) = 0;
  virtual rt::Task<base::Result<std::string>> read_some(std::chrono::nanoseconds idle) = 0;
  virtual void close() noexcept = 0;
};

// Resolves, connects and, for https, shakes hands and verifies.
// `context` is null for http.
rt::Task<base::Result<std::unique_ptr<Connection>>> connect(Url url, TlsOptions tls,
                                                            std::shared_ptr<boost::asio::ssl::context> context,
                                                            std::chrono::milliseconds timeout, std::string user_agent);

}  // namespace sluice::http::detail
