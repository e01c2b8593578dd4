#include "http/detail/socket.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <cstring>
#include <vector>

namespace sluice::http::detail {

namespace asio = boost::asio;
using asio::ip::tcp;
using base::ErrorKind;
using base::Result;
using base::SteadyPoint;
using boost::system::error_code;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
// How long, and for how many attempts (a TLS record each), one connection may have the loop.
constexpr base::Duration kTurn = std::chrono::milliseconds(1);
constexpr int kAttemptsPerTurn = 16;

// Throws if this coroutine was cancelled: as_tuple would pass that on as an error code.
rt::Task<void> unwind_if_cancelled() {
  const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) {
    throw boost::system::system_error(asio::error::operation_aborted);
  }
}

base::Unexpected unavailable(std::string why) { return base::unexpected(ErrorKind::unavailable, std::move(why)); }
base::Unexpected timed_out(std::string what) { return base::unexpected(ErrorKind::timeout, std::move(what)); }

// A lookup cannot be called back from its thread: whoever has no more time for it leaves it to itself.
struct Lookup {
  std::atomic<bool> given_up = false;  // one that has not begun need not
  // On the loop.
  rt::Notify ended;
  bool done = false;
  error_code ec;
  std::vector<tcp::endpoint> endpoints;

  void end(const error_code& failure, const tcp::resolver::results_type& found) {
    done = true;
    ec = failure;
    for (const auto& entry : found) endpoints.push_back(entry.endpoint());
    ended.notify_all();
  }
};

std::shared_ptr<Lookup> start_lookup(rt::Runtime& runtime, const std::string& owner, std::string host,
                                     std::string port) {
  auto lookup = std::make_shared<Lookup>();
  runtime.post_lookup(owner, [lookup, &runtime, host = std::move(host), port = std::move(port)]() mutable {
    error_code ec = asio::error::operation_aborted;
    tcp::resolver::results_type found;
    if (!lookup->given_up) {
      asio::io_context own;
      found = tcp::resolver(own).resolve(host, port, ec);
    }
    runtime.post([lookup = std::move(lookup), ec, found = std::move(found)] { lookup->end(ec, found); });
  });
  return lookup;
}

rt::Task<Result<std::vector<tcp::endpoint>>> look_up(rt::Runtime& runtime, std::string owner, std::string host,
                                                     std::string port, SteadyPoint until) {
  error_code ec;
  const auto address = asio::ip::make_address(host, ec);
  if (!ec) co_return std::vector{tcp::endpoint(address, static_cast<unsigned short>(std::stoi(port)))};
  const auto lookup = start_lookup(runtime, owner, host, port);
  const struct Leave {
    Lookup& lookup;
    ~Leave() { lookup.given_up = true; }
  } leave{*lookup};
  while (!lookup->done) {
    const auto left = until - base::system_clock().steady();
    if (left <= SteadyPoint::duration::zero()) co_return timed_out(fmt::format("looking up '{}' timed out", host));
    const bool notified = co_await lookup->ended.wait_for(left);
    static_cast<void>(notified);
  }
  if (lookup->ec) co_return unavailable(fmt::format("looking up '{}': {}", host, lookup->ec.message()));
  co_return lookup->endpoints;
}

}  // namespace

struct Socket::State : std::enable_shared_from_this<Socket::State> {
  explicit State(const asio::any_io_executor& executor) : socket(executor), timer(executor) {}

  // One wait serves many requests: a deadline that moves later, as nearly all
  // do, is looked at when the old one would have been over.
  void arm(SteadyPoint at) {
    deadline = at;
    if (at == SteadyPoint::max() || (armed && armed_at <= at)) return;
    armed = true;
    armed_at = at;
    timer.expires_at(at);
    timer.async_wait([self = shared_from_this()](const error_code& ec) {
      if (ec) return;  // moved earlier, or the socket is gone
      self->armed = false;
      if (self->deadline == SteadyPoint::max()) return;
      if (base::system_clock().steady() < self->deadline) return self->arm(self->deadline);
      self->expired = true;
      error_code ignored;
      self->socket.close(ignored);
    });
  }

  tcp::socket socket;
  asio::steady_timer timer;
  SteadyPoint deadline = SteadyPoint::max();
  SteadyPoint armed_at;
  bool armed = false;
  bool expired = false;
};

Socket::Socket(const asio::any_io_executor& executor) : state_(std::make_shared<State>(executor)) {}

Socket::~Socket() {
  if (session_ && shaken_ && state_->socket.is_open() && ssl_result_ == 0) {
    ERR_clear_error();
    SSL_shutdown(session_.get());
    ERR_clear_error();
  }
  state_->timer.cancel();
  close();
}

void Socket::close() noexcept {
  error_code ignored;
  state_->socket.close(ignored);
}

void Socket::set_deadline(SteadyPoint at) { state_->arm(at); }
void Socket::clear_deadline() { state_->deadline = SteadyPoint::max(); }

rt::Task<Result<void>> Socket::connect_to(tcp::endpoint endpoint, SteadyPoint until) {
  const auto state = state_;
  error_code ec;
  if (state->socket.is_open()) state->socket.close(ec);
  state->socket.open(endpoint.protocol(), ec);
  if (ec) co_return unavailable(ec.message());
  set_deadline(until);
  const auto connected = co_await state->socket.async_connect(endpoint, kTuple);
  co_await unwind_if_cancelled();
  clear_deadline();
  if (std::exchange(state->expired, false)) co_return timed_out("connecting timed out");
  if (std::get<0>(connected)) co_return unavailable(std::get<0>(connected).message());
  state->socket.set_option(tcp::no_delay(true), ec);
  state->socket.non_blocking(true, ec);
  co_return Result<void>();
}

rt::Task<Result<void>> Socket::connect(rt::Runtime& runtime, std::string owner, std::string host, std::string port) {
  const SteadyPoint until = state_->deadline;
  auto looking = look_up(runtime, std::move(owner), std::move(host), std::move(port), until);
  auto endpoints = co_await std::move(looking);
  if (!endpoints) co_return base::unexpected(std::move(endpoints).error());
  Result<void> last = unavailable("the name has no address");
  for (std::size_t i = 0; i < endpoints->size(); ++i) {
    const auto now = base::system_clock().steady();
    if (now >= until) {
      last = timed_out("connecting timed out");
      break;
    }
    // An address that swallows packets leaves time for the others.
    const auto left = static_cast<SteadyPoint::rep>(endpoints->size() - i);
    const SteadyPoint share = until == SteadyPoint::max() ? until : now + (until - now) / left;
    last = co_await connect_to((*endpoints)[i], share);
    if (last) break;
  }
  if (last) set_deadline(until);
  co_return last;
}

rt::Task<Result<void>> Socket::start_tls(TlsContext context, std::string name) {
  auto session = make_session(context, state_->socket.native_handle(), name);
  if (!session) co_return base::unexpected(std::move(session).error());
  session_ = *std::move(session);
  context_ = std::move(context);
  while (true) {
    ERR_clear_error();
    errno = 0;
    const Io io = tls_outcome(SSL_do_handshake(session_.get()));
    if (io.state == Io::State::done) break;
    if (io.state == Io::State::failed || io.state == Io::State::end) {
      // A protocol alert is no trust either: another version, or no common cipher.
      co_return base::unexpected(tls_failure(session_.get(), ssl_result_, errno_, ErrorKind::untrusted));
    }
    auto again = co_await ready(io.state);
    if (!again) co_return again;
  }
  shaken_ = true;
  co_return Result<void>();
}

// OpenSSL knows the descriptor by its number, which may be another's by now.
bool Socket::is_closed() {
  if (state_->socket.is_open()) return false;
  ssl_result_ = SSL_ERROR_SYSCALL;
  errno_ = ECANCELED;
  return true;
}

Io Socket::tls_outcome(int result) {
  if (result > 0) return {Io::State::done, static_cast<std::size_t>(result)};
  errno_ = errno;
  const int why = SSL_get_error(session_.get(), result);
  if (why == SSL_ERROR_WANT_READ) return {Io::State::want_read, 0};
  if (why == SSL_ERROR_WANT_WRITE) return {Io::State::want_write, 0};
  ssl_result_ = why;
  return {why == SSL_ERROR_ZERO_RETURN ? Io::State::end : Io::State::failed, 0};
}

Io Socket::try_read(char* data, std::size_t size) {
  if (is_closed()) return {Io::State::failed, 0};
  if (session_) {
    ERR_clear_error();
    errno = 0;
    return tls_outcome(SSL_read(session_.get(), data, static_cast<int>(size)));
  }
  const ssize_t got = ::recv(state_->socket.native_handle(), data, size, 0);
  if (got > 0) return {Io::State::done, static_cast<std::size_t>(got)};
  if (got == 0) return {Io::State::end, 0};
  errno_ = errno;
  const bool later = errno_ == EAGAIN || errno_ == EWOULDBLOCK || errno_ == EINTR;
  return {later ? Io::State::want_read : Io::State::failed, 0};
}

Io Socket::try_write(const char* data, std::size_t size) {
  if (is_closed()) return {Io::State::failed, 0};
  if (session_) {
    ERR_clear_error();
    errno = 0;
    return tls_outcome(SSL_write(session_.get(), data, static_cast<int>(size)));
  }
  const ssize_t sent = ::send(state_->socket.native_handle(), data, size, MSG_NOSIGNAL);
  if (sent >= 0) return {Io::State::done, static_cast<std::size_t>(sent)};
  errno_ = errno;
  const bool later = errno_ == EAGAIN || errno_ == EWOULDBLOCK || errno_ == EINTR;
  return {later ? Io::State::want_write : Io::State::failed, 0};
}

bool Socket::is_turn_over() {
  return ++attempts_ > kAttemptsPerTurn || base::system_clock().steady() - turn_began_ >= kTurn;
}

rt::Task<Result<void>> Socket::rest() {
  const auto state = state_;
  co_await asio::post(state->socket.get_executor(), asio::use_awaitable);
  co_await unwind_if_cancelled();
  attempts_ = 0;
  turn_began_ = base::system_clock().steady();
  if (state->expired || turn_began_ >= state->deadline) co_return timed_out("timed out");
  co_return Result<void>();
}

rt::Task<Result<void>> Socket::ready(Io::State want) {
  const auto state = state_;
  const auto direction = want == Io::State::want_write ? tcp::socket::wait_write : tcp::socket::wait_read;
  if (!state->expired) {
    const auto waited = co_await state->socket.async_wait(direction, kTuple);
    if (const error_code ec = std::get<0>(waited)) {
      co_await unwind_if_cancelled();
      if (!state->expired) co_return unavailable(ec.message());
    }
  }
  attempts_ = 0;
  turn_began_ = base::system_clock().steady();
  if (state->expired) co_return timed_out("timed out");
  co_return Result<void>();
}

base::Error Socket::failure() {
  if (session_) return tls_failure(session_.get(), ssl_result_, errno_, ErrorKind::unavailable);
  base::Error error;
  error.kind = ErrorKind::unavailable;
  error.message = errno_ == 0 ? "the server closed the connection" : std::strerror(errno_);
  return error;
}

bool Socket::is_quiet() {
  if (session_ && SSL_has_pending(session_.get()) == 1) return false;
  char byte = 0;
  const ssize_t got = ::recv(state_->socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

}  // namespace sluice::http::detail
