#include <catch2/catch.hpp>

#include "kustomize/kustomize.hpp"
#include "libs/kustomize/trees.hpp"

using namespace sluice;
using namespace sluice::kustomize;
using namespace sluice::kustomize::testing;
using base::ErrorKind;

namespace {
ErrorKind refusal(const Files& files, const BuildOptions& options = {}) {
  const auto result = build(*view_of(files), "", options);
  REQUIRE_FALSE(result);
  INFO(result.error().message);
  CHECK(result.error().message.size() < 2000);
  return result.error().kind;
}
}  // namespace

TEST_CASE("bases in a circle are refused") {
  CHECK(refusal({{"kustomization.yaml", "resources: [a]\n"},
                 {"a/kustomization.yaml", "resources: [../b]\n"},
                 {"b/kustomization.yaml", "resources: [../a]\n"}}) == ErrorKind::invalid);
}

TEST_CASE("a chain of a thousand layers is refused, and one within the bound is built") {
  Files files;
  for (int i = 0; i < 1000; ++i) {
    files["l" + std::to_string(i) + "/kustomization.yaml"] = "resources: [../l" + std::to_string(i + 1) + "]\n";
  }
  files["l200/kustomization.yaml"] = "resources: [cm.yaml]\n";
  files["l200/cm.yaml"] = config_map("deep");
  const auto view = view_of(files);
  CHECK(build(*view, "l0"));
  files["l200/kustomization.yaml"] = "resources: [../l201]\n";
  const auto result = build(*view_of(files), "l0");
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == ErrorKind::too_large);
}

TEST_CASE("aliases that expand without end are refused before they do") {
  std::string text = "apiVersion: v1\nkind: Bomb\nmetadata: {name: b}\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) text += (k > 0 ? ",*a" : "*a") + std::to_string(i - 1);
    text += "]\n";
  }
  CHECK(refusal({{"kustomization.yaml", "resources: [b.yaml]\n"}, {"b.yaml", text}}) == ErrorKind::too_large);
}

TEST_CASE("more objects, documents or bytes than allowed are refused") {
  std::string many;
  for (int i = 0; i < 300; ++i) many += config_map("c" + std::to_string(i)) + "---\n";
  const Files files{{"kustomization.yaml", "resources: [many.yaml]\n"}, {"many.yaml", many}};
  BuildOptions options;
  options.limits.max_objects = 100;
  CHECK(refusal(files, options) == ErrorKind::too_large);
  options.limits = {};
  options.limits.yaml.max_documents = 100;
  CHECK(refusal(files, options) == ErrorKind::too_large);
  options.limits = {};
  options.limits.max_file_bytes = 1000;
  CHECK(refusal(files, options) == ErrorKind::too_large);
  options.limits = {};
  CHECK(build(*view_of(files), "", options));
}

TEST_CASE("lists that would be compared each with each are refused past a bound") {
  std::string ports, patch;
  for (int i = 0; i < 8000; ++i) ports += "  - {port: " + std::to_string(i) + "}\n";
  const std::string head = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n  ports:\n";
  CHECK(refusal({{"kustomization.yaml", "resources: [s.yaml]\npatches: [{path: p.yaml}]\n"},
                 {"s.yaml", head + ports},
                 {"p.yaml", head + "  - {port: 1, protocol: UDP}\n"}}) == ErrorKind::too_large);
}

TEST_CASE("a file that is a folder, invalid UTF-8 and paths out of the tree are refused") {
  CHECK(refusal({{"kustomization.yaml", "configMapGenerator: [{name: a, files: [f]}]\n"}, {"f/x", "1"}}) ==
        ErrorKind::invalid);
  CHECK(refusal({{"kustomization.yaml", "resources: [a.yaml]\n"}, {"a.yaml", "kind: \xFF\n"}}) == ErrorKind::invalid);
  CHECK(refusal({{"kustomization.yaml", "resources: [../../etc/passwd]\n"}}) == ErrorKind::invalid);
  CHECK(refusal({{"kustomization.yaml", "resources: [/etc/passwd]\n"}}) == ErrorKind::invalid);
}

TEST_CASE("patterns and indexes built to explode are answered at once") {
  const std::string pattern = "(a*)*(a|aa)+(a?){100}$";
  CHECK(build(*view_of({{"kustomization.yaml", "resources: [a.yaml]\npatches:\n- target: {name: \"" + pattern +
                                                   "\"}\n  patch: '[{\"op\":\"add\",\"path\":\"/x\",\"value\":1}]'\n"},
                        {"a.yaml", config_map(std::string(5000, 'a') + "b")}}),
              ""));
  CHECK(refusal({{"kustomization.yaml", "resources: [a.yaml]\npatches:\n- target: {kind: ConfigMap}\n  patch: "
                                        "'[{\"op\":\"add\",\"path\":\"/l/99999999999\",\"value\":1}]'\n"},
                 {"a.yaml", config_map("a") + "l: [1]\n"}}) == ErrorKind::invalid);
  CHECK(refusal({{"kustomization.yaml", "resources: [a.yaml]\nreplacements:\n- sourceValue: x\n  targets: [{select: {kind: "
                                        "ConfigMap}, fieldPaths: [l.99999999999], options: {create: true}}]\n"},
                 {"a.yaml", config_map("a") + "l: [1]\n"}}) == ErrorKind::invalid);
}
