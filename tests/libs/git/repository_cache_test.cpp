#include "git/repository_cache.hpp"

#include <zlib.h>

#include <catch2/catch.hpp>
#include <thread>

#include "base/digest.hpp"
#include "git/store/object_store.hpp"
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
  CHECK(snapshot.error().message.find("'refs/tags/blob'") != std::string::npos);
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

TEST_CASE_METHOD(Fixture, "a commit with a branch must be in the branch's history", "[git][cache]") {
  const bool by_commits_alone = GENERATE(true, false);
  CAPTURE(by_commits_alone);
  if (by_commits_alone) repository.git({"config", "uploadpack.allowFilter", "true"});
  const auto first = repository.commit("main", {{"a", "1"}});
  repository.git({"branch", "side", first});
  const auto on_side = repository.commit("side", {{"a", "side"}});
  const auto second = repository.commit("main", {{"a", "2"}});
  const auto third = repository.commit("main", {{"a", "3"}});
  for (const auto& [commit, content] : std::map<std::string, std::string>{{first, "1"}, {second, "2"}, {third, "3"}}) {
    const auto snapshot = fetch({.branch = "main", .commit = commit});
    REQUIRE(snapshot);
    CHECK(files_of(*snapshot) == Files{{"a", content}});
  }
  const auto refuse = [&](const std::string& commit) {
    const auto snapshot = fetch({.branch = "main", .commit = commit});
    REQUIRE_FALSE(snapshot);
    CHECK(snapshot.error().kind == base::ErrorKind::not_found);
    CHECK(snapshot.error().message.find(commit) != std::string::npos);
    CHECK(snapshot.error().message.find("'refs/heads/main'") != std::string::npos);
  };
  refuse(on_side);
  // Nor when the copy has it already, from its own branch.
  { REQUIRE(fetch({.branch = "side"})); }
  refuse(on_side);
  // After a forced push what was there is no longer in the branch.
  repository.force("main", {{"a", "4"}});
  refuse(second);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 2);  // no scratch: the copy, its lock
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
  const auto leftover = folder.path() / ".history-abc123";  // of a process that was killed
  std::filesystem::create_directories(leftover / "objects");
  CHECK(cache.collect(std::chrono::hours(1)).value() == 0);
  CHECK(std::filesystem::exists(leftover));
  CHECK(cache.collect(std::chrono::seconds(-1)).value() == 2);
  CHECK_FALSE(std::filesystem::exists(leftover));
  CHECK_FALSE(std::filesystem::exists(copy()));
  CHECK(fetch(kMain));
}

namespace {

void append_be32(std::string& out, std::size_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out += static_cast<char>((value >> static_cast<unsigned>(shift)) & 0xffU);
}

std::string deflate(std::string_view bytes) {
  uLongf size = compressBound(bytes.size());
  std::string out(size, '\0');
  compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size(), 9);
  out.resize(size);
  return out;
}

// gitformat-pack(5): type and size of an entry, seven bits at a time after the first four.
std::string entry_head(unsigned type, std::size_t size) {
  std::string out(1, static_cast<char>((type << 4U) | (size & 15U)));
  for (size >>= 4U; size > 0; size >>= 7U) {
    out.back() = static_cast<char>(out.back() | '\x80');
    out += static_cast<char>(size & 127U);
  }
  return out;
}

std::string varint(std::size_t value) {
  std::string out;
  for (;; value >>= 7U) {
    out += static_cast<char>((value & 127U) | (value > 127U ? 128U : 0U));
    if (value <= 127U) return out;
  }
}

// A pack of a blob of 16 MiB of zeros, and a delta that repeats it `times` times.
std::string delta_bomb(std::size_t times) {
  constexpr std::size_t kBase = 0xffffff;
  const std::string base(kBase, '\0');
  std::string pack = "PACK";
  append_be32(pack, 2);
  append_be32(pack, 2);
  const std::size_t base_at = pack.size();
  pack += entry_head(3, base.size()) + deflate(base);
  std::string delta = varint(base.size()) + varint(kBase * times);
  for (std::size_t i = 0; i < times; ++i) delta += "\xf0\xff\xff\xff";  // copy 0xffffff bytes from 0
  std::size_t back = pack.size() - base_at;
  std::string offset(1, static_cast<char>(back & 127U));
  while (back >>= 7U) offset.insert(offset.begin(), static_cast<char>(128U | (--back & 127U)));
  pack += entry_head(6, delta.size()) + offset + deflate(delta);
  base::Hasher hasher(base::DigestAlgorithm::sha1);
  hasher.update(pack);
  const std::string hex = hasher.finish_hex();
  for (std::size_t i = 0; i < hex.size(); i += 2) pack += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return pack;
}

base::Result<void> index(const std::string& pack) {
  const TempDir folder;
  SLUICE_TRY(auto store, git::store::ObjectStore::open(folder.path()));
  const git::wire::Limits limits{.deadline = std::chrono::steady_clock::now() + kTimeout, .stop = {}};
  SLUICE_TRY(auto writer, store.write_pack(1U << 30U, limits));
  SLUICE_CHECK(writer.append(pack));
  return writer.commit();
}

}  // namespace

TEST_CASE("a few kilobytes that describe gigabytes are refused before they are made", "[git][cache][hostile]") {
  const auto small = index(delta_bomb(3));
  if (!small) FAIL(small.error().message);
  const std::string bomb = delta_bomb(200);  // 3.3 GB
  CHECK(bomb.size() < 30'000);
  const auto refused = index(bomb);
  REQUIRE_FALSE(refused);
  INFO(refused.error().message);
  CHECK(refused.error().kind == base::ErrorKind::too_large);
}
