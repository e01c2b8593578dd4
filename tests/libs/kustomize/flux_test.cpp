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

TEST_CASE("an error about what the spec put in blames the spec") {
  const auto view = view_of({{"app/kustomization.yaml",
                              "resources: [a.yaml]\npatches:\n- target: {kind: None}\n  patch: '[{\"op\": \"remove\", "
                              "\"path\": \"/x\"}]'\nimages: [{name: web, newTag: x}]\n"},
                             {"app/a.yaml", config_map("a") + "---\n" + config_map("b")},
                             {"part/kustomization.yaml", "resources: []\n"}});
  const auto refused = [&](const Overlay& overlay) {
    const auto result = build_flux(*view, "app", overlay);
    REQUIRE_FALSE(result);
    return result.error().message;
  };
  Overlay overlay;
  const Selector maps{"", "", "ConfigMap", "", "", "", ""};
  overlay.patches = {{"[{\"op\": \"add\", \"path\": \"/data/x\", \"value\": \"y\"}]", maps},
                     {"[{\"op\": \"remove\", \"path\": \"/x\"}]", maps}};
  CHECK(refused(overlay) == "spec.patches[1]: ConfigMap/a (app/a.yaml:1): operation 1 (remove /x): \"x\" is not there");
  overlay.patches = {{"[{op: remove}]", maps}};
  CHECK_THAT(refused(overlay), Catch::StartsWith("spec.patches[0]: a patch that begins with [ must be strict JSON"));
  overlay = {};
  overlay.components = {"../part"};
  CHECK_THAT(refused(overlay), Catch::StartsWith("spec.components[0] ../part: a Component is expected"));
  overlay = {};
  overlay.images = {{"web(", "", "1", ""}, {"web", "", "2", ""}};
  CHECK_THAT(refused(overlay), Catch::StartsWith("spec.images[0]: "));
}

TEST_CASE("an object names the entries of the spec that patched it") {
  const auto view = view_of({{"app/a.yaml", config_map("a")}, {"app/b.yaml", config_map("b")}});
  Overlay overlay;
  overlay.patches = {{"data: {n: m}", Selector{"", "", "ConfigMap", "none", "", "", ""}},
                     {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {n: m}\n", std::nullopt}};
  overlay.patches[0].patch = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {n: m}\n";
  const auto result = build_flux(*view, "app", overlay);
  REQUIRE(result);
  CHECK(result->objects[0].patched_by.empty());
  CHECK(result->objects[1].patched_by == std::vector<std::string>{"spec.patches[1]"});
}

TEST_CASE("a file without resources gets what Flux gives it, before `bases` count as resources") {
  const auto origin_of = [](const std::string& text) {
    const auto view = view_of({{"app/kustomization.yaml", text},
                               {"base/kustomization.yaml", "resources: [a.yaml]\n"},
                               {"base/a.yaml", config_map("a")}});
    const auto result = build_flux(*view, "app", {});
    REQUIRE(result);
    return doc::find(result->objects[0].value, {"metadata", "annotations", "config.kubernetes.io/origin"}) != nullptr;
  };
  CHECK(origin_of("bases: [../base]\n"));
  CHECK_FALSE(origin_of("resources: [../base]\n"));
  CHECK_FALSE(origin_of("resources: [../base]\nbases: []\n"));
}
