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
  std::size_t max_connections = 1024;
  std::size_t max_body = 1U << 20U;  // a larger request is answered 413
  std::size_t max_header = 16U << 10U;
  std::chrono::milliseconds read_timeout{15'000};   // for a request's head and body
  std::chrono::milliseconds write_timeout{60'000};  // between two pieces accepted by a slow client
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
