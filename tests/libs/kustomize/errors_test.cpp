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
