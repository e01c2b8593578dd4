#include "apply/live_objects.hpp"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include "support/fake_kube.hpp"
#include "support/run_task.hpp"

using namespace sluice;
using apply::Health;
using apply::LiveObjects;
using base::ErrorKind;

namespace {

const kube::Resource kMaps{"", "v1", "ConfigMap", "configmaps", true};
const api::ObjectKey kA{"apps", "a"};

doc::Json config_map(const char* value, const char* owner = "shop") {
  doc::Json object = {
      {"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", "a"}, {"namespace", "apps"}}}};
  object["data"]["k"] = value;
  if (*owner != '\0') {
    object["metadata"]["labels"] = {{"example.com/name", owner}, {"example.com/namespace", "flux-system"}};
  }
  return object;
}

struct Fixture {
  std::shared_ptr<test::FakeKube> kube = std::make_shared<test::FakeKube>();
  std::unique_ptr<rt::Runtime> runtime = std::make_unique<rt::Runtime>(1);
  std::shared_ptr<LiveObjects> live;
  std::vector<std::string> drifted;

  Fixture() {
    apply::LiveOptions options;
    options.owner_group = "example.com";
    options.field_manager = "ours";
    options.min_backoff = std::chrono::milliseconds(1);
    options.max_backoff = std::chrono::milliseconds(4);
    live = LiveObjects::create(*runtime, kube, base::Logger::discard(), std::move(options));
    live->on_drift = [this](const api::ObjectKey& owner, const api::ObjectId& id) {
      drifted.push_back(owner.str() + " " + id.display());
    };
  }
  ~Fixture() { runtime.reset(); }

  void watch() {
    live->watch(kMaps);
    CHECK(test::run(*runtime, live->wait_current(kMaps, std::chrono::seconds(5))));
  }
  void until(const std::function<bool()>& is_so) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    runtime->context().restart();
    while (!is_so()) {
      if (std::chrono::steady_clock::now() > deadline) FAIL("it never became so");
      runtime->context().run_one_for(std::chrono::milliseconds(5));
    }
  }
  void settle() {
    runtime->context().restart();
    runtime->context().run_for(std::chrono::milliseconds(20));
  }
  // As apply does: a write, and the server's answer to it.
  void write(const char* value, std::uint64_t hash) {
    const LiveObjects::Write guard(live, kMaps, kA);
    kube->put(kMaps, config_map(value));
    settle();  // the watch is faster than the answer
    live->note_left(kMaps, kube->object(kMaps, kA), hash);
  }
};

}  // namespace

TEST_CASE("objects that carry an owner's label are known, others are not") {
  Fixture fixture;
  fixture.kube->put(kMaps, config_map("1"));
  fixture.watch();
  const auto* known = fixture.live->find(kMaps, kA);
  REQUIRE(known != nullptr);
  CHECK(known->owner == api::ObjectKey{"flux-system", "shop"});
  CHECK(known->health == Health::current);
  CHECK_FALSE(known->stands());  // not left by us
  fixture.kube->erase(kMaps, kA);
  fixture.until([&] { return fixture.live->find(kMaps, kA) == nullptr; });
  fixture.kube->put(kMaps, config_map("1", ""));
  fixture.settle();
  CHECK(fixture.live->find(kMaps, kA) == nullptr);
  CHECK(fixture.drifted.empty());
}

TEST_CASE("our own writes are no drift, whichever of watch and answer comes first; those of others are") {
  Fixture fixture;
  fixture.watch();
  fixture.write("1", 11);
  fixture.write("2", 12);
  CHECK(fixture.drifted.empty());
  REQUIRE(fixture.live->find(kMaps, kA) != nullptr);
  CHECK(fixture.live->find(kMaps, kA)->stands());
  CHECK(fixture.live->find(kMaps, kA)->desired == 12);
  doc::Json status = fixture.kube->object(kMaps, kA);
  status["status"] = {{"x", 1}};
  fixture.kube->put(kMaps, status);
  fixture.settle();
  CHECK(fixture.drifted.empty());
  fixture.kube->put(kMaps, config_map("by hand"));
  fixture.until([&] { return !fixture.drifted.empty(); });
  CHECK(fixture.drifted == std::vector<std::string>{"flux-system/shop ConfigMap/apps/a"});
  CHECK_FALSE(fixture.live->find(kMaps, kA)->stands());
}

TEST_CASE("a deletion is drift, also one that comes while we write, but not our own") {
  Fixture fixture;
  fixture.watch();
  fixture.write("1", 11);
  fixture.kube->erase(kMaps, kA);
  fixture.until([&] { return fixture.drifted.size() == 1; });
  {
    const LiveObjects::Write guard(fixture.live, kMaps, kA);
    fixture.kube->put(kMaps, config_map("1"));
    const doc::Json answer = fixture.kube->object(kMaps, kA);
    fixture.kube->erase(kMaps, kA);
    fixture.settle();
    fixture.live->note_left(kMaps, answer, 11);  // older than what the watch has told
    CHECK(fixture.live->find(kMaps, kA) == nullptr);
  }
  CHECK(fixture.drifted.size() == 2);
  fixture.write("1", 11);
  fixture.live->disown(kMaps, kA);
  fixture.kube->erase(kMaps, kA);
  fixture.settle();
  CHECK(fixture.drifted.size() == 2);
}

TEST_CASE("what happens while a watch is down is found by the list that follows") {
  Fixture fixture;
  fixture.watch();
  fixture.write("1", 11);
  fixture.kube->fail_next("watch", test::make_error(ErrorKind::unavailable, "gone"), 1);
  fixture.kube->cut_watches(kMaps, test::make_error(ErrorKind::gone, "expired"));
  fixture.kube->put(kMaps, config_map("by hand"));
  fixture.until([&] { return fixture.drifted.size() == 1; });
  fixture.until([&] { return fixture.live->is_current(kMaps); });
  fixture.write("1", 11);
  fixture.kube->cut_watches(kMaps, std::nullopt);
  fixture.kube->erase(kMaps, kA);
  fixture.until([&] { return fixture.drifted.size() == 2; });
}

TEST_CASE("records are no newer than an etcd that came back from a backup") {
  Fixture fixture;
  fixture.watch();
  fixture.write("1", 11);
  fixture.kube->restore(5);
  fixture.kube->cut_watches(kMaps, test::make_error(ErrorKind::gone, "too new"));
  fixture.kube->put(kMaps, config_map("by hand"));
  fixture.until([&] { return fixture.drifted.size() == 1; });
}

TEST_CASE("what was settled from records that are newer than the server's stands no more") {
  Fixture fixture;
  fixture.kube->put(kMaps, config_map("1"));
  fixture.watch();
  const auto backup = fixture.kube->back_up();
  fixture.write("2", 12);
  CHECK(fixture.drifted.empty());
  CHECK(fixture.live->find(kMaps, kA)->stands());
  fixture.kube->cut_watches(kMaps, test::make_error(ErrorKind::unavailable, "reset"));
  fixture.kube->put_back(backup);
  fixture.until([&] { return fixture.drifted.size() == 1 && fixture.live->is_current(kMaps); });
  CHECK_FALSE(fixture.live->find(kMaps, kA)->stands());
  // The watch is open; only the answer to a request tells.
  fixture.write("2", 12);
  fixture.kube->put_back(backup);
  fixture.live->observe(kMaps, fixture.kube->object(kMaps, kA));
  fixture.until([&] { return fixture.drifted.size() == 2; });
}

TEST_CASE("a kind that cannot be watched is not current, and nobody waits for it in vain") {
  Fixture fixture;
  fixture.kube->fail_next("list", test::make_error(ErrorKind::forbidden, "no"), 1'000);
  fixture.live->watch(kMaps);
  CHECK_FALSE(test::run(*fixture.runtime, fixture.live->wait_current(kMaps, std::chrono::seconds(5))));
  CHECK_FALSE(fixture.live->is_current(kMaps));
  CHECK_FALSE(test::run(*fixture.runtime, fixture.live->wait_current(kube::Resource{"", "v1", "X", "xs", true},
                                                                     std::chrono::seconds(5))));
}

TEST_CASE("of an object that another owner has taken over that one is told, and not the former") {
  Fixture fixture;
  fixture.kube->tracks_fields = true;
  fixture.watch();
  fixture.write("1", 11);
  kube::ApplyOptions ours{"ours", true, false};
  REQUIRE(test::run(*fixture.runtime, fixture.kube->apply(kMaps, config_map("1", "other"), ours)));
  fixture.until([&] { return fixture.live->find(kMaps, kA)->owner.name == "other"; });
  // Its new owner is told; it has it in its set, and finds nothing to do there.
  CHECK(fixture.drifted == std::vector<std::string>{"flux-system/other ConfigMap/apps/a"});
  CHECK(fixture.live->find(kMaps, kA)->state() == apply::LiveObject::State::foreign);
}

TEST_CASE("a label that somebody else has changed makes nobody else the owner") {
  Fixture fixture;
  fixture.watch();
  fixture.write("1", 11);
  fixture.kube->put(kMaps, config_map("by hand", "other"));
  fixture.until([&] { return fixture.live->find(kMaps, kA)->owner.name == "other"; });
  fixture.kube->erase(kMaps, kA);
  fixture.until([&] { return fixture.live->find(kMaps, kA) == nullptr; });
  CHECK(fixture.drifted == std::vector<std::string>(2, "flux-system/shop ConfigMap/apps/a"));
}

TEST_CASE("what is switched off, by annotation or by label, is no drift") {
  const char* where = GENERATE(true, false) ? "annotations" : "labels";
  const bool by_ssa = GENERATE(false, true);
  Fixture fixture;
  fixture.watch();
  fixture.write("1", 11);
  doc::Json off = config_map("by hand");
  off["metadata"][where]["kustomize.toolkit.fluxcd.io/" + std::string(by_ssa ? "ssa" : "reconcile")] =
      by_ssa ? "Ignore" : "disabled";
  fixture.kube->put(kMaps, off);
  fixture.until([&] { return fixture.live->find(kMaps, kA)->switched_off; });
  CHECK(fixture.drifted.empty());
}

TEST_CASE("what was left under one version is left no more once another version of it is written") {
  const kube::Resource older{"autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true};
  kube::Resource newer = older;
  newer.version = "v2";
  const bool is_written = GENERATE(true, false);
  Fixture fixture;
  for (const auto& resource : {older, newer}) {
    fixture.live->watch(resource);
    CHECK(test::run(*fixture.runtime, fixture.live->wait_current(resource, std::chrono::seconds(5))));
  }
  fixture.kube->put(older, config_map("1"));
  fixture.live->note_left(older, fixture.kube->object(older, kA), 11);
  fixture.settle();
  CHECK(fixture.live->find(older, kA)->stands());
  if (is_written) {
    const LiveObjects::Write guard(fixture.live, newer, kA);
    fixture.live->note_left(newer, fixture.kube->object(newer, kA), 12);
  } else {
    fixture.live->note_unchanged(newer, kA, 12);
  }
  CHECK(fixture.live->find(newer, kA)->stands());
  CHECK(fixture.live->find(older, kA)->state() == apply::LiveObject::State::foreign);
}

TEST_CASE("how a Job's work ended is known when its TTL has deleted it, until there is one of its name again") {
  const kube::Resource jobs{"batch", "v1", "Job", "jobs", true};
  Fixture fixture;
  std::vector<std::uint64_t> vanished;
  fixture.live->on_vanished = [&](const api::ObjectKey&, const api::ObjectId&, std::uint64_t hash) {
    vanished.push_back(hash);
  };
  fixture.live->watch(jobs);
  CHECK(test::run(*fixture.runtime, fixture.live->wait_current(jobs, std::chrono::seconds(5))));
  doc::Json job = config_map("1");
  job["kind"] = "Job";
  job["spec"] = {{"ttlSecondsAfterFinished", 0}};
  const auto run = [&](const char* condition) {
    doc::Json object = job;
    object["apiVersion"] = "batch/v1";
    fixture.kube->put(jobs, object);
    fixture.live->note_left(jobs, fixture.kube->object(jobs, kA), 11);
    fixture.settle();
    CHECK(fixture.live->ending(jobs, kA) == nullptr);
    if (*condition != '\0') {
      object["status"]["conditions"] = {{{"type", condition}, {"status", "True"}, {"message", "too many tries"}}};
      fixture.kube->put(jobs, object);
    }
    fixture.kube->erase(jobs, kA);
    fixture.until([&] { return fixture.live->find(jobs, kA) == nullptr; });
  };
  run("Complete");
  REQUIRE(fixture.live->ending(jobs, kA) != nullptr);
  CHECK(fixture.live->ending(jobs, kA)->succeeded);
  run("Failed");
  REQUIRE(fixture.live->ending(jobs, kA) != nullptr);
  CHECK_FALSE(fixture.live->ending(jobs, kA)->succeeded);
  CHECK(fixture.live->ending(jobs, kA)->why == "Job failed: too many tries");
  CHECK(vanished.size() == 2);
  CHECK(fixture.drifted.empty());
  run("");
  CHECK(fixture.live->ending(jobs, kA) == nullptr);
  CHECK(vanished.size() == 2);
  CHECK(fixture.drifted.size() == 1);
}
