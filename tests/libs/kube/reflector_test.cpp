#include "kube/reflector.hpp"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <set>

#include "support/fake_kube.hpp"
#include "support/run_task.hpp"

using namespace std::chrono_literals;
using sluice::base::ErrorKind;
using sluice::doc::Json;
using sluice::kube::Reflector;
using sluice::test::FakeKube;
using sluice::test::make_error;
namespace api = sluice::api;
namespace kube = sluice::kube;

namespace {

const kube::Resource kMaps{"", "v1", "ConfigMap", "configmaps", true};

Json config_map(const std::string& name, std::size_t bytes = 1) {
  return {{"metadata", {{"name", name}, {"namespace", "apps"}}}, {"data", {{"k", std::string(bytes, 'x')}}}};
}

// Keeps names, with the mark of the list that told of them last, as sinks do.
class Names final : public kube::ReflectorSink {
 public:
  void list_began(const std::string&, kube::ListMark mark, bool back) override {
    mark_ = mark;
    if (back) told.push_back("back");
  }
  void list_ended(const std::string&, kube::ListMark mark) override {
    std::erase_if(names, [&](const auto& entry) { return entry.second != mark; });
    ++lists;
  }
  void seen(Json object) override { names[std::string(api::name_of(object))] = mark_; }
  void seen_unreadable(Json metadata) override {
    names[std::string(api::name_of(metadata))] = mark_;
    told.push_back("unreadable " + std::string(api::name_of(metadata)));
  }
  void removed(Json last) override { names.erase(std::string(api::name_of(last))); }
  void not_served(bool kind_gone) override { told.push_back(kind_gone ? "kind gone" : "version gone"); }
  bool is_satisfied() const override { return satisfied; }

  std::map<std::string, kube::ListMark> names;
  std::vector<std::string> told;
  int lists = 0;
  bool satisfied = false;

 private:
  kube::ListMark mark_ = 0;
};

struct Fixture {
  std::shared_ptr<FakeKube> kube = std::make_shared<FakeKube>();
  std::unique_ptr<sluice::rt::Runtime> runtime = std::make_unique<sluice::rt::Runtime>(1);
  Names names;
  kube::ReflectorOptions options;
  std::unique_ptr<Reflector> reflector;
  std::optional<sluice::base::Result<void>> ended;

  Fixture() {
    options.resource = kMaps;
    options.min_pause = 1ms;
    options.max_pause = 8ms;
    options.max_pause_refused = 8ms;
    options.pages.objects = 4;
    options.pages.page_bytes = 10'000;
    options.pages.object_bytes = 20'000;
  }
  ~Fixture() { runtime.reset(); }

  void start() {
    reflector = std::make_unique<Reflector>(kube, sluice::base::system_clock(), sluice::base::Logger::discard(),
                                            options, names);
    runtime->spawn("reflector", run(*this));
  }
  static sluice::rt::Task<void> run(Fixture& self) {
    auto outcome = co_await self.reflector->run();
    self.ended = outcome;
  }
  void until(const std::function<bool()>& is_so) {
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    runtime->context().restart();
    while (!is_so()) {
      if (std::chrono::steady_clock::now() > deadline) FAIL("it never became so");
      runtime->context().run_one_for(5ms);
    }
  }
  void settle(std::chrono::milliseconds time = 20ms) {
    runtime->context().restart();
    runtime->context().run_for(time);
  }
  std::set<std::string> known() const {
    std::set<std::string> all;
    for (const auto& [name, mark] : names.names) all.insert(name);
    return all;
  }
};

}  // namespace

TEST_CASE("a list is told page by page, and what it lacks is gone at its end") {
  Fixture f;
  for (int i = 0; i < 10; ++i) f.kube->put(kMaps, config_map("m" + std::to_string(i)));
  f.start();
  f.until([&] { return f.reflector->is_current(); });
  CHECK(f.names.names.size() == 10);
  CHECK(f.kube->count("list") == 3);
  f.kube->cut_watches(kMaps, make_error(ErrorKind::gone, "expired"));
  f.kube->erase(kMaps, {"apps", "m3"});
  f.until([&] { return f.names.lists == 2; });
  CHECK(f.names.names.size() == 9);
  CHECK_FALSE(f.names.names.contains("m3"));
}

TEST_CASE("a list that breaks half-way drops nothing, and the next one is whole") {
  Fixture f;
  for (int i = 0; i < 10; ++i) f.kube->put(kMaps, config_map("m" + std::to_string(i)));
  f.start();
  f.until([&] { return f.reflector->is_current(); });
  int lists = 0;
  f.kube->before = [&](const FakeKube::Request& request) {
    if (request.verb == "list" && ++lists == 2) f.kube->expire_lists();
  };
  f.kube->cut_watches(kMaps, make_error(ErrorKind::gone, "expired"));
  f.until([&] { return lists == 2; });
  CHECK(f.names.names.size() == 10);
  f.until([&] { return f.names.lists == 2; });
  CHECK(f.names.names.size() == 10);
}

TEST_CASE("objects too large to be read are told by their metadata; the others are seen and watched") {
  Fixture f;
  f.kube->put(kMaps, config_map("a"));
  f.kube->put(kMaps, config_map("b", 30'000));
  f.kube->put(kMaps, config_map("c"));
  f.start();
  f.until([&] { return f.reflector->is_current(); });
  CHECK(f.known() == std::set<std::string>{"a", "b", "c"});
  CHECK(f.names.told == std::vector<std::string>{"unreadable b"});
  f.kube->put(kMaps, config_map("d"));
  f.until([&] { return f.names.names.contains("d"); });
}

TEST_CASE("an event that is too large to be read leads to a list") {
  Fixture f;
  f.start();
  f.until([&] { return f.reflector->is_current(); });
  f.kube->put(kMaps, config_map("late"));
  f.kube->cut_watches(kMaps, make_error(ErrorKind::too_large, "an event of over 16 MiB"));
  f.until([&] { return f.names.lists == 2 && f.reflector->is_current(); });
  CHECK(f.known() == std::set<std::string>{"late"});
}

TEST_CASE("it is current only while a watch is open, and never after it was stopped") {
  Fixture f;
  f.start();
  CHECK_FALSE(f.reflector->is_current());
  f.until([&] { return f.reflector->is_current(); });
  f.kube->fail_next("watch", make_error(ErrorKind::unavailable, "refused"), 3);
  f.kube->cut_watches(kMaps, make_error(ErrorKind::unavailable, "reset"));
  f.until([&] { return f.reflector->state() == Reflector::State::pausing; });
  CHECK_FALSE(f.reflector->is_current());
  CHECK(f.reflector->trouble().has_value());
  f.until([&] { return f.reflector->is_current(); });
  CHECK_FALSE(f.reflector->trouble().has_value());
  f.runtime->shutdown(0ms);
  f.runtime->run();
  CHECK(f.reflector->state() == Reflector::State::stopped);
  CHECK_FALSE(f.reflector->is_current());
}

TEST_CASE("a pause that has grown is short again once a watch was of use") {
  Fixture f;
  f.options.max_pause = 1h;
  f.kube->fail_next("watch", make_error(ErrorKind::unavailable, "refused"), 5);
  f.start();
  f.until([&] { return f.reflector->is_current(); });
  f.kube->put(kMaps, config_map("a"));  // of use
  f.until([&] { return f.names.names.contains("a"); });
  const auto before = std::chrono::steady_clock::now();
  f.kube->cut_watches(kMaps, make_error(ErrorKind::unavailable, "reset"));
  f.until([&] { return !f.reflector->is_current(); });
  f.until([&] { return f.reflector->is_current(); });
  CHECK(std::chrono::steady_clock::now() - before < 20ms);  // 1 ms, not the 32 that were next
}

TEST_CASE("versions that go back are said, as nothing that is known counts then") {
  Fixture f;
  f.start();
  f.until([&] { return f.reflector->is_current(); });
  f.kube->put(kMaps, config_map("a"));
  f.until([&] { return f.names.names.contains("a"); });
  f.kube->restore(50);
  f.kube->cut_watches(kMaps, make_error(ErrorKind::gone, "expired"));
  f.until([&] { return f.names.lists == 2; });
  CHECK(f.names.told == std::vector<std::string>{"back"});
}

TEST_CASE("whatever may have hidden it, versions that went back are found, and a list follows") {
  Fixture f;
  f.options.doubt_pause = 1ms;
  f.options.silence_limit = 10s;
  f.start();
  f.until([&] { return f.reflector->is_current(); });
  f.kube->put(kMaps, config_map("a"));
  f.until([&] { return f.names.names.contains("a"); });
  f.kube->restore(50);
  const auto is_told = [&] { return f.names.told == std::vector<std::string>{"back"} && f.reflector->is_current(); };
  SECTION("a connection that broke") { f.kube->cut_watches(kMaps, make_error(ErrorKind::unavailable, "reset")); }
  SECTION("a watch that ended before its time") { f.kube->cut_watches(kMaps, std::nullopt); }
  SECTION("an answer that was older") { f.reflector->doubt(); }
  SECTION("an event that is older") { f.kube->bookmark(kMaps); }
  f.until(is_told);
  CHECK(f.names.lists == 2);
  CHECK(f.kube->count("look") == 1);
  CHECK(f.kube->requests.back().body["resourceVersion"] == "50");
}

TEST_CASE("a watch that told nothing is followed by a list") {
  Fixture f;
  f.options.silence_limit = 30ms;
  f.start();
  f.until([&] { return f.reflector->is_current(); });
  f.kube->restore(50);
  f.until([&] { return f.names.lists == 2; });
  CHECK(f.names.told == std::vector<std::string>{"back"});
}

TEST_CASE("versions that have caught up meanwhile are gone back all the same, where that is proved") {
  Fixture f;
  f.start();
  f.until([&] { return f.reflector->is_current(); });
  f.reflector->distrust();
  f.until([&] { return f.names.lists == 2 && f.reflector->is_current(); });
  CHECK(f.names.told == std::vector<std::string>{"back"});
  CHECK(f.kube->count("look") == 0);
}

TEST_CASE("a doubt that was none costs a look, not the watch, and not one for each") {
  Fixture f;
  f.start();
  f.until([&] { return f.reflector->is_current(); });
  for (int i = 0; i < 20; ++i) {
    f.reflector->doubt();
    f.settle(2ms);
  }
  CHECK(f.kube->count("look") == 1);
  CHECK(f.kube->count("watch") == 1);
  CHECK(f.names.lists == 1);
  CHECK(f.reflector->is_current());
}

TEST_CASE("a resource that is not found is not served only where that is proved") {
  Fixture f;
  kube::RestMapperOptions quick{1ms, 5ms, 1ms, 0ms};
  f.options.mapper = std::make_shared<kube::RestMapper>(f.kube, quick);
  f.options.max_pause_not_served = 1h;
  f.kube->serve({}, {""});  // its group is stale: nobody knows
  f.kube->before = [&](const FakeKube::Request& request) {
    if (request.verb == "list" && request.plural == kMaps.plural) {
      f.kube->fail_next("list", make_error(ErrorKind::not_found, "the server could not find the requested resource"));
    }
  };
  f.start();
  f.until([&] { return f.kube->count("list", kMaps.plural) >= 4; });
  CHECK(f.names.told.empty());
  CHECK(f.reflector->is_served());
  f.kube->serve({});
  f.until([&] { return !f.names.told.empty(); });
  CHECK(f.names.told == std::vector<std::string>{"kind gone"});
  CHECK_FALSE(f.reflector->is_served());
}

TEST_CASE("where a version is retired and the kind is served under another, no object of it is gone") {
  Fixture f;
  f.options.resource = {"example.com", "v1beta1", "Widget", "widgets", true};
  kube::RestMapperOptions quick{1ms, 5ms, 1ms, 0ms};
  f.options.mapper = std::make_shared<kube::RestMapper>(f.kube, quick);
  f.options.max_pause_not_served = 1h;
  f.kube->serve({f.options.resource, {"example.com", "v1", "Widget", "widgets", true}});
  f.kube->put(f.options.resource, config_map("w"));
  f.start();
  f.until([&] { return f.reflector->is_current(); });
  f.kube->serve({{"example.com", "v1", "Widget", "widgets", true}});
  f.kube->fail_next("list", make_error(ErrorKind::not_found, "the server could not find the requested resource"));
  f.kube->cut_watches(f.options.resource, make_error(ErrorKind::gone, "expired"));
  f.until([&] { return !f.reflector->is_served(); });
  CHECK(f.names.told == std::vector<std::string>{"version gone"});
  CHECK(f.known() == std::set<std::string>{"w"});
}

TEST_CASE("a final error and a satisfied sink end it") {
  Fixture f;
  f.options.is_final = [](const sluice::base::Error& error) { return error.kind == ErrorKind::forbidden; };
  f.kube->fail_next("list", make_error(ErrorKind::forbidden, "no"));
  f.start();
  f.until([&] { return f.ended.has_value(); });
  CHECK(f.ended->error().kind == ErrorKind::forbidden);
  Fixture g;
  g.names.satisfied = true;
  g.start();
  g.until([&] { return g.ended.has_value(); });
  CHECK(*g.ended);
  CHECK(g.kube->requests.empty());
}

TEST_CASE("what goes on to be refused is asked ever more seldom, and at once when somebody has reason to") {
  Fixture f;
  f.options.max_pause_refused = 1h;
  f.kube->fail_next("list", make_error(ErrorKind::forbidden, "no"), 1000);
  f.start();
  f.settle(100ms);
  const std::size_t asked = f.kube->count("list");
  CHECK(asked >= 3);
  CHECK(asked <= 9);
  f.kube->clear_faults();
  f.reflector->wake();
  f.until([&] { return f.reflector->is_current(); });
}
