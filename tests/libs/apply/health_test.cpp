#include "apply/health.hpp"

#include <catch2/catch.hpp>

#include "support/fake_kube.hpp"
#include "support/run_task.hpp"

using namespace sluice;
using apply::LiveObjects;

namespace {

const kube::Resource kJobs{"batch", "v1", "Job", "jobs", true};
const kube::Resource kWidgets{"example.com", "v1", "Widget", "widgets", true};
const api::ObjectKey kKey{"apps", "once"};
const api::ObjectKey kOwner{"flux-system", "shop"};

// A Job with a TTL that we have left, and what has become of it.
struct Fixture {
  std::shared_ptr<test::FakeKube> kube = std::make_shared<test::FakeKube>();
  std::unique_ptr<rt::Runtime> runtime = std::make_unique<rt::Runtime>(1);
  std::shared_ptr<kube::RestMapper> mapper;
  std::shared_ptr<LiveObjects> live;
  int repairs = 0;
  int waits = 0;  // how often it was said that there is something to wait for

  Fixture() {
    kube->serve({kJobs, kWidgets});
    mapper = std::make_shared<kube::RestMapper>(kube);
    apply::LiveOptions options;
    options.owner_group = "example.com";
    options.field_manager = "ours";
    live = LiveObjects::create(*runtime, kube, base::Logger::discard(), std::move(options));
    live->watch(kJobs);
    CHECK(test::run(*runtime, live->wait_current(kJobs, std::chrono::seconds(5))));
  }
  ~Fixture() { runtime.reset(); }

  doc::Json job(const char* condition) const {
    doc::Json object = {{"apiVersion", "batch/v1"}, {"kind", "Job"}};
    object["metadata"] = {{"name", "once"},
                          {"namespace", "apps"},
                          {"labels", {{"example.com/name", "shop"}, {"example.com/namespace", "flux-system"}}}};
    object["spec"] = {{"ttlSecondsAfterFinished", 0}};
    if (*condition != '\0') {
      object["status"]["conditions"] = {{{"type", condition}, {"status", "True"}, {"message", "too many tries"}}};
    }
    return object;
  }
  void start() {
    kube->put(kJobs, job(""));
    live->note_left(kJobs, kube->object(kJobs, kKey), 1);
  }
  void vanish(const char* condition) {
    if (*condition != '\0') kube->put(kJobs, job(condition));
    kube->erase(kJobs, kKey);
    runtime->context().restart();
    runtime->context().run_for(std::chrono::milliseconds(20));
    CHECK(live->find(kJobs, kKey) == nullptr);
  }
  base::Result<void> await() {
    apply::HealthOptions options;
    options.timeout = std::chrono::seconds(2);
    options.repair = [this] { return repair(); };
    options.on_wait = [this] { ++waits; };
    std::vector<apply::HealthTarget> targets{{{"apps", "once", "batch", "Job"}, "v1", true}};
    return test::run(
        *runtime, apply::await_health({*runtime, kube, mapper, live}, kOwner, std::move(targets), std::move(options)));
  }
  // Runs the Job once more, and well.
  rt::Task<base::Result<void>> repair() {
    ++repairs;
    start();
    kube->put(kJobs, job("Complete"));
    co_return base::Result<void>();
  }
};

}  // namespace

TEST_CASE("a Job that its TTL has deleted is healthy if it has succeeded, and only then") {
  Fixture fixture;
  fixture.start();
  SECTION("it has succeeded") {
    fixture.vanish("Complete");
    CHECK(fixture.await());
  }
  SECTION("it has failed") {
    fixture.vanish("Failed");
    const auto awaited = fixture.await();
    REQUIRE_FALSE(awaited);
    CHECK(awaited.error().kind == base::ErrorKind::invalid);
    CHECK(awaited.error().message.find("Job/apps/once status: 'Failed': Job failed: too many tries") !=
          std::string::npos);
  }
  CHECK(fixture.repairs == 0);
}

TEST_CASE("a Job of which nobody knows how it ended is not healthy when it is gone, but repaired") {
  Fixture fixture;
  fixture.start();
  SECTION("somebody has deleted it before it had finished") { fixture.vanish(""); }
  SECTION("somebody deletes it during the wait") {
    rt::Runtime& runtime = *fixture.runtime;
    runtime.spawn(
        "deletion",
        [](Fixture& f) -> rt::Task<void> {
          co_await rt::sleep_for(std::chrono::milliseconds(20));
          f.kube->erase(kJobs, kKey);
        }(fixture),
        rt::AtShutdown::cancel);
  }
  CHECK(fixture.await());
  CHECK(fixture.repairs == 1);
}

TEST_CASE("who holds a worker hears of a wait before it begins, and of none where a first look is enough") {
  Fixture fixture;
  fixture.start();
  SECTION("all is well") {
    doc::Json done = fixture.job("Complete");
    fixture.kube->put(kJobs, done);
    fixture.live->note_left(kJobs, fixture.kube->object(kJobs, kKey), 1);
    CHECK(fixture.await());
    CHECK(fixture.waits == 0);
  }
  SECTION("it has failed for good") {
    fixture.vanish("Failed");
    CHECK_FALSE(fixture.await());
    CHECK(fixture.waits == 0);
  }
  SECTION("it is at it, and never ends") {
    CHECK_FALSE(fixture.await());
    CHECK(fixture.waits == 1);
  }
  SECTION("it is gone, and has to be put back") {
    fixture.vanish("");
    CHECK(fixture.await());
    CHECK(fixture.repairs == 1);
    CHECK(fixture.waits == 1);
  }
}

TEST_CASE("what was healthy before its watch broke is not known to be so") {
  Fixture fixture;
  fixture.start();
  doc::Json widget = fixture.job("");
  widget["apiVersion"] = "example.com/v1";
  widget["kind"] = "Widget";
  widget.erase("spec");
  fixture.kube->put(kWidgets, widget);
  fixture.live->watch(kWidgets);
  CHECK(test::run(*fixture.runtime, fixture.live->wait_current(kWidgets, std::chrono::seconds(5))));
  const auto break_watch = [](Fixture& f) -> rt::Task<void> {
    co_await rt::sleep_for(std::chrono::milliseconds(20));
    f.kube->before = [&f](const test::FakeKube::Request& request) {
      const bool asks = request.verb == "list" || request.verb == "watch";
      if (!asks || request.plural != kWidgets.plural) return;
      f.kube->fail_next(request.verb, test::make_error(base::ErrorKind::unavailable, "no route to host"));
    };
    f.kube->cut_watches(kWidgets, test::make_error(base::ErrorKind::unavailable, "reset"));
    co_await rt::sleep_for(std::chrono::milliseconds(20));
    f.kube->put(kJobs, f.job("Complete"));
  };
  fixture.runtime->spawn("outage", break_watch(fixture), rt::AtShutdown::cancel);
  apply::HealthOptions options;
  options.timeout = std::chrono::seconds(1);
  std::vector<apply::HealthTarget> targets{{{"apps", "once", "batch", "Job"}, "v1", false},
                                           {{"apps", "once", "example.com", "Widget"}, "v1", false}};
  const auto awaited =
      test::run(*fixture.runtime, apply::await_health({*fixture.runtime, fixture.kube, fixture.mapper, fixture.live},
                                                      kOwner, std::move(targets), std::move(options)));
  REQUIRE_FALSE(awaited);
  CHECK(awaited.error().kind == base::ErrorKind::timeout);
  CHECK(awaited.error().message.find("Widget/apps/once status: 'Unknown': the watch of widgets is") !=
        std::string::npos);
  CHECK(awaited.error().message.find("Job/apps/once") == std::string::npos);
}
