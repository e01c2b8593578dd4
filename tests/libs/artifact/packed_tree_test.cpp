#include "artifact/packed_tree.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <random>

#include "support/temp_folder.hpp"

using namespace sluice;
using artifact::PackedTree;
using artifact::PackWriter;
using artifact::TreeManifest;
using base::ErrorKind;

namespace {

struct Entry {
  std::string path;  // "path/": a folder
  std::string bytes{};
};

base::Result<void> put(PackWriter& pack, const Entry& what) {
  if (what.path.ends_with('/')) return pack.add_folder(what.path.substr(0, what.path.size() - 1));
  archive::Entry entry;
  entry.path = what.path;
  entry.size = what.bytes.size();
  SLUICE_CHECK(pack.begin_file(entry));
  SLUICE_CHECK(pack.write(std::string_view(what.bytes).substr(0, what.bytes.size() / 3)));
  return pack.write(std::string_view(what.bytes).substr(what.bytes.size() / 3));
}

base::Result<PackedTree> packed(const test::TempFolder& folder, const std::vector<Entry>& entries) {
  SLUICE_TRY(PackWriter pack, PackWriter::create(folder.path().string()));
  for (const Entry& entry : entries) SLUICE_CHECK(put(pack, entry));
  return pack.finish();
}

// All answers of a view, also of those paths that are not there.
std::map<std::string, std::string> answers(const base::FileView& view, const std::vector<std::string>& paths) {
  std::map<std::string, std::string> said;
  const auto kind = [](const base::Error& error) { return "!" + std::string(base::to_string(error.kind)); };
  for (const std::string& path : paths) {
    const auto bytes = view.read(path);
    said["read " + path] = bytes ? *bytes : kind(bytes.error());
    const auto type = view.type(path);
    said["type " + path] = type ? (*type == base::FileType::file ? "file" : "folder") : kind(type.error());
    const auto real = view.real_path(path);
    said["real " + path] = real ? *real : kind(real.error());
    const auto listed = view.list(path);
    std::string& list = said["list " + path];
    if (!listed) list = kind(listed.error());
    for (const auto& entry : listed ? *listed : std::vector<base::DirEntry>()) {
      list += entry.name + (entry.type == base::FileType::file ? " file, " : " folder, ");
    }
  }
  return said;
}

const std::vector<std::string> kPaths{"",      "a",     "a/b", "a/b/c", "a-b", "a.b/x", "a.b", "a0",       "b/x",
                                      "b/x/y", "b/y/z", "c",   "c/d/e", "c/d", "d",     "e/f", "nowhere/x"};

// A tree in which nothing is both a file and a folder.
std::vector<Entry> random_entries(std::mt19937& random) {
  std::map<std::string, std::string> files;
  for (int i = 0; i < 8; ++i) {
    const std::string& path = kPaths[1 + random() % (kPaths.size() - 1)];
    const bool clashes = std::any_of(files.begin(), files.end(), [&](const auto& other) {
      return other.first.starts_with(path + "/") || path.starts_with(other.first + "/");
    });
    if (!clashes) files[path] = std::string(random() % 5 == 0 ? 300'000 : random() % 40, static_cast<char>('a' + i));
  }
  std::vector<Entry> entries;
  for (const auto& [path, bytes] : files) entries.push_back({random() % 4 == 0 ? path + "/" : path, bytes});
  std::shuffle(entries.begin(), entries.end(), random);
  return entries;
}

ErrorKind refused(const std::vector<Entry>& entries) {
  const test::TempFolder folder;
  const auto tree = packed(folder, entries);
  REQUIRE_FALSE(tree);
  CHECK(tree.error().message.find("is both a file and a folder") != std::string::npos);
  return tree.error().kind;
}

}  // namespace

TEST_CASE("a packed tree answers as a folder on the disk does") {
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    INFO("round " << round);
    const std::vector<Entry> entries = random_entries(random);
    const test::TempFolder plain;
    for (const Entry& entry : entries) {
      if (entry.path.ends_with('/')) {
        std::filesystem::create_directories(plain.path() / entry.path.substr(0, entry.path.size() - 1));
      } else {
        plain.write(entry.path, entry.bytes);
      }
    }
    const auto disk = base::make_disk_view(plain.path().string());
    REQUIRE(disk);
    const test::TempFolder folder;
    const auto tree = packed(folder, entries);
    REQUIRE(tree);
    std::vector<std::string> paths = kPaths;
    for (const char* odd : {"/a", "a/", "a//b", "./a", "a/../a", "..", "."}) paths.emplace_back(odd);
    paths.emplace_back("a\0b", 3);
    CHECK(answers(*tree->files, paths) == answers(**disk, paths));
    CHECK(tree->manifest->is_complete());
    CHECK(std::filesystem::is_empty(folder.path()));  // the pack has no name
  }
}

TEST_CASE("of a path that comes twice the packed tree has the last") {
  const test::TempFolder folder;
  const auto tree = packed(folder, {{"a", "first"}, {"b", "2"}, {"a", "the last"}, {"c/"}, {"c/"}});
  REQUIRE(tree);
  CHECK(tree->files->read("a").value() == "the last");
  CHECK(tree->files->read("b").value() == "2");
  CHECK(tree->manifest->files() == 2);
}

TEST_CASE("an archive in which a path is a file and a folder is refused") {
  CHECK(refused({{"a", "1"}, {"a/"}}) == ErrorKind::invalid);
  CHECK(refused({{"a/"}, {"a", "1"}}) == ErrorKind::invalid);
  CHECK(refused({{"a", "1"}, {"a/b", "2"}}) == ErrorKind::invalid);
  CHECK(refused({{"a/b", "1"}, {"a", "2"}}) == ErrorKind::invalid);
  CHECK(refused({{"a/b", "1"}, {"a/b/c/d", "2"}}) == ErrorKind::invalid);
  CHECK(refused({{"a/b", "1"}, {"a/b/c/d/"}}) == ErrorKind::invalid);
}

TEST_CASE("what is too large to be read is said to be, and takes the place of nothing else") {
  const test::TempFolder folder;
  auto pack = PackWriter::create(folder.path().string());
  REQUIRE(pack);
  archive::Entry large;
  large.path = "large";
  large.size = TreeManifest::kMaxFileSize + 1;
  REQUIRE(pack->begin_file(large));
  const std::string piece(1U << 20U, 'x');
  for (int i = 0; i < 64; ++i) REQUIRE(pack->write(piece));
  REQUIRE(pack->write("x"));
  REQUIRE(put(*pack, {"small", "1"}));
  const auto tree = pack->finish();
  REQUIRE(tree);
  const auto read = tree->files->read("large");
  REQUIRE_FALSE(read);
  CHECK(read.error().kind == ErrorKind::too_large);
  CHECK(tree->files->type("large").value() == base::FileType::file);
  CHECK(tree->files->read("small").value() == "1");
}

TEST_CASE("a packed tree that has lost its end is an error of the disk, not a shorter file") {
  const test::TempFolder folder;
  const auto tree = packed(folder, {{"a", "first"}, {"b", "second"}});
  REQUIRE(tree);
  // As nobody else can open it, by our own descriptor.
  bool cut = false;
  for (const auto& fd : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code ignored;
    if (std::filesystem::read_symlink(fd.path(), ignored).string().find("/pack-") == std::string::npos) continue;
    std::filesystem::resize_file(fd.path(), 8);
    cut = true;
  }
  REQUIRE(cut);
  CHECK(tree->files->read("a").value() == "first");
  const auto read = tree->files->read("b");
  REQUIRE_FALSE(read);
  CHECK(read.error().kind == ErrorKind::io);
}

TEST_CASE("a tree with more entries than an index is kept of says so at once") {
  const test::TempFolder folder;
  auto pack = PackWriter::create(folder.path().string());
  REQUIRE(pack);
  std::size_t taken = 0;
  while (put(*pack, {"f" + std::to_string(taken), ""})) ++taken;
  CHECK(pack->has_too_many());
  CHECK(taken == TreeManifest::kMaxEntries + 1);  // a file is known once it has ended
  CHECK_FALSE(pack->finish());
}
