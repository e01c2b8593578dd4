// Servers that send without end: they may take neither the loop nor the deadline.
#include <catch2/catch.hpp>

#include "base/clock.hpp"
#include "http/client.hpp"
#include "libs/http/peers.hpp"
#include "support/run_task.hpp"

using namespace std::chrono_literals;
using sluice::base::ErrorKind;
using sluice::base::Result;
using sluice::test::read_request;
using sluice::test::SocketServer;
namespace http = sluice::http;
namespace rt = sluice::rt;

namespace {

constexpr std::string_view kChunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

std::string repeat(std::string_view text, std::size_t size) {
  std::string out;
  while (out.size() < size) out += text;
  return out;
}

// Answers with `head`, then with `text` for as long as anybody takes it.
SocketServer::Serve flood(std::string head, std::string text) {
  return [head = std::move(head), text = repeat(text, 1U << 20U)](int fd, int) {
    read_request(fd);
    sluice::test::send_text(fd, head);
    while (true) {
      std::string_view rest = text;
      while (!rest.empty()) {
        const auto sent = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
        if (sent <= 0) return;
        rest.remove_prefix(static_cast<std::size_t>(sent));
      }
    }
  };
}

std::shared_ptr<http::Client> client_of(rt::Runtime& runtime, int port) {
  http::ClientOptions options;
  options.request_timeout = 300ms;
  auto client = http::Client::create(runtime, "http://127.0.0.1:" + std::to_string(port), std::move(options));
  REQUIRE(client);
  return *client;
}

rt::Task<void> tick(const bool& stop, int& ticks) {
  while (!stop) {
    co_await rt::sleep_for(5ms);
    ++ticks;
  }
}

struct Outcome {
  ErrorKind kind = ErrorKind::io;
  std::string message = "it went well";
  int ticks = 0;  // of another task, meanwhile
};

template <class Run>
Outcome beside_another(rt::Runtime& runtime, Run run) {
  Outcome outcome;
  bool stop = false;
  bool stopped = false;
  boost::asio::co_spawn(runtime.context(), tick(stop, outcome.ticks), [&](std::exception_ptr) { stopped = true; });
  const auto result = sluice::test::run(runtime, run());
  stop = true;
  while (!stopped) runtime.context().run_one();
  if (!result) {
    outcome.kind = result.error().kind;
    outcome.message = result.error().message;
  }
  return outcome;
}

rt::Task<Result<std::string>> read_for(std::shared_ptr<http::Client> client, std::chrono::milliseconds duration) {
  auto opening = client->open(http::Request());
  auto stream = co_await std::move(opening);
  if (!stream) co_return sluice::base::unexpected(stream.error());
  const auto until = sluice::base::system_clock().steady() + duration;
  while (sluice::base::system_clock().steady() < until) {
    auto reading = (*stream)->read_some(1s);
    const auto piece = co_await std::move(reading);
    if (!piece) co_return sluice::base::unexpected(piece.error());
  }
  co_return std::string("in time");
}

}  // namespace

TEST_CASE("interim answers without end are no answer") {
  rt::Runtime runtime;
  SocketServer server(flood("", "HTTP/1.1 100 Continue\r\n\r\n"));
  const auto client = client_of(runtime, server.port());
  const Outcome sent = beside_another(runtime, [&] { return client->send(http::Request()); });
  CHECK(sent.kind == ErrorKind::unavailable);
  CHECK(sent.message.find("interim answers") != std::string::npos);
  const auto opened = sluice::test::run(runtime, client->open(http::Request()));
  REQUIRE_FALSE(opened);
  CHECK(opened.error().message.find("interim answers") != std::string::npos);
}

TEST_CASE("a few interim answers come before the real one") {
  rt::Runtime runtime;
  SocketServer server([](int fd, int) {
    read_request(fd);
    sluice::test::send_text(fd, repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 8 * 40));
    sluice::test::send_text(fd, sluice::test::answer_of("real"));
  });
  const auto answer = sluice::test::run(runtime, client_of(runtime, server.port())->send(http::Request()));
  REQUIRE(answer);
  CHECK(answer->body == "real");
}

TEST_CASE("a body that never stops coming ends at the deadline, and others run meanwhile") {
  rt::Runtime runtime;
  SocketServer server(flood(std::string(kChunked), "1\r\nb\r\n"));
  const auto client = client_of(runtime, server.port());
  const Outcome sent = beside_another(runtime, [&] { return client->send(http::Request()); });
  CHECK(sent.kind == ErrorKind::timeout);
  CHECK(sent.ticks >= 5);
}

TEST_CASE("a stream that always has bytes lets others run") {
  rt::Runtime runtime;
  SocketServer server(flood(std::string(kChunked), "1\r\nb\r\n"));
  const auto client = client_of(runtime, server.port());
  const Outcome read = beside_another(runtime, [&] { return read_for(client, 300ms); });
  CHECK(read.message == "it went well");
  CHECK(read.ticks >= 5);
}

TEST_CASE("of a body over the limit the status is told") {
  rt::Runtime runtime;
  SocketServer server([](int fd, int) {
    read_request(fd);
    sluice::test::send_text(fd, "HTTP/1.1 202 Accepted\r\nContent-Length: 1000\r\n\r\n");
  });
  http::Request request;
  request.max_body = 10;
  const auto answer = sluice::test::run(runtime, client_of(runtime, server.port())->send(std::move(request)));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().kind == ErrorKind::too_large);
  CHECK(answer.error().http_status == 202);
}
