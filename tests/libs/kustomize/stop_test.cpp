// A build that is told to stop: steps are counted, not seconds. What takes long
// takes many steps, and the step at which a stop is asked for is the last.
#include <catch2/catch.hpp>
#include <functional>
#include <stop_token>

#include "kustomize/kustomize.hpp"
#include "kustomize/objects/steps.hpp"
#include "libs/kustomize/trees.hpp"

using namespace sluice;
using namespace sluice::kustomize;
using namespace sluice::kustomize::testing;
using base::ErrorKind;

namespace {

thread_local std::size_t taken = 0;
thread_local std::size_t last = 0;  // the step at which a stop is asked for; 0: none
thread_local std::stop_source* source = nullptr;

void count_step() {
  if (++taken == last) source->request_stop();
}

struct Run {
  base::Result<BuildResult> result;
  std::size_t steps;
};

// Builds, and asks for a stop at a step.
Run run(const base::FileView& files, std::size_t at, BuildCache* cache = nullptr, bool flux = false) {
  std::stop_source stop;
  source = &stop;
  taken = 0;
  last = at;
  Steps::watch(count_step);
  BuildOptions options;
  options.stop = stop.get_token();
  options.cache = cache;
  auto result = flux ? build_flux(files, "top", {}, options) : build(files, "top", options);
  Steps::watch(nullptr);
  return {std::move(result), taken};
}

std::string many(int count, const std::function<std::string(int)>& each) {
  std::string text;
  for (int i = 0; i < count; ++i) text += each(i);
  return text;
}

std::string number(int i) { return std::to_string(i); }

std::string config_maps(int count) {
  return many(count, [](int i) { return "---\n" + config_map("c" + number(i)); });
}

// Loops that leave at once look at the question once more on their way out.
constexpr std::size_t kOnTheWayOut = 64;

struct Hostile {
  const char* name;
  std::size_t steps;  // it takes at least so many
  Files files;
  bool flux = false;
};

std::vector<Hostile> hostile_trees() {
  std::vector<Hostile> trees;
  Files layers{{"top/kustomization.yaml", "resources: [../l0]\n"}, {"l20/cm.yaml", config_maps(100)}};
  for (int i = 0; i < 20; ++i) {
    layers["l" + number(i) + "/kustomization.yaml"] = "resources: [../l" + number(i + 1) + "]\nnamePrefix: p-\n";
  }
  layers["l20/kustomization.yaml"] = "resources: [cm.yaml]\n";
  trees.push_back({"objects in many layers", 20 * 100, layers});

  const std::string operations = many(
      100, [](int i) { return std::string(i > 0 ? "," : "") + R"({"op":"test","path":"/kind","value":"ConfigMap"})"; });
  trees.push_back({"operations times targets",
                   100 * 100,
                   {{"top/kustomization.yaml",
                     "resources: [cm.yaml]\npatches:\n- target: {kind: ConfigMap}\n  patch: '[" + operations + "]'\n"},
                    {"top/cm.yaml", config_maps(100)}}});

  const std::string ports = many(300, [](int i) { return "  - {port: " + number(i) + "}\n"; });
  const std::string service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n  ports:\n";
  trees.push_back({"lists compared each with each",
                   300,
                   {{"top/kustomization.yaml", "resources: [s.yaml]\npatches: [{path: p.yaml}]\n"},
                    {"top/s.yaml", service + ports},
                    {"top/p.yaml", service + "  - {port: 1, protocol: UDP}\n"}}});

  const std::string replacements = many(50, [](int) {
    return std::string("- sourceValue: x\n  targets: [{select: {kind: ConfigMap}, fieldPaths: [data.key]}]\n");
  });
  trees.push_back({"replacements times targets",
                   50 * 100,
                   {{"top/kustomization.yaml", "resources: [cm.yaml]\nreplacements:\n" + replacements},
                    {"top/cm.yaml", config_maps(100)}}});

  const std::string labels = many(50, [](int i) { return "  l" + number(i) + ": x\n"; });
  trees.push_back({"labels times objects",
                   50 * 100,
                   {{"top/kustomization.yaml", "resources: [cm.yaml]\ncommonLabels:\n" + labels},
                    {"top/cm.yaml", config_maps(100)}}});

  const std::string images = many(50, [](int i) { return "- {name: i" + number(i) + ", newTag: x}\n"; });
  trees.push_back(
      {"images times objects",
       50 * 100,
       {{"top/kustomization.yaml", "resources: [cm.yaml]\nimages:\n" + images}, {"top/cm.yaml", config_maps(100)}}});

  trees.push_back(
      {"references in one object",
       100,
       {{"top/kustomization.yaml", "resources: [cm.yaml, p.yaml]\nnamePrefix: p-\n"},
        {"top/cm.yaml", config_maps(3)},
        {"top/p.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: c\n    env:\n" +
                           many(100, [](int i) {
                             return "    - {name: e" + number(i) +
                                    ", valueFrom: {configMapKeyRef: {name: c1, key: k}}}\n";
                           })}}});

  const std::string specs = many(1000, [](int i) { return "- {kind: Foo, path: spec/f" + number(i) + "}\n"; });
  trees.push_back({"rules compared each with each",
                   1000,
                   {{"top/kustomization.yaml", "resources: [cm.yaml]\nconfigurations: [c.yaml]\n"},
                    {"top/c.yaml", "images:\n" + specs},
                    {"top/cm.yaml", config_maps(1)}}});

  const std::string vars = many(
      50, [](int i) { return "- {name: V" + number(i) + ", objref: {apiVersion: v1, kind: ConfigMap, name: c99}}\n"; });
  trees.push_back(
      {"vars times objects",
       50 * 100,
       {{"top/kustomization.yaml", "resources: [cm.yaml]\nvars:\n" + vars}, {"top/cm.yaml", config_maps(100)}}});

  Files folders;
  for (int i = 0; i < 300; ++i) folders["top/d" + number(i) + "/readme"] = "";
  trees.push_back({"folders walked", 300, folders, true});
  return trees;
}

}  // namespace

TEST_CASE("a build that takes long takes steps all the while, and the one at which it is stopped is the last") {
  for (const Hostile& tree : hostile_trees()) {
    INFO(tree.name);
    const auto view = view_of(tree.files);
    const Run whole = run(*view, 0, nullptr, tree.flux);
    if (!whole.result) FAIL(whole.result.error().message);
    CHECK(whole.steps >= tree.steps);
    for (const std::size_t at : {std::size_t{1}, whole.steps / 4, whole.steps / 2, whole.steps * 9 / 10, whole.steps}) {
      INFO("stopped at step " << at << " of " << whole.steps);
      const Run stopped = run(*view, at, nullptr, tree.flux);
      REQUIRE_FALSE(stopped.result);
      CHECK(stopped.result.error().kind == ErrorKind::cancelled);
      CHECK(stopped.steps <= at + kOnTheWayOut);
    }
  }
}

TEST_CASE("a build without a stop token, and one whose stop nobody asks for, come to their end") {
  const auto view = view_of(fleet(3));
  CHECK(build(*view, "top"));
  std::stop_source stop;
  BuildOptions options;
  options.stop = stop.get_token();
  CHECK(build(*view, "top", options));
  stop.request_stop();
  const auto late = build(*view, "top", options);
  REQUIRE_FALSE(late);
  CHECK(late.error().kind == ErrorKind::cancelled);
}

TEST_CASE("a build that was stopped leaves nothing unfinished for the next to find") {
  const auto view = view_of(fleet(5));
  const std::string whole = print(*build(*view, "top"));
  const std::size_t steps = run(*view, 0).steps;
  for (std::size_t at = 1; at <= steps; ++at) {
    BuildCache cache;
    const Run stopped = run(*view, at, &cache);
    const Run next = run(*view, 0, &cache);
    REQUIRE(next.result);
    CHECK(print(*next.result) == whole);
  }
}
