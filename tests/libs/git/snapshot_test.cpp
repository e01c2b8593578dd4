#include "git/snapshot.hpp"

#include <catch2/catch.hpp>

#include "shared_server.hpp"

using namespace sluice;
using namespace sluice::test;
using Files = std::map<std::string, std::string>;

namespace {

struct Fixture {
  BareRepository repository = shared().repository();
  TempDir folder;

  git::Snapshot snapshot() {
    auto remote = connect(shared().http.origin() + "/" + repository.name() + ".git");
    if (!remote) throw std::runtime_error(remote.error().message);
    const git::RepositoryCache cache(folder.path());
    auto fetched = cache.fetch(*remote, *git::resolve({.branch = "main"}, remote->refs()));
    if (!fetched) throw std::runtime_error(fetched.error().message);
    return *std::move(fetched);
  }
};

std::vector<std::string> paths(const git::Snapshot& snapshot, const std::string& skip = {}) {
  std::vector<std::string> out;
  const auto walked = snapshot.walk(
      [&](const git::TreeEntry& entry) -> base::Result<git::Walk> {
        out.emplace_back(entry.path);
        return entry.path == skip ? git::Walk::skip : git::Walk::go_on;
      },
      {});
  CHECK(walked);
  return out;
}

// Stores a tree whose entries Git's own tools would refuse, and a commit of it.
void commit_raw_tree(const BareRepository& repository, const std::string& entry_name) {
  const auto blob = repository.git({"hash-object", "-w", "--stdin"}, "x");
  std::string tree = "100644 " + entry_name + std::string("\0", 1);
  for (std::size_t i = 0; i < blob.size(); i += 2) tree += static_cast<char>(std::stoi(blob.substr(i, 2), nullptr, 16));
  const auto oid = repository.git({"hash-object", "-t", "tree", "-w", "--stdin", "--literally"}, tree);
  const auto commit = repository.git({"-c", "user.name=x", "-c", "user.email=x@x", "commit-tree", "-m", "x", oid});
  repository.git({"update-ref", "refs/heads/main", commit});
}

}  // namespace

TEST_CASE_METHOD(Fixture, "modes, links and submodules are told apart", "[git][snapshot]") {
  const std::string module(40, '1');
  repository.commit(
      "main",
      {{"file", "f"}, {"run.sh", "#!", "100755"}, {"link", "../else where", "120000"}, {"module", module, "160000"}});
  const auto snap = snapshot();
  std::map<std::string, git::EntryType> types;
  REQUIRE(snap.walk(
      [&](const git::TreeEntry& entry) -> base::Result<git::Walk> {
        types.emplace(entry.path, entry.type);
        return git::Walk::go_on;
      },
      {}));
  CHECK(types == std::map<std::string, git::EntryType>{{"file", git::EntryType::file},
                                                       {"link", git::EntryType::symlink},
                                                       {"module", git::EntryType::submodule},
                                                       {"run.sh", git::EntryType::executable}});
  CHECK(files_of(snap) ==
        Files{{"file", "f"}, {"link", "-> ../else where"}, {"module", "@ " + module}, {"run.sh", "#!"}});
}

TEST_CASE_METHOD(Fixture, "a tree is walked in Git's order, folders before their content", "[git][snapshot]") {
  repository.commit("main", {{"b/x", "1"}, {"a.txt", "2"}, {"a/z", "3"}, {"a/b/c", "4"}});
  const auto snap = snapshot();
  CHECK(paths(snap) == std::vector<std::string>{"a.txt", "a", "a/b", "a/b/c", "a/z", "b", "b/x"});
  CHECK(paths(snap, "a") == std::vector<std::string>{"a.txt", "a", "b", "b/x"});
}

TEST_CASE_METHOD(Fixture, "the visitor's error and a stop request end the walk", "[git][snapshot]") {
  repository.commit("main", {{"a", "1"}, {"b", "2"}});
  const auto snap = snapshot();
  int visits = 0;
  const auto failed = snap.walk(
      [&](const git::TreeEntry&) -> base::Result<git::Walk> {
        ++visits;
        return base::unexpected(base::ErrorKind::too_large, "enough");
      },
      {});
  CHECK(failed.error().message == "enough");
  CHECK(visits == 1);
  std::stop_source stop;
  stop.request_stop();
  const auto stopped =
      snap.walk([](const git::TreeEntry&) -> base::Result<git::Walk> { return git::Walk::go_on; }, stop.get_token());
  CHECK(stopped.error().kind == base::ErrorKind::cancelled);
}

TEST_CASE_METHOD(Fixture, "a file beyond the bound is named and not read", "[git][snapshot]") {
  repository.commit("main", {{"big", std::string(1000, 'x')}});
  const auto snap = snapshot();
  const auto failed = snap.walk(
      [&](const git::TreeEntry& entry) -> base::Result<git::Walk> {
        SLUICE_CHECK(snap.read(entry, 999));
        return git::Walk::go_on;
      },
      {});
  REQUIRE_FALSE(failed);
  CHECK(failed.error().kind == base::ErrorKind::too_large);
  CHECK(failed.error().message.find("'big'") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "names that could leave the tree are refused", "[git][snapshot]") {
  const auto name = GENERATE(as<std::string>(), "..", ".", "../../etc/passwd", "/etc/passwd");
  commit_raw_tree(repository, name);
  const auto snap = snapshot();
  const auto walked = snap.walk([](const git::TreeEntry&) -> base::Result<git::Walk> { return git::Walk::go_on; }, {});
  INFO(name);
  REQUIRE_FALSE(walked);
  CHECK(walked.error().kind == base::ErrorKind::invalid);
}

TEST_CASE_METHOD(Fixture, "a tree that multiplies itself is bounded", "[git][snapshot]") {
  // Ten entries per level, nine levels: 10^9 files in a few kilobytes.
  auto oid = repository.git({"hash-object", "-w", "--stdin"}, "boom");
  std::string kind = "100644 blob ";
  for (int level = 0; level < 9; ++level) {
    std::string tree;
    for (int i = 0; i < 10; ++i) tree += kind + oid + "\tf" + std::to_string(i) + "\n";
    oid = repository.git({"mktree"}, tree);
    kind = "040000 tree ";
  }
  const auto commit = repository.git({"-c", "user.name=x", "-c", "user.email=x@x", "commit-tree", "-m", "x", oid});
  repository.git({"update-ref", "refs/heads/main", commit});
  const auto snap = snapshot();
  std::size_t seen = 0;
  const auto walked = snap.walk(
      [&](const git::TreeEntry&) -> base::Result<git::Walk> {
        ++seen;
        return git::Walk::go_on;
      },
      {}, 5000);
  REQUIRE_FALSE(walked);
  CHECK(walked.error().kind == base::ErrorKind::too_large);
  CHECK(seen == 5000);
}

TEST_CASE("a commit's subject is cut after fifty characters, not bytes", "[git][snapshot]") {
  git::Commit commit;
  commit.message = "short\n\nbody";
  CHECK(commit.short_message() == "short");
  std::string umlauts;
  for (int i = 0; i < 50; ++i) umlauts += "ü";
  commit.message = umlauts;
  CHECK(commit.short_message() == umlauts);
  commit.message = umlauts + "x\nbody";
  CHECK(commit.short_message() == umlauts + "...");
}
