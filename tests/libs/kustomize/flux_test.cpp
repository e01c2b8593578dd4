#include <catch2/catch.hpp>

#include "kustomize/kustomize.hpp"
#include "libs/kustomize/trees.hpp"

using namespace sluice;
using namespace sluice::kustomize;
using namespace sluice::kustomize::testing;

TEST_CASE("a folder without a kustomization file gives all manifests below it, and the kustomizations there") {
  const auto view = view_of({{"app/b.yaml", config_map("b")},
                             {"app/a.yml", config_map("a")},
                             {"app/readme.md", "no manifest"},
                             {"app/deep/c.yaml", config_map("c")},
                             {"app/own/kustomization.yaml", "resources: [d.yaml]\nnamePrefix: own-\n"},
                             {"app/own/d.yaml", config_map("d")},
                             {"app/own/ignored.yaml", config_map("ignored")}});
  Overlay overlay;
  overlay.target_namespace = "ns";
  const auto result = build_flux(*view, "app", overlay);
  REQUIRE(result);
  std::vector<std::string> names;
  for (const Object& object : result->objects) {
    names.emplace_back(doc::find_string(object.value, {"metadata", "name"}));
    CHECK(doc::find_string(object.value, {"metadata", "namespace"}) == "ns");
  }
  CHECK(names == std::vector<std::string>{"a", "b", "c", "own-d"});
}

TEST_CASE("an empty folder gives no objects") {
  const auto result = build_flux(*view_of({{"app/readme.md", ""}}), "app", {});
  REQUIRE(result);
  CHECK(result->objects.empty());
}

TEST_CASE("fields of the spec go on top of those of the file") {
  const auto view = view_of(
      {{"app/kustomization.yaml", "resources: [d.yaml, ../shared.yaml]\nnamespace: file\nunknownField: 1\n"
                                  "images: [{name: web, newTag: \"1\", digest: sha256:x}]\n"},
       {"app/d.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n"
                      "spec: {template: {spec: {containers: [{name: c, image: web}]}}}\n"},
       {"shared.yaml", config_map("shared")},
       {"parts/one/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
                                        "commonAnnotations: {part: one}\n"}});
  Overlay overlay;
  overlay.target_namespace = "spec";
  overlay.name_suffix = "-x";
  overlay.images = {{"web", "", "2", ""}};
  overlay.components = {"../parts/one", "../parts/none"};
  overlay.ignore_missing_components = true;
  overlay.patches = {{"- op: add\n  path: /spec/replicas\n  value: 3\n", Selector{"", "", "Deployment", "", "", "", ""}}};
  const auto result = build_flux(*view, "app", overlay);
  INFO((result ? std::string() : result.error().message));
  REQUIRE(result);
  const doc::Json& deployment = result->objects[0].value;
  CHECK(deployment["metadata"]["name"] == "d-x");
  CHECK(deployment["metadata"]["namespace"] == "spec");
  CHECK(deployment["metadata"]["annotations"]["part"] == "one");
  CHECK(deployment["spec"]["replicas"] == 3);
  CHECK(deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "web:2");
  CHECK(result->objects[1].value["metadata"]["name"] == "shared-x");
}

TEST_CASE("components of the spec must be local, and there unless it says otherwise") {
  const auto view = view_of({{"app/a.yaml", config_map("a")}});
  Overlay overlay;
  overlay.components = {"https://example.org/x"};
  CHECK_FALSE(build_flux(*view, "app", overlay));
  overlay.components = {"missing"};
  CHECK_FALSE(build_flux(*view, "app", overlay));
  overlay.ignore_missing_components = true;
  CHECK(build_flux(*view, "app", overlay));
  CHECK_FALSE(build_flux(*view, "nowhere", {}));
}
