#include "artifact/store.hpp"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>
#include <thread>

#include "libs/archive/temporary_folder.hpp"

namespace artifact = sluice::artifact;
namespace base = sluice::base;
namespace fs = std::filesystem;
using namespace std::chrono_literals;
using sluice::base::ErrorKind;

namespace {

const artifact::Owner kApps{"GitRepository", {"flux-system", "apps"}};

base::Result<void> fill_nothing(sluice::archive::ByteSink&) { return {}; }

artifact::Store::Fill fill_with(std::string bytes) {
  return [bytes](sluice::archive::ByteSink& out) { return out.write(bytes); };
}

void write(const fs::path& file, const std::string& bytes) { std::ofstream(file, std::ios::binary) << bytes; }

std::string read(const fs::path& file) {
  std::ostringstream out;
  out << std::ifstream(file, std::ios::binary).rdbuf();
  return out.str();
}

void age(const fs::path& file, std::chrono::seconds by) {
  fs::last_write_time(file, fs::file_time_type::clock::now() - by);
}

struct Fixture {
  sluice::test::TemporaryFolder root;
  std::shared_ptr<artifact::Store> store = open();

  std::shared_ptr<artifact::Store> open(std::size_t records = 2) const {
    artifact::StoreOptions options;
    options.root = root.path();
    options.advertised_address = "source-controller.flux-system.svc.cluster.local.";
    options.retention_records = records;
    auto opened = artifact::Store::open(std::move(options), base::system_clock());
    if (!opened) FAIL(opened.error().message);
    return *opened;
  }
  sluice::api::Artifact publish(const std::string& file, const std::string& bytes = "bytes") const {
    auto published = store->publish(kApps, file, "main@sha1:abc", fill_with(bytes));
    if (!published) FAIL(published.error().message);
    return *published;
  }
  artifact::Condition condition_of(const sluice::api::Artifact& of) const {
    auto condition = store->check(kApps, of, {});
    if (!condition) FAIL(condition.error().message);
    return *condition;
  }
  fs::path file(const std::string& name) const { return root.path() / "gitrepository/flux-system/apps" / name; }
  std::size_t files() const {
    std::size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(root.path())) count += entry.is_regular_file() ? 1 : 0;
    return count;
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "an artifact lies where the contract says, with its digest, size and URL") {
  const auto made = publish("1234.tar.gz", "some bytes");
  CHECK(made.path == "gitrepository/flux-system/apps/1234.tar.gz");
  CHECK(made.url ==
        "http://source-controller.flux-system.svc.cluster.local./gitrepository/flux-system/apps/1234.tar.gz");
  CHECK(made.digest == base::sha256_digest("some bytes"));
  CHECK(made.size == 10);
  CHECK(made.revision == "main@sha1:abc");
  CHECK(made.last_update_time > base::system_clock().now() - 1min);
  CHECK(read(file("1234.tar.gz")) == "some bytes");
  CHECK(fs::status(file("1234.tar.gz")).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  CHECK(condition_of(made) == artifact::Condition::whole);
}

TEST_CASE_METHOD(Fixture, "what fails half-way leaves the file that was there, and nothing else") {
  publish("1234.tar.gz", "old");
  const auto fails = [](sluice::archive::ByteSink& out) -> base::Result<void> {
    SLUICE_CHECK(out.write("half of the new"));
    return base::unexpected(ErrorKind::unavailable, "the source went away");
  };
  const auto failed = store->publish(kApps, "1234.tar.gz", "main@sha1:abc", fails);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().kind == ErrorKind::unavailable);
  CHECK(failed.error().message == "the source went away");
  CHECK(read(file("1234.tar.gz")) == "old");
  CHECK(files() == 1);
}

TEST_CASE_METHOD(Fixture, "a file name or owner that leaves the store is refused", "[hostile]") {
  for (const char* name : {"../x", "a/b", "", ".", "..", ".hidden", "a b", "a%2fb", "a\nb"}) {
    CAPTURE(name);
    const auto refused = store->publish(kApps, name, "r", fill_nothing);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::invalid);
  }
  CHECK_FALSE(store->publish({"GitRepository", {"..", ".."}}, "x", "r", fill_nothing));
  CHECK(files() == 0);
}

TEST_CASE_METHOD(Fixture, "an artifact that is gone, cut or changed is noticed") {
  const auto made = publish("1234.tar.gz", "some bytes");
  SECTION("gone") {
    fs::remove(file("1234.tar.gz"));
    CHECK(condition_of(made) == artifact::Condition::missing);
  }
  SECTION("cut") {
    fs::resize_file(file("1234.tar.gz"), 4);
    CHECK(condition_of(made) == artifact::Condition::damaged);
  }
  SECTION("changed in place, to the same size") {
    CHECK(condition_of(made) == artifact::Condition::whole);
    write(file("1234.tar.gz"), "SOME bytes");
    CHECK(condition_of(made) == artifact::Condition::damaged);
  }
  SECTION("replaced by a link") {
    fs::rename(file("1234.tar.gz"), root.path() / "elsewhere");
    fs::create_symlink(root.path() / "elsewhere", file("1234.tar.gz"));
    CHECK(condition_of(made) == artifact::Condition::missing);
  }
  SECTION("replaced by a folder") {
    fs::remove(file("1234.tar.gz"));
    fs::create_directory(file("1234.tar.gz"));
    CHECK(condition_of(made) == artifact::Condition::missing);
  }
  SECTION("with a digest in the status that is none") {
    auto other = made;
    other.digest = "sha256:zz";
    CHECK(condition_of(other) == artifact::Condition::damaged);
  }
}

TEST_CASE_METHOD(Fixture, "what was found whole is read again when it has changed, however soon or late") {
  const auto made = publish("1234.tar.gz", "some bytes");
  std::this_thread::sleep_for(150ms);  // until then no file is believed to be what it was
  CHECK(condition_of(made) == artifact::Condition::whole);
  write(file("1234.tar.gz"), "SOME bytes");
  CHECK(condition_of(made) == artifact::Condition::damaged);
  for (int i = 0; i < 50; ++i) {  // within one step of the clock of a file system, in most cases
    write(file("1234.tar.gz"), "some bytes");
    CHECK(condition_of(made) == artifact::Condition::whole);
    write(file("1234.tar.gz"), "SOME bytes");
    REQUIRE(condition_of(made) == artifact::Condition::damaged);
  }
}

TEST_CASE_METHOD(Fixture, "whoever reads an artifact reads it whole, though it is made anew meanwhile") {
  static_cast<void>(publish("1234.tar.gz", "some bytes"));
  std::ifstream reader(file("1234.tar.gz"), std::ios::binary);
  REQUIRE(reader.is_open());
  static_cast<void>(publish("1234.tar.gz", "others"));
  std::ostringstream out;
  out << reader.rdbuf();
  CHECK(out.str() == "some bytes");
  CHECK(read(file("1234.tar.gz")) == "others");
}

TEST_CASE_METHOD(Fixture, "a restarted store reads an artifact once, and one of another algorithm too") {
  auto made = publish("1234.tar.gz", "some bytes");
  store = open();
  CHECK(condition_of(made) == artifact::Condition::whole);
  base::Hasher hasher(base::DigestAlgorithm::sha512);
  hasher.update("some bytes");
  made.digest = hasher.finish_digest();
  CHECK(condition_of(made) == artifact::Condition::whole);
}

TEST_CASE_METHOD(Fixture, "a status that names another's artifact, or a path outside, names nothing", "[hostile]") {
  auto made = publish("1234.tar.gz");
  const artifact::Owner other{"GitRepository", {"flux-system", "other"}};
  const auto as_other = store->check(other, made, {});
  REQUIRE(as_other);
  CHECK(*as_other == artifact::Condition::missing);
  REQUIRE(store->remove(other, made));
  CHECK(condition_of(made) == artifact::Condition::whole);
  for (const char* path :
       {"../../etc/passwd", "gitrepository/flux-system/apps/../apps/1234.tar.gz", "/etc/passwd", ""}) {
    made.path = path;
    CHECK(condition_of(made) == artifact::Condition::missing);
  }
}

TEST_CASE_METHOD(Fixture, "collecting removes what is old, keeps the newest, and never what the status names") {
  const auto current = publish("a.tar.gz");
  for (const char* name : {"b.tar.gz", "c.tar.gz", "d.tar.gz"}) publish(name);
  age(file("a.tar.gz"), 3h);
  age(file("b.tar.gz"), 2h);
  age(file("c.tar.gz"), 10s);
  age(file("d.tar.gz"), 5s);
  const auto removed = store->collect(kApps, current);
  REQUIRE(removed);
  CHECK(*removed == 2);  // b by its age, c as a and d are two already
  CHECK(fs::exists(file("a.tar.gz")));
  CHECK_FALSE(fs::exists(file("b.tar.gz")));
  CHECK_FALSE(fs::exists(file("c.tar.gz")));
  CHECK(fs::exists(file("d.tar.gz")));
}

TEST_CASE_METHOD(Fixture, "collecting keeps as many as were asked for, and takes upstream's locks with their files") {
  store = open(3);
  const auto current = publish("c.tar.gz");
  for (const char* name : {"a.tar.gz", "b.tar.gz"}) publish(name);
  const auto kept = store->collect(kApps, current);
  REQUIRE(kept);
  CHECK(*kept == 0);
  age(file("a.tar.gz"), 2min);
  write(file("a.tar.gz.lock"), "");
  write(file("c.tar.gz.lock"), "");
  const auto removed = store->collect(kApps, current);
  REQUIRE(removed);
  CHECK(*removed == 1);
  CHECK_FALSE(fs::exists(file("a.tar.gz.lock")));
  CHECK(fs::exists(file("c.tar.gz.lock")));
}

TEST_CASE_METHOD(Fixture, "removing all of one owner leaves the others", "[hostile]") {
  publish("a.tar.gz");
  publish("b.tar.gz");
  const artifact::Owner other{"GitRepository", {"flux-system", "apps-2"}};
  REQUIRE(store->publish(other, "x.tar.gz", "r", fill_nothing));
  const auto removed = store->remove_all(kApps);
  REQUIRE(removed);
  CHECK(*removed == 2);
  CHECK_FALSE(fs::exists(file("")));
  CHECK(files() == 1);
  const auto again = store->remove_all(kApps);
  REQUIRE(again);
  CHECK(*again == 0);
  REQUIRE(store->remove_all({"GitRepository", {"..", ".."}}));
  CHECK(files() == 1);
}

TEST_CASE_METHOD(Fixture, "opening removes what a killed process left behind, and nothing that is being written") {
  const fs::path partial = root.path() / ".partial";
  write(partial / "left", "half");
  write(partial / "alive", "half");
  const int alive = ::open((partial / "alive").c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(::flock(alive, LOCK_EX) == 0);
  open();
  CHECK_FALSE(fs::exists(partial / "left"));
  CHECK(fs::exists(partial / "alive"));
  ::close(alive);
  open();
  CHECK_FALSE(fs::exists(partial / "alive"));
}

TEST_CASE("a store needs a folder that is there") {
  artifact::StoreOptions options;
  options.root = "/nowhere/at/all";
  const auto opened = artifact::Store::open(options, base::system_clock());
  REQUIRE_FALSE(opened);
  CHECK(opened.error().kind == ErrorKind::io);
  CHECK(opened.error().message == "storage path '/nowhere/at/all' is not a folder");
}

TEST_CASE_METHOD(Fixture, "an owner's folder that cannot be made is told apart") {
  write(root.path() / "gitrepository", "a file in the way");
  const auto failed = store->publish(kApps, "x", "r", fill_nothing);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().reason == artifact::Store::kFolderFailed);
}

TEST_CASE("the advertised address is what was asked for, or follows from the one listened on") {
  const auto address = [](std::string_view asked, std::string_view listens) {
    const auto found = artifact::advertised_address(asked, listens, "pod-1");
    return found ? *found : "error: " + found.error().message;
  };
  CHECK(address("sc.flux-system.svc.cluster.local.", ":9090") == "sc.flux-system.svc.cluster.local.");
  CHECK(address("", ":9090") == "localhost:9090");
  CHECK(address("", "0.0.0.0:9090") == "pod-1:9090");
  CHECK(address("", "10.0.0.1:80") == "10.0.0.1:80");
  CHECK(address("", "[::1]:80") == "[::1]:80");
  CHECK(address("", "9090") == "error: '9090' is not an address such as ':9090'");
}

TEST_CASE_METHOD(Fixture, "an advertised address may bring a scheme of its own") {
  artifact::StoreOptions options;
  options.root = root.path();
  options.advertised_address = "https://artifacts.example.com";
  const auto opened = artifact::Store::open(options, base::system_clock());
  REQUIRE(opened);
  CHECK((*opened)->url_of("a/b/c/d") == "https://artifacts.example.com/a/b/c/d");
}
