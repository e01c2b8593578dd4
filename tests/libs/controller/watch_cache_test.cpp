#include "controller/watch_cache.hpp"

#include "harness.hpp"

using namespace std::chrono_literals;
using namespace sluice::test;
using sluice::base::ErrorKind;
using sluice::controller::CacheHandlers;
using sluice::controller::is_older_version;
using sluice::controller::Object;
using sluice::controller::WatchCache;

namespace {

struct CacheHarness : Harness {
  explicit CacheHarness(std::function<void(sluice::controller::WatchCacheOptions&)> change = {}) {
    auto options = cache_options();
    if (change) change(options);
    cache = std::make_unique<WatchCache>(kube, sluice::base::system_clock(), sluice::base::Logger::discard(), options);
    CacheHandlers handlers;
    handlers.added = [this](const Object& now) { seen.push_back("+" + name(now)); };
    handlers.updated = [this](const Object&, const Object& now) { seen.push_back("~" + name(now)); };
    handlers.deleted = [this](const Object& last) { seen.push_back("-" + name(last)); };
    cache->subscribe(handlers);
  }
  ~CacheHarness() { runtime.reset(); }
  static std::string name(const Object& object) { return std::string(sluice::api::name_of(*object)); }
  void start() {
    runtime->spawn("cache", cache->run());
    until(*runtime, [&] { return cache->has_synced() && kube->open_watches() == 1; });
  }
  int size_of(const std::string& of) const {
    const auto object = cache->find(foo_key(of));
    return object ? (*object)["spec"]["size"].get<int>() : -1;
  }

  std::unique_ptr<WatchCache> cache;
  std::vector<std::string> seen;
};

}  // namespace

TEST_CASE("a cache lists, then follows what is added, changed and deleted") {
  CacheHarness h;
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  CHECK(h.cache->size() == 1);
  h.kube->put(kFoos, make_foo("b"));
  h.kube->put(kFoos, make_foo("a", 2));
  h.kube->erase(kFoos, foo_key("b"));
  until(*h.runtime, [&] { return h.seen.size() == 4; });
  CHECK(h.seen == std::vector<std::string>{"+a", "+b", "~a", "-b"});
  CHECK(h.size_of("a") == 2);
  CHECK_FALSE(h.cache->find(foo_key("b")));
  CHECK(h.cache->state() == WatchCache::State::watching);
  CHECK(h.cache->staleness() == 0ns);
}

TEST_CASE("a watch that the server ends in order goes on where it was, without a list") {
  CacheHarness h;
  h.start();
  h.kube->put(kFoos, make_foo("a"));
  h.kube->cut_watches(kFoos, std::nullopt);
  until(*h.runtime, [&] { return h.kube->count("watch") == 2; });
  h.kube->put(kFoos, make_foo("b"));
  until(*h.runtime, [&] { return h.cache->size() == 2; });
  CHECK(h.kube->count("list") == 1);
  CHECK(h.seen == std::vector<std::string>{"+a", "+b"});
}

TEST_CASE("410 Gone leads to one list, which reports only what differs") {
  CacheHarness h;
  h.kube->put(kFoos, make_foo("kept"));
  h.kube->put(kFoos, make_foo("changed"));
  h.kube->put(kFoos, make_foo("removed"));
  h.start();
  h.seen.clear();
  h.kube->cut_watches(kFoos, make_error(ErrorKind::gone, "too old resource version"));
  h.kube->put(kFoos, make_foo("changed", 7));
  h.kube->erase(kFoos, foo_key("removed"));
  h.kube->put(kFoos, make_foo("new"));
  until(*h.runtime, [&] { return h.kube->count("list") == 2 && h.kube->open_watches() == 1; });
  std::sort(h.seen.begin(), h.seen.end());
  CHECK(h.seen == std::vector<std::string>{"+new", "-removed", "~changed"});
}

TEST_CASE("a server that answers every watch with 410 is asked ever more seldom") {
  CacheHarness h([](auto& options) { options.max_backoff = 1h; });
  h.kube->fail_next("watch", make_error(ErrorKind::gone, "expired"), 1000);
  h.runtime->spawn("cache", h.cache->run());
  settle(*h.runtime, 60ms);
  // 1 + 2 + 4 + 8 + 16 + 32 ms: with no backoff there would be hundreds.
  CHECK(h.kube->count("list") >= 3);
  CHECK(h.kube->count("list") <= 8);
}

TEST_CASE("while the server is away the objects stay, staleness is known, and it recovers") {
  CacheHarness h;
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  h.kube->fail_next("watch", make_error(ErrorKind::unavailable, "connection refused"), 3);
  h.kube->cut_watches(kFoos, make_error(ErrorKind::unavailable, "connection reset"));
  until(*h.runtime, [&] { return h.cache->last_error().has_value(); });
  CHECK(h.cache->state() == WatchCache::State::pausing);
  CHECK(h.cache->find(foo_key("a")));
  CHECK(*h.cache->staleness() >= 0ns);
  until(*h.runtime, [&] { return h.kube->open_watches() == 1 && !h.cache->last_error(); });
  CHECK(h.kube->count("list") == 1);
}

TEST_CASE("a list that fails at first is tried until it succeeds, and only then has the cache synced") {
  CacheHarness h;
  h.kube->fail_next("list", make_error(ErrorKind::unavailable, "no route"), 2);
  h.runtime->spawn("cache", h.cache->run());
  until(*h.runtime, [&] { return h.kube->count("list") == 1; });
  CHECK_FALSE(h.cache->has_synced());
  CHECK_FALSE(h.cache->staleness());
  until(*h.runtime, [&] { return h.cache->has_synced(); });
  CHECK(h.kube->count("list") == 3);
}

TEST_CASE("a watch on which nothing comes is cut and opened anew; bookmarks keep it alive") {
  CacheHarness h([](auto& options) { options.silence_limit = 400ms; });
  h.start();
  for (int i = 0; i < 10; ++i) {
    settle(*h.runtime, 50ms);
    h.kube->bookmark(kFoos);
  }
  CHECK(h.kube->count("watch") == 1);
  until(*h.runtime, [&] { return h.kube->count("watch") >= 2; });
}

TEST_CASE("a watch resumes at the version of the last bookmark") {
  CacheHarness h;
  h.start();
  h.kube->put({"", "v1", "Other", "others", true}, make_foo("elsewhere"));
  h.kube->bookmark(kFoos);
  h.kube->cut_watches(kFoos, std::nullopt);
  until(*h.runtime, [&] { return h.kube->count("watch") == 2; });
  CHECK(h.kube->requests.back().body["resourceVersion"] == h.kube->version());
}

TEST_CASE("what the daemon wrote is seen at once, and an older event does not undo it") {
  CacheHarness h;
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  h.kube->put(kFoos, make_foo("a", 2));
  h.kube->put(kFoos, make_foo("a", 3));
  h.cache->observe_write(h.kube->object(kFoos, foo_key("a")));  // before the events of 2 and 3 are read
  CHECK(h.size_of("a") == 3);
  settle(*h.runtime);
  CHECK(h.size_of("a") == 3);
  CHECK(h.seen == std::vector<std::string>{"+a", "~a"});
}

TEST_CASE("after versions went back the server is right, of what has gone as well") {
  CacheHarness h;
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  const auto backup = h.kube->back_up();
  h.kube->put(kFoos, make_foo("a", 2));
  h.kube->put(kFoos, make_foo("late"));
  until(*h.runtime, [&] { return h.size_of("a") == 2 && h.size_of("late") == 1; });
  h.seen.clear();
  h.kube->put_back(backup);
  SECTION("an answer of which that is proved counts at once") {
    h.cache->observe_went_back(h.kube->object(kFoos, foo_key("a")));
    CHECK(h.size_of("a") == 1);
  }
  SECTION("one that may have crossed an event does not") {
    h.cache->observe_write(h.kube->object(kFoos, foo_key("a")));
    CHECK(h.size_of("a") == 2);
  }
  until(*h.runtime, [&] { return h.cache->size() == 1 && h.size_of("a") == 1; });
  CHECK(h.kube->count("list") == 2);
  CHECK(h.seen == std::vector<std::string>{"~a", "-late"});
}

TEST_CASE("a write to an object that has gone meanwhile does not bring it back") {
  CacheHarness h;
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  const auto written = h.kube->object(kFoos, foo_key("a"));
  h.kube->erase(kFoos, foo_key("a"));
  until(*h.runtime, [&] { return h.cache->size() == 0; });
  h.cache->observe_write(written);
  CHECK(h.cache->size() == 0);
}

namespace {

sluice::doc::Json make_labelled(const std::string& name) {
  auto foo = make_foo(name);
  foo["metadata"]["labels"]["shard"] = "one";
  return foo;
}

}  // namespace

TEST_CASE("an object that has lost its shard's label is gone, though the daemon has written to it since") {
  CacheHarness h([](auto& options) { options.label_selector = "shard"; });
  h.kube->put(kFoos, make_labelled("a"));
  h.start();
  REQUIRE(h.cache->size() == 1);
  h.kube->put(kFoos, make_foo("a"));
  h.kube->put(kFoos, make_foo("a", 2));
  h.cache->observe_write(h.kube->object(kFoos, foo_key("a")));  // before the event of the label is read
  until(*h.runtime, [&] { return h.cache->size() == 0; });
  CHECK(h.seen.back() == "-a");
}

TEST_CASE("an object that no list selects any more is gone, though the daemon writes to it while it lists") {
  CacheHarness h([](auto& options) { options.label_selector = "shard"; });
  for (int i = 0; i < 150; ++i) h.kube->put(kFoos, make_labelled("m" + std::to_string(i)));  // more than a page
  h.start();
  REQUIRE(h.cache->size() == 150);
  std::size_t lists = 0;
  h.kube->before = [&](const FakeKube::Request& request) {
    if (request.verb != "list" || ++lists != 2) return;
    h.kube->put(kFoos, make_foo("m7", 2));
    h.cache->observe_write(h.kube->object(kFoos, foo_key("m7")));
  };
  h.kube->cut_watches(kFoos, make_error(ErrorKind::gone, "expired"));
  h.kube->put(kFoos, make_foo("m7"));
  until(*h.runtime, [&] { return lists >= 2 && h.kube->open_watches() == 1; });
  CHECK(h.cache->size() == 149);
  CHECK_FALSE(h.cache->find(foo_key("m7")));
}

TEST_CASE("indexes follow the objects") {
  CacheHarness h;
  h.kube->put(kFoos, make_foo("a", 1));
  h.start();
  h.cache->add_index("size", [](const sluice::doc::Json& foo) {
    return std::vector<std::string>{std::to_string(foo["spec"]["size"].get<int>())};
  });
  CHECK(h.cache->keys_by_index("size", "1").size() == 1);
  h.kube->put(kFoos, make_foo("b", 1));
  until(*h.runtime, [&] { return h.cache->keys_by_index("size", "1").size() == 2; });
  h.kube->put(kFoos, make_foo("a", 2));
  until(*h.runtime, [&] { return h.cache->keys_by_index("size", "2").size() == 1; });
  CHECK(h.cache->keys_by_index("size", "1").size() == 1);
  h.kube->erase(kFoos, foo_key("a"));
  until(*h.runtime, [&] { return h.cache->keys_by_index("size", "2").empty(); });
  CHECK(h.cache->keys_by_index("nonsense", "1").empty());
}

TEST_CASE("a handler may unsubscribe another while a change is told") {
  CacheHarness h;
  h.start();
  int told = 0;
  CacheHandlers second;
  WatchCache::HandlerId id = 0;
  CacheHandlers first;
  first.added = [&](const Object&) { h.cache->unsubscribe(id); };
  second.added = [&](const Object&) { ++told; };
  h.cache->subscribe(first);
  id = h.cache->subscribe(second);
  h.kube->put(kFoos, make_foo("a"));
  until(*h.runtime, [&] { return h.cache->size() == 1; });
  CHECK(told == 0);
}

namespace {

// A mapper that needs no patience.
void with_mapper(CacheHarness& h, sluice::controller::WatchCacheOptions& options) {
  sluice::kube::RestMapperOptions quick{1ms, 5ms, 1ms, 0ms};
  options.mapper = std::make_shared<sluice::kube::RestMapper>(h.kube, quick);
}

}  // namespace

TEST_CASE("who waits for a resource that is proved not to be served goes on without it, and learns of it when it is") {
  CacheHarness h;
  auto options = h.cache_options();
  with_mapper(h, options);
  h.cache =
      std::make_unique<WatchCache>(h.kube, sluice::base::system_clock(), sluice::base::Logger::discard(), options);
  h.kube->serve({});
  h.kube->put(kFoos, make_foo("a"));
  bool installed = false;
  h.kube->before = [&](const FakeKube::Request& request) {
    if (request.verb == "list" && request.plural == kFoos.plural && !installed) {
      h.kube->fail_next("list", make_error(ErrorKind::not_found, "the server could not find the requested resource"));
    }
  };
  h.runtime->spawn("cache", h.cache->run());
  until(*h.runtime, [&] { return h.cache->has_synced(); });
  CHECK(h.cache->size() == 0);
  CHECK(h.cache->is_in_touch());
  CHECK(h.cache->why_not_ready().empty());
  h.cache->require();
  CHECK(h.cache->why_not_ready().find("CustomResourceDefinition") != std::string::npos);
  installed = true;
  h.kube->serve({kFoos});
  until(*h.runtime, [&] { return h.cache->size() == 1; });
  CHECK(h.cache->why_not_ready().empty());
}

TEST_CASE("a resource that is denied but not proved to be gone keeps what is cached, and nobody goes on without it") {
  CacheHarness h;
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  h.kube->fail_next("list", make_error(ErrorKind::not_found, "the server could not find the resource"), 6);
  h.kube->cut_watches(kFoos, make_error(ErrorKind::gone, "expired"));
  until(*h.runtime, [&] { return h.kube->count("list") == 6; });
  CHECK(h.cache->size() == 1);
  CHECK(h.seen == std::vector<std::string>{"+a"});
  CacheHarness other;
  other.kube->fail_next("list", make_error(ErrorKind::not_found, "the server could not find the resource"), 6);
  other.runtime->spawn("cache", other.cache->run());
  until(*other.runtime, [&] { return other.kube->count("list") == 6; });
  CHECK_FALSE(other.cache->has_synced());
}

TEST_CASE("an object that was deleted and made anew while nobody looked is told as two") {
  CacheHarness h;
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  h.kube->cut_watches(kFoos, make_error(ErrorKind::gone, "expired"));
  h.kube->erase(kFoos, foo_key("a"));
  h.kube->put(kFoos, make_foo("a"));
  until(*h.runtime, [&] { return h.seen.size() == 3; });
  CHECK(h.seen == std::vector<std::string>{"+a", "-a", "+a"});
}

TEST_CASE("a token that is refused keeps a daemon from being ready, also after it was") {
  CacheHarness h;
  h.start();
  CHECK(h.cache->why_not_ready().empty());
  h.kube->fail_next("watch", make_error(ErrorKind::unauthorized, "Unauthorized"), 1000);
  h.kube->cut_watches(kFoos, std::nullopt);
  until(*h.runtime, [&] { return !h.cache->why_not_ready().empty(); });
  CHECK(h.cache->why_not_ready() == "foos cannot be watched: Unauthorized");
  h.kube->clear_faults();
  until(*h.runtime, [&] { return h.cache->why_not_ready().empty(); });
}

TEST_CASE("managedFields are dropped and objects are cut down as told") {
  CacheHarness h([](auto& options) { options.transform = [](sluice::doc::Json& object) { object.erase("spec"); }; });
  auto foo = make_foo("a");
  foo["metadata"]["managedFields"] = {{{"manager", "kubectl"}}};
  foo["metadata"]["annotations"] = {{"kubectl.kubernetes.io/last-applied-configuration", "{}"}, {"kept", "x"}};
  h.kube->put(kFoos, foo);
  h.start();
  const auto cached = h.cache->find(foo_key("a"));
  CHECK_FALSE((*cached)["metadata"].contains("managedFields"));
  CHECK((*cached)["metadata"]["annotations"] == sluice::doc::Json{{"kept", "x"}});
  CHECK_FALSE(cached->contains("spec"));
}

TEST_CASE("a handler that comes late is told what is there") {
  CacheHarness h;
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  std::string late;
  CacheHandlers handlers;
  handlers.added = [&](const Object& now) { late = CacheHarness::name(now); };
  const auto id = h.cache->subscribe(handlers);
  CHECK(late == "a");
  h.cache->unsubscribe(id);
  h.kube->put(kFoos, make_foo("b"));
  until(*h.runtime, [&] { return h.cache->size() == 2; });
  CHECK(late == "a");
}

TEST_CASE("versions compare as numbers of any length, and as nothing else") {
  CHECK(is_older_version("99", "100"));
  CHECK_FALSE(is_older_version("100", "99"));
  CHECK_FALSE(is_older_version("7", "7"));
  CHECK_FALSE(is_older_version("", "7"));
  CHECK_FALSE(is_older_version("a", "7"));
}
