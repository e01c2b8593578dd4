#include <catch2/catch.hpp>

#include "kustomize/kustomize.hpp"
#include "libs/kustomize/trees.hpp"

using namespace sluice;
using namespace sluice::kustomize;
using namespace sluice::kustomize::testing;

namespace {

FieldSource source_of(const Object& object, const std::string& pointer) {
  for (const FieldOrigin& field : object.fields) {
    if (field.pointer == pointer) return field.source;
  }
  FAIL("no provenance for " << pointer);
  return {};
}

}  // namespace

TEST_CASE("each field knows the line that it was written at, or the entry that changed it last") {
  const auto view = view_of({
      {"kustomization.yaml", "resources: [base, cm.yaml]\nreplicas: [{name: web, count: 5}]\nnamePrefix: p-\n"
                             "configMapGenerator: [{name: gen, literals: [a=b]}]\n"},
      {"base/kustomization.yaml", "resources: [web.yaml]\npatches:\n- path: side.yaml\n"},
      {"base/web.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  template:\n    spec:\n"
                        "      containers:\n      - name: main\n        image: main:1\n"},
      {"base/side.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  template:\n    spec:\n"
                         "      containers:\n      - name: side\n        image: side:1\n"},
      {"cm.yaml", config_map("cm")},
  });
  BuildOptions options;
  options.provenance = true;
  const auto result = build(*view, "", options);
  REQUIRE(result);
  REQUIRE(result->objects.size() == 3);
  const Object& web = result->objects[0];
  CHECK(source_of(web, "/kind").file == "base/web.yaml");
  CHECK(source_of(web, "/kind").line == 2);
  CHECK(source_of(web, "/spec/replicas").entry == "kustomization.yaml: replicas[0]");
  CHECK(source_of(web, "/metadata/name").entry == "kustomization.yaml: namePrefix");
  // The patch put its container in front; the old one still knows its line.
  CHECK(web.value["spec"]["template"]["spec"]["containers"][0]["name"] == "side");
  CHECK(source_of(web, "/spec/template/spec/containers/0/image").entry == "base/kustomization.yaml: patches[0] side.yaml");
  CHECK(source_of(web, "/spec/template/spec/containers/1/image").line == 10);
  CHECK(source_of(result->objects[1], "/data/key").line == 6);
  CHECK(source_of(result->objects[2], "/data/a").entry == "kustomization.yaml: configMapGenerator[0] gen");
}

TEST_CASE("without being asked a build keeps no provenance") {
  const auto view = view_of({{"kustomization.yaml", "resources: [cm.yaml]\n"}, {"cm.yaml", config_map("cm")}});
  const auto result = build(*view, "");
  REQUIRE(result);
  CHECK(result->objects[0].fields.empty());
  CHECK(result->objects[0].origin_file == "cm.yaml");
  CHECK(result->objects[0].origin_line == 1);
}
