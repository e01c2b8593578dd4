// Each folder of tests/golden/notification-controller is a case: input/case.json
// (an Event, the specs of an Alert and a Provider, the text of a Secret) must
// become the request in expected.json. SLUICE_ACCEPT writes them anew.
#include "notification-controller/message.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "support.hpp"

namespace fs = std::filesystem;
using namespace sluice;
using namespace sluice::test;
using notification_controller::Endpoint;

namespace {

doc::Json slurp_json(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return doc::parse_json(text.str()).value_or(doc::Json());
}

Endpoint endpoint_of(const doc::Json& spec, const std::map<std::string, std::string>& secret) {
  doc::Json object = doc::Json::object();
  object["apiVersion"] = "notification.toolkit.fluxcd.io/v1beta3";
  object["kind"] = "Provider";
  object["metadata"] = {{"name", "p"}, {"namespace", "apps"}};
  object["spec"] = spec;
  if (!secret.empty()) object["spec"]["secretRef"]["name"] = "secret";
  const auto provider = api::parse_provider(object);
  REQUIRE(provider);
  notification_controller::EndpointSecrets secrets;
  if (!secret.empty()) secrets.secret = make_secret(secret);
  auto endpoint = notification_controller::resolve_endpoint(*provider, secrets);
  if (!endpoint) FAIL(endpoint.error().message);
  return *std::move(endpoint);
}

doc::Json as_json(const http::Request& request) {
  doc::Json out = doc::Json::object();
  out["method"] = request.method;
  out["target"] = request.target;
  for (const auto& [name, value] : request.headers.all()) out["headers"][name] = value;
  const auto body = doc::parse_json(request.body);
  REQUIRE(body);
  out["body"] = *body;
  return out;
}

doc::Json request_of(const doc::Json& input) {
  const auto secret = input["secret"].get<std::map<std::string, std::string>>();
  const Endpoint endpoint = endpoint_of(input["provider"], secret);
  const auto alert = api::parse_alert(make_alert("a", input["alert"]));
  REQUIRE(alert);
  const auto notification = notification_controller::compose(make_occurrence(input["event"]), alert->spec);
  return as_json(notification_controller::make_request(notification, endpoint, "id-1"));
}

http::Response answer(int status, std::string body = {}) {
  http::Response out;
  out.status = status;
  out.body = std::move(body);
  return out;
}

Endpoint of_type(const std::string& type) {
  doc::Json spec = doc::Json::object();
  spec["type"] = type;
  spec["address"] = "https://x.example/y";
  return endpoint_of(spec, {});
}

}  // namespace

TEST_CASE("each golden notification becomes the request that is written down") {
  const bool accept = std::getenv("SLUICE_ACCEPT") != nullptr;
  std::size_t cases = 0;
  for (const auto& entry : fs::directory_iterator("tests/golden/notification-controller")) {
    ++cases;
    INFO(entry.path().string());
    const doc::Json got = request_of(slurp_json(entry.path() / "input" / "case.json"));
    const fs::path expected = entry.path() / "expected.json";
    if (accept) {
      std::ofstream(expected, std::ios::binary) << got.dump(2, ' ', true) << "\n";
      WARN("accepted, not checked: " << entry.path().string());
      continue;
    }
    CHECK(got == slurp_json(expected));
  }
  CHECK(cases >= 8);
}

TEST_CASE("a signature is the HMAC of the very bytes that are sent") {
  doc::Json spec = doc::Json::object();
  spec["type"] = "generic-hmac";
  spec["address"] = "https://x.example/y";
  const Endpoint endpoint = endpoint_of(spec, {{"token", "k3y"}});
  const auto what =
      notification_controller::compose(make_occurrence(make_event("shop", "<&> \u00e9")), api::AlertSpec{});
  const auto request = notification_controller::make_request(what, endpoint, "id");
  CHECK(request.headers.find("X-Signature") ==
        "sha256=" + base::hmac_hex(base::DigestAlgorithm::sha256, "k3y", request.body));
}

TEST_CASE("a huge message of broken text still makes a document") {
  std::string text = "\xff\xfe broken \xc3";
  while (text.size() < 2'000'000) text += "<&>\n";
  for (const auto* type : {"generic", "slack"}) {
    const auto what = notification_controller::compose(make_occurrence(make_event("shop", text)), api::AlertSpec{});
    const auto request = notification_controller::make_request(what, of_type(type), "id");
    CHECK(doc::parse_json(request.body));
    CHECK(request.body.size() < 8 * notification_controller::kMaxMessage);
  }
}

TEST_CASE("any 2xx is a delivery, and what the answer says otherwise decides whether to try again") {
  const Endpoint generic = of_type("generic");
  CHECK(judge_answer(generic, answer(200)));
  CHECK(judge_answer(generic, answer(204)));
  for (const int status : {400, 413, 415, 422}) {
    INFO(status);
    const auto judged = judge_answer(generic, answer(status));
    REQUIRE_FALSE(judged);
    CHECK(judged.error().kind == base::ErrorKind::invalid);
  }
  for (const int status : {301, 401, 403, 404, 405, 408, 409, 410, 429, 500, 502, 503, 504}) {
    INFO(status);
    const auto judged = judge_answer(generic, answer(status));
    REQUIRE_FALSE(judged);
    CHECK(judged.error().kind != base::ErrorKind::invalid);
    CHECK(judged.error().message.find(std::to_string(status)) != std::string::npos);
  }
}

TEST_CASE("Retry-After of a receiver is handed on") {
  http::Response busy = answer(429);
  busy.headers.set("Retry-After", "7");
  const auto judged = judge_answer(of_type("slack"), busy);
  REQUIRE_FALSE(judged);
  CHECK(judged.error().retry_after == std::chrono::milliseconds(7000));
}

TEST_CASE("Slack's Web API tells failures with status 200") {
  const Endpoint slack = of_type("slack");
  CHECK(judge_answer(slack, answer(200, "ok")));
  CHECK(judge_answer(slack, answer(200, R"({"ok":true})")));
  CHECK(judge_answer(slack, answer(200, R"({"ok":"odd"})")));
  const auto unknown = judge_answer(slack, answer(200, R"({"ok":false,"error":"channel_not_found"})"));
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().kind == base::ErrorKind::unavailable);
  CHECK(unknown.error().message == "Slack answered with the error \"channel_not_found\"");
  const auto refused = judge_answer(slack, answer(200, R"({"ok":false,"error":"msg_too_long"})"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == base::ErrorKind::invalid);
  CHECK(judge_answer(of_type("generic"), answer(200, R"({"ok":false})")));
}

TEST_CASE("what a receiver answers is told to nobody but the daemon's own log, masked and in part") {
  const std::string page = "internal page: admin password is hunter2";
  for (const int status : {301, 400, 401, 404, 500, 503}) {
    INFO(status);
    const auto judged = judge_answer(of_type("generic"), answer(status, page));
    REQUIRE_FALSE(judged);
    CHECK(judged.error().message == "the receiver answered " + std::to_string(status));
  }
  const auto judged = judge_answer(of_type("slack"), answer(200, R"({"ok":false,"error":"hunter2"})"));
  REQUIRE_FALSE(judged);
  CHECK(judged.error().message == "the receiver answered 200 with an error");

  doc::Json spec = doc::Json::object();
  spec["type"] = "slack";
  spec["address"] = "https://chat.example/api";
  const Endpoint endpoint = endpoint_of(spec, {{"token", "xoxb-secret"}});
  CHECK(answer_for_log(endpoint, answer(500, "you are xoxb-secret")) == "you are *****");
  const std::string logged =
      answer_for_log(endpoint, answer(500, std::string(250, 'x') + "xoxb-secret" + std::string(1'000'000, 'x')));
  CHECK(logged.size() < 400);
  CHECK(logged.find("xoxb") == std::string::npos);
}
