#include "apply/manifest.hpp"

#include <catch2/catch.hpp>

using namespace sluice::apply;
using sluice::doc::Json;

namespace {

const Owner kOwner{"example.com", "shop", "apps", "manager"};

Json made(const char* text) {
  auto manifest = make_manifest(Json::parse(text), kOwner);
  REQUIRE(manifest);
  return Json::parse(manifest->text);
}

}  // namespace

TEST_CASE("a manifest carries its owner's labels and nothing that only a server may write") {
  const Json object = made(R"({"apiVersion": "v1", "kind": "ConfigMap", "status": {"x": 1}, "metadata": {
    "name": "a", "namespace": "n", "uid": "1", "resourceVersion": "2", "creationTimestamp": null, "managedFields": [],
    "labels": {"app": "a", "fluxcd.io/sync-gc-mark": "x"},
    "annotations": {"kustomize.toolkit.fluxcd.io/checksum": "x", "kubectl.kubernetes.io/last-applied-configuration": "{}"}}})");
  CHECK(object == Json::parse(R"({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n",
    "labels": {"app": "a", "example.com/name": "shop", "example.com/namespace": "apps"}}})"));
}

TEST_CASE("fields that upstream always owns are there, and given ones stay") {
  const Json deployment = made(R"({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
    "template": {"spec": {"containers": [{"name": "a"}, {"name": "b", "resources": {"limits": {"cpu": "1"}}}]}}}})");
  CHECK(deployment["spec"]["strategy"] == Json::object());
  CHECK(deployment["spec"]["template"]["metadata"] == Json::object());
  const Json& containers = deployment["spec"]["template"]["spec"]["containers"];
  CHECK(containers[0]["resources"] == Json::object());
  CHECK(containers[1]["resources"]["limits"]["cpu"] == "1");
  const Json daemons = made(R"({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "d"}, "spec": {
    "updateStrategy": {"type": "OnDelete"}}})");
  CHECK(daemons["spec"]["updateStrategy"]["type"] == "OnDelete");
  CHECK_FALSE(daemons["spec"].contains("strategy"));
}

TEST_CASE("protocols of ports are written out, as they are part of a port's key") {
  const Json service = made(R"({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
    "spec": {"ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}]}})");
  CHECK(service["spec"]["ports"][0]["protocol"] == "TCP");
  CHECK(service["spec"]["ports"][0]["targetPort"] == service["spec"]["ports"][0]["port"]);
  CHECK(service["spec"]["ports"][1]["protocol"] == "UDP");
  const Json cron = made(R"({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c"}, "spec": {"jobTemplate":
    {"spec": {"template": {"spec": {"containers": [{"name": "x", "ports": [{"containerPort": 1}]}]}}}}}})");
  CHECK(cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["ports"][0]["protocol"] == "TCP");
}

TEST_CASE("a Secret's plain strings become data") {
  const Json secret = made(R"({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
    "data": {"a": "MQ=="}, "stringData": {"b": "2", "a": "3"}})");
  CHECK(secret["data"] == Json::parse(R"({"a": "Mw==", "b": "Mg=="})"));
  CHECK_FALSE(secret.contains("stringData"));
}

TEST_CASE("a Secret's entries that are no strings are refused by name, and their values are in no word of it") {
  const auto refusal = [](const char* text) {
    auto manifest = make_manifest(Json::parse(text), kOwner);
    REQUIRE(manifest);
    return manifest->refusal;
  };
  const std::string port = refusal(R"({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
    "stringData": {"host": "a", "port": 5432}})");
  CHECK(port.find("stringData.port") != std::string::npos);
  CHECK(port.find("number") != std::string::npos);
  CHECK(port.find("5432") == std::string::npos);
  CHECK(refusal(R"({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"on": true}})")
            .find("stringData.on") != std::string::npos);
  CHECK(refusal(R"({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"pin": 1}})")
            .find("data.pin") != std::string::npos);
  CHECK(refusal(R"({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "1", "b": null}})")
            .empty());
  CHECK(refusal(R"({"apiVersion": "example.com/v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": 1}})")
            .empty());
  const Json empty = made(R"({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"b": null}})");
  CHECK(empty["data"] == Json::parse(R"({"b": ""})"));
}

TEST_CASE("switches are read from annotations and labels") {
  const auto with = [](const char* where, const char* key, const char* value) {
    Json object = {{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", "a"}}}};
    object["metadata"][where][std::string("kustomize.toolkit.fluxcd.io/") + key] = value;
    auto manifest = make_manifest(object, kOwner);
    REQUIRE(manifest);
    return *manifest;
  };
  CHECK(with("annotations", "ssa", "Ignore").skip);
  CHECK(with("labels", "reconcile", "disabled").skip);
  CHECK(with("annotations", "ssa", "IfNotPresent").if_not_present);
  CHECK(with("annotations", "ssa", "Merge").merge);
  CHECK(with("annotations", "force", "enabled").force);
  CHECK_FALSE(with("annotations", "ssa", "Override").skip);
}

TEST_CASE("an object without kind, version or name is refused, and names what is missing") {
  const auto refused = [](const char* text) {
    auto manifest = make_manifest(Json::parse(text), kOwner, "a.yaml:3");
    REQUIRE_FALSE(manifest);
    return manifest.error().message;
  };
  CHECK(refused(R"({"apiVersion": "v1", "metadata": {"name": "a"}})").find("kind") != std::string::npos);
  CHECK(refused(R"({"apiVersion": "v1", "kind": "ConfigMap"})").find("metadata.name") != std::string::npos);
  CHECK(refused("[]").find("a.yaml:3") != std::string::npos);
}

TEST_CASE("the hash follows the content and not the place that it came from") {
  const Json object = {{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", "a"}}}, {"data", {{"k", "1"}}}};
  Json other = object;
  other["data"]["k"] = "2";
  CHECK(make_manifest(object, kOwner, "a.yaml:1")->hash == make_manifest(object, kOwner, "b.yaml:9")->hash);
  CHECK(make_manifest(object, kOwner)->hash != make_manifest(other, kOwner)->hash);
}
