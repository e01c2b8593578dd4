// The refusals are as kube-apiserver 1.36 writes them.
#include "apply/detail/undeclared.hpp"

#include <catch2/catch.hpp>

using namespace sluice;
using Strings = std::vector<std::string>;

namespace {

const std::string kOpening = "failed to create typed patch object (tk/web; apps/v1, Kind=Deployment): ";

doc::Json deployment() {
  return *doc::parse_json(R"({"apiVersion": "apps/v1", "kind": "Deployment", "top": 1,
    "metadata": {"name": "web", "annotations": {"a.b/c": "x"}, "a.b": 1},
    "spec": {"replica": 3, "template": {"spec": {"containers": [
      {"name": "a", "image": "x"},
      {"name": "c]\"", "resource": {"limits": {}}, "ports": [
        {"containerPort": 80, "host": 1}, {"containerPort": 80, "protocol": "UDP", "host": 2}]}]}}}})");
}

}  // namespace

TEST_CASE("the fields that a refusal names are found, one or several") {
  using apply::undeclared_fields;
  CHECK(undeclared_fields(kOpening + ".spec.replica: field not declared in schema") == Strings{".spec.replica"});
  CHECK(undeclared_fields("apply: " + kOpening + "errors:\n  .top: field not declared in schema\n" +
                          "  .spec.replica: field not declared in schema") == Strings{".top", ".spec.replica"});
}

TEST_CASE("a refusal that says anything else is left as it is") {
  using apply::undeclared_fields;
  CHECK(undeclared_fields(kOpening + "errors:\n  .spec.replica: field not declared in schema\n" +
                          "  .spec.paused: expected boolean, got &{3}")
            .empty());
  CHECK(undeclared_fields(".spec.replica: field not declared in schema").empty());
  CHECK(undeclared_fields("").empty());
  CHECK(undeclared_fields(kOpening).empty());
}

TEST_CASE("a field is taken out wherever it is, and nothing else") {
  doc::Json object = deployment();
  doc::Json expected = object;
  for (const char* path :
       {".top", ".metadata.a.b", ".spec.replica", R"(.spec.template.spec.containers[name="c]\""].resource)",
        R"(.spec.template.spec.containers[name="c]\""].ports[containerPort=80,protocol="UDP"].host)"}) {
    INFO(path);
    CHECK(apply::erase_field(object, path));
  }
  expected.erase("top");
  expected["metadata"].erase("a.b");
  expected["spec"].erase("replica");
  doc::Json& container = expected["spec"]["template"]["spec"]["containers"][1];
  container.erase("resource");
  container["ports"][1].erase("host");
  CHECK(object == expected);
  // What a manifest leaves to the server's defaults is named by them.
  const char* first = R"(.spec.template.spec.containers[name="c]\""].ports[containerPort=80,protocol="TCP"].host)";
  CHECK(apply::erase_field(object, first));
  container["ports"][0].erase("host");
  CHECK(object == expected);
}

TEST_CASE("elements are found by their place as well, and what is not there is said") {
  doc::Json object = deployment();
  CHECK(apply::erase_field(object, ".spec.template.spec.containers[0].image"));
  CHECK(object["spec"]["template"]["spec"]["containers"][0] == doc::Json{{"name", "a"}});
  const doc::Json before = object;
  for (const char* path : {"", ".", ".nothing", "spec", ".spec.template.spec.containers[7].image",
                           ".spec.template.spec.containers[name=\"z\"].image", ".spec.template.spec.containers[0]",
                           ".spec.template.spec.containers[", ".spec.replica.x", ".spec[0].x",
                           ".spec.template.spec.containers[name=].image", ".spec.template.spec.containers[=1].x"}) {
    INFO(path);
    CHECK_FALSE(apply::erase_field(object, path));
    CHECK(object == before);
  }
}

TEST_CASE("only what Flux reads by its type is applied without what it does not have") {
  CHECK(apply::is_read_by_type({"apps", "Deployment"}));
  CHECK(apply::is_read_by_type({"", "Service"}));
  CHECK(apply::is_read_by_type({"rbac.authorization.k8s.io", "RoleBinding"}));
  CHECK_FALSE(apply::is_read_by_type({"rbac.authorization.k8s.io", "Role"}));
  CHECK_FALSE(apply::is_read_by_type({"rbac.authorization.k8s.io", "ClusterRole"}));
  CHECK_FALSE(apply::is_read_by_type({"apiextensions.k8s.io", "CustomResourceDefinition"}));
  CHECK_FALSE(apply::is_read_by_type({"snapshot.storage.k8s.io", "VolumeSnapshot"}));
  CHECK_FALSE(apply::is_read_by_type({"example.com", "Widget"}));
}
