#include <catch2/catch.hpp>

#include "kube/detail/paths.hpp"
#include "kube/detail/status.hpp"
#include "kube/detail/watch_stream.hpp"

using sluice::base::ErrorKind;
using sluice::doc::Json;
namespace detail = sluice::kube::detail;

TEST_CASE("paths follow the API's resource URIs, whatever a name holds") {
  const sluice::kube::Resource pods{"", "v1", "Pod", "pods", true};
  const sluice::kube::Resource roles{"rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false};
  CHECK(detail::resource_path(pods, "default", "web", "status") == "/api/v1/namespaces/default/pods/web/status");
  CHECK(detail::resource_path(pods, "", "") == "/api/v1/pods");
  CHECK(detail::resource_path(roles, "ignored", "a:b") == "/apis/rbac.authorization.k8s.io/v1/clusterroles/a%3Ab");
  CHECK(detail::resource_path(pods, "default", "../../secrets") == "/api/v1/namespaces/default/pods/..%2F..%2Fsecrets");
  CHECK(detail::with_query("/x", {{"a", "1=2&3"}, {"empty", ""}, {"b", "c d"}}) == "/x?a=1%3D2%263&b=c%20d");
}

TEST_CASE("a Status becomes an error with its reason, its fields and its retry time") {
  sluice::http::Response response;
  response.status = 422;
  response.body = R"({"kind":"Status","reason":"Invalid","code":422,"message":"Deployment is invalid",
    "details":{"causes":[{"field":"spec.replicas","message":"must be positive"}]}})";
  const auto invalid = detail::error_of(response, "PATCH /x");
  CHECK(invalid.kind == ErrorKind::invalid);
  CHECK(invalid.reason == "Invalid");
  CHECK(invalid.message == "Deployment is invalid (spec.replicas: must be positive)");
  CHECK(detail::error_of(Json{{"code", 409}, {"reason", "AlreadyExists"}}).kind == ErrorKind::already_exists);
  CHECK(detail::error_of(Json{{"code", 409}, {"reason", "Conflict"}}).kind == ErrorKind::conflict);
  CHECK(detail::error_of(Json{{"code", 410}, {"reason", "Gone"}}).kind == ErrorKind::gone);
  CHECK(detail::error_of(Json{{"code", 429}, {"details", {{"retryAfterSeconds", 3}}}}).retry_after ==
        std::chrono::seconds(3));
}

TEST_CASE("an answer that is no Status still says what was asked and what came") {
  sluice::http::Response response;
  response.status = 502;
  response.body = "<html>bad gateway</html>";
  const auto error = detail::error_of(response, "GET /api");
  CHECK(error.kind == ErrorKind::unavailable);
  CHECK(error.message == "GET /api: HTTP status 502: <html>bad gateway</html>");
}

TEST_CASE("watch lines are events; anything else is an error, never a crash") {
  const auto event = detail::parse_watch_line(R"({"type":"MODIFIED","object":{"kind":"Pod"}})");
  REQUIRE(event);
  CHECK(event->type == sluice::kube::WatchEventType::modified);
  const auto gone =
      detail::parse_watch_line(R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}})");
  REQUIRE_FALSE(gone);
  CHECK(gone.error().kind == ErrorKind::gone);
  for (const char* bad : {"", "[]", "{}", "null", R"({"type":"ADDED"})", R"({"type":"NEW","object":{}})",
                          R"({"type":1,"object":{}})", R"({"type":"ADDED","object":[]})", "{\"type\":"}) {
    CAPTURE(bad);
    CHECK_FALSE(detail::parse_watch_line(bad));
  }
}
