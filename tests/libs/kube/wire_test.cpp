#include <catch2/catch.hpp>

#include "kube/detail/glance.hpp"
#include "kube/detail/paths.hpp"
#include "kube/detail/retry.hpp"
#include "kube/detail/status.hpp"
#include "kube/detail/watch_stream.hpp"

using sluice::base::ErrorKind;
using sluice::doc::Json;
namespace detail = sluice::kube::detail;

TEST_CASE("paths follow the API's resource URIs") {
  const sluice::kube::Resource pods{"", "v1", "Pod", "pods", true};
  const sluice::kube::Resource roles{"rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false};
  CHECK(*detail::object_path(pods, "default", "web", "status") == "/api/v1/namespaces/default/pods/web/status");
  CHECK(*detail::collection_path(pods, "default") == "/api/v1/namespaces/default/pods");
  CHECK(*detail::collection_path(pods, "") == "/api/v1/pods");
  CHECK(*detail::object_path(roles, "ignored", "a:b") == "/apis/rbac.authorization.k8s.io/v1/clusterroles/a%3Ab");
  CHECK(*detail::object_path(pods, "default", "a b?c#d\r\n") == "/api/v1/namespaces/default/pods/a%20b%3Fc%23d%0D%0A");
  CHECK(detail::with_query("/x", {{"a", "1=2&3"}, {"empty", ""}, {"b", "c d"}}) == "/x?a=1%3D2%263&b=c%20d");
}

TEST_CASE("what cannot be one segment of a path is refused, and says which part it is") {
  const sluice::kube::Resource pods{"", "v1", "Pod", "pods", true};
  const auto refusal = [&pods](const char* namespace_, const char* name) {
    const auto path = detail::object_path(pods, namespace_, name);
    REQUIRE_FALSE(path);
    CHECK(path.error().kind == ErrorKind::invalid);
    return path.error().message;
  };
  CHECK(refusal("default", "") == "Pod: the name '' is empty");
  CHECK(refusal("default", "..") == "Pod: the name '..' may not be '.' or '..'");
  CHECK(refusal("default", "../../secrets") == "Pod: the name '../../secrets' may not contain '/'");
  CHECK(refusal("a%2f", "x") == "Pod: the namespace 'a%2f' may not contain '%'");
  CHECK(refusal("", "x") == "Pod 'x' is namespaced and has no namespace");
  CHECK_FALSE(detail::collection_path({"a/b", "v1", "X", "xs", true}, ""));
  CHECK_FALSE(detail::collection_path({"a", "..", "X", "xs", true}, ""));
  CHECK_FALSE(detail::collection_path({"a", "v1", "X", "", true}, ""));
}

TEST_CASE("how long to wait follows the server, with a floor, a bound and an end") {
  using namespace std::chrono_literals;
  sluice::http::Response busy;
  busy.status = 429;
  sluice::base::Error error;
  const sluice::base::SteadyPoint start{};
  detail::Retries polite(start);
  error.retry_after = 2s;
  const auto wait = polite.wait_after(busy, error, start);
  REQUIRE(wait);
  CHECK(*wait >= 2000ms);
  CHECK(*wait <= 2500ms);
  CHECK_FALSE(polite.wait_after(busy, error, start + 29s));

  detail::Retries spinning(start);
  error.retry_after = 0s;
  int attempts = 1;
  std::chrono::milliseconds total{0};
  for (auto next = spinning.wait_after(busy, error, start); next; next = spinning.wait_after(busy, error, start)) {
    CHECK(*next >= 100ms);
    total += *next;
    ++attempts;
  }
  CHECK(attempts == 10);
  CHECK(total >= 9s);

  sluice::http::Response down;
  down.status = 503;
  CHECK_FALSE(detail::Retries(start).wait_after(down, error, start));
  down.headers.set("Retry-After", "1");
  CHECK(detail::Retries(start).wait_after(down, error, start));
  down.status = 500;
  CHECK_FALSE(detail::Retries(start).wait_after(down, error, start));
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

TEST_CASE("a glance at the line of a watch finds what it is about, wherever that stands, or nothing") {
  // As a custom resource is printed: by the alphabet, with all kinds of values before what is looked for.
  const auto line = std::string(R"({"type":"MODIFIED","object":{"apiVersion":"v1","kind":"Foo","metadata":{)") +
                    R"("annotations":{"name":"no","uid":"no}\\","x":"\"{["},"finalizers":["a,]"],"generation":2,)" +
                    R"("managedFields":[{"fieldsV1":{"f:name":{}}}],"name":"web","namespace":"apps",)" +
                    R"("resourceVersion":"42","uid":"u-1"},"spec":{"metadata":{"name":"other"}}}})";
  const auto found = detail::glance_at(line);
  REQUIRE(found);
  CHECK(found->type == "MODIFIED");
  CHECK(found->name == "web");
  CHECK(found->namespace_ == "apps");
  CHECK(found->resource_version == "42");
  CHECK(found->uid == "u-1");
  const auto cluster_scoped = detail::glance_at(
      R"({"type":"ADDED","object":{"kind":"Foo","metadata":{"name":"a","uid":"u","resourceVersion":"1"}}})");
  REQUIRE(cluster_scoped);
  CHECK(cluster_scoped->namespace_.empty());
  for (const char* other :
       {"", "{}", "[]", R"({"type":"ADDED"})",
        R"({"object":{"metadata":{"name":"a","uid":"u","resourceVersion":"1"}}})",
        R"({"type":"ADDED","object":{"kind":"Foo"}})",
        R"({"type":"ADDED","object":{"metadata":{"name":"a","uid":"u"}}})",
        R"({"type":"ADDED","object":{"metadata":{"name":"\u0061","uid":"u","resourceVersion":"1"}}})",
        R"({"type":"ADDED","object":{"metadata":{"name":1,"uid":"u","resourceVersion":"1"}}})",
        R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"1"}}})"}) {
    CAPTURE(other);
    CHECK_FALSE(detail::glance_at(other));
  }
  // Cut anywhere within metadata it says nothing.
  for (std::size_t size = 0; size < line.find("\"spec\"") - 2; ++size)
    CHECK_FALSE(detail::glance_at(line.substr(0, size)));
}
