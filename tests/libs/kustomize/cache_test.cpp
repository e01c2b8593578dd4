#include <catch2/catch.hpp>

#include "kustomize/kustomize.hpp"
#include "libs/kustomize/trees.hpp"

using namespace sluice;
using namespace sluice::kustomize;
using namespace sluice::kustomize::testing;

namespace {
// Counts what is read, and can have a disk that fails.
class CountingView final : public base::FileView {
 public:
  explicit CountingView(const Files& files) : inner_(view_of(files)) {}
  base::Result<std::string> read(std::string_view path) const override {
    ++reads[std::string(path)];
    return inner_->read(path);
  }
  base::Result<std::vector<base::DirEntry>> list(std::string_view path) const override { return inner_->list(path); }
  base::Result<base::FileType> type(std::string_view path) const override {
    if (path == broken) return base::unexpected(base::ErrorKind::io, "the disk is gone");
    return inner_->type(path);
  }

  std::string broken;
  mutable std::map<std::string, int> reads;

 private:
  std::unique_ptr<base::FileView> inner_;
};

std::string built(const Files& files, const BuildOptions& options) {
  const auto view = view_of(files);
  const auto result = build(*view, "top", options);
  INFO((result ? std::string() : result.error().message));
  REQUIRE(result);
  return print(*result);
}
}  // namespace

TEST_CASE("of a tree in which one leaf changed, only that leaf is built again") {
  BuildCache cache;
  BuildOptions options;
  options.cache = &cache;
  Files files = fleet(20);
  const std::string first = built(files, options);
  CHECK(cache.counters().layers_built == 20);
  CHECK(built(files, options) == first);
  CHECK(cache.counters().layers_built == 20);
  CHECK(cache.counters().layers_reused == 20);

  files["leaf7/cm.yaml"] = config_map("leaf7", "changed");
  const std::string changed = built(files, options);
  CHECK(cache.counters().layers_built == 21);
  CHECK(changed == built(files, {}));
  CHECK(changed != first);
}

TEST_CASE("a file that appears, goes or becomes a folder is noticed") {
  BuildCache cache;
  BuildOptions options;
  options.cache = &cache;
  Files files = fleet(1);
  (void)built(files, options);
  SECTION("a second kustomization file appears") {
    files["leaf0/kustomization.yml"] = "namePrefix: x-\n";
    const auto view = view_of(files);
    CHECK_FALSE(build(*view, "top", options));
  }
  SECTION("the resource is gone") {
    files.erase("leaf0/cm.yaml");
    const auto view = view_of(files);
    CHECK_FALSE(build(*view, "top", options));
  }
  SECTION("the resource is a folder now") {
    files.erase("leaf0/cm.yaml");
    files["leaf0/cm.yaml/kustomization.yaml"] = "resources: [a.yaml]\n";
    files["leaf0/cm.yaml/a.yaml"] = config_map("other");
    CHECK(built(files, options) == built(files, {}));
  }
}

TEST_CASE("what an overlay does to a remembered layer stays in the overlay") {
  BuildCache cache;
  BuildOptions options;
  options.cache = &cache;
  Files files = fleet(2);
  files["top/kustomization.yaml"] += "namespace: one\n";
  const std::string one = built(files, options);
  files["top/kustomization.yaml"] = "resources: [../leaf0, ../leaf1]\n";
  CHECK(built(files, options) == built(files, {}));
  CHECK(one.find("namespace: one") != std::string::npos);
}

TEST_CASE("a small cache forgets what was not used for longest") {
  BuildCache cache(6000);
  BuildOptions options;
  options.cache = &cache;
  const Files files = fleet(20);
  (void)built(files, options);
  (void)built(files, options);
  CHECK(cache.counters().layers_built > 20);
  BuildCache none(0);
  options.cache = &none;
  (void)built(files, options);
  (void)built(files, options);
  CHECK(none.counters().layers_reused == 0);
}

TEST_CASE("a build tells what it read, so that a caller can prove that the result stands") {
  Files files = fleet(2);
  files["unrelated.yaml"] = "a: b\n";
  const auto view = view_of(files);
  const base::RecordingView recording(*view);
  REQUIRE(build(recording, "top"));
  CHECK(recording.records().contains("leaf1/cm.yaml"));
  CHECK_FALSE(recording.records().contains("unrelated.yaml"));
  files["unrelated.yaml"] = "c: d\n";
  CHECK(base::RecordingView::still_holds(recording.records(), *view_of(files)));
  files["leaf1/cm.yaml"] += "# changed\n";
  CHECK_FALSE(base::RecordingView::still_holds(recording.records(), *view_of(files)));
}

TEST_CASE("of a thousand apps with one changed, one is built, and each file is read once") {
  BuildCache cache(256U << 20U);
  BuildOptions options;
  options.cache = &cache;
  Files files = fleet(1000);
  (void)built(files, options);
  REQUIRE(cache.counters().layers_built == 1000);
  files["leaf500/cm.yaml"] = config_map("leaf500", "changed");
  const CountingView view(files);
  const auto result = build(view, "top", options);
  REQUIRE(result);
  CHECK(cache.counters().layers_built == 1001);
  CHECK(cache.counters().layers_reused == 999);
  CHECK(view.reads.size() == files.size());
  for (const auto& [path, times] : view.reads) {
    // The changed leaf's files are looked at to compare them, and then read.
    INFO(path << " was read " << times << " times");
    CHECK(times <= (path.starts_with("leaf500/") ? 2 : 1));
  }
  CHECK(print(*result) == built(files, {}));
}

TEST_CASE("a change in the middle builds what is above it, and nothing beside or below") {
  BuildCache cache;
  BuildOptions options;
  options.cache = &cache;
  Files files = fleet(10);
  files["mid0/kustomization.yaml"] = "namePrefix: m-\nresources: [../leaf0, ../leaf1]\n";
  files["mid1/kustomization.yaml"] = "namePrefix: n-\nresources: [../leaf2, ../leaf3]\n";
  files["top/kustomization.yaml"] = "resources: [../mid0, ../mid1, ../leaf4]\n";
  (void)built(files, options);
  const std::size_t all = cache.counters().layers_built;
  CHECK(all == 7);
  files["mid1/kustomization.yaml"] = "namePrefix: o-\nresources: [../leaf2, ../leaf3]\n";
  CHECK(built(files, options) == built(files, {}));
  CHECK(cache.counters().layers_built == all + 1);
  files["leaf0/cm.yaml"] = config_map("leaf0", "changed");
  CHECK(built(files, options) == built(files, {}));
  CHECK(cache.counters().layers_built == all + 1 + 2);
}

TEST_CASE("while the disk fails nothing is built, and nothing is remembered") {
  BuildCache cache;
  BuildOptions options;
  options.cache = &cache;
  const Files files = fleet(1);
  CountingView view(files);
  view.broken = "leaf0/kustomization.yml";
  const auto failed = build(view, "top", options);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().kind == base::ErrorKind::io);
  CHECK(built(files, options) == built(files, {}));
  CHECK(cache.counters().layers_reused == 0);
  CHECK_FALSE(build(view, "top", options));
  CHECK(cache.counters().layers_reused == 0);
  CHECK(built(files, options) == built(files, {}));
  CHECK(cache.counters().layers_reused == 1);
}
