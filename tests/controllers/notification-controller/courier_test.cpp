// What the courier says of a delivery that fails.
#include "notification-controller/courier.hpp"

#include "support.hpp"
#include "support/fake_kube.hpp"
#include "support/raw_server.hpp"
#include "support/run_task.hpp"

using namespace sluice;
using namespace sluice::test;
using notification_controller::HttpCourier;

namespace {

const kube::Resource kSecrets{"", "v1", "Secret", "secrets", true};

base::Result<void> deliver(const doc::Json& spec, const std::map<std::string, std::string>& data) {
  rt::Runtime runtime(1);
  const auto kube = std::make_shared<FakeKube>();
  doc::Json secret = make_secret(data);
  secret["metadata"] = {{"name", "hook"}, {"namespace", "apps"}};
  kube->put(kSecrets, secret);
  HttpCourier courier(runtime, kube, base::Logger::discard());
  const auto provider = api::parse_provider(make_provider("hook", spec));
  REQUIRE(provider);
  auto what = notification_controller::compose(make_occurrence(make_event("shop", "news")), api::AlertSpec{});
  return run(runtime, courier.deliver(*provider, std::move(what), "id"));
}

}  // namespace

TEST_CASE("a delivery that fails blames the Provider, and shows nothing of an address that is a secret") {
  doc::Json spec = doc::Json::object();
  spec["address"] = "";
  spec["secretRef"]["name"] = "hook";
  const auto refused = deliver(spec, {{"address", "http://127.0.0.1:1/services/T0/xyz"}});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind != base::ErrorKind::invalid);  // it is tried again
  CHECK(refused.error().message.find("127.0.0.1") == std::string::npos);
  CHECK(refused.error().message.find("/services") == std::string::npos);

  const auto broken = deliver(spec, {{"address", "no address at all"}});
  REQUIRE_FALSE(broken);
  CHECK(broken.error().kind == base::ErrorKind::unavailable);
  CHECK(broken.error().message.find("no address") == std::string::npos);
}

TEST_CASE("a Secret that is not there blames the field that names it") {
  doc::Json spec = doc::Json::object();
  spec["secretRef"]["name"] = "absent";
  const auto sent = deliver(spec, {});
  REQUIRE_FALSE(sent);
  CHECK(sent.error().message.find("spec.secretRef: Secret 'apps/absent'") == 0);
}

TEST_CASE("an answer that is too long to read is judged by its status") {
  const std::string body = "\r\nContent-Length: 100000\r\n\r\n" + std::string(100'000, 'x');
  const auto answer = [&body](const std::string& status, const std::string& type) {
    RawServer receiver("HTTP/1.1 " + status + body, std::chrono::seconds(5));
    doc::Json spec = doc::Json::object();
    spec["type"] = type;
    spec["address"] = "http://127.0.0.1:" + std::to_string(receiver.port()) + "/hook";
    spec["secretRef"]["name"] = "hook";
    return deliver(spec, {{"token", "s3cr3t"}});
  };
  CHECK(answer("200 OK", "generic"));
  CHECK(answer("200 OK", "slack"));
  const auto refused = answer("422 Unprocessable", "generic");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == base::ErrorKind::invalid);
  const auto broken = answer("503 Unavailable", "generic");
  REQUIRE_FALSE(broken);
  CHECK(broken.error().kind == base::ErrorKind::unavailable);
}

TEST_CASE("an answer whose body is cut or never ends is judged by its status, but for Slack's Web API") {
  const auto answer = [](const std::string& status, const std::string& type, bool with_token,
                         std::chrono::milliseconds hold = std::chrono::milliseconds(0)) {
    RawServer receiver("HTTP/1.1 " + status + "\r\nContent-Length: 100\r\n\r\nok", hold);
    doc::Json spec = doc::Json::object();
    spec["type"] = type;
    spec["timeout"] = hold.count() > 0 ? "2s" : "60s";
    spec["address"] = "http://127.0.0.1:" + std::to_string(receiver.port()) + "/hook";
    if (with_token) spec["secretRef"]["name"] = "hook";
    return deliver(spec, {{"token", "s3cr3t"}});
  };
  CHECK(answer("200 OK", "generic", false));
  CHECK(answer("202 Accepted", "generic-hmac", true));
  CHECK(answer("200 OK", "slack", false));
  CHECK(answer("200 OK", "generic", false, std::chrono::seconds(60)));
  const auto unknown = answer("200 OK", "slack", true);
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().kind == base::ErrorKind::unavailable);
  const auto refused = answer("422 Unprocessable", "generic", false);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == base::ErrorKind::invalid);
  const auto broken = answer("503 Unavailable", "generic", false);
  REQUIRE_FALSE(broken);
  CHECK(broken.error().kind == base::ErrorKind::unavailable);
}

TEST_CASE("connections are kept for so many Providers of one namespace, and of another one beside them") {
  rt::Runtime runtime(1);
  const auto kube = std::make_shared<FakeKube>();
  HttpCourier courier(runtime, kube, base::Logger::discard());
  RawServer receiver("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  doc::Json spec = doc::Json::object();
  spec["address"] = "http://127.0.0.1:" + std::to_string(receiver.port()) + "/hook";
  spec["secretRef"]["name"] = "hook";
  const auto send_for = [&](const std::string& space, const std::string& name) {
    doc::Json secret = make_secret({{"token", "s3cr3t"}});
    secret["metadata"] = {{"name", "hook"}, {"namespace", space}};
    kube->put(kSecrets, secret);
    doc::Json provider = make_provider(name, spec);
    provider["metadata"]["namespace"] = space;
    const auto parsed = api::parse_provider(provider);
    REQUIRE(parsed);
    auto what = notification_controller::compose(make_occurrence(make_event("shop", "news")), api::AlertSpec{});
    REQUIRE(run(runtime, courier.deliver(*parsed, std::move(what), "id")));
    CHECK(kube->requests.back().owner == space);
  };
  for (std::size_t i = 0; i < HttpCourier::kMaxKept + 8; ++i) send_for("crowd", "p" + std::to_string(i));
  CHECK(courier.kept() == HttpCourier::kMaxKept);
  send_for("apps", "hook");
  send_for("apps", "hook");
  CHECK(courier.kept() == HttpCourier::kMaxKept + 1);
  courier.forget({"crowd", "p0"});  // that one made room long ago
  CHECK(courier.kept() == HttpCourier::kMaxKept + 1);
  courier.forget({"apps", "hook"});
  CHECK(courier.kept() == HttpCourier::kMaxKept);
}

TEST_CASE("no more than 64 KiB of an answer is read") {
  // An answer that is cut short fails, where all of it is wanted.
  RawServer receiver("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
  doc::Json spec = doc::Json::object();
  spec["type"] = "generic";
  spec["address"] = "http://127.0.0.1:" + std::to_string(receiver.port()) + "/hook";
  CHECK(deliver(spec, {}));
}
