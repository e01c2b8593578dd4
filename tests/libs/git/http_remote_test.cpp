// Smart HTTP against `git http-backend`.
#include <catch2/catch.hpp>
#include <chrono>

#include "base/digest.hpp"
#include "libs/http/peers.hpp"
#include "shared_server.hpp"

using namespace sluice;
using namespace sluice::test;
using Files = std::map<std::string, std::string>;

namespace {

// Servers that are costlier to start than a test may take, each started once.
struct Guarded {
  TempDir folder;
  BareRepository repository{folder.path(), "app"};
  std::string commit = repository.commit("main", {{"a", "1"}});
  Certificate certificate{folder, "server"};
  Certificate client{folder, "client"};
  GitHttpServer basic{folder.path(), {"--user", "ann", "--password", "s3cret"}};
  GitHttpServer bearer{folder.path(), {"--bearer", "t0ken"}};
  GitHttpServer tls{folder.path(), {"--cert", certificate.cert, "--key", certificate.key}};
  GitHttpServer mutual{folder.path(),
                       {"--cert", certificate.cert, "--key", certificate.key, "--client-ca", client.cert}};
};
Guarded& guarded() {
  static Guarded instance;
  return instance;
}

git::HttpAuth trusting_our_ca() {
  git::HttpAuth auth;
  auth.tls.ca = read_file(guarded().certificate.cert);
  return auth;
}

}  // namespace

TEST_CASE("references are listed over HTTP", "[git][http]") {
  auto repository = shared().repository();
  const auto first = repository.commit("main", {{"a.txt", "one"}});
  const auto tag = repository.annotated_tag("v1.0.0", first);
  repository.git({"update-ref", "refs/pull/1/head", first});
  const auto refs = git::list_refs(endpoint(shared().http.origin() + "/" + repository.name() + ".git"), git::HttpAuth{},
                                   kTimeout, {});
  REQUIRE(refs);
  CHECK(refs->head == "refs/heads/main");
  REQUIRE(refs->refs.size() == 3);
  CHECK(refs->find("refs/heads/main")->oid == first);
  CHECK(refs->find("refs/pull/1/head")->oid == first);
  CHECK(refs->find("refs/tags/v1.0.0")->oid == tag);
  CHECK(refs->find("refs/tags/v1.0.0")->target() == first);
}

TEST_CASE("an empty repository lists nothing, and resolving it says so", "[git][http]") {
  auto repository = shared().repository();
  const auto remote = connect(shared().http.origin() + "/" + repository.name() + ".git");
  REQUIRE(remote);
  CHECK(remote->refs().empty());
  CHECK(git::resolve({.branch = "main"}, remote->refs()).error().reason == "EmptyGitRepository");
}

TEST_CASE("a repository that is not there is not found, by its URL", "[git][http]") {
  const auto url = shared().http.origin() + "/nope.git";
  const auto remote = connect(url);
  REQUIRE_FALSE(remote);
  CHECK(remote.error().kind == base::ErrorKind::not_found);
  CHECK(remote.error().message.find(url) != std::string::npos);
}

TEST_CASE("a server that nobody runs is unavailable", "[git][http]") {
  const auto remote = connect("http://127.0.0.1:1/app.git");
  REQUIRE_FALSE(remote);
  CHECK(remote.error().kind == base::ErrorKind::unavailable);
  CHECK(remote.error().message.find("http://127.0.0.1:1/app.git") != std::string::npos);
}

TEST_CASE("a host that does not resolve is unavailable", "[git][http]") {
  const auto remote = connect("http://host.invalid/app.git", git::HttpAuth{}, std::chrono::seconds(5));
  REQUIRE_FALSE(remote);
  CHECK((remote.error().kind == base::ErrorKind::unavailable || remote.error().kind == base::ErrorKind::timeout));
}

TEST_CASE("HTTP statuses become the kinds that callers act on", "[git][http]") {
  struct Case {
    const char* status;
    base::ErrorKind kind;
  };
  const auto wanted = GENERATE(values<Case>({{"401", base::ErrorKind::unauthorized},
                                             {"403", base::ErrorKind::forbidden},
                                             {"404", base::ErrorKind::not_found},
                                             {"429", base::ErrorKind::rate_limited},
                                             {"500", base::ErrorKind::unavailable},
                                             {"503", base::ErrorKind::unavailable},
                                             {"418", base::ErrorKind::invalid}}));
  const auto remote = connect(shared().http.origin() + "/status/" + wanted.status + "/app.git");
  REQUIRE_FALSE(remote);
  CHECK(remote.error().kind == wanted.kind);
  CHECK(std::to_string(remote.error().http_status) == wanted.status);
  CHECK(remote.error().retry_after == std::chrono::seconds(7));
}

TEST_CASE("Basic credentials open the door; wrong or missing ones do not", "[git][http]") {
  const auto url = guarded().basic.origin() + "/app.git";
  CHECK(connect(url, git::HttpAuth{.username = "ann", .password = "s3cret", .bearer_token = {}, .tls = {}}));
  for (const char* password : {"wr0ng", ""}) {
    const auto refused =
        connect(url, git::HttpAuth{.username = "ann", .password = password, .bearer_token = {}, .tls = {}});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == base::ErrorKind::unauthorized);
    CHECK(refused.error().message.find("wr0ng") == std::string::npos);
  }
  CHECK(connect(url).error().kind == base::ErrorKind::unauthorized);
}

TEST_CASE("a bearer token opens the door", "[git][http]") {
  const auto url = guarded().bearer.origin() + "/app.git";
  git::HttpAuth auth;
  auth.bearer_token = "t0ken";
  CHECK(connect(url, auth));
  auth.bearer_token = "other";
  CHECK(connect(url, auth).error().kind == base::ErrorKind::unauthorized);
}

TEST_CASE("TLS is trusted with the right authority, and with no other", "[git][http][tls]") {
  const auto url = guarded().tls.origin() + "/app.git";
  CHECK(connect(url, trusting_our_ca()));
  const auto unknown = connect(url);
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().kind == base::ErrorKind::untrusted);
  git::HttpAuth other;
  other.tls.ca = read_file(guarded().client.cert);
  CHECK(connect(url, other).error().kind == base::ErrorKind::untrusted);
  // One repository's authority must not have rubbed off on the next.
  CHECK(connect(url).error().kind == base::ErrorKind::untrusted);
}

TEST_CASE("a certificate for another host is not trusted", "[git][http][tls]") {
  auto url = guarded().tls.origin() + "/app.git";
  url.replace(url.find("127.0.0.1"), 9, "localhost");
  const auto remote = connect(url, trusting_our_ca());
  REQUIRE_FALSE(remote);
  CHECK(remote.error().kind == base::ErrorKind::untrusted);
}

TEST_CASE("an authority that is no certificate is invalid", "[git][http][tls]") {
  git::HttpAuth auth;
  auth.tls.ca = "not a certificate";
  const auto remote = connect(guarded().tls.origin() + "/app.git", auth);
  REQUIRE_FALSE(remote);
  CHECK(remote.error().kind == base::ErrorKind::invalid);
}

TEST_CASE("mutual TLS lets in who shows the client certificate", "[git][http][tls]") {
  const auto url = guarded().mutual.origin() + "/app.git";
  auto auth = trusting_our_ca();
  const auto refused = connect(url, auth);
  REQUIRE_FALSE(refused);
  // The server's alert may be overtaken by the reset of the connection.
  CHECK((refused.error().kind == base::ErrorKind::unauthorized ||
         refused.error().kind == base::ErrorKind::unavailable));
  auth.tls.cert = read_file(guarded().client.cert);
  auth.tls.key = read_file(guarded().client.key);
  CHECK(connect(url, auth));
}

TEST_CASE("a redirect to another host is followed without the credentials", "[git][http]") {
  const auto& plain = shared().http;
  auto repository = shared().repository();
  const auto commit = repository.commit("main", {{"a", "1"}});
  const auto url = guarded().basic.origin() + "/redirect/" + plain.host_and_port() + "/" + repository.name() + ".git";
  auto remote = connect(url, git::HttpAuth{.username = "ann", .password = "s3cret", .bearer_token = {}, .tls = {}});
  REQUIRE(remote);
  CHECK(remote->refs().find("refs/heads/main")->oid == commit);
  for (const auto& line : plain.requests()) CHECK(line.ends_with("anonymous"));
  TempDir folder;
  const git::RepositoryCache cache(folder.path());
  const auto snapshot = cache.fetch(*remote, *git::resolve({.branch = "main"}, remote->refs()));
  REQUIRE(snapshot);
  CHECK(files_of(*snapshot) == Files{{"a", "1"}});
}

TEST_CASE("a redirect from HTTPS to HTTP is refused", "[git][http][tls]") {
  const auto url = guarded().tls.origin() + "/downgrade/" + shared().http.host_and_port() + "/app.git";
  const auto remote = connect(url, trusting_our_ca());
  REQUIRE_FALSE(remote);
  CHECK(remote.error().kind == base::ErrorKind::untrusted);
}

TEST_CASE("a redirect to nowhere is refused", "[git][http]") {
  const auto remote = connect(shared().http.origin() + "/status/302/app.git");
  REQUIRE_FALSE(remote);
  CHECK(remote.error().kind == base::ErrorKind::unavailable);
}

TEST_CASE("redirects in a circle end", "[git][http]") {
  const auto host = shared().http.host_and_port();
  std::string url = shared().http.origin();
  for (int i = 0; i < 8; ++i) url += "/redirect/" + host;
  const auto remote = connect(url + "/app.git");
  REQUIRE_FALSE(remote);
  CHECK(remote.error().kind == base::ErrorKind::unavailable);
  CHECK(remote.error().message.find("redirects") != std::string::npos);
}

TEST_CASE("a server that accepts and never answers runs into the timeout", "[git][http]") {
  const auto begin = std::chrono::steady_clock::now();
  const auto remote =
      connect(shared().http.origin() + "/stall-refs/app.git", git::HttpAuth{}, std::chrono::milliseconds(60));
  REQUIRE_FALSE(remote);
  CHECK(remote.error().kind == base::ErrorKind::timeout);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
}

TEST_CASE("a stop request ends a wait at once", "[git][http]") {
  std::stop_source source;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    source.request_stop();
  });
  const auto begin = std::chrono::steady_clock::now();
  const auto remote =
      connect(shared().http.origin() + "/stall-refs/app.git", git::HttpAuth{}, kTimeout, source.get_token());
  REQUIRE_FALSE(remote);
  CHECK(remote.error().kind == base::ErrorKind::cancelled);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
}

TEST_CASE("ten thousand references are listed", "[git][http]") {
  auto repository = shared().repository();
  const auto commit = repository.commit("main", {{"a", "1"}});
  std::string updates = "# pack-refs with: peeled fully-peeled sorted \n";
  for (int i = 0; i < 10'000; ++i) updates += commit + " refs/tags/t" + std::to_string(100'000 + i) + "\n";
  write_file(repository.path() / "packed-refs", updates);
  const auto refs = git::list_refs(endpoint(shared().http.origin() + "/" + repository.name() + ".git"), git::HttpAuth{},
                                   kTimeout, {});
  REQUIRE(refs);
  CHECK(refs->refs.size() == 10'001);
}

TEST_CASE("a server that says back what it was sent tells nobody the credentials", "[git][http][hostile]") {
  const SocketServer server([](int fd, int) {
    const std::string request = read_request(fd);
    const auto at = request.find("Authorization: ");
    std::string said = at == std::string::npos ? "no credentials" : request.substr(at, request.find('\r', at) - at);
    said = "ERR you sent " + said + " and hunter2hunter2";
    char size[5];
    std::snprintf(size, sizeof size, "%04zx", said.size() + 4);
    const std::string body = size + said;
    send_text(fd, "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nContent-Length: " +
                      std::to_string(body.size()) + "\r\n\r\n" + body);
  });
  const std::string url = "http://127.0.0.1:" + std::to_string(server.port()) + "/r.git";
  const git::HttpAuth with_token{.username = {}, .password = {}, .bearer_token = "hunter2hunter2", .tls = {}};
  const git::HttpAuth with_password{.username = "ann", .password = "hunter2hunter2", .bearer_token = {}, .tls = {}};
  for (const auto& auth : {with_token, with_password}) {
    const auto refused = connect(url, auth);
    REQUIRE_FALSE(refused);
    const std::string& message = refused.error().message;
    INFO(message);
    CHECK(message.find("you sent Authorization: ") != std::string::npos);
    CHECK(message.find("hunter2") == std::string::npos);
    CHECK(message.find(base::base64_encode("ann:hunter2hunter2")) == std::string::npos);
    CHECK(message.find("***") != std::string::npos);
  }
}
