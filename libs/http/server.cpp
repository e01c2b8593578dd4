#include "http/server.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <list>
#include <map>
#include <utility>

#include "http/detail/wire.hpp"

namespace sluice::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kPiece = 64U << 10U;

// A file descriptor that closes itself.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

// Blocks. Opens what `body` promises; `not_found`, or `io` if the file does not
// have that many bytes, or is no plain file (opening a FIFO would wait for a writer).
base::Result<File> open_file(const FileBody& body) {
  File file(::open(body.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status {};
  if (file.fd() < 0 || ::fstat(file.fd(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return base::unexpected(base::ErrorKind::not_found, "no such file");
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (body.offset > size || size - body.offset < body.length) {
    return base::unexpected(base::ErrorKind::io, "the file is shorter than it was");
  }
  return file;
}

// One that is open: who has it, and since when it waits for a request.
struct OpenConnection {
  asio::ip::address peer;
  beast::tcp_stream* stream = nullptr;
  bool is_waiting = true;
  bool is_evicted = false;
};

struct Shared {
  rt::Runtime& runtime;
  Handler handler;
  ServerOptions options;
  std::list<OpenConnection> connections;  // whoever waits longest, or is served longest, first
};

class CountedConnection {
 public:
  CountedConnection(std::shared_ptr<Shared> shared, asio::ip::address peer, beast::tcp_stream& stream)
      : shared_(std::move(shared)),
        self_(shared_->connections.insert(shared_->connections.end(),
                                          OpenConnection{std::move(peer), &stream, true, false})) {}
  ~CountedConnection() { shared_->connections.erase(self_); }
  CountedConnection(const CountedConnection&) = delete;
  CountedConnection& operator=(const CountedConnection&) = delete;

  void set_waiting(bool is_waiting) {
    self_->is_waiting = is_waiting;
    shared_->connections.splice(shared_->connections.end(), shared_->connections, self_);
  }

 private:
  std::shared_ptr<Shared> shared_;
  std::list<OpenConnection>::iterator self_;
};

// Whether there is a place for `peer`; if need be, one is taken from whoever has the most.
bool make_room(Shared& shared, const asio::ip::address& peer) {
  std::map<asio::ip::address, std::size_t> held;
  std::size_t open = 0;
  for (const OpenConnection& connection : shared.connections) {
    if (connection.is_evicted) continue;
    ++held[connection.peer];
    ++open;
  }
  if (open < shared.options.max_connections) return true;
  const auto most = std::max_element(held.begin(), held.end(),
                                     [](const auto& left, const auto& right) { return left.second < right.second; });
  if (most == held.end() || held[peer] + 1 >= most->second) return false;
  OpenConnection* victim = nullptr;
  for (OpenConnection& connection : shared.connections) {
    if (connection.is_evicted || connection.peer != most->first) continue;
    if (victim == nullptr) victim = &connection;
    if (!connection.is_waiting) continue;
    victim = &connection;
    break;
  }
  victim->is_evicted = true;
  victim->stream->close();  // whoever waits on it ends
  return true;
}

template <class Body>
Request from_beast(beast::http::request<Body>&& message) {
  Request request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  for (const auto& field : message) request.headers.add(std::string(field.name_string()), std::string(field.value()));
  request.body = std::move(message.body());
  return request;
}

template <class Message>
void set_headers(Message& message, const Reply& reply) {
  for (const auto& [name, value] : reply.headers.all()) message.insert(name, value);
}

// A value from outside must not begin a header of its own.
bool has_sound_headers(const Reply& reply) {
  const auto& fields = reply.headers.all();
  return std::all_of(fields.begin(), fields.end(), [](const auto& field) {
    return detail::is_token(field.first) && detail::is_field_value(field.second);
  });
}

// Sends a string body; false if the connection is of no more use.
rt::Task<bool> send_text(beast::tcp_stream& stream, const Shared& shared, Reply reply, bool head_only,
                         bool keep_alive) {
  beast::http::response<beast::http::string_body> message;
  message.version(11);
  message.result(static_cast<unsigned>(reply.status));
  set_headers(message, reply);
  message.keep_alive(keep_alive);
  std::string body = std::move(std::get<std::string>(reply.body));
  const std::size_t size = body.size();
  if (!head_only) message.body() = std::move(body);
  message.content_length(size);
  stream.expires_after(shared.options.write_timeout);
  beast::http::response_serializer<beast::http::string_body> serializer(message);
  const auto sent = co_await beast::http::async_write(stream, serializer, kTuple);
  co_return !std::get<0>(sent);
}

rt::Task<bool> send_file(beast::tcp_stream& stream, const Shared& shared, Reply reply, bool head_only,
                         bool keep_alive) {
  const FileBody body = std::get<FileBody>(reply.body);
  auto open = [body](std::stop_token) { return open_file(body); };
  auto opening = rt::run_blocking(shared.runtime, std::move(open));
  const auto file = co_await std::move(opening);
  if (!file) {
    const bool missing = file.error().kind == base::ErrorKind::not_found;
    Reply refusal{missing ? 404 : 500, {}, std::string(missing ? "not found\n" : "internal error\n")};
    const bool sent = co_await send_text(stream, shared, std::move(refusal), head_only, keep_alive);
    co_return sent;
  }
  beast::http::response<beast::http::empty_body> head;
  head.version(11);
  head.result(static_cast<unsigned>(reply.status));
  set_headers(head, reply);
  head.keep_alive(keep_alive);
  head.content_length(body.length);
  stream.expires_after(shared.options.write_timeout);
  beast::http::response_serializer<beast::http::empty_body> serializer(head);
  const auto head_sent = co_await beast::http::async_write_header(stream, serializer, kTuple);
  if (std::get<0>(head_sent)) co_return false;
  std::uint64_t done = 0;
  while (!head_only && done < body.length) {
    const auto offset = static_cast<off_t>(body.offset + done);
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, body.length - done));
    const int fd = file->fd();
    auto read = [fd, offset, want](std::stop_token) {
      std::string bytes(want, '\0');
      const ssize_t got = ::pread(fd, bytes.data(), want, offset);
      bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
      return bytes;
    };
    auto reading = rt::run_blocking(shared.runtime, std::move(read));
    const std::string piece = co_await std::move(reading);
    if (piece.empty()) {
      // Cut short under us. An orderly end could pass for the whole, so there is none.
      error_code ignored;
      stream.socket().set_option(asio::socket_base::linger(true, 0), ignored);
      stream.close();
      co_return false;
    }
    stream.expires_after(shared.options.write_timeout);
    const auto sent = co_await asio::async_write(stream, asio::buffer(piece), kTuple);
    if (std::get<0>(sent)) co_return false;
    done += piece.size();
  }
  co_return true;
}

using Parser = beast::http::request_parser<beast::http::string_body>;

// The next request of a connection, within the times that each part of it may take.
rt::Task<error_code> read_request(beast::tcp_stream& stream, const ServerOptions& options, beast::flat_buffer& buffer,
                                  Parser& parser, bool is_first) {
  if (!is_first && buffer.size() == 0) {
    constexpr std::size_t kFirstRead = 4096;
    stream.expires_after(options.idle_timeout);
    const auto begun = co_await stream.async_read_some(buffer.prepare(kFirstRead), kTuple);
    if (std::get<0>(begun)) co_return beast::http::error::end_of_stream;
    buffer.commit(std::get<1>(begun));
  }
  stream.expires_after(options.header_timeout);
  const auto head = co_await beast::http::async_read_header(stream, buffer, parser, kTuple);
  if (std::get<0>(head)) co_return std::get<0>(head);
  stream.expires_after(options.body_timeout);
  const auto body = co_await beast::http::async_read(stream, buffer, parser, kTuple);
  co_return std::get<0>(body);
}

rt::Task<void> serve(tcp::socket socket, asio::ip::address peer, std::shared_ptr<Shared> shared) {
  beast::tcp_stream stream(std::move(socket));
  CountedConnection counted(shared, std::move(peer), stream);
  beast::flat_buffer buffer;
  for (bool is_first = true;; is_first = false) {
    Parser parser;
    parser.header_limit(static_cast<std::uint32_t>(shared->options.max_header));
    parser.body_limit(shared->options.max_body);
    counted.set_waiting(true);
    auto reading = read_request(stream, shared->options, buffer, parser, is_first);
    const error_code ec = co_await std::move(reading);
    if (ec) {
      const bool too_large = ec == beast::http::error::body_limit || ec == beast::http::error::header_limit;
      const bool malformed = ec.category() == make_error_code(beast::http::error::bad_method).category() &&
                             ec != beast::http::error::end_of_stream && ec != beast::http::error::partial_message;
      if (too_large || malformed) {
        Reply refusal{too_large ? 413 : 400, {}, std::string(too_large ? "too large\n" : "bad request\n")};
        const bool told = co_await send_text(stream, *shared, std::move(refusal), false, false);
        static_cast<void>(told);
      }
      break;
    }
    stream.expires_never();
    counted.set_waiting(false);
    const bool keep_alive = parser.get().keep_alive();
    Request request = from_beast(parser.release());
    const bool head_only = request.method == "HEAD";
    Reply reply = co_await shared->handler(std::move(request));
    if (!has_sound_headers(reply)) reply = Reply{500, {}, std::string("internal error\n")};
    const bool is_file = std::holds_alternative<FileBody>(reply.body);
    bool sent = false;
    if (is_file) {
      sent = co_await send_file(stream, *shared, std::move(reply), head_only, keep_alive);
    } else {
      sent = co_await send_text(stream, *shared, std::move(reply), head_only, keep_alive);
    }
    if (!sent || !keep_alive) break;
  }
  error_code ignored;
  stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
}

rt::Task<void> accept_loop(std::shared_ptr<tcp::acceptor> acceptor, std::shared_ptr<Shared> shared) {
  while (acceptor->is_open()) {
    tcp::socket socket(acceptor->get_executor());
    const auto accepted = co_await acceptor->async_accept(socket, kTuple);
    if (std::get<0>(accepted)) {
      if (!acceptor->is_open()) break;
      co_await rt::sleep_for(std::chrono::milliseconds(50));  // out of descriptors: do not spin
      continue;
    }
    error_code gone;
    asio::ip::address peer = socket.remote_endpoint(gone).address();
    if (gone || !make_room(*shared, peer)) continue;  // closes the socket
    auto serving = serve(std::move(socket), std::move(peer), shared);
    shared->runtime.spawn("http connection", std::move(serving), rt::AtShutdown::cancel);
  }
}

class LoopServer final : public Server {
 public:
  LoopServer(std::shared_ptr<tcp::acceptor> acceptor, int port) : acceptor_(std::move(acceptor)), port_(port) {}
  ~LoopServer() override { close(); }
  int port() const override { return port_; }
  void stop() override { close(); }

 private:
  void close() {
    error_code ignored;
    acceptor_->close(ignored);
  }
  std::shared_ptr<tcp::acceptor> acceptor_;
  int port_;
};

base::Unexpected cannot_listen(const std::string& address, const error_code& ec) {
  return base::unexpected(base::ErrorKind::io, fmt::format("cannot listen on '{}': {}", address, ec.message()));
}

struct Address {
  std::string host;  // empty: every address of the machine
  unsigned short port = 0;
};

base::Result<Address> parse_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  Address address;
  const std::string_view port = colon == std::string::npos ? "" : std::string_view(text).substr(colon + 1);
  const auto parsed = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (port.empty() || parsed.ec != std::errc() || parsed.ptr != port.data() + port.size()) {
    return base::unexpected(base::ErrorKind::invalid, fmt::format("'{}' is not an address such as ':9090'", text));
  }
  address.host = text.substr(0, colon);
  if (address.host.starts_with('[') && address.host.ends_with(']')) {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  return address;
}

}  // namespace

base::Result<std::unique_ptr<Server>> Server::start(rt::Runtime& runtime, const std::string& address, Handler handler,
                                                    ServerOptions options) {
  SLUICE_TRY(const Address parsed, parse_address(address));
  error_code ec;
  const bool any = parsed.host.empty();
  asio::ip::address ip = asio::ip::make_address(any                          ? "::"
                                                : parsed.host == "localhost" ? "127.0.0.1"
                                                                             : parsed.host,
                                                ec);
  if (ec) {
    return base::unexpected(base::ErrorKind::invalid, fmt::format("'{}' does not start with an IP address", address));
  }
  auto acceptor = std::make_shared<tcp::acceptor>(runtime.context());
  acceptor->open(ip.is_v6() ? tcp::v6() : tcp::v4(), ec);
  if (ec && any) {  // a machine without IPv6
    ip = asio::ip::make_address("0.0.0.0");
    acceptor->open(tcp::v4(), ec);
  }
  if (ec) return cannot_listen(address, ec);
  acceptor->set_option(tcp::acceptor::reuse_address(true), ec);
  if (any && ip.is_v6()) acceptor->set_option(asio::ip::v6_only(false), ec);
  acceptor->bind({ip, parsed.port}, ec);
  if (ec) return cannot_listen(address, ec);
  acceptor->listen(asio::socket_base::max_listen_connections, ec);
  if (ec) return cannot_listen(address, ec);
  const int port = acceptor->local_endpoint().port();
  auto shared = std::make_shared<Shared>(Shared{runtime, std::move(handler), options, {}});
  runtime.spawn("http listener " + address, accept_loop(acceptor, shared), rt::AtShutdown::cancel);
  return std::unique_ptr<Server>(std::make_unique<LoopServer>(std::move(acceptor), port));
}

}  // namespace sluice::http
