#include "api/object_meta.hpp"

#include <catch2/catch.hpp>
#include <unordered_set>

#include "api/names.hpp"

using namespace sluice;
using doc::Json;

namespace {

Json deployment() {
  return Json::parse(R"({
    "apiVersion": "apps/v1", "kind": "Deployment",
    "metadata": {
      "name": "web", "namespace": "shop", "uid": "u-1", "resourceVersion": "42", "generation": 7,
      "labels": {"app": "web"}, "annotations": {"reconcile.fluxcd.io/requestedAt": "t1", "empty": ""},
      "finalizers": ["finalizers.fluxcd.io"],
      "creationTimestamp": "2026-01-31T10:00:00Z", "deletionTimestamp": "2026-01-31T11:00:00Z"}})");
}

}  // namespace

TEST_CASE("metadata is read whole") {
  const auto meta = api::read_meta(deployment());
  CHECK(meta.key() == api::ObjectKey{"shop", "web"});
  CHECK(meta.uid == "u-1");
  CHECK(meta.resource_version == "42");
  CHECK(meta.generation == 7);
  CHECK(meta.label("app") == "web");
  CHECK(meta.annotation("empty") == "");
  CHECK_FALSE(meta.annotation("absent").has_value());
  CHECK(meta.has_finalizer(api::finalizer::kFlux));
  CHECK_FALSE(meta.has_finalizer("other"));
  REQUIRE(meta.creation_timestamp.has_value());
  CHECK(base::format_time(*meta.creation_timestamp) == "2026-01-31T10:00:00Z");
  CHECK(meta.is_being_deleted());
}

TEST_CASE("metadata of wrong types reads as empty and does not fail") {
  const auto meta = api::read_meta(Json::parse(
      R"({"metadata": {"name": 1, "labels": ["x"], "annotations": {"a": 1, "b": "c"}, "generation": "7", "finalizers": {},
          "deletionTimestamp": "soon"}})"));
  CHECK(meta.name.empty());
  CHECK(meta.labels.empty());
  CHECK(meta.annotations == api::StringMap{{"b", "c"}});
  CHECK(meta.generation == 0);
  CHECK(meta.finalizers.empty());
  CHECK_FALSE(meta.is_being_deleted());
  CHECK(api::read_meta(Json()).key() == api::ObjectKey{});
  CHECK(api::read_meta(Json::array({1})).key() == api::ObjectKey{});
}

TEST_CASE("single fields are read in place") {
  const auto object = deployment();
  CHECK(api::name_of(object) == "web");
  CHECK(api::namespace_of(object) == "shop");
  CHECK(api::uid_of(object) == "u-1");
  CHECK(api::resource_version_of(object) == "42");
  CHECK(api::generation_of(object) == 7);
  CHECK(api::kind_of(object) == "Deployment");
  CHECK(api::label_of(object, "app") == "web");
  CHECK(api::annotation_of(object, "none").empty());
  CHECK(api::is_being_deleted(object));
  CHECK(api::key_of(object).str() == "shop/web");
  CHECK(api::key_of(Json()).str().empty());
}

TEST_CASE("an apiVersion splits into group and version") {
  const auto apps = api::GroupVersionKind::parse("apps/v1", "Deployment");
  REQUIRE(apps);
  CHECK(*apps == api::GroupVersionKind{"apps", "v1", "Deployment"});
  CHECK(apps->api_version() == "apps/v1");
  CHECK(apps->group_kind().str() == "Deployment.apps");
  const auto core = api::GroupVersionKind::parse("v1", "Service");
  REQUIRE(core);
  CHECK(core->group.empty());
  CHECK(core->api_version() == "v1");
  CHECK(core->str() == "v1/Service");
  CHECK(core->group_kind().str() == "Service");
}

TEST_CASE("an apiVersion that is none is refused") {
  for (const auto* text : {"", "/", "/v1", "apps/", "a/b/c"}) {
    const auto parsed = api::GroupVersionKind::parse(text, "Pod");
    INFO(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().kind == base::ErrorKind::invalid);
    CHECK(parsed.error().message.rfind("apiVersion: ", 0) == 0);
  }
  const auto without_kind = api::GroupVersionKind::parse("v1", "");
  REQUIRE_FALSE(without_kind);
  CHECK(without_kind.error().message == "kind: is required");
  CHECK_FALSE(api::gvk_of(Json::parse(R"({"kind": 3, "apiVersion": "v1"})")));
}

TEST_CASE("keys can stand in hash sets and tell namespace from name") {
  std::unordered_set<api::ObjectKey> keys{{"a", "b"}, {"b", "a"}, {"", "ab"}, {"a", "b"}};
  CHECK(keys.size() == 3);
  CHECK(api::ObjectKey{"", "node"}.str() == "node");
  CHECK(api::ObjectKey{"a", "z"} < api::ObjectKey{"b", "a"});
}

TEST_CASE("a reconciliation is requested once per value of the annotation") {
  auto meta = api::read_meta(deployment());
  CHECK(api::is_reconcile_requested(meta, ""));
  CHECK_FALSE(api::is_reconcile_requested(meta, "t1"));
  meta.annotations.clear();
  CHECK_FALSE(api::is_reconcile_requested(meta, "t1"));
}
