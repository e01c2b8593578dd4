#include "artifact/fetcher.hpp"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/digest.hpp"
#include "http/server.hpp"
#include "libs/archive/raw_tar.hpp"
#include "libs/archive/temporary_folder.hpp"
#include "libs/http/peers.hpp"
#include "support/raw_server.hpp"
#include "support/run_task.hpp"

using namespace sluice;
using artifact::Fetcher;
using artifact::FetcherOptions;
using base::ErrorKind;

namespace {

using TreeResult = base::Result<std::shared_ptr<const artifact::Tree>>;

// A file server that counts, and answers as it is told.
struct Source {
  rt::Runtime& runtime;
  std::string body;
  int status = 200;
  int requests = 0;
  std::chrono::milliseconds delay{0};
  std::unique_ptr<http::Server> server;

  static rt::Task<http::Reply> answer(Source* self, http::Request) {
    ++self->requests;
    if (self->delay.count() > 0) co_await rt::sleep_for(self->delay);
    http::Reply reply;
    reply.status = self->status;
    reply.body = self->body;
    co_return reply;
  }
  Source(rt::Runtime& r, std::string bytes) : runtime(r), body(std::move(bytes)) {
    auto started = http::Server::start(runtime, "127.0.0.1:0",
                                       [this](http::Request request) { return answer(this, std::move(request)); });
    REQUIRE(started);
    server = *std::move(started);
  }

  api::Artifact artifact() const {
    api::Artifact made;
    made.url = "http://127.0.0.1:" + std::to_string(server->port()) + "/gitrepository/a/b/c.tar.gz";
    made.digest = base::sha256_digest(body);
    made.revision = "main@sha1:abc";
    return made;
  }
};

test::RawEntry file(const std::string& name, const std::string& body, char type = '0') {
  test::RawEntry entry;
  entry.name = name;
  entry.type = type;
  entry.body = body;
  return entry;
}

std::string packed(const std::vector<test::RawEntry>& entries) {
  std::string tar;
  for (const auto& entry : entries) tar += test::raw_entry(entry);
  return test::gzip(tar + std::string(1024, '\0'));
}

struct Fixture {
  test::TemporaryFolder folder;
  rt::Runtime runtime{2};

  std::shared_ptr<Fetcher> fetcher(FetcherOptions options = {}) {
    options.cache.root = folder.path().string();
    options.retry_delay = std::chrono::milliseconds(1);
    auto made = Fetcher::create(runtime, std::move(options));
    REQUIRE(made);
    return *std::move(made);
  }
  TreeResult fetch(Fetcher& fetcher, api::Artifact what, std::string owner = "apps") {
    return test::run(runtime, fetcher.fetch(std::move(what), std::move(owner)));
  }
  base::Error refused(Fetcher& fetcher, api::Artifact what) {
    auto tree = fetch(fetcher, std::move(what));
    REQUIRE_FALSE(tree);
    return std::move(tree).error();
  }
};

rt::Task<void> fetch_into(Fetcher* fetcher, api::Artifact what, std::optional<TreeResult>* into) {
  auto fetched = co_await fetcher->fetch(std::move(what), "apps");
  into->emplace(std::move(fetched));
}

rt::Task<bool> join_all(rt::TaskGroup* group) {
  co_await group->join();
  co_return true;
}

}  // namespace

TEST_CASE("an artifact is downloaded and unpacked once, however many ask and however often") {
  Fixture fixture;
  Source source(fixture.runtime, packed({file("app/a.yaml", "kind: A")}));
  source.delay = std::chrono::milliseconds(20);
  auto fetcher = fixture.fetcher();
  std::vector<std::optional<TreeResult>> results(20);
  rt::TaskGroup group;
  for (auto& result : results) {
    group.spawn(fixture.runtime.context(), fetch_into(fetcher.get(), source.artifact(), &result));
  }
  test::run(fixture.runtime, join_all(&group));
  for (auto& result : results) {
    REQUIRE(result);
    REQUIRE(*result);
    CHECK((**result)->files().read("app/a.yaml").value() == "kind: A");
  }
  CHECK(source.requests == 1);
  CHECK(fixture.fetch(*fetcher, source.artifact()));
  CHECK(source.requests == 1);
}

TEST_CASE("unpacking takes the share of the pool that the source's namespace has") {
  Fixture fixture;
  Source source(fixture.runtime, packed({file("a.yaml", "1")}));
  Source other(fixture.runtime, packed({file("a.yaml", "2")}));
  auto fetcher = fixture.fetcher();
  std::atomic<bool> let_go = false;
  std::atomic<int> begun = 0;
  for (int i = 0; i < 2; ++i) {  // all that one namespace may have
    fixture.runtime.post_blocking("apps", [&] {
      ++begun;
      while (!let_go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    });
  }
  while (begun < 2) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::optional<TreeResult> waiting;
  rt::TaskGroup group;
  group.spawn(fixture.runtime.context(), fetch_into(fetcher.get(), source.artifact(), &waiting));
  CHECK(fixture.fetch(*fetcher, other.artifact(), "others"));
  fixture.runtime.context().restart();
  fixture.runtime.context().run_for(std::chrono::milliseconds(50));
  CHECK_FALSE(waiting);
  let_go = true;
  test::run(fixture.runtime, join_all(&group));
  REQUIRE(waiting);
  CHECK(*waiting);
}

TEST_CASE("a tree knows its files by digest, and two trees are compared once") {
  Fixture fixture;
  Source one(fixture.runtime, packed({file("app/a.yaml", "1"), file("app/b.yaml", "1")}));
  Source two(fixture.runtime, packed({file("app/a.yaml", "2"), file("app/b.yaml", "1")}));
  auto fetcher = fixture.fetcher();
  const auto before = fixture.fetch(*fetcher, one.artifact());
  const auto after = fixture.fetch(*fetcher, two.artifact());
  REQUIRE(before);
  REQUIRE(after);
  const base::RecordingView view((*before)->files());
  CHECK(view.read("app/b.yaml"));
  CHECK((*after)->manifest().holds(view.records()));
  CHECK(view.read("app/a.yaml"));
  CHECK((*before)->manifest().holds(view.records()));
  CHECK_FALSE((*after)->manifest().holds(view.records()));
  const auto changes = fetcher->cache().changes(**before, **after);
  CHECK(changes->paths() == std::vector<std::string>{"app/a.yaml"});
  CHECK(fetcher->cache().changes(**before, **after) == changes);
  CHECK(fetcher->cache().changes(**after, **before) != changes);
}

TEST_CASE("who led a download may be cancelled; another one brings it to its end") {
  Fixture fixture;
  Source source(fixture.runtime, packed({file("a", "1")}));
  source.delay = std::chrono::milliseconds(20);
  auto fetcher = fixture.fetcher();
  std::optional<TreeResult> first;
  std::optional<TreeResult> second;
  rt::TaskGroup leader;
  rt::TaskGroup follower;
  leader.spawn(fixture.runtime.context(), fetch_into(fetcher.get(), source.artifact(), &first));
  follower.spawn(fixture.runtime.context(), fetch_into(fetcher.get(), source.artifact(), &second));
  fixture.runtime.context().run_for(std::chrono::milliseconds(5));
  leader.cancel();
  test::run(fixture.runtime, join_all(&leader));
  test::run(fixture.runtime, join_all(&follower));
  CHECK_FALSE(first);
  REQUIRE(second);
  CHECK(*second);
}

TEST_CASE("bytes other than those promised are not looked into") {
  Fixture fixture;
  Source source(fixture.runtime, packed({file("a", "1")}));
  auto fetcher = fixture.fetcher();
  api::Artifact wrong = source.artifact();
  wrong.digest = base::sha256_digest("something else");
  const auto error = fixture.refused(*fetcher, wrong);
  CHECK(error.kind == ErrorKind::untrusted);
  CHECK(error.message.find(wrong.digest) != std::string::npos);
  CHECK(error.message.find(wrong.url) != std::string::npos);
  CHECK(source.requests == 1);
  wrong.digest.clear();
  CHECK(fixture.refused(*fetcher, wrong).kind == ErrorKind::untrusted);
  wrong.digest = "md5:abc";
  CHECK_FALSE(fixture.fetch(*fetcher, wrong));
  wrong.digest = "sha256:../../../etc";
  CHECK_FALSE(fixture.fetch(*fetcher, wrong));
  CHECK(fetcher->cache().size() == 0);
}

TEST_CASE("archives that reach out, or are no archives, leave nothing behind") {
  Fixture fixture;
  auto fetcher = fixture.fetcher();
  for (const std::string& body : {packed({file("../a", "1")}), packed({file("/etc/a", "1")}),
                                  packed({file("dev", "", '3')}), std::string("not gzip"), std::string()}) {
    Source source(fixture.runtime, body);
    const auto error = fixture.refused(*fetcher, source.artifact());
    CHECK_FALSE(error.message.empty());
    CHECK_FALSE(std::filesystem::exists(fetcher->cache().path_of(source.artifact().digest)));
    source.server->stop();
  }
  CHECK_FALSE(std::filesystem::exists(fixture.folder.path() / "a"));
}

TEST_CASE("what is larger than it may be is refused, by its head, its body or its content") {
  Fixture fixture;
  Source source(fixture.runtime, packed({file("a", std::string(100'000, 'x'))}));
  FetcherOptions small;
  small.max_archive_bytes = 50;
  CHECK(fixture.refused(*fixture.fetcher(small), source.artifact()).kind == ErrorKind::too_large);
  api::Artifact lying = source.artifact();
  lying.size = 10;
  CHECK(fixture.refused(*fixture.fetcher(), lying).kind == ErrorKind::too_large);
  FetcherOptions shallow;
  shallow.limits.max_file_bytes = 1000;
  CHECK(fixture.refused(*fixture.fetcher(shallow), source.artifact()).kind == ErrorKind::too_large);
}

TEST_CASE("an archive larger than a piece goes through the disk and is the same") {
  Fixture fixture;
  std::string noise(3U << 20U, '\0');
  std::uint32_t state = 1;
  for (char& c : noise) c = static_cast<char>((state = state * 1664525U + 1013904223U) >> 24U);
  Source source(fixture.runtime, packed({file("noise", noise)}));
  REQUIRE(source.body.size() > (2U << 20U));
  auto fetcher = fixture.fetcher();
  auto tree = fixture.fetch(*fetcher, source.artifact());
  if (!tree) FAIL(tree.error().message);
  CHECK((*tree)->files().read("noise").value() == noise);
  // The spool is gone, and the tree has no name; the lock is what is left.
  const std::filesystem::directory_iterator all(fetcher->cache().folder());
  CHECK(std::distance(begin(all), end(all)) == 1);
}

TEST_CASE("a tree that is too large for an index is unpacked into a folder, and goes with it") {
  Fixture fixture;
  std::string deep;
  for (int i = 0; i < 7; ++i) deep += std::string(250, static_cast<char>('a' + i)) + "/";
  std::vector<test::RawEntry> entries;
  for (std::size_t bytes = 0, i = 0; bytes <= artifact::TreeManifest::kMaxPathBytes; ++i) {
    std::string path = deep + std::to_string(i);
    bytes += path.size();
    entries.push_back(file("long", std::move(path), 'L'));
    entries.push_back(file("short", std::to_string(i)));
  }
  Source source(fixture.runtime, packed(entries));
  FetcherOptions options;
  options.cache.max_unused_trees = 0;
  auto fetcher = fixture.fetcher(options);
  auto tree = fixture.fetch(*fetcher, source.artifact());
  if (!tree) FAIL(tree.error().message);
  CHECK_FALSE((*tree)->manifest().is_complete());
  CHECK((*tree)->files().read(deep + "7").value() == "7");
  CHECK((*tree)->files().list(deep.substr(0, deep.size() - 1)).value().size() == entries.size() / 2);
  CHECK(std::filesystem::exists(fetcher->cache().path_of(source.artifact().digest)));
  *tree = nullptr;
  Source other(fixture.runtime, packed({file("a", "1")}));
  REQUIRE(fixture.fetch(*fetcher, other.artifact()));
  CHECK_FALSE(std::filesystem::exists(fetcher->cache().path_of(source.artifact().digest)));
}

TEST_CASE("an archive in which a path is a file and a folder is refused, whichever comes first") {
  Fixture fixture;
  auto fetcher = fixture.fetcher();
  for (const std::string& body :
       {packed({file("a", "1"), file("a/b", "1")}), packed({file("a/b", "1"), file("a", "1")})}) {
    Source source(fixture.runtime, body);
    CHECK(fixture.refused(*fetcher, source.artifact()).kind == ErrorKind::invalid);
    source.server->stop();
  }
}

TEST_CASE("a server that is gone or broken is asked again, one that has no such file is not") {
  Fixture fixture;
  Source source(fixture.runtime, packed({file("a", "1")}));
  auto fetcher = fixture.fetcher();
  source.status = 503;
  CHECK(fixture.refused(*fetcher, source.artifact()).kind == ErrorKind::unavailable);
  CHECK(source.requests == 3);
  source.status = 404;
  CHECK(fixture.refused(*fetcher, source.artifact()).kind == ErrorKind::not_found);
  CHECK(source.requests == 4);
  source.status = 200;
  CHECK(fixture.fetch(*fetcher, source.artifact()));
}

TEST_CASE("a body that ends early is not taken for the whole") {
  Fixture fixture;
  const std::string body = packed({file("a", "1")});
  test::RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + body);
  api::Artifact what;
  what.digest = base::sha256_digest(body);
  what.url = "http://127.0.0.1:" + std::to_string(server.port()) + "/a.tar.gz";
  CHECK(fixture.refused(*fixture.fetcher(), what).kind == ErrorKind::unavailable);
}

TEST_CASE("a server that drips is given up and not asked again; one that is slow and sure is not") {
  Fixture fixture;
  std::string noise(200'000, '\0');
  std::uint32_t state = 1;
  for (char& c : noise) c = static_cast<char>((state = state * 1664525U + 1013904223U) >> 24U);
  const std::string body = packed({file("noise", noise)});
  // As many bytes at a time, ten times a second.
  const auto serve = [&](std::size_t piece) {
    return std::make_unique<test::SocketServer>([&body, piece](int fd, int) {
      if (test::read_request(fd).empty()) return;
      test::send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n");
      for (std::size_t at = 0; at < body.size(); at += piece) {
        const auto some = std::string_view(body).substr(at, piece);
        if (::send(fd, some.data(), some.size(), MSG_NOSIGNAL) < 0) return;
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      }
    });
  };
  FetcherOptions options;
  options.rate_window = std::chrono::milliseconds(400);
  options.min_bytes_in_window = 1000;
  auto fetcher = fixture.fetcher(options);
  api::Artifact what;
  what.digest = base::sha256_digest(body);
  const auto url_of = [](const test::SocketServer& server) {
    return "http://127.0.0.1:" + std::to_string(server.port()) + "/a.tar.gz";
  };
  const auto dripping = serve(1);
  what.url = url_of(*dripping);
  const auto began = std::chrono::steady_clock::now();
  const auto error = fixture.refused(*fetcher, what);
  CHECK(error.kind == ErrorKind::timeout);
  CHECK(error.message.find("bytes in") != std::string::npos);
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(5));
  CHECK(dripping->connections() == 1);
  const auto slow = serve(20'000);
  what.url = url_of(*slow);
  CHECK(fixture.fetch(*fetcher, what));
}

TEST_CASE("all attempts together have a time, however lively the server is") {
  Fixture fixture;
  const std::string body(1U << 20U, 'x');
  test::SocketServer endless([](int fd, int) {
    if (test::read_request(fd).empty()) return;
    test::send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n");
    const std::string piece(1000, 'x');
    while (::send(fd, piece.data(), piece.size(), MSG_NOSIGNAL) > 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  });
  FetcherOptions options;
  options.total_timeout = std::chrono::milliseconds(500);
  api::Artifact what;
  what.digest = base::sha256_digest(body);
  what.url = "http://127.0.0.1:" + std::to_string(endless.port()) + "/a.tar.gz";
  const auto began = std::chrono::steady_clock::now();
  CHECK(fixture.refused(*fixture.fetcher(options), what).kind == ErrorKind::timeout);
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(5));
  CHECK(endless.connections() == 1);
}

TEST_CASE("a tree lives while it is held, and unused ones go when there are too many") {
  Fixture fixture;
  FetcherOptions options;
  options.cache.max_unused_trees = 1;
  auto fetcher = fixture.fetcher(options);
  Source one(fixture.runtime, packed({file("a", "1")}));
  Source two(fixture.runtime, packed({file("a", "2")}));
  Source three(fixture.runtime, packed({file("a", "3")}));
  auto held = fixture.fetch(*fetcher, one.artifact());
  REQUIRE(held);
  REQUIRE(fixture.fetch(*fetcher, two.artifact()));
  REQUIRE(fixture.fetch(*fetcher, three.artifact()));
  auto four = fixture.fetch(*fetcher, one.artifact());
  REQUIRE(four);
  CHECK(one.requests == 1);
  CHECK((*held)->files().read("a").value() == "1");
  CHECK(fetcher->cache().size() <= 3);
}

TEST_CASE("folders of dead processes are removed, those of living ones are not") {
  Fixture fixture;
  const auto dead = fixture.folder.path() / "sluice-artifacts-dead00";
  std::filesystem::create_directories(dead / "sha256-abc.partial-1");
  std::ofstream(dead / "sha256-abc.partial-1" / "file") << "x";
  const auto foreign = fixture.folder.path() / "something-else";
  std::filesystem::create_directories(foreign);
  auto first = fixture.fetcher();
  CHECK_FALSE(std::filesystem::exists(dead));
  CHECK(std::filesystem::exists(foreign));
  auto second = fixture.fetcher();
  CHECK(std::filesystem::exists(first->cache().folder()));
  CHECK(first->cache().folder() != second->cache().folder());
  const std::string gone = first->cache().folder();
  first.reset();
  CHECK_FALSE(std::filesystem::exists(gone));
}

TEST_CASE("the host of the address may be replaced") {
  Fixture fixture;
  Source source(fixture.runtime, packed({file("a", "1")}));
  FetcherOptions options;
  options.host_override = "127.0.0.1:" + std::to_string(source.server->port());
  auto fetcher = fixture.fetcher(options);
  api::Artifact what = source.artifact();
  what.url = "http://source-controller.flux-system.svc.cluster.local./gitrepository/a/b/c.tar.gz";
  CHECK(fixture.fetch(*fetcher, what));
}
