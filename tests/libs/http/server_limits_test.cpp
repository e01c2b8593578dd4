// What clients may hold of a server, and for how long.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include "http/server.hpp"
#include "support/run_task.hpp"

using namespace std::chrono_literals;
namespace http = sluice::http;
namespace rt = sluice::rt;

namespace {

rt::Task<http::Reply> hello(http::Request request) {
  http::Reply reply;
  if (request.target == "/slow") co_await rt::sleep_for(500ms);
  reply.body = std::string("hello");
  co_return reply;
}

// A client that does as it likes, from an address of its own on loopback.
class Peer {
 public:
  Peer(rt::Runtime& runtime, int port, const char* from = "127.0.0.1")
      : runtime_(runtime), fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_in own{};
    own.sin_family = AF_INET;
    own.sin_addr.s_addr = ::inet_addr(from);
    REQUIRE(::bind(fd_, reinterpret_cast<sockaddr*>(&own), sizeof own) == 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = ::inet_addr("127.0.0.1");
    ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    turn(20ms);
  }
  ~Peer() { ::close(fd_); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  void send(std::string_view text) const { static_cast<void>(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL)); }
  // True once the server has ended the connection.
  bool is_closed(std::chrono::milliseconds within) {
    const auto until = std::chrono::steady_clock::now() + within;
    while (std::chrono::steady_clock::now() < until) {
      turn(5ms);
      char bytes[1024];
      const ssize_t got = ::recv(fd_, bytes, sizeof bytes, 0);
      if (got > 0) received_.append(bytes, static_cast<std::size_t>(got));
      if (got == 0 || (got < 0 && errno != EAGAIN)) return true;
    }
    return false;
  }
  bool is_answered(std::chrono::milliseconds within = 2s) {
    const auto until = std::chrono::steady_clock::now() + within;
    while (received_.find("hello") == std::string::npos && std::chrono::steady_clock::now() < until) {
      if (is_closed(5ms)) break;
    }
    const bool is_there = received_.find("hello") != std::string::npos;
    received_.clear();
    return is_there;
  }
  const std::string& received() const { return received_; }

 private:
  void turn(std::chrono::milliseconds time) {
    runtime_.context().restart();
    runtime_.context().run_for(time);
  }
  rt::Runtime& runtime_;
  int fd_;
  std::string received_;
};

struct Fixture {
  rt::Runtime runtime;
  std::unique_ptr<http::Server> server;

  void start(http::ServerOptions options) {
    auto started = http::Server::start(runtime, "127.0.0.1:0", hello, options);
    REQUIRE(started);
    server = *std::move(started);
  }
};

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

}  // namespace

TEST_CASE_METHOD(Fixture, "who sends no head in time is cut, though a byte comes now and then") {
  http::ServerOptions options;
  options.header_timeout = 300ms;
  start(options);
  Peer silent(runtime, server->port());
  Peer dripping(runtime, server->port());
  Peer sane(runtime, server->port());
  const auto began = std::chrono::steady_clock::now();
  bool is_cut = false;
  for (int i = 0; i < 100 && !is_cut; ++i) {
    dripping.send("G");
    is_cut = dripping.is_closed(50ms);
  }
  CHECK(is_cut);
  CHECK(std::chrono::steady_clock::now() - began < 3s);
  CHECK(silent.is_closed(1s));
  // The time counts from the connection, so this one is late as well.
  CHECK(sane.is_closed(1s));
}

TEST_CASE_METHOD(Fixture, "a kept connection may wait for its next request, and no longer than it may") {
  http::ServerOptions options;
  options.header_timeout = 200ms;
  options.idle_timeout = 600ms;
  start(options);
  Peer peer(runtime, server->port());
  peer.send(kGet);
  CHECK(peer.is_answered());
  CHECK_FALSE(peer.is_closed(350ms));  // longer than a head may take
  peer.send(kGet);
  CHECK(peer.is_answered());
  CHECK(peer.is_closed(3s));
}

TEST_CASE_METHOD(Fixture, "a next request's head has its time from its first byte on") {
  http::ServerOptions options;
  options.header_timeout = 300ms;
  start(options);
  Peer peer(runtime, server->port());
  peer.send(kGet);
  CHECK(peer.is_answered());
  peer.send("GET /");
  CHECK(peer.is_closed(3s));
}

TEST_CASE_METHOD(Fixture, "two requests sent at once are both answered") {
  start({});
  Peer peer(runtime, server->port());
  peer.send(std::string(kGet) + std::string(kGet));
  const auto until = std::chrono::steady_clock::now() + 2s;
  std::size_t answers = 0;
  while (answers < 2 && std::chrono::steady_clock::now() < until) {
    static_cast<void>(peer.is_closed(10ms));
    answers = 0;
    for (std::size_t at = 0; (at = peer.received().find("hello", at)) != std::string::npos; ++at) ++answers;
  }
  CHECK(answers == 2);
}

TEST_CASE_METHOD(Fixture, "whoever holds all places loses one to the first who comes from elsewhere") {
  http::ServerOptions options;
  options.max_connections = 4;
  start(options);
  std::vector<std::unique_ptr<Peer>> greedy;
  for (int i = 0; i < 4; ++i) greedy.push_back(std::make_unique<Peer>(runtime, server->port()));
  greedy[0]->send(kGet);
  CHECK(greedy[0]->is_answered());  // so another one has waited longest
  Peer one_more(runtime, server->port());
  CHECK(one_more.is_closed(1s));
  Peer other(runtime, server->port(), "127.0.0.2");
  other.send(kGet);
  CHECK(other.is_answered());
  CHECK(greedy[1]->is_closed(1s));
  for (const int still : {0, 2, 3}) CHECK_FALSE(greedy[static_cast<std::size_t>(still)]->is_closed(20ms));
  Peer third(runtime, server->port(), "127.0.0.3");
  third.send(kGet);
  CHECK(third.is_answered());
  CHECK(greedy[2]->is_closed(1s));
}

TEST_CASE_METHOD(Fixture, "places that are fairly held are not taken") {
  http::ServerOptions options;
  options.max_connections = 2;
  start(options);
  Peer one(runtime, server->port());
  Peer two(runtime, server->port(), "127.0.0.2");
  Peer three(runtime, server->port(), "127.0.0.3");
  CHECK(three.is_closed(1s));
  CHECK_FALSE(one.is_closed(20ms));
  CHECK_FALSE(two.is_closed(20ms));
}

TEST_CASE_METHOD(Fixture, "of the greediest's connections the one that waits goes before one that is served") {
  http::ServerOptions options;
  options.max_connections = 2;
  start(options);
  Peer served(runtime, server->port());
  served.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
  static_cast<void>(served.is_closed(30ms));
  Peer waiting(runtime, server->port());  // it came later
  Peer other(runtime, server->port(), "127.0.0.2");
  other.send(kGet);
  CHECK(other.is_answered());
  CHECK(waiting.is_closed(1s));
  CHECK(served.is_answered());
}
