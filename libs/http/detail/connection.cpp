#include "http/detail/connection.hpp"

#include <fmt/format.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/beast/http/error.hpp>
#include <cstring>

#include "base/clock.hpp"
#include "http/detail/proxy.hpp"

// g++ 12 inlines one half of Asio's frame allocator and then misses the other (GCC bug 109224).
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace sluice::http::detail {

namespace asio = boost::asio;
namespace beast = boost::beast;
using base::ErrorKind;
using base::Result;
using boost::system::error_code;

namespace {

constexpr std::size_t kPiece = 16U << 10U;  // a TLS record
constexpr std::size_t kMaxHead = 128U << 10U;
constexpr int kMaxInterimAnswers = 8;  // each may be as large as a head

base::SteadyPoint after(std::chrono::nanoseconds duration) {
  const auto now = base::system_clock().steady();
  return duration >= base::SteadyPoint::max() - now ? base::SteadyPoint::max() : now + duration;
}

base::Unexpected closed_by_server() {
  return base::unexpected(ErrorKind::unavailable, "the server closed the connection");
}

base::Unexpected malformed(const error_code& ec) {
  if (ec == beast::http::error::body_limit) return base::unexpected(ErrorKind::too_large, "the body is over the limit");
  if (ec == beast::http::error::header_limit) return base::unexpected(ErrorKind::too_large, "the header is too large");
  if (ec == beast::http::error::partial_message || ec == beast::http::error::end_of_stream) return closed_by_server();
  return base::unexpected(ErrorKind::unavailable, "the answer is not HTTP/1.1: " + ec.message());
}

}  // namespace

base::Error Connection::failure(std::string_view doing, base::Error why) const {
  why.message = fmt::format("{} {}: {}", doing, origin_, why.message);
  return why;
}

rt::Task<Result<void>> Connection::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const Io io = socket_.try_write(bytes.data(), bytes.size());
    if (io.state == Io::State::failed || io.state == Io::State::end) {
      co_return base::unexpected(socket_.failure());
    }
    sent_some_ = true;  // also where it would block: a part may be on its way
    bytes.remove_prefix(io.bytes);
    if (io.state == Io::State::done) {
      if (bytes.empty() || !socket_.is_turn_over()) continue;
      auto rested = co_await socket_.rest();
      if (!rested) co_return rested;
      continue;
    }
    auto ready = co_await socket_.ready(io.state);
    if (!ready) co_return ready;
  }
  co_return Result<void>();
}

rt::Task<Result<void>> Connection::send_all(const Wire& wire) {
  sent_some_ = false;
  must_wait_ = true;
  auto head = co_await send(wire.head);
  if (!head || wire.body.empty()) co_return head;
  auto body = co_await send(wire.body);
  co_return body;
}

void Connection::start_parsing(std::uint64_t max_body, bool skip_body) {
  max_body_ = max_body;
  skip_body_ = skip_body;
  interim_answers_ = 0;
  parser_.emplace(max_body, skip_body);
}

// Feeds the parser with what is in the buffer.
Result<void> Connection::parse() {
  while (begin_ < end_ && !parser_->is_done()) {
    error_code ec;
    const std::size_t used = parser_->put(asio::buffer(buffer_.get() + begin_, end_ - begin_), ec);
    begin_ += used;
    if (ec == beast::http::error::need_more) break;
    if (ec) return malformed(ec);
    const int status = parser_->response().status;
    // An interim answer (100 Continue, 103 Early Hints) comes before the real one.
    if (parser_->is_done() && status >= 100 && status < 200) {
      if (++interim_answers_ > kMaxInterimAnswers) {
        return base::unexpected(ErrorKind::unavailable, "the answer is not HTTP/1.1: too many interim answers");
      }
      parser_.emplace(max_body_, skip_body_);
    }
    if (used == 0) break;
  }
  if (begin_ == end_) begin_ = end_ = 0;
  return {};
}

rt::Task<Result<void>> Connection::receive() {
  if (!buffer_) {
    capacity_ = kPiece;
    buffer_ = std::make_unique_for_overwrite<char[]>(capacity_);
    begin_ = end_ = 0;
  }
  if (begin_ > 0) {  // a part of a head or of a chunk's header: short
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == capacity_) {
    if (capacity_ >= kMaxHead) co_return base::unexpected(ErrorKind::too_large, "the header is too large");
    auto larger = std::make_unique_for_overwrite<char[]>(capacity_ * 2);
    std::memcpy(larger.get(), buffer_.get(), end_);
    buffer_ = std::move(larger);
    capacity_ *= 2;
  }
  if (std::exchange(must_wait_, false)) {
    auto ready = co_await socket_.ready(Io::State::want_read);
    if (!ready) co_return ready;
  } else if (socket_.is_turn_over()) {
    auto rested = co_await socket_.rest();
    if (!rested) co_return rested;
  }
  Io io = socket_.try_read(buffer_.get() + end_, capacity_ - end_);
  while (io.state == Io::State::want_read || io.state == Io::State::want_write) {
    auto ready = co_await socket_.ready(io.state);
    if (!ready) co_return ready;
    io = socket_.try_read(buffer_.get() + end_, capacity_ - end_);
  }
  if (io.state == Io::State::failed) co_return base::unexpected(socket_.failure());
  if (io.state == Io::State::end) {
    if (got_nothing()) co_return closed_by_server();
    error_code ec;
    parser_->put_eof(ec);
    if (ec) co_return malformed(ec);
    co_return Result<void>();
  }
  end_ += io.bytes;
  co_return parse();
}

rt::Task<Exchange> Connection::exchange(const Wire& wire, std::chrono::milliseconds timeout, std::uint64_t max_body) {
  socket_.set_deadline(after(timeout));
  start_parsing(max_body, wire.head_only);
  auto sent = co_await send_all(wire);
  if (!sent && sent.error().kind == ErrorKind::timeout) {
    co_return Exchange{base::unexpected(failure("sending to", std::move(sent).error())), false, false, false};
  }
  // A server that refuses a request before it has read all of it (a large body,
  // a client certificate) has often said why, and closed.
  while (!parser_->is_done()) {
    auto got = co_await receive();
    if (got) continue;
    const bool refused = got.error().kind == ErrorKind::unauthorized;
    const bool nothing = got_nothing() && got.error().kind == ErrorKind::unavailable;
    base::Error error = sent || refused ? failure("reading from", std::move(got).error())
                                        : failure("sending to", std::move(sent).error());
    // What the status alone can tell is not lost with a body that nobody wants to read, or that is cut.
    if (error.kind == ErrorKind::too_large || parser_->is_header_done()) error.http_status = parser_->response().status;
    co_return Exchange{base::unexpected(std::move(error)), false, nothing, nothing && !sent_some_};
  }
  socket_.clear_deadline();
  const bool reusable = sent && parser_->keep_alive() && begin_ == end_;
  Response response = std::move(parser_->response());
  buffer_.reset();
  co_return Exchange{std::move(response), reusable, false, false};
}

rt::Task<Result<void>> Connection::receive_head() {
  while (!parser_->is_header_done()) {
    auto got = co_await receive();
    if (!got) co_return got;
  }
  co_return Result<void>();
}

rt::Task<Result<Response>> Connection::open(const Wire& wire, std::chrono::milliseconds timeout) {
  socket_.set_deadline(after(timeout));
  start_parsing(kNoLimit, wire.head_only);
  auto sent = co_await send_all(wire);
  if (!sent) co_return base::unexpected(failure("sending to", std::move(sent).error()));
  auto head = co_await receive_head();
  if (!head) co_return base::unexpected(failure("reading from", std::move(head).error()));
  socket_.clear_deadline();
  Response response;
  response.status = parser_->response().status;
  response.headers = std::move(parser_->response().headers);
  co_return response;
}

rt::Task<Result<std::string>> Connection::read_some(std::chrono::nanoseconds idle) {
  std::string& body = parser_->response().body;
  socket_.set_deadline(after(idle));
  while (body.empty() && !parser_->is_done()) {
    auto got = co_await receive();
    if (!got) co_return base::unexpected(failure("reading from", std::move(got).error()));
  }
  socket_.clear_deadline();
  // A watch may be silent for minutes.
  if (begin_ == end_) buffer_.reset();
  co_return std::exchange(body, std::string());
}

// Asks an HTTP proxy for a tunnel (RFC 9110, 9.3.6).
rt::Task<Result<void>> Connection::tunnel(Route route) {
  Wire wire;
  const std::string authority = authority_of(route.url);
  wire.head = fmt::format("CONNECT {} HTTP/1.1\r\nHost: {}\r\n", authority, authority);
  if (!route.proxy->userinfo.empty()) {
    wire.head += fmt::format("Proxy-Authorization: {}\r\n", proxy_authorization(*route.proxy));
  }
  wire.head += "\r\n";
  start_parsing(0, true);
  auto sent = co_await send_all(wire);
  if (!sent) co_return sent;
  auto head = co_await receive_head();
  if (!head) co_return head;
  const int status = parser_->response().status;
  if (status == 407) co_return base::unexpected(ErrorKind::unauthorized, "it wants other credentials (407)");
  if (status < 200 || status > 299) {
    co_return base::unexpected(ErrorKind::unavailable, fmt::format("it refuses to connect (HTTP status {})", status));
  }
  if (begin_ != end_) co_return base::unexpected(ErrorKind::unavailable, "it talks before its turn");
  buffer_.reset();
  co_return Result<void>();
}

rt::Task<Result<std::unique_ptr<Connection>>> connect(Route route, std::string owner,
                                                      std::chrono::milliseconds timeout) {
  const auto executor = co_await asio::this_coro::executor;
  auto connection = std::make_unique<Connection>(executor, route.url.origin());
  connection->socket_.set_deadline(after(timeout));
  const Url& peer = route.proxy ? *route.proxy : route.url;
  const std::string proxy = route.proxy ? fmt::format("proxy {}: ", peer.origin()) : std::string();
  auto connecting = connection->socket_.connect(*route.runtime, std::move(owner), peer.host, peer.port);
  auto connected = co_await std::move(connecting);
  if (connected && route.proxy && route.context) {
    auto tunnelling = connection->tunnel(route);
    connected = co_await std::move(tunnelling);
  }
  if (!connected) {
    base::Error why = std::move(connected).error();
    why.message = proxy + why.message;
    co_return base::unexpected(connection->failure("connecting to", std::move(why)));
  }
  if (route.context) {
    const std::string name = route.server_name.empty() ? route.url.host : route.server_name;
    auto shaking = connection->socket_.start_tls(route.context, name);
    auto shaken = co_await std::move(shaking);
    if (!shaken) co_return base::unexpected(connection->failure("TLS handshake with", std::move(shaken).error()));
  }
  connection->socket_.clear_deadline();
  co_return connection;
}

}  // namespace sluice::http::detail
