#include "artifact/tree_manifest.hpp"

#include <catch2/catch.hpp>
#include <random>

#include "support/temp_folder.hpp"

using namespace sluice;
using artifact::changed_paths;
using artifact::TreeManifest;
using base::RecordingView;

namespace {

using Files = std::map<std::string, std::string, std::less<>>;  // "path/": a folder

// As an archive brings it, in the order of the paths or in another one.
TreeManifest manifest_of(const Files& files, unsigned shuffle = 0) {
  std::vector<std::pair<std::string, std::string>> order(files.begin(), files.end());
  if (shuffle != 0) std::shuffle(order.begin(), order.end(), std::mt19937(shuffle));
  TreeManifest::Builder builder;
  for (const auto& [path, bytes] : order) {
    if (path.ends_with('/')) {
      CHECK(builder.add_folder(path.substr(0, path.size() - 1)));
      continue;
    }
    archive::Entry entry;
    entry.path = path;
    entry.size = bytes.size();
    CHECK(builder.begin_file(entry));
    CHECK(builder.write(std::string_view(bytes).substr(0, bytes.size() / 2)));
    CHECK(builder.write(std::string_view(bytes).substr(bytes.size() / 2)));
  }
  return builder.finish();
}

void write_all(const test::TempFolder& folder, const Files& files) {
  for (const auto& [path, bytes] : files) {
    if (path.ends_with('/')) {
      std::filesystem::create_directories(folder.path() / path.substr(0, path.size() - 1));
    } else {
      folder.write(path, bytes);
    }
  }
}

// Names that sort around a slash, so that neighbours are told apart.
const std::vector<std::string> kPaths{"",    "a",     "a/b",   "a/b/c", "a-b",   "a.b/x", "a.b", "a0",
                                      "b/x", "b/x/y", "b/y/z", "c",     "c/d/e", "c/d",   "d",   "e/f"};

Files random_files(std::mt19937& random) {
  Files files;
  for (int i = 0; i < 8; ++i) {
    const std::string& path = kPaths[1 + random() % (kPaths.size() - 1)];
    // What is a file cannot be a folder as well.
    const auto clashes = [&path](const auto& entry) {
      std::string_view other = entry.first;
      if (other.ends_with('/')) other.remove_suffix(1);
      return (other.starts_with(path + "/") || path.starts_with(std::string(other) + "/") || other == path);
    };
    if (std::any_of(files.begin(), files.end(), clashes)) continue;
    if (random() % 5 == 0) {
      files.emplace(path + "/", "");
    } else {
      files.emplace(path, std::string(1, static_cast<char>('a' + random() % 3)));
    }
  }
  return files;
}

// Some of the questions that there are, each alone, so that none hides behind another.
std::vector<RecordingView::Records> ask_each(const base::FileView& view) {
  std::vector<RecordingView::Records> all;
  for (const std::string& path : kPaths) {
    for (int what = 0; what < 4; ++what) {
      const RecordingView recording(view);
      if (what == 0) static_cast<void>(recording.read(path));
      if (what == 1) static_cast<void>(recording.list(path));
      if (what == 2) static_cast<void>(recording.type(path));
      if (what == 3) static_cast<void>(recording.real_path(path));
      all.push_back(recording.records());
    }
  }
  return all;
}

}  // namespace

TEST_CASE("a manifest says of every question what the unpacked files say") {
  std::mt19937 random(7);
  int held = 0;
  int fell = 0;
  for (int round = 0; round < 60; ++round) {
    const Files before = random_files(random);
    const Files after = random_files(random);
    INFO("round " << round);
    const test::TempFolder old_folder;
    const test::TempFolder new_folder;
    write_all(old_folder, before);
    write_all(new_folder, after);
    const auto old_view = base::make_disk_view(old_folder.path().string());
    const auto new_view = base::make_disk_view(new_folder.path().string());
    REQUIRE(old_view);
    REQUIRE(new_view);
    const TreeManifest old_manifest = manifest_of(before, 1);
    const TreeManifest new_manifest = manifest_of(after, 2);
    const auto changes = changed_paths(old_manifest, new_manifest);
    for (const auto& records : ask_each(**old_view)) {
      INFO("asked " << (records.empty() ? "nothing" : records.begin()->first));
      CHECK(old_manifest.holds(records));
      const bool holds = RecordingView::still_holds(records, **new_view);
      CHECK(new_manifest.holds(records) == holds);
      // What is touched may hold by chance (a real path); what is not touched holds.
      if (!holds) CHECK(changes.touch(records));
      const bool is_path = records.begin()->first.ends_with("///");
      if (holds && !is_path) CHECK_FALSE(changes.touch(records));
      holds ? ++held : ++fell;
    }
  }
  CHECK(held > 500);
  CHECK(fell > 500);
}

TEST_CASE("the order in which an archive brings its entries is nothing to a manifest, and the last of a path wins") {
  const Files files{{"a/b/c", "1"}, {"a/b.d", "2"}, {"a/", ""}, {"z/", ""}};
  for (unsigned shuffle = 0; shuffle < 6; ++shuffle) {
    CHECK(changed_paths(manifest_of(files), manifest_of(files, shuffle)).paths().empty());
  }
  TreeManifest::Builder builder;
  archive::Entry entry;
  entry.path = "a/b/c";
  for (const char* bytes : {"0", "1"}) {
    CHECK(builder.begin_file(entry));
    CHECK(builder.write(bytes));
  }
  const auto changes = changed_paths(manifest_of({{"a/b/c", "1"}}), builder.finish());
  CHECK(changes.paths().empty());
}

TEST_CASE("changes are named by path: files by their bytes, folders by what they list") {
  const Files before{{"apps/a.yaml", "1"}, {"apps/b.yaml", "1"}, {"apps/sub/c.yaml", "1"}, {"old/x", "1"}};
  const Files after{
      {"apps/a.yaml", "2"}, {"apps/b.yaml", "1"}, {"apps/sub/c.yaml", "1"}, {"apps/sub/d.yaml", "1"}, {"new/x", "1"}};
  const auto changes = changed_paths(manifest_of(before), manifest_of(after));
  CHECK(changes.paths() ==
        std::vector<std::string>{"", "apps/a.yaml", "apps/sub", "apps/sub/d.yaml", "new", "new/x", "old", "old/x"});
  CHECK(changes.touch({{"apps/a.yaml", "x"}}));
  CHECK_FALSE(changes.touch({{"apps/a.yaml//", "file"}}));
  CHECK_FALSE(changes.touch({{"apps/b.yaml", "x"}, {"apps/", "x"}, {"apps/nowhere", "-"}}));
  CHECK(changes.touch({{"apps/b.yaml", "x"}, {"apps/sub/", "x"}}));
  CHECK_FALSE(changes.is_everything());
}

TEST_CASE("of a tree without bounds nothing is known, and nothing holds") {
  TreeManifest::Builder many;
  for (std::size_t i = 0; i <= TreeManifest::kMaxEntries; ++i) CHECK(many.add_folder("f" + std::to_string(i)));
  const TreeManifest unknown = many.finish();
  CHECK_FALSE(unknown.is_complete());
  CHECK_FALSE(unknown.holds({}));
  CHECK(unknown.memory() < 1000);

  TreeManifest::Builder wide;
  for (int i = 0; i < 9; ++i) CHECK(wide.add_folder(std::to_string(i) + std::string(1U << 20U, 'x')));
  CHECK_FALSE(wide.finish().is_complete());

  const auto changes = changed_paths(manifest_of({{"a", "1"}}), unknown);
  CHECK(changes.is_everything());
  CHECK(changes.touch({}));
  CHECK_FALSE(TreeManifest().holds({}));
}

TEST_CASE("a file too large to be read has that for its answer") {
  TreeManifest::Builder builder;
  archive::Entry entry;
  entry.path = "large";
  entry.size = TreeManifest::kMaxFileSize + 1;
  CHECK(builder.begin_file(entry));
  CHECK(builder.write("its bytes do not matter"));
  const TreeManifest manifest = builder.finish();
  CHECK(manifest.holds({{"large", "!too large"}, {"large//", "file"}}));
  CHECK_FALSE(manifest.holds({{"large", base::sha256_hex("its bytes do not matter")}}));
}

TEST_CASE("an I/O error is no fact that could hold, and a cut digest is none either") {
  const TreeManifest manifest = manifest_of({{"a", "1"}});
  CHECK_FALSE(manifest.holds({{"a", "!i/o"}}));
  CHECK_FALSE(manifest.holds({{"gone", "!i/o"}}));
  CHECK_FALSE(manifest.holds({{"a", base::sha256_hex("1").substr(0, 32)}}));
  CHECK(manifest.holds({{"a", base::sha256_hex("1")}}));
}

TEST_CASE("four thousand files take well under a mebibyte") {
  Files files;
  for (int app = 0; app < 1000; ++app) {
    for (const char* name : {"kustomization.yaml", "deployment.yaml", "service.yaml", "configmap.yaml"}) {
      files.emplace("clusters/production/apps/app-" + std::to_string(app) + "/" + name, std::to_string(app) + name);
    }
  }
  const TreeManifest manifest = manifest_of(files);
  CHECK(manifest.files() == 4000);
  CHECK(manifest.memory() < (400U << 10U));
}
