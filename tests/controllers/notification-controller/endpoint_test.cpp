#include "notification-controller/endpoint.hpp"

#include "support.hpp"

using namespace sluice;
using namespace sluice::test;
using notification_controller::Endpoint;
using notification_controller::EndpointSecrets;

namespace {

using Data = std::map<std::string, std::string>;

base::Result<Endpoint> resolve(doc::Json spec, const Data& secret = {}, const Data& cert = {}) {
  if (!secret.empty()) spec["secretRef"]["name"] = "creds";
  if (!cert.empty()) spec["certSecretRef"]["name"] = "certs";
  const auto provider = api::parse_provider(make_provider("p", std::move(spec)));
  REQUIRE(provider);
  EndpointSecrets secrets;
  if (!secret.empty()) secrets.secret = make_secret(secret);
  if (!cert.empty()) secrets.cert = make_secret(cert);
  return notification_controller::resolve_endpoint(*provider, secrets);
}

doc::Json spec_of(const std::string& type, const std::string& address) {
  doc::Json spec = doc::Json::object();
  spec["type"] = type;
  spec["address"] = address;
  return spec;
}

std::string why_not(const base::Result<Endpoint>& endpoint) {
  if (endpoint) return "it is fine";
  CHECK(endpoint.error().kind == base::ErrorKind::invalid);
  return endpoint.error().message;
}

}  // namespace

TEST_CASE("an address in the Secret comes before that of the spec, without white space around it") {
  const auto endpoint = resolve(spec_of("generic", "https://spec.example/a"), {{"address", " https://secret.example/b\n"}});
  REQUIRE(endpoint);
  CHECK(endpoint->url.origin() == "https://secret.example:443");
  CHECK(endpoint->url.target == "/b");
}

TEST_CASE("what is wrong with an address is said without it") {
  CHECK(why_not(resolve(spec_of("generic", ""))) == "spec.address: is empty, and no Secret names an address");
  CHECK(why_not(resolve(spec_of("generic", "ftp://host/s3cr3t"))) == "spec.address: is not an http or https URL");
  CHECK(why_not(resolve(spec_of("slack", "https://x/y"), {{"address", "ht!tp:/s3cr3t"}})) ==
        "key 'address' of Secret 'creds': is not an http or https URL");
  CHECK(why_not(resolve(spec_of("slack", "https://x/y"), {{"address", "\n"}})) ==
        "key 'address' of Secret 'creds' is empty");
  CHECK(why_not(resolve(spec_of("generic", ""), {{"address", "https://x/" + std::string(3000, 'a')}})).find("longer") !=
        std::string::npos);
}

TEST_CASE("a signature needs a key, and the key is taken as it is") {
  CHECK(why_not(resolve(spec_of("generic-hmac", "https://x/y"))).find("spec.secretRef") == 0);
  CHECK(why_not(resolve(spec_of("generic-hmac", "https://x/y"), {{"other", "x"}})).find("key 'token'") == 0);
  const auto signs = resolve(spec_of("generic-hmac", "https://x/y"), {{"token", "key\n"}});
  REQUIRE(signs);
  CHECK(signs->token == "key\n");
  const auto bot = resolve(spec_of("slack", "https://x/y"), {{"token", "xoxb\n"}});
  REQUIRE(bot);
  CHECK(bot->token == "xoxb");
  CHECK(why_not(resolve(spec_of("slack", "https://x/y"), {{"token", "a\r\nX-Evil: 1"}})).find("control") !=
        std::string::npos);
}

TEST_CASE("headers are a YAML map, and none may smuggle in another") {
  const auto endpoint = resolve(spec_of("generic", "https://x/y"), {{"headers", "X-A: b\nX-N: 5\nX-T: true\n"}});
  REQUIRE(endpoint);
  CHECK(endpoint->headers.find("x-a") == "b");
  CHECK(endpoint->headers.find("x-n") == "5");
  CHECK(endpoint->headers.find("x-t") == "true");
  for (const auto* bad : {"- a\n", "a: [b]\n", "\"a b\": c\n", "a: \"b\\r\\nc: d\"\n", "\"\": x\n", "{", "just text"}) {
    INFO(bad);
    CHECK(why_not(resolve(spec_of("generic", "https://x/y"), {{"headers", bad}})).find("key 'headers' of Secret") == 0);
  }
}

TEST_CASE("a proxy in the Secret is refused, not passed over") {
  CHECK(why_not(resolve(spec_of("generic", "https://x/y"), {{"proxy", "http://p"}})).find("proxy") !=
        std::string::npos);
}

TEST_CASE("certificates come whole or not at all") {
  const auto with_ca = resolve(spec_of("generic", "https://x/y"), {}, {{"ca.crt", "CA"}});
  REQUIRE(with_ca);
  CHECK(with_ca->tls.ca_pem == "CA");
  const auto mutual = resolve(spec_of("generic", "https://x/y"), {}, {{"tls.crt", "C"}, {"tls.key", "K"}});
  REQUIRE(mutual);
  CHECK(mutual->tls.certificate_pem == "C");
  CHECK(mutual->tls.key_pem == "K");
  CHECK(why_not(resolve(spec_of("generic", "https://x/y"), {}, {{"tls.crt", "C"}})).find("tls.key") !=
        std::string::npos);
  CHECK(why_not(resolve(spec_of("generic", "https://x/y"), {}, {{"x", "C"}})).find("certs") != std::string::npos);
}

TEST_CASE("a Secret that is not base64 is told by its key") {
  doc::Json spec = spec_of("generic", "https://x/y");
  spec["secretRef"]["name"] = "creds";
  const auto provider = api::parse_provider(make_provider("p", spec));
  REQUIRE(provider);
  EndpointSecrets secrets;
  secrets.secret["data"]["token"] = "!!!";
  CHECK(why_not(notification_controller::resolve_endpoint(*provider, secrets)) ==
        "key 'token' of Secret 'creds' is not base64");
}

TEST_CASE("no text shows address, token or header values") {
  const auto endpoint =
      resolve(spec_of("generic", ""), {{"address", "https://user:pass@hooks.example/T0/B0/xyz?q=1"},
                                       {"token", "xoxb-123"},
                                       {"headers", "Authorization: Bearer abcdef\n"}});
  REQUIRE(endpoint);
  const auto masked = endpoint->mask(
      "POST https://user:pass@hooks.example/T0/B0/xyz?q=1 with xoxb-123 and Bearer abcdef at https://hooks.example:443, "
      "path /T0/B0/xyz?q=1, host hooks.example");
  for (const auto* leak : {"hooks.example", "xyz", "xoxb", "abcdef", "pass"}) {
    INFO(masked);
    CHECK(masked.find(leak) == std::string::npos);
  }
  const auto open = resolve(spec_of("generic", "https://hooks.example/s3cr3t"));
  REQUIRE(open);
  CHECK(open->mask("connecting to hooks.example:443: refused") == "connecting to hooks.example:443: refused");
  CHECK(open->mask("GET /s3cr3t") == "GET *****");
}

TEST_CASE("connections are shared by what they depend on only") {
  const auto one = resolve(spec_of("generic", "https://x.example/a"));
  const auto path = resolve(spec_of("generic", "https://x.example/b"));
  const auto host = resolve(spec_of("generic", "https://y.example/a"));
  const auto ca = resolve(spec_of("generic", "https://x.example/a"), {}, {{"ca.crt", "CA"}});
  CHECK(one->fingerprint == path->fingerprint);
  CHECK(one->fingerprint != host->fingerprint);
  CHECK(one->fingerprint != ca->fingerprint);
}

TEST_CASE("over 64 headers, or over 16 KiB of them, are refused") {
  const auto with = [](const std::string& headers) {
    return resolve(spec_of("generic", "https://x/y"), {{"headers", headers}});
  };
  std::string many;
  for (int i = 0; i < 64; ++i) many += "X-H" + std::to_string(i) + ": v\n";
  REQUIRE(with(many));
  CHECK(with(many)->headers.all().size() == 64);
  CHECK(why_not(with(many + "X-Last: v\n")).find("over 64 headers") != std::string::npos);
  CHECK(why_not(with("X-Long: " + std::string(17'000, 'a') + "\n")).find("16 KiB") != std::string::npos);
  const std::string aliases = "A: &a " + std::string(9'000, 'a') + "\nB: *a\n";
  CHECK(why_not(with(aliases)).find("16 KiB") != std::string::npos);
}

TEST_CASE("a delivery may take 2 minutes at the most") {
  doc::Json spec = spec_of("generic", "https://x/y");
  spec["timeout"] = "90s";
  CHECK(resolve(spec)->timeout == std::chrono::seconds(90));
  spec["timeout"] = "600m";
  CHECK(resolve(spec)->timeout == std::chrono::minutes(2));
}
