#include <catch2/catch.hpp>

#include "http/detail/proxy.hpp"
#include "libs/http/peers.hpp"
#include "support/run_task.hpp"

using sluice::base::ErrorKind;
using sluice::test::answer_of;
using sluice::test::read_request;
using sluice::test::send_text;
using sluice::test::SocketServer;
namespace http = sluice::http;
namespace rt = sluice::rt;

namespace {

std::string chosen(const std::string& url, const std::string& none) {
  const auto parsed = http::Url::parse(url);
  REQUIRE(parsed);
  return http::detail::choose_proxy(*parsed, {"http://secure:1", "plain:2", "", none});
}

}  // namespace

TEST_CASE("the proxy follows the scheme, and this machine is never proxied") {
  CHECK(chosen("https://example.com", "") == "http://secure:1");
  CHECK(chosen("http://example.com", "") == "http://plain:2");
  for (const char* url : {"https://localhost", "https://LOCALHOST:1", "https://127.0.0.1", "https://127.9.9.9",
                          "https://[::1]:6443"}) {
    CHECK(chosen(url, "").empty());
  }
  const auto url = *http::Url::parse("https://example.com");
  CHECK(http::detail::choose_proxy(url, {"", "x", "http://all:3", ""}) == "http://all:3");
  CHECK(http::detail::choose_proxy(url, {"", "x", "", ""}).empty());
}

TEST_CASE("exceptions are names with all below them, addresses, blocks and ports") {
  const auto excepted = [](const char* url, const char* none) { return chosen(url, none).empty(); };
  CHECK(excepted("https://example.com", "*"));
  CHECK(excepted("https://example.com", "other, Example.COM"));
  CHECK(excepted("https://api.example.com", "example.com"));
  CHECK(excepted("https://api.example.com", ".example.com"));
  CHECK(excepted("https://api.example.com", "*.example.com"));
  CHECK_FALSE(excepted("https://example.com", ".example.com"));
  CHECK_FALSE(excepted("https://notexample.com", "example.com"));
  CHECK(excepted("https://kubernetes.default.svc", ".svc,.cluster.local"));
  CHECK(excepted("https://10.96.0.1", "10.96.0.0/12"));
  CHECK(excepted("https://10.111.255.255", "10.96.0.0/12"));
  CHECK_FALSE(excepted("https://10.112.0.0", "10.96.0.0/12"));
  CHECK(excepted("https://10.96.0.1", "10.96.0.1"));
  CHECK(excepted("https://[fd00::7]", "fd00::/8"));
  CHECK_FALSE(excepted("https://[fe00::7]", "fd00::/8"));
  CHECK_FALSE(excepted("https://example.com", "10.0.0.0/8"));
  CHECK(excepted("https://example.com:8443", "example.com:8443"));
  CHECK_FALSE(excepted("https://example.com", "example.com:8443"));
  CHECK_FALSE(excepted("https://10.0.0.1", "10.0.0.0/99,x/8,/,,"));
}

TEST_CASE("plain HTTP goes to the proxy with the whole URL and the proxy's credentials") {
  std::string seen;
  const SocketServer proxy([&seen](int fd, int) {
    seen = read_request(fd);
    send_text(fd, answer_of("via"));
  });
  rt::Runtime runtime;
  http::ClientOptions options;
  options.proxy = "http://user:p%40ss@127.0.0.1:" + std::to_string(proxy.port());
  auto client = http::Client::create(runtime, "http://example.invalid:8080", options);
  REQUIRE(client);
  http::Request request;
  request.target = "/hook?x=1";
  const auto response = sluice::test::run(runtime, (*client)->send(request));
  REQUIRE(response);
  CHECK(response->body == "via");
  CHECK(seen.starts_with("GET http://example.invalid:8080/hook?x=1 HTTP/1.1\r\nHost: example.invalid:8080\r\n"));
  CHECK(seen.find("Proxy-Authorization: Basic dXNlcjpwQHNz\r\n") != std::string::npos);
}

TEST_CASE("TLS goes through a tunnel, and is verified at its other end") {
  const auto authority = sluice::test::make_identity("authority", "", nullptr);
  const auto identity = sluice::test::make_identity("server", "DNS:example.invalid", &authority);
  const sluice::test::TlsServer target(identity);
  std::string seen;
  const SocketServer proxy([&](int fd, int) {
    seen = read_request(fd);
    const int upstream = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(target.port()));
    if (::connect(upstream, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return;
    send_text(fd, "HTTP/1.1 200 Connection established\r\n\r\n");
    const auto copy = [](int from, int to) {
      char buffer[4096];
      for (ssize_t got = 0; (got = ::recv(from, buffer, sizeof buffer, 0)) > 0;) {
        send_text(to, std::string_view(buffer, static_cast<std::size_t>(got)));
      }
      ::shutdown(to, SHUT_WR);
    };
    std::thread back(copy, upstream, fd);
    copy(fd, upstream);
    back.join();
    ::close(upstream);
  });
  {
    rt::Runtime runtime;
    http::ClientOptions options;
    options.proxy = "http://127.0.0.1:" + std::to_string(proxy.port());
    options.tls.ca_pem = authority.certificate_pem;
    auto client = http::Client::create(runtime, "https://example.invalid", options);
    REQUIRE(client);
    const auto response = sluice::test::run(runtime, (*client)->send({}));
    if (!response) FAIL(response.error().message);
    CHECK(response->body == "hello");
  }
  CHECK(seen.starts_with("CONNECT example.invalid:443 HTTP/1.1\r\nHost: example.invalid:443\r\n"));
}

TEST_CASE("a proxy that refuses is named, with what it said") {
  std::string status = "407 Proxy Authentication Required";
  const SocketServer proxy([&status](int fd, int) {
    static_cast<void>(read_request(fd));
    send_text(fd, "HTTP/1.1 " + status + "\r\nContent-Length: 4\r\n\r\nno.\n");
  });
  rt::Runtime runtime;
  http::ClientOptions options;
  options.proxy = "http://127.0.0.1:" + std::to_string(proxy.port());
  auto client = http::Client::create(runtime, "https://example.invalid", options);
  REQUIRE(client);
  auto refused = sluice::test::run(runtime, (*client)->send({}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::unauthorized);
  CHECK(refused.error().message.find("proxy http://127.0.0.1:") != std::string::npos);
  status = "503 No";
  refused = sluice::test::run(runtime, (*client)->send({}));
  CHECK(refused.error().kind == ErrorKind::unavailable);
  options.proxy = "https://proxy";
  CHECK(http::Client::create(runtime, "https://example.invalid", options).error().kind == ErrorKind::unsupported);
  options.proxy = "nonsense";
  CHECK(http::Client::create(runtime, "https://example.invalid", options).error().kind == ErrorKind::invalid);
}
