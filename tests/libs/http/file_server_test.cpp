// Files and headers as the server sends them.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "http/client.hpp"
#include "http/server.hpp"
#include "support/run_task.hpp"
#include "support/temp_folder.hpp"

using sluice::base::ErrorKind;
using sluice::base::Result;
using sluice::test::TempFolder;
namespace http = sluice::http;
namespace rt = sluice::rt;

namespace {

rt::Task<http::Reply> as_task(http::Reply reply) { co_return reply; }

// Serves one reply to everybody.
struct Fixture {
  rt::Runtime runtime;
  std::unique_ptr<http::Server> server;
  std::shared_ptr<http::Client> client;

  explicit Fixture(http::Reply reply) {
    auto started =
        http::Server::start(runtime, "127.0.0.1:0", [reply](http::Request) { return as_task(http::Reply(reply)); });
    REQUIRE(started);
    server = *std::move(started);
    auto made = http::Client::create(runtime, "http://127.0.0.1:" + std::to_string(server->port()));
    REQUIRE(made);
    client = *made;
  }
  Result<http::Response> ask(const std::string& method) {
    http::Request request;
    request.method = method;
    return sluice::test::run(runtime, client->send(std::move(request)));
  }
};

http::Reply file(const std::filesystem::path& path, std::uint64_t offset, std::uint64_t length) {
  http::Reply reply;
  reply.headers.set("Content-Type", "application/gzip");
  reply.body = http::FileBody{path.string(), offset, length};
  return reply;
}

}  // namespace

TEST_CASE("HEAD of a file has its headers and none of its bytes, and the connection goes on") {
  const TempFolder folder;
  folder.write("f", "0123456789");
  Fixture fixture(file(folder.path() / "f", 0, 10));
  const auto head = fixture.ask("HEAD");
  REQUIRE(head);
  CHECK(head->status == 200);
  CHECK(head->headers.find("Content-Length") == "10");
  CHECK(head->headers.find("Content-Type") == "application/gzip");
  CHECK(head->body.empty());
  const auto get = fixture.ask("GET");
  REQUIRE(get);
  CHECK(get->body == "0123456789");
}

TEST_CASE("a file that is shorter than promised is no success") {
  const TempFolder folder;
  folder.write("f", "0123456789");
  for (const auto& reply : {file(folder.path() / "f", 0, 11), file(folder.path() / "f", 11, 0),
                            file(folder.path() / "f", 5, ~std::uint64_t{0})}) {
    Fixture fixture(reply);
    const auto response = fixture.ask("GET");
    REQUIRE(response);
    CHECK(response->status == 500);
    CHECK(response->body.find(folder.path().string()) == std::string::npos);
    CHECK(fixture.ask("HEAD")->status == 500);
  }
}

TEST_CASE("a file that shrinks while it is sent cuts the connection; nobody gets a short success") {
  const TempFolder folder;
  constexpr std::uint64_t kSize = 64U << 20U;  // more than any socket buffer holds
  folder.write("f", "");
  std::filesystem::resize_file(folder.path() / "f", kSize);
  Fixture fixture(file(folder.path() / "f", 0, kSize));
  const auto outcome = sluice::test::run(
      fixture.runtime,
      [](std::shared_ptr<http::Client> client, std::filesystem::path path) -> rt::Task<Result<std::uint64_t>> {
        auto opening = client->open({});
        auto stream = co_await std::move(opening);
        if (!stream) co_return sluice::base::unexpected(stream.error());
        std::filesystem::resize_file(path, 1000);
        std::uint64_t total = 0;
        while (true) {
          auto piece = co_await (*stream)->read_some(std::chrono::seconds(10));
          if (!piece) co_return sluice::base::unexpected(piece.error());
          if (piece->empty()) co_return total;
          total += piece->size();
        }
      }(fixture.client, folder.path() / "f"));
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().kind == ErrorKind::unavailable);
}

TEST_CASE("what is no plain file is not found, and nothing waits for it") {
  const TempFolder folder;
  folder.write("f", "x");
  folder.link("link", "f");
  REQUIRE(::mkfifo((folder.path() / "fifo").c_str(), 0600) == 0);
  for (const char* name : {"missing", "link", "fifo", "."}) {
    CAPTURE(name);
    Fixture fixture(file(folder.path() / name, 0, 1));
    const auto response = fixture.ask("GET");
    REQUIRE(response);
    CHECK(response->status == 404);
  }
}

TEST_CASE("a reply whose header would begin another one is not sent") {
  http::Reply reply;
  reply.headers.set("Location", "/x\r\nSet-Cookie: a=b");
  reply.body = std::string("ok");
  Fixture fixture(reply);
  const auto response = fixture.ask("GET");
  REQUIRE(response);
  CHECK(response->status == 500);
  CHECK_FALSE(response->headers.contains("Set-Cookie"));
}

TEST_CASE("headers of one name are all sent in a reply") {
  http::Reply reply;
  reply.headers.add("X", "1");
  reply.headers.add("X", "2");
  reply.body = std::string("ok");
  Fixture fixture(reply);
  const auto response = fixture.ask("GET");
  REQUIRE(response);
  int count = 0;
  for (const auto& [name, value] : response->headers.all()) count += name == "X" ? 1 : 0;
  CHECK(count == 2);
}
