#include "artifact/file_server.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "http/client.hpp"
#include "libs/archive/temporary_folder.hpp"
#include "support/run_task.hpp"

namespace artifact = sluice::artifact;
namespace fs = std::filesystem;
namespace http = sluice::http;
using sluice::test::run;

namespace {

void write(const fs::path& file, const std::string& bytes) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << bytes;
}

struct Fixture {
  sluice::test::TemporaryFolder root;
  sluice::rt::Runtime runtime{1};
  std::unique_ptr<artifact::FileServer> server;
  std::shared_ptr<http::Client> client;

  Fixture() {
    write(root.path() / "gitrepository/ns/app/1234.tar.gz", std::string(200'000, 'x') + "end");
    write(root.path() / ".git-copies/ns/app/secret", "not for you");
    write(root.path() / "top", "not for you");
    auto started = artifact::FileServer::start(runtime, "127.0.0.1:0", root.path());
    if (!started) FAIL(started.error().message);
    server = *std::move(started);
    auto made = http::Client::create(runtime, "http://127.0.0.1:" + std::to_string(server->port()));
    if (!made) FAIL(made.error().message);
    client = *made;
  }
  http::Response ask(const std::string& method, const std::string& target) {
    http::Request request;
    request.method = method;
    request.target = target;
    auto answer = run(runtime, client->send(std::move(request)));
    if (!answer) FAIL(answer.error().message);
    return *answer;
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "an artifact is served whole, with its length and type") {
  const auto answer = ask("GET", "/gitrepository/ns/app/1234.tar.gz");
  CHECK(answer.status == 200);
  CHECK(answer.headers.find("Content-Length") == "200003");
  CHECK(answer.headers.find("Content-Type") == "application/gzip");
  CHECK(answer.body.size() == 200'003);
  CHECK(answer.body.ends_with("xend"));
}

TEST_CASE_METHOD(Fixture, "HEAD answers the length without the bytes") {
  const auto answer = ask("HEAD", "/gitrepository/ns/app/1234.tar.gz");
  CHECK(answer.status == 200);
  CHECK(answer.headers.find("Content-Length") == "200003");
  CHECK(answer.body.empty());
}

TEST_CASE_METHOD(Fixture, "everything that is no artifact is not found", "[hostile]") {
  fs::create_directory_symlink(root.path() / "gitrepository/ns/app", root.path() / "gitrepository/ns/link");
  fs::create_symlink("/etc/passwd", root.path() / "gitrepository/ns/app/passwd");
  fs::create_directory(root.path() / "gitrepository/ns/app/folder");
  for (const char* target :
       {"/", "/top", "/gitrepository", "/gitrepository/ns/app", "/gitrepository/ns/app/",
        "/gitrepository/ns/app/folder",
        "/gitrepository/ns/app/none.tar.gz", "/gitrepository/ns/app/../app/1234.tar.gz",
        "/gitrepository/ns/app/%2e%2e/1234.tar.gz", "/gitrepository/ns/app/..%2f..%2f..%2ftop",
        "/.git-copies/ns/app/secret", "//gitrepository/ns/app/1234.tar.gz", "/gitrepository/ns/link/1234.tar.gz",
        "/gitrepository/ns/app/passwd", "/gitrepository/ns/app/passwd/x", "/../../../etc/passwd",
        "/gitrepository/ns/app/1234.tar.gz/x", "/gitrepository\\ns\\app\\1234.tar.gz"}) {
    CAPTURE(target);
    const auto answer = ask("GET", target);
    CHECK(answer.status == 404);
    CHECK(answer.body.find("not for you") == std::string::npos);
  }
  CHECK(ask("POST", "/gitrepository/ns/app/1234.tar.gz").status == 404);
  CHECK(ask("DELETE", "/gitrepository/ns/app/1234.tar.gz").status == 404);
  CHECK(fs::exists(root.path() / "gitrepository/ns/app/1234.tar.gz"));
}

TEST_CASE_METHOD(Fixture, "a query is ignored, as upstream's server does") {
  CHECK(ask("GET", "/gitrepository/ns/app/1234.tar.gz?x=1").status == 200);
}

TEST_CASE_METHOD(Fixture, "an address that is taken is an error that names it") {
  const auto second = artifact::FileServer::start(runtime, "127.0.0.1:" + std::to_string(server->port()), root.path());
  REQUIRE_FALSE(second);
  CHECK(second.error().kind == sluice::base::ErrorKind::io);
  CHECK(second.error().message.find(std::to_string(server->port())) != std::string::npos);
}
