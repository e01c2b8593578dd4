#include <catch2/catch.hpp>
#include <fstream>

#include "http/client.hpp"
#include "http/server.hpp"
#include "support/raw_server.hpp"
#include "support/run_task.hpp"

using namespace std::chrono_literals;
using sluice::base::ErrorKind;
using sluice::base::Result;
using sluice::test::RawServer;
namespace http = sluice::http;
namespace rt = sluice::rt;

namespace {

rt::Task<http::Reply> echo(http::Request request) {
  http::Reply reply;
  reply.headers.set("X-Method", request.method);
  reply.body = request.target + "|" + request.body;
  if (request.target == "/missing") reply.status = 404;
  co_return reply;
}

std::string url_of(int port) { return "http://127.0.0.1:" + std::to_string(port); }

std::shared_ptr<http::Client> client_of(rt::Runtime& runtime, int port, http::ClientOptions options = {}) {
  auto client = http::Client::create(runtime, url_of(port), std::move(options));
  REQUIRE(client);
  return *client;
}

http::Request get(std::string target) {
  http::Request request;
  request.target = std::move(target);
  return request;
}

rt::Task<Result<std::string>> read_all(http::ResponseStream& stream, std::chrono::nanoseconds idle) {
  std::string all;
  while (true) {
    auto piece = co_await stream.read_some(idle);
    if (!piece) co_return sluice::base::unexpected(std::move(piece).error());
    if (piece->empty()) co_return all;
    all += *piece;
  }
}

rt::Task<Result<std::string>> open_and_read(std::shared_ptr<http::Client> client, std::chrono::nanoseconds idle) {
  auto stream = co_await client->open(get("/watch"));
  if (!stream) co_return sluice::base::unexpected(std::move(stream).error());
  auto all = co_await read_all(**stream, idle);
  co_return all;
}

rt::Task<Result<int>> send_many(std::shared_ptr<http::Client> client, int count) {
  int good = 0;
  for (int i = 0; i < count; ++i) {
    auto response = co_await client->send(get("/" + std::to_string(i)));
    if (response && response->status == 200) ++good;
  }
  co_return good;
}

}  // namespace

TEST_CASE("a request reaches the handler and its reply comes back, on one kept connection") {
  rt::Runtime runtime;
  auto server = http::Server::start(runtime, "127.0.0.1:0", echo);
  REQUIRE(server);
  auto client = client_of(runtime, (*server)->port());
  http::Request request;
  request.method = "POST";
  request.target = "/a?b=c";
  request.body = "hello";
  auto response = sluice::test::run(runtime, client->send(std::move(request)));
  REQUIRE(response);
  CHECK(response->status == 200);
  CHECK(response->headers.find("x-method") == "POST");
  CHECK(response->body == "/a?b=c|hello");
}

TEST_CASE("a status that is no success is an answer, not an error") {
  rt::Runtime runtime;
  auto server = http::Server::start(runtime, "127.0.0.1:0", echo);
  auto response = sluice::test::run(runtime, client_of(runtime, (*server)->port())->send(get("/missing")));
  REQUIRE(response);
  CHECK(response->status == 404);
  CHECK(http::status_error(*response, "artifact").kind == ErrorKind::not_found);
}

TEST_CASE("HEAD gets the headers and no body") {
  rt::Runtime runtime;
  auto server = http::Server::start(runtime, "127.0.0.1:0", echo);
  http::Request request = get("/x");
  request.method = "HEAD";
  auto response = sluice::test::run(runtime, client_of(runtime, (*server)->port())->send(std::move(request)));
  REQUIRE(response);
  CHECK(response->body.empty());
  CHECK(response->headers.find("Content-Length") == "3");
}

TEST_CASE("a file is sent in pieces, from its offset") {
  const std::string path = "/tmp/sluice_http_" + std::to_string(::getpid());
  std::ofstream(path, std::ios::binary) << std::string(200'000, 'a') << "tail";
  rt::Runtime runtime;
  auto server = http::Server::start(runtime, "127.0.0.1:0", [path](http::Request) -> rt::Task<http::Reply> {
    // No capture is used after the first suspension: the coroutine copies what it needs at once.
    return [](std::string file) -> rt::Task<http::Reply> {
      http::Reply reply;
      reply.body = http::FileBody{std::move(file), 100'000, 100'004};
      co_return reply;
    }(path);
  });
  auto response = sluice::test::run(runtime, client_of(runtime, (*server)->port())->send(get("/f")));
  std::remove(path.c_str());
  REQUIRE(response);
  CHECK(response->body.size() == 100'004);
  CHECK(response->body.ends_with("atail"));
}

TEST_CASE("requests share the connections that the client may have") {
  rt::Runtime runtime;
  auto server = http::Server::start(runtime, "127.0.0.1:0", echo);
  http::ClientOptions options;
  options.max_connections = 1;
  auto client = client_of(runtime, (*server)->port(), options);
  auto good = sluice::test::run(runtime, send_many(client, 50));
  REQUIRE(good);
  CHECK(*good == 50);
}

TEST_CASE("nobody listening is unavailable, and says where") {
  rt::Runtime runtime;
  int port = 0;
  { port = RawServer("").port(); }
  auto response = sluice::test::run(runtime, client_of(runtime, port)->send(get("/")));
  REQUIRE_FALSE(response);
  CHECK(response.error().kind == ErrorKind::unavailable);
  CHECK(response.error().message.find("127.0.0.1:" + std::to_string(port)) != std::string::npos);
}

TEST_CASE("a server that never answers is a timeout") {
  rt::Runtime runtime;
  RawServer silent("", 2s);
  http::ClientOptions options;
  options.request_timeout = 30ms;
  auto response = sluice::test::run(runtime, client_of(runtime, silent.port(), options)->send(get("/")));
  REQUIRE_FALSE(response);
  CHECK(response.error().kind == ErrorKind::timeout);
}

TEST_CASE("a body that is cut short is unavailable, never a short success") {
  rt::Runtime runtime;
  RawServer cut("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
  auto response = sluice::test::run(runtime, client_of(runtime, cut.port())->send(get("/")));
  REQUIRE_FALSE(response);
  CHECK(response.error().kind == ErrorKind::unavailable);
}

TEST_CASE("a body over the limit is refused") {
  rt::Runtime runtime;
  RawServer large("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + std::string(100, 'x'));
  http::ClientOptions options;
  options.max_body = 10;
  auto response = sluice::test::run(runtime, client_of(runtime, large.port(), options)->send(get("/")));
  REQUIRE_FALSE(response);
  CHECK(response.error().kind == ErrorKind::too_large);
}

TEST_CASE("garbage instead of HTTP is an error") {
  rt::Runtime runtime;
  RawServer garbage("SSH-2.0-OpenSSH_9.2\r\n");
  CHECK_FALSE(sluice::test::run(runtime, client_of(runtime, garbage.port())->send(get("/"))));
}

TEST_CASE("a stream gives the pieces of a chunked body as they come, then its end") {
  rt::Runtime runtime;
  RawServer chunked("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  auto all = sluice::test::run(runtime, open_and_read(client_of(runtime, chunked.port()), 2s));
  REQUIRE(all);
  CHECK(*all == "abcde");
}

TEST_CASE("a stream that breaks in the middle is unavailable; one that falls silent is a timeout") {
  rt::Runtime runtime;
  RawServer broken("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nd");
  auto cut = sluice::test::run(runtime, open_and_read(client_of(runtime, broken.port()), 2s));
  REQUIRE_FALSE(cut);
  CHECK(cut.error().kind == ErrorKind::unavailable);
  RawServer silent("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 2s);
  auto quiet = sluice::test::run(runtime, open_and_read(client_of(runtime, silent.port()), 30ms));
  REQUIRE_FALSE(quiet);
  CHECK(quiet.error().kind == ErrorKind::timeout);
}

TEST_CASE("a request too large for the server is answered 413") {
  rt::Runtime runtime;
  http::ServerOptions options;
  options.max_body = 10;
  auto server = http::Server::start(runtime, "127.0.0.1:0", echo, options);
  http::Request request;
  request.method = "POST";
  request.body = std::string(100, 'x');
  auto response = sluice::test::run(runtime, client_of(runtime, (*server)->port())->send(std::move(request)));
  REQUIRE(response);
  CHECK(response->status == 413);
}

TEST_CASE("an address that is taken or malformed is refused when the server starts") {
  rt::Runtime runtime;
  auto server = http::Server::start(runtime, "127.0.0.1:0", echo);
  auto again = http::Server::start(runtime, "127.0.0.1:" + std::to_string((*server)->port()), echo);
  REQUIRE_FALSE(again);
  CHECK(again.error().kind == ErrorKind::io);
  CHECK(http::Server::start(runtime, "nowhere", echo).error().kind == ErrorKind::invalid);
}
