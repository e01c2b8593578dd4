#include <catch2/catch.hpp>
#include <csignal>

#include "http/client.hpp"
#include "libs/http/peers.hpp"
#include "support/run_task.hpp"

using sluice::base::ErrorKind;
using sluice::base::Result;
using sluice::test::Identity;
using sluice::test::make_identity;
using sluice::test::TlsServer;
namespace http = sluice::http;
namespace rt = sluice::rt;

namespace {

struct Pki {
  Identity authority = make_identity("authority", "", nullptr);
  Identity server = make_identity("server", "IP:127.0.0.1", &authority);
  Identity named = make_identity("server", "DNS:api.example.com", &authority);
  Identity client = make_identity("client", "DNS:client", &authority);
  Identity stranger = make_identity("stranger", "", nullptr);
};
const Pki& pki() {
  static const Pki made;
  return made;
}

Result<http::Response> get(int port, http::TlsOptions tls) {
  std::signal(SIGPIPE, SIG_DFL);  // a peer that is gone must not raise it
  rt::Runtime runtime;
  http::ClientOptions options;
  options.tls = std::move(tls);
  auto client = http::Client::create(runtime, "https://127.0.0.1:" + std::to_string(port), options);
  if (!client) return sluice::base::unexpected(std::move(client).error());
  return sluice::test::run(runtime, (*client)->send({}));
}

http::TlsOptions trusting(const Identity& authority) {
  http::TlsOptions tls;
  tls.ca_pem = authority.certificate_pem;
  return tls;
}

http::TlsOptions with_identity(const Identity& identity) {
  http::TlsOptions tls = trusting(pki().authority);
  tls.certificate_pem = identity.certificate_pem;
  tls.key_pem = identity.key_pem;
  return tls;
}

}  // namespace

TEST_CASE("a server whose certificate is signed by the given authority is trusted") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const TlsServer server(pki().server, {nullptr, version});
    const auto response = get(server.port(), trusting(pki().authority));
    REQUIRE(response);
    CHECK(response->body == "hello");
  }
}

TEST_CASE("one signed by somebody else is not, nor by the system's authorities, and the error says so") {
  const TlsServer server(pki().server);
  for (const http::TlsOptions& tls : {trusting(pki().stranger), http::TlsOptions{}}) {
    const auto response = get(server.port(), tls);
    REQUIRE_FALSE(response);
    CHECK(response.error().kind == ErrorKind::untrusted);
    CHECK(response.error().message.find("is not trusted") != std::string::npos);
    CHECK(response.error().message.find(std::to_string(server.port())) != std::string::npos);
  }
  http::TlsOptions blind;
  blind.insecure_skip_verify = true;
  CHECK(get(server.port(), blind));
}

TEST_CASE("a certificate issued to another name or address is not trusted") {
  const TlsServer server(pki().named);
  const auto wrong = get(server.port(), trusting(pki().authority));
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().kind == ErrorKind::untrusted);
  CHECK(wrong.error().message.find("mismatch") != std::string::npos);
  http::TlsOptions named = trusting(pki().authority);
  named.server_name = "api.example.com";
  CHECK(get(server.port(), named));
  named.server_name = "api.example.com.";  // a full name's dot is not in its certificate
  CHECK(get(server.port(), named));
  named.server_name = "example.com";
  CHECK(get(server.port(), named).error().kind == ErrorKind::untrusted);
}

TEST_CASE("a client certificate is shown, and its refusal is unauthorized in either version of TLS") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    const TlsServer server(pki().server, {&pki().authority, version});
    CHECK(get(server.port(), with_identity(pki().client)));
    const auto refused = get(server.port(), with_identity(pki().stranger));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::unauthorized);
    CHECK(refused.error().message.find("client certificate") != std::string::npos);
  }
  const TlsServer server(pki().server, {&pki().authority, TLS1_3_VERSION});
  CHECK(get(server.port(), trusting(pki().authority)).error().kind == ErrorKind::unauthorized);
}

TEST_CASE("PEM that is of no use is refused when the client is made, and the field is named") {
  const auto refusal = [](const http::TlsOptions& tls) {
    const auto response = get(1, tls);
    REQUIRE_FALSE(response);
    CHECK(response.error().kind == ErrorKind::invalid);
    return response.error().message;
  };
  http::TlsOptions tls;
  tls.ca_pem = "nonsense";
  CHECK(refusal(tls) == "the CA certificate is not usable PEM: there is no certificate in it");
  tls.ca_pem = pki().authority.certificate_pem;
  tls.ca_pem.insert(100, "!!!");
  CHECK(refusal(tls).find("the CA certificate is not usable PEM") == 0);
  tls = with_identity(pki().client);
  tls.key_pem = pki().server.key_pem;
  CHECK(refusal(tls) == "the client key does not belong to the client certificate");
  tls.key_pem.clear();
  CHECK(refusal(tls).find("the client key is not usable PEM") == 0);
}

TEST_CASE("an encrypted key is refused; nobody is asked for its pass phrase") {
  const Identity encrypted = make_identity("client", "DNS:client", &pki().authority, "secret");
  REQUIRE(encrypted.key_pem.find("ENCRYPTED") != std::string::npos);
  const auto refused = get(1, with_identity(encrypted));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::invalid);
  CHECK(refused.error().message.find("it is encrypted") != std::string::npos);
}

TEST_CASE("several authorities in one PEM all count") {
  const TlsServer server(pki().server);
  http::TlsOptions tls;
  tls.ca_pem = pki().stranger.certificate_pem + "\n# the one that counts\n" + pki().authority.certificate_pem;
  CHECK(get(server.port(), tls));
}

TEST_CASE("a TLS connection is kept for the next request, until the client certificate changes") {
  const TlsServer server(pki().server, {&pki().authority, TLS1_3_VERSION});
  rt::Runtime runtime;
  http::ClientOptions options;
  options.tls = with_identity(pki().client);
  auto client = http::Client::create(runtime, "https://127.0.0.1:" + std::to_string(server.port()), options);
  REQUIRE(client);
  for (int i = 0; i < 5; ++i) REQUIRE(sluice::test::run(runtime, (*client)->send({})));
  CHECK(server.connections() == 1);
  REQUIRE((*client)->update_tls(with_identity(pki().stranger)));
  CHECK(sluice::test::run(runtime, (*client)->send({})).error().kind == ErrorKind::unauthorized);
  REQUIRE((*client)->update_tls(with_identity(pki().client)));
  CHECK(sluice::test::run(runtime, (*client)->send({})));
  CHECK(server.connections() == 3);
}

TEST_CASE("a server that speaks no TLS, or ends amid the handshake, is an error") {
  const sluice::test::SocketServer plain([](int fd, int) { sluice::test::send_text(fd, "SSH-2.0-x\r\n"); });
  CHECK_FALSE(get(plain.port(), trusting(pki().authority)));
  const sluice::test::SocketServer rude([](int, int) {});
  const auto ended = get(rude.port(), trusting(pki().authority));
  REQUIRE_FALSE(ended);
  CHECK(ended.error().kind == ErrorKind::unavailable);
}

TEST_CASE("a body that only the end of the connection ends must end in an orderly way") {
  const TlsServer whole(pki().server);
  CHECK(get(whole.port(), trusting(pki().authority)));
  // The same bytes from a session that is cut: somebody on the way could have cut it.
  const auto context = std::shared_ptr<SSL_CTX>(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  SSL_CTX_use_certificate(context.get(), pki().server.certificate.get());
  SSL_CTX_use_PrivateKey(context.get(), pki().server.key.get());
  const sluice::test::SocketServer cut([&context](int fd, int number) {
    const std::unique_ptr<SSL, void (*)(SSL*)> session(SSL_new(context.get()), SSL_free);
    SSL_set_fd(session.get(), fd);
    if (SSL_accept(session.get()) != 1) return;
    static_cast<void>(sluice::test::read_request(
        [&](char* data, std::size_t size) { return SSL_read(session.get(), data, static_cast<int>(size)); }));
    const std::string answer = "HTTP/1.1 200 OK\r\n\r\nbody";
    SSL_write(session.get(), answer.data(), static_cast<int>(answer.size()));
    if (number == 2) SSL_shutdown(session.get());
  });
  const auto truncated = get(cut.port(), trusting(pki().authority));
  REQUIRE_FALSE(truncated);
  CHECK(truncated.error().kind == ErrorKind::unavailable);
  const auto ended = get(cut.port(), trusting(pki().authority));
  REQUIRE(ended);
  CHECK(ended->body == "body");
}
