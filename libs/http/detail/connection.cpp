#include "http/detail/connection.hpp"

#include <fmt/format.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <boost/system/system_error.hpp>
#include <optional>

namespace sluice::http::detail {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace ssl = asio::ssl;
using base::ErrorKind;
using boost::system::error_code;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kPiece = 16U << 10U;

base::Error failure(const Url& url, std::string_view doing, const error_code& ec) {
  base::Error error;
  error.kind = ec == beast::error::timeout ? ErrorKind::timeout : ErrorKind::unavailable;
  if (ec == beast::http::error::body_limit || ec == beast::http::error::header_limit) error.kind = ErrorKind::too_large;
  std::string why = ec.message();
  if (ec == beast::error::timeout) why = "timed out";
  if (ec == beast::http::error::end_of_stream || ec == asio::error::eof || ec == ssl::error::stream_truncated) {
    why = "the server closed the connection";
  }
  error.message = fmt::format("{} {}: {}", doing, url.origin(), why);
  return error;
}

beast::http::request<beast::http::string_body> to_beast(Request request, const Url& url, const std::string& agent) {
  beast::http::request<beast::http::string_body> message;
  message.version(11);
  message.method_string(request.method);
  message.target(request.target);
  const bool default_port = url.port == (url.scheme == "https" ? "443" : "80");
  const std::string host = url.host.find(':') == std::string::npos ? url.host : "[" + url.host + "]";
  message.set(beast::http::field::host, default_port ? host : host + ":" + url.port);
  message.set(beast::http::field::user_agent, agent);
  for (const auto& [name, value] : request.headers.all()) message.set(name, value);
  message.body() = std::move(request.body);
  message.prepare_payload();
  return message;
}

template <class Message>
Response head_of(const Message& message) {
  Response response;
  response.status = static_cast<int>(message.result_int());
  for (const auto& field : message) response.headers.add(std::string(field.name_string()), std::string(field.value()));
  return response;
}

// Throws if this coroutine was cancelled: as_tuple would pass that on as an error code.
rt::Task<void> unwind_if_cancelled() {
  const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) {
    throw boost::system::system_error(asio::error::operation_aborted);
  }
}

template <class Stream>
class StreamConnection final : public Connection {
 public:
  // `keep` holds what the stream refers to (its TLS context).
  StreamConnection(Stream stream, Url url, std::string agent, std::shared_ptr<void> keep)
      : keep_(std::move(keep)), stream_(std::move(stream)), url_(std::move(url)), agent_(std::move(agent)) {}

  rt::Task<Exchange> exchange(Request request, std::chrono::milliseconds timeout, std::uint64_t max_body) override {
    const bool head_only = request.method == "HEAD";
    const auto message = to_beast(std::move(request), url_, agent_);
    beast::get_lowest_layer(stream_).expires_after(timeout);
    const auto sent = co_await beast::http::async_write(stream_, message, kTuple);
    co_await unwind_if_cancelled();
    if (const error_code ec = std::get<0>(sent)) {
      co_return Exchange{base::unexpected(failure(url_, "sending to", ec)), false, ec != beast::error::timeout};
    }
    beast::http::response_parser<beast::http::string_body> parser;
    parser.body_limit(max_body);
    parser.skip(head_only);
    const auto got = co_await beast::http::async_read(stream_, buffer_, parser, kTuple);
    co_await unwind_if_cancelled();
    if (const error_code ec = std::get<0>(got)) {
      const bool nothing = !parser.got_some() && ec != beast::error::timeout;
      co_return Exchange{base::unexpected(failure(url_, "reading from", ec)), false, nothing};
    }
    beast::get_lowest_layer(stream_).expires_never();
    auto& answer = parser.get();
    Response response = head_of(answer);
    response.body = std::move(answer.body());
    co_return Exchange{std::move(response), parser.keep_alive(), false};
  }

  rt::Task<base::Result<Response>> open(Request request, std::chrono::milliseconds timeout) override {
    const auto message = to_beast(std::move(request), url_, agent_);
    beast::get_lowest_layer(stream_).expires_after(timeout);
    const auto sent = co_await beast::http::async_write(stream_, message, kTuple);
    co_await unwind_if_cancelled();
    if (const error_code ec = std::get<0>(sent)) co_return base::unexpected(failure(url_, "sending to", ec));
    parser_.emplace();
    parser_->body_limit(boost::none);
    const auto got = co_await beast::http::async_read_header(stream_, buffer_, *parser_, kTuple);
    co_await unwind_if_cancelled();
    if (const error_code ec = std::get<0>(got)) co_return base::unexpected(failure(url_, "reading from", ec));
    co_return head_of(parser_->get());
  }

  rt::Task<base::Result<std::string>> read_some(std::chrono::nanoseconds idle) override {
    std::string piece(kPiece, '\0');
    while (!parser_->is_done()) {
      auto& body = parser_->get().body();
      body.data = piece.data();
      body.size = piece.size();
      beast::get_lowest_layer(stream_).expires_after(
          std::chrono::duration_cast<std::chrono::steady_clock::duration>(idle));
      const auto got = co_await beast::http::async_read_some(stream_, buffer_, *parser_, kTuple);
      co_await unwind_if_cancelled();
      const error_code ec = std::get<0>(got);
      const std::size_t filled = piece.size() - parser_->get().body().size;
      if (ec && ec != beast::http::error::need_buffer) co_return base::unexpected(failure(url_, "reading from", ec));
      if (filled == 0) continue;
      piece.resize(filled);
      co_return piece;
    }
    co_return std::string();
  }

  void close() noexcept override { beast::get_lowest_layer(stream_).close(); }

 private:
  std::shared_ptr<void> keep_;
  Stream stream_;
  Url url_;
  std::string agent_;
  beast::flat_buffer buffer_;
  std::optional<beast::http::response_parser<beast::http::buffer_body>> parser_;
};

// Sets what the certificate must be issued to. OpenSSL compares it as RFC 9525
// asks and reports a mismatch as such; a name is also sent as SNI, an address is not.
void expect_peer(SSL* session, const std::string& name) {
  error_code ec;
  static_cast<void>(asio::ip::make_address(name, ec));
  if (!ec) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), name.c_str());
    return;
  }
  SSL_set_tlsext_host_name(session, name.c_str());
  SSL_set_hostflags(session, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  SSL_set1_host(session, name.c_str());
}

base::Error handshake_failure(const Url& url, SSL* session, const error_code& ec) {
  base::Error error = failure(url, "TLS handshake with", ec);
  const long verdict = SSL_get_verify_result(session);
  if (verdict != X509_V_OK) {
    error.kind = ErrorKind::untrusted;
    error.message =
        fmt::format("certificate of {} is not trusted: {}", url.origin(), X509_verify_cert_error_string(verdict));
  } else if (ec.category() == asio::error::get_ssl_category()) {
    // A protocol alert: the server wants a client certificate, or speaks another version.
    error.kind = ErrorKind::untrusted;
  }
  return error;
}

}  // namespace

rt::Task<base::Result<std::unique_ptr<Connection>>> connect(Url url, TlsOptions tls,
                                                            std::shared_ptr<ssl::context> context,
                                                            std::chrono::milliseconds timeout, std::string user_agent) {
  const auto executor = co_await asio::this_coro::executor;
  asio::ip::tcp::resolver resolver(executor);
  const auto found = co_await resolver.async_resolve(url.host, url.port, kTuple);
  co_await unwind_if_cancelled();
  if (const error_code ec = std::get<0>(found)) co_return base::unexpected(failure(url, "looking up", ec));

  beast::tcp_stream tcp(executor);
  tcp.expires_after(timeout);
  const auto connected = co_await tcp.async_connect(std::get<1>(found), kTuple);
  co_await unwind_if_cancelled();
  if (const error_code ec = std::get<0>(connected)) co_return base::unexpected(failure(url, "connecting to", ec));
  error_code ignored;
  tcp.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  if (!context) {
    tcp.expires_never();
    co_return std::make_unique<StreamConnection<beast::tcp_stream>>(std::move(tcp), url, user_agent, nullptr);
  }

  const std::string name = tls.server_name.empty() ? url.host : tls.server_name;
  beast::ssl_stream<beast::tcp_stream> secure(std::move(tcp), *context);
  expect_peer(secure.native_handle(), name);
  beast::get_lowest_layer(secure).expires_after(timeout);
  const auto shaken = co_await secure.async_handshake(ssl::stream_base::client, kTuple);
  co_await unwind_if_cancelled();
  if (const error_code ec = std::get<0>(shaken)) {
    co_return base::unexpected(handshake_failure(url, secure.native_handle(), ec));
  }
  beast::get_lowest_layer(secure).expires_never();
  co_return std::make_unique<StreamConnection<beast::ssl_stream<beast::tcp_stream>>>(std::move(secure), url, user_agent,
                                                                                     context);
}

}  // namespace sluice::http::detail
