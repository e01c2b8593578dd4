// A small HTTP/1.1 server: artifacts, metrics, health, webhooks. Runs on the loop.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "base/result.hpp"
#include "http/message.hpp"
#include "rt/runtime.hpp"

namespace sluice::http {

// A file sent from disk in pieces, from `offset`, `length` bytes. A file that is
// missing is answered 404, one that has fewer bytes 500; if it shrinks while it
// is sent, the connection is reset.
struct FileBody {
  std::string path;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

struct Reply {
  int status = 200;
  Headers headers;
  std::variant<std::string, FileBody> body;
};

using Handler = std::function<rt::Task<Reply>(Request)>;

struct ServerOptions {
  // Beyond that a newcomer takes the place of whoever holds the most connections from
  // one address: of those the one that waits for a request longest, else the oldest.
  // Who holds the most is refused himself.
  std::size_t max_connections = 1024;
  std::size_t max_body = 1U << 20U;  // a larger request is answered 413
  std::size_t max_header = 16U << 10U;
  std::chrono::milliseconds header_timeout{
      10'000};  // from the connection, or a next request's first byte, to the head's end
  std::chrono::milliseconds body_timeout{15'000};  // of a request, from its head on
  std::chrono::milliseconds idle_timeout{60'000};  // a kept connection without a request is closed after that
  std::chrono::milliseconds write_timeout{
      60'000};  // for a slow client to take a piece of 64 KiB; a whole answer has none
};

class Server {
 public:
  virtual ~Server() = default;
  // Binds `address` (":9090", "127.0.0.1:0", "[::1]:80") and serves until
  // stop(). `invalid` (address), `io` (cannot bind).
  static base::Result<std::unique_ptr<Server>> start(rt::Runtime& runtime, const std::string& address, Handler handler,
                                                     ServerOptions options = {});
  virtual int port() const = 0;
  // Accepts no more; open connections end with the runtime.
  virtual void stop() = 0;
};

}  // namespace sluice::http
