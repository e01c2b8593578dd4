#include "git/repository_cache.hpp"

#include <catch2/catch.hpp>
#include <thread>

#include "shared_server.hpp"

using namespace sluice;
using namespace sluice::test;
using Files = std::map<std::string, std::string>;

namespace {

// A repository, its URL, and an empty cache.
struct Fixture {
  BareRepository repository = shared().repository();
  TempDir folder;
  git::RepositoryCache cache{folder.path()};

  std::string url(const std::string& fault = {}) const {
    return shared().http.origin() + fault + "/" + repository.name() + ".git";
  }
  base::Result<git::Snapshot> fetch(const git::RefSpec& spec, const std::string& fault = {},
                                    std::chrono::milliseconds timeout = kTimeout) const {
    SLUICE_TRY(auto remote, connect(url(fault), git::HttpAuth{}, timeout));
    SLUICE_TRY(const auto target, git::resolve(spec, remote.refs()));
    return cache.fetch(remote, target);
  }
  std::filesystem::path copy(const std::string& fault = {}) const { return cache.folder_of(endpoint(url(fault))); }
};

const git::RefSpec kMain{.branch = "main"};

int packs_in(const std::filesystem::path& copy) {
  int count = 0;
  for (const auto& file : std::filesystem::directory_iterator(copy / "objects" / "pack")) {
    count += file.path().extension() == ".pack" ? 1 : 0;
  }
  return count;
}

}  // namespace

TEST_CASE_METHOD(Fixture, "a commit is fetched with its files and its story", "[git][cache]") {
  const auto oid = repository.commit("main", {{"a.txt", "one"}, {"dir/b.txt", "two"}}, "First\n\nbody");
  const auto snapshot = fetch(kMain);
  REQUIRE(snapshot);
  CHECK(files_of(*snapshot) == Files{{"a.txt", "one"}, {"dir/b.txt", "two"}});
  CHECK(snapshot->commit().oid == oid);
  CHECK(snapshot->commit().author.name == "Ann Author");
  CHECK(snapshot->commit().author.email == "ann@example.com");
  CHECK(snapshot->commit().committer.name == "Carl Committer");
  CHECK(snapshot->commit().short_message() == "First");
}

TEST_CASE_METHOD(Fixture, "the first fetch is shallow and the second brings only the news", "[git][cache]") {
  std::string big(200'000, 'x');
  for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>('a' + (i * i / 7 + i / 3) % 26);
  const auto first = repository.commit("main", {{"big", big}, {"a", "1"}});
  const auto second = repository.commit("main", {{"a", "2"}});
  { REQUIRE(fetch(kMain)); }
  CHECK(read_file(copy() / "shallow") == second + "\n");
  CHECK(read_file(copy() / "commits") == second + "\n");
  repository.commit("main", {{"a", "3"}});
  const auto snapshot = fetch(kMain);
  REQUIRE(snapshot);
  CHECK(files_of(*snapshot).at("a") == "3");
  CHECK(files_of(*snapshot).at("big") == big);
  REQUIRE(packs_in(copy()) == 2);
  std::uintmax_t smallest = big.size();
  for (const auto& file : std::filesystem::directory_iterator(copy() / "objects" / "pack")) {
    if (file.path().extension() == ".pack") smallest = std::min(smallest, file.file_size());
  }
  CHECK(smallest < 2000);
}

TEST_CASE_METHOD(Fixture, "a commit that is here already is not fetched again, even by a new process", "[git][cache]") {
  repository.commit("main", {{"a", "1"}});
  { REQUIRE(fetch(kMain)); }
  const int before = shared().http.packs();
  const git::RepositoryCache restarted(folder.path());
  auto remote = connect(url());
  REQUIRE(remote);
  REQUIRE(restarted.fetch(*remote, *git::resolve(kMain, remote->refs())));
  CHECK(shared().http.packs() == before);
}

TEST_CASE_METHOD(Fixture, "a force-pushed branch is followed", "[git][cache]") {
  repository.commit("main", {{"old", "1"}});
  { REQUIRE(fetch(kMain)); }
  const auto rewritten = repository.force("main", {{"new", "2"}});
  const auto snapshot = fetch(kMain);
  REQUIRE(snapshot);
  CHECK(snapshot->commit().oid == rewritten);
  CHECK(files_of(*snapshot) == Files{{"new", "2"}});
}

TEST_CASE_METHOD(Fixture, "annotated and lightweight tags lead to their commit", "[git][cache]") {
  const auto first = repository.commit("main", {{"a", "1"}});
  repository.annotated_tag("v1.0.0", first);
  repository.git({"tag", "light", first});
  repository.commit("main", {{"a", "2"}});
  for (const auto& spec :
       {git::RefSpec{.tag = "v1.0.0"}, git::RefSpec{.tag = "light"}, git::RefSpec{.semver = "1.x"}}) {
    const auto snapshot = fetch(spec);
    REQUIRE(snapshot);
    CHECK(snapshot->commit().oid == first);
    CHECK(files_of(*snapshot) == Files{{"a", "1"}});
  }
}

TEST_CASE_METHOD(Fixture, "a tag that points to a file is refused", "[git][cache]") {
  repository.commit("main", {{"a", "1"}});
  repository.git({"tag", "blob", "main:a"});
  const auto snapshot = fetch({.tag = "blob"});
  REQUIRE_FALSE(snapshot);
  CHECK(snapshot.error().kind == base::ErrorKind::invalid);
  CHECK(snapshot.error().message.find("not a commit") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "a buried commit is fetched by its id", "[git][cache]") {
  const auto first = repository.commit("main", {{"a", "1"}});
  repository.commit("main", {{"a", "2"}});
  for (const auto& spec : {git::RefSpec{.commit = first}, git::RefSpec{.branch = "main", .commit = first}}) {
    const auto snapshot = fetch(spec);
    REQUIRE(snapshot);
    CHECK(files_of(*snapshot) == Files{{"a", "1"}});
  }
}

TEST_CASE_METHOD(Fixture, "a commit that does not exist is not found, by id and place", "[git][cache]") {
  repository.commit("main", {{"a", "1"}});
  const std::string nowhere(40, '7');
  const auto snapshot = fetch({.branch = "main", .commit = nowhere});
  REQUIRE_FALSE(snapshot);
  CHECK(snapshot.error().kind == base::ErrorKind::not_found);
  CHECK(snapshot.error().message.find(nowhere) != std::string::npos);
  CHECK(snapshot.error().message.find(url()) != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "fetching goes on after a search of the whole history", "[git][cache]") {
  repository.commit("main", {{"a", "1"}});
  repository.commit("main", {{"a", "2"}});
  { REQUIRE_FALSE(fetch({.commit = std::string(40, '7')})); }
  repository.commit("main", {{"a", "3"}});
  const auto snapshot = fetch(kMain);
  REQUIRE(snapshot);
  CHECK(files_of(*snapshot) == Files{{"a", "3"}});
}

TEST_CASE_METHOD(Fixture, "a pack that breaks off leaves nothing behind and is fetched anew", "[git][cache]") {
  repository.commit("main", {{"a", std::string(100'000, 'a') + "1"}, {"b", "2"}});
  const auto broken = fetch(kMain, "/truncate");
  REQUIRE_FALSE(broken);
  CHECK(broken.error().kind == base::ErrorKind::unavailable);
  CHECK_FALSE(std::filesystem::exists(copy("/truncate") / "commits"));
  CHECK(fetch(kMain));
}

TEST_CASE_METHOD(Fixture, "a server that lists but never sends runs into the timeout", "[git][cache]") {
  repository.commit("main", {{"a", "1"}});
  const auto stalled = fetch(kMain, "/stall", std::chrono::milliseconds(90));
  REQUIRE_FALSE(stalled);
  CHECK(stalled.error().kind == base::ErrorKind::timeout);
}

TEST_CASE_METHOD(Fixture, "a stop request ends a fetch, whoever's token connected", "[git][cache]") {
  repository.commit("main", {{"a", "1"}});
  auto remote = connect(url("/stall"));
  REQUIRE(remote);
  std::stop_source source;
  remote->continue_with(source.get_token());
  std::jthread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    source.request_stop();
  });
  const auto snapshot = cache.fetch(*remote, *git::resolve(kMain, remote->refs()));
  REQUIRE_FALSE(snapshot);
  CHECK(snapshot.error().kind == base::ErrorKind::cancelled);
}

TEST_CASE_METHOD(Fixture, "a pack beyond the bound is refused", "[git][cache]") {
  repository.commit("main", {{"a", "1"}});
  const git::RepositoryCache small(folder.path(), {.max_pack_bytes = 64, .max_packs = 50});
  auto remote = connect(url());
  REQUIRE(remote);
  const auto snapshot = small.fetch(*remote, *git::resolve(kMain, remote->refs()));
  REQUIRE_FALSE(snapshot);
  CHECK(snapshot.error().kind == base::ErrorKind::too_large);
}

TEST_CASE_METHOD(Fixture, "what a killed process left is tidied away", "[git][cache]") {
  const auto packs = copy() / "objects" / "pack";
  write_file(packs / "pack_git2_abc123", "half a pack");
  write_file(packs / ("pack-" + std::string(40, 'a') + ".idx"), "an index without its pack");
  write_file(copy() / "commits.new", "0");
  repository.commit("main", {{"a", "1"}});
  REQUIRE(fetch(kMain));
  CHECK(packs_in(copy()) == 1);
  CHECK_FALSE(std::filesystem::exists(packs / "pack_git2_abc123"));
}

TEST_CASE_METHOD(Fixture, "a damaged copy is replaced", "[git][cache]") {
  repository.commit("main", {{"a", "1"}, {"b", std::string(5000, 'b')}});
  { REQUIRE(fetch(kMain)); }
  std::filesystem::path pack;
  for (const auto& file : std::filesystem::directory_iterator(copy() / "objects" / "pack")) {
    if (file.path().extension() == ".pack") pack = file.path();
  }
  std::filesystem::permissions(pack, std::filesystem::perms::owner_all);
  SECTION("truncated") { std::filesystem::resize_file(pack, std::filesystem::file_size(pack) / 2); }
  SECTION("removed") { std::filesystem::remove(pack); }
  SECTION("emptied") { write_file(pack, ""); }
  SECTION("objects gone, list kept") { std::filesystem::remove_all(copy() / "objects"); }
  const auto snapshot = fetch(kMain);
  if (!snapshot) FAIL(snapshot.error().message);
  CHECK(files_of(*snapshot).at("a") == "1");
}

TEST_CASE_METHOD(Fixture, "flipped bits are noticed when read, and mended by the next fetch", "[git][cache]") {
  repository.commit("main", {{"a", "1"}, {"b", std::string(5000, 'b')}});
  { REQUIRE(fetch(kMain)); }
  for (const auto& file : std::filesystem::directory_iterator(copy() / "objects" / "pack")) {
    if (file.path().extension() != ".pack") continue;
    std::filesystem::permissions(file.path(), std::filesystem::perms::owner_all);
    auto bytes = read_file(file.path());
    for (std::size_t i = 12; i + 20 < bytes.size(); ++i) bytes[i] = static_cast<char>(bytes[i] ^ 0x55);
    write_file(file.path(), bytes);
  }
  const auto mended = fetch(kMain);  // the commit itself does not read, so this one fetches
  if (!mended) FAIL(mended.error().message);
  CHECK(files_of(*mended).at("a") == "1");
}

TEST_CASE_METHOD(Fixture, "a copy of too many packs is started anew", "[git][cache]") {
  const git::RepositoryCache tidy(folder.path(), {.max_pack_bytes = 1U << 20U, .max_packs = 2});
  for (int i = 0; i < 4; ++i) {
    repository.commit("main", {{"a", std::to_string(i)}});
    auto remote = connect(url());
    REQUIRE(remote);
    const auto snapshot = tidy.fetch(*remote, *git::resolve(kMain, remote->refs()));
    REQUIRE(snapshot);
    CHECK(files_of(*snapshot).at("a") == std::to_string(i));
    CHECK(packs_in(copy()) <= 3);
  }
  CHECK(packs_in(copy()) == 1);
}

TEST_CASE_METHOD(Fixture, "many at once share one fetch", "[git][cache]") {
  repository.commit("main", {{"a", "1"}});
  const int before = shared().http.packs();
  std::atomic<int> good = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        const auto snapshot = fetch(kMain);
        if (snapshot && files_of(*snapshot) == Files{{"a", "1"}}) ++good;
      });
    }
  }
  CHECK(good == 4);
  CHECK(shared().http.packs() == before + 1);
}

TEST_CASE_METHOD(Fixture, "copies that nothing uses are collected, and not those in use", "[git][cache]") {
  repository.commit("main", {{"a", "1"}});
  {
    const auto snapshot = fetch(kMain);
    REQUIRE(snapshot);
    CHECK(cache.collect(std::chrono::hours(1)).value() == 0);
    CHECK(cache.collect(std::chrono::seconds(-1)).value() == 0);
  }
  CHECK(cache.collect(std::chrono::seconds(-1)).value() == 1);
  CHECK_FALSE(std::filesystem::exists(copy()));
  CHECK(fetch(kMain));
}
