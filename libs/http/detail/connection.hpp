// One client connection and the exchanges on it. On the loop; private to libs/http.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "http/client.hpp"
#include "http/detail/response_parser.hpp"
#include "http/detail/socket.hpp"
#include "http/detail/wire.hpp"

namespace sluice::http::detail {

// Whither, and how.
struct Route {
  rt::Runtime* runtime = nullptr;  // never null once connect() has it
  Url url;
  std::optional<Url> proxy;
  std::string server_name;
  TlsContext context;  // null for http
};

// What became of one exchange.
struct Exchange {
  base::Result<Response> response;
  bool reusable = false;      // the connection may carry the next request
  bool nothing_came = false;  // failed before the first byte of an answer, and not by a deadline
  bool nothing_sent = false;  // failed before the first byte of the request
};

class Connection {
 public:
  Connection(const boost::asio::any_io_executor& executor, std::string origin)
      : socket_(executor), origin_(std::move(origin)) {}

  // The `wire` is the caller's, and stands until this has ended.
  rt::Task<Exchange> exchange(const Wire& wire, std::chrono::milliseconds timeout, std::uint64_t max_body);
  // Sends the request and reads the head; the body follows through read_some.
  rt::Task<base::Result<Response>> open(const Wire& wire, std::chrono::milliseconds timeout);
  rt::Task<base::Result<std::string>> read_some(std::chrono::nanoseconds idle);
  bool is_quiet() { return socket_.is_quiet(); }
  void close() noexcept { socket_.close(); }

 private:
  friend rt::Task<base::Result<std::unique_ptr<Connection>>> connect(Route route, std::string owner,
                                                                     std::chrono::milliseconds timeout);

  base::Error failure(std::string_view doing, base::Error why) const;
  rt::Task<base::Result<void>> tunnel(Route route);
  rt::Task<base::Result<void>> send(std::string_view bytes);
  rt::Task<base::Result<void>> send_all(const Wire& wire);
  rt::Task<base::Result<void>> receive_head();
  // Reads once, and parses what came.
  rt::Task<base::Result<void>> receive();
  base::Result<void> parse();
  void start_parsing(std::uint64_t max_body, bool skip_body);
  bool got_nothing() const { return !parser_->got_some() && end_ == begin_; }

  Socket socket_;
  std::string origin_;
  std::optional<ResponseParser> parser_;
  std::uint64_t max_body_ = 0;
  bool skip_body_ = false;
  int interim_answers_ = 0;
  bool sent_some_ = false;
  bool must_wait_ = false;  // the request has just gone out: no answer can be there yet
  // What came and is not parsed yet; freed while the connection is idle.
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

// Looks up, connects (through the proxy, if there is one) and, for https,
// shakes hands and verifies, all within `timeout`; on behalf of `owner`.
rt::Task<base::Result<std::unique_ptr<Connection>>> connect(Route route, std::string owner,
                                                            std::chrono::milliseconds timeout);

}  // namespace sluice::http::detail
