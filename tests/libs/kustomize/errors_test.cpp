#include <catch2/catch.hpp>

#include "kustomize/kustomize.hpp"
#include "libs/kustomize/trees.hpp"

using namespace sluice;
using namespace sluice::kustomize;
using namespace sluice::kustomize::testing;

TEST_CASE("an error is one line that names the file, the entry and the cause") {
  struct Case {
    const char* name;
    Files files;
    const char* message;
  };
  const std::vector<Case> cases{
      {"an unknown field", {{"top/kustomization.yaml", "resource: []\n"}}, "top/kustomization.yaml: unknown field resource"},
      {"a missing file",
       {{"top/kustomization.yaml", "resources: [a.yaml]\n"}},
       "top/kustomization.yaml: resources[0] a.yaml: 'top/a.yaml': no such file or folder"},
      {"YAML that is broken",
       {{"top/kustomization.yaml", "resources: [a.yaml]\n"}, {"top/a.yaml", "kind: [\n"}},
       "top/kustomization.yaml: resources[0]: top/a.yaml: line 2"},
      {"an object without a name",
       {{"top/kustomization.yaml", "resources: [../base]\n"},
        {"base/kustomization.yaml", "resources: [a.yaml]\n"},
        {"base/a.yaml", "\n\nkind: A\napiVersion: v1\n"}},
       "base/kustomization.yaml: resources[0]: base/a.yaml:3: the A has no metadata.name"},
      {"a patch that meets nothing",
       {{"top/kustomization.yaml", "patches:\n- patch: '[{\"op\": \"remove\", \"path\": \"/spec\"}]'\n"
                                   "  target: {kind: ConfigMap}\nresources: [a.yaml]\n"},
        {"top/a.yaml", config_map("a")}},
       "top/kustomization.yaml: patches[0]: ConfigMap/a (top/a.yaml:1): operation 1 (remove /spec): \"spec\" is not there"},
      {"two objects of one id",
       {{"top/kustomization.yaml", "resources: [a.yaml, b.yaml]\n"},
        {"top/a.yaml", config_map("a")},
        {"top/b.yaml", config_map("a")}},
       "top/kustomization.yaml: resources[1] b.yaml: ConfigMap/a (top/b.yaml:1) has the same id as ConfigMap/a"},
      {"a JSON patch in flow style of YAML",
       {{"top/kustomization.yaml", "resources: [a.yaml]\npatches:\n- target: {kind: ConfigMap}\n"
                                   "  patch: '[{op: remove, path: /data}]'\n"},
        {"top/a.yaml", config_map("a")}},
       "top/kustomization.yaml: patches[0]: a patch that begins with [ must be strict JSON: "},
      {"one of several merge patches",
       {{"top/kustomization.yaml", "resources: [a.yaml]\npatchesStrategicMerge: [a.yaml, p.yaml]\n"},
        {"top/a.yaml", config_map("a")},
        {"top/p.yaml", config_map("b")}},
       "top/kustomization.yaml: patchesStrategicMerge[1] p.yaml: no object matches the patch ConfigMap/b (top/p.yaml:1)"},
      {"a merge patch that lacks the namespace",
       {{"top/kustomization.yaml", "resources: [a.yaml]\npatches: [{path: p.yaml}]\n"},
        {"top/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\n"},
        {"top/p.yaml", config_map("a")}},
       "top/kustomization.yaml: patches[0] p.yaml: no object matches the patch ConfigMap/a (top/p.yaml:1): "
       "ConfigMap.v1.[noGrp]/a.[noNs]; ConfigMap/shop/a (top/a.yaml:1) is in another namespace"},
      {"one of several replacements",
       {{"top/kustomization.yaml",
         "resources: [a.yaml]\nreplacements:\n- sourceValue: x\n  targets: [{select: {kind: ConfigMap}, fieldPaths: "
         "[data.key]}]\n- source: {kind: Secret, name: s, fieldPath: data.x}\n  targets: [{select: {kind: ConfigMap}}]\n"},
        {"top/a.yaml", config_map("a")}},
       "top/kustomization.yaml: replacements[1]: source: nothing is selected by Secret.[noVer].[noGrp]/s.[noNs], of which "
       "data.x is wanted"},
      {"one of a file of replacements",
       {{"top/kustomization.yaml", "resources: [a.yaml]\nreplacements: [{path: r.yaml}]\n"},
        {"top/r.yaml", "- sourceValue: x\n  targets: [{select: {kind: ConfigMap}, fieldPaths: [data.none]}]\n"},
        {"top/a.yaml", config_map("a")}},
       "top/kustomization.yaml: replacements[0] r.yaml: [0]: target ConfigMap/a (top/a.yaml:1) has no field data.none"},
      {"one base by two ways",
       {{"top/kustomization.yaml", "resources: [../left, ../right]\n"},
        {"left/kustomization.yaml", "resources: [../base]\n"},
        {"right/kustomization.yaml", "resources: [../base]\n"},
        {"base/kustomization.yaml", "resources: [a.yaml]\n"},
        {"base/a.yaml", config_map("a")}},
       "top/kustomization.yaml: resources[1] ../right: ConfigMap/a (base/a.yaml:1) has the same id as ConfigMap/a "
       "(base/a.yaml:1): ConfigMap.v1.[noGrp]/a.[noNs]; top/kustomization.yaml: resources[0] ../left brought that one, "
       "resources[1] ../right this one"},
      {"one component twice",
       {{"top/kustomization.yaml", "components: [../part, ../part]\n"},
        {"part/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [a.yaml]\n"},
        {"part/a.yaml", config_map("a")}},
       "part/kustomization.yaml: resources[0] a.yaml: ConfigMap/a (part/a.yaml:1) has the same id as ConfigMap/a (part/a.yaml:1): "
       "ConfigMap.v1.[noGrp]/a.[noNs]; top/kustomization.yaml: components[0] ../part brought that one, components[1] "
       "../part this one"},
  };
  for (const Case& each : cases) {
    INFO(each.name);
    const auto result = build(*view_of(each.files), "top");
    REQUIRE_FALSE(result);
    CHECK_THAT(result.error().message, Catch::StartsWith(each.message));
    CHECK(result.error().message.find('\n') == std::string::npos);
  }
}

TEST_CASE("programs and charts are refused with what to do instead") {
  const auto helm = build(*view_of({{"kustomization.yaml", "helmCharts: [{name: x}]\n"}}), "");
  REQUIRE_FALSE(helm);
  CHECK(helm.error().kind == base::ErrorKind::unsupported);
  CHECK(helm.error().message.find("HelmRelease") != std::string::npos);
  const auto function = build(*view_of({{"kustomization.yaml", "resources: [a.yaml]\ntransformers: [f.yaml]\n"},
                                        {"a.yaml", config_map("a")},
                                        {"f.yaml", "apiVersion: x/v1\nkind: Fn\nmetadata: {name: f}\n"}}),
                              "");
  REQUIRE_FALSE(function);
  CHECK(function.error().kind == base::ErrorKind::unsupported);
}

TEST_CASE("URLs are refused without a remote loader, and go to it with one") {
  class Loader final : public RemoteLoader {
   public:
    base::Result<std::string> file(const std::string& url) override {
      asked = url;
      if (!url.ends_with(".yaml")) return base::unexpected(base::ErrorKind::not_found, "no such file");
      return config_map("from-afar");
    }
    base::Result<Tree> tree(const std::string& url) override {
      asked = url;
      return Tree{std::shared_ptr<const base::FileView>(view_of(
                      {{"sub/kustomization.yaml", "resources: [a.yaml, ../b.yaml]\n"}, {"sub/a.yaml", config_map("a")}, {"b.yaml", config_map("b")}})),
                  "sub"};
    }
    std::string asked;
  };
  const auto file = view_of({{"kustomization.yaml", "resources: [\"https://example.org/a.yaml\"]\n"}});
  const auto refused = build(*file, "");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == base::ErrorKind::unsupported);
  Loader loader;
  BuildOptions options;
  options.remote = &loader;
  const auto result = build(*file, "", options);
  REQUIRE(result);
  CHECK(loader.asked == "https://example.org/a.yaml");
  // A remote tree may not reach out of its folders, even where local ones may.
  options.restriction = LoadRestriction::none;
  const auto tree = build(*view_of({{"kustomization.yaml", "resources: [\"https://example.org/repo//sub?ref=v1\"]\n"}}), "",
                          options);
  REQUIRE_FALSE(tree);
  CHECK(tree.error().kind == base::ErrorKind::forbidden);
}

TEST_CASE("a key that is there twice, and a field in two spellings, are said") {
  const auto view = view_of({{"kustomization.yaml", "resources: [a.yaml]\nnamePrefix: a-\nnamePrefix: b-\nlabels:\n- pairs: "
                                                    "{x: y, x: z}\nimages: []\nImages: []\n"},
                             {"a.yaml", config_map("a")}});
  const auto result = build(*view, "");
  REQUIRE(result);
  CHECK(result->warnings == std::vector<std::string>{
                                "kustomization.yaml: Images and images are one field, given in two spellings",
                                "kustomization.yaml:3: 'namePrefix' is there twice, only the last one counts",
                                "kustomization.yaml:5: 'labels/0/pairs/x' is there twice, only the last one counts"});
}
