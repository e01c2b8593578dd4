#include "apply/object_watch.hpp"

#include <catch2/catch.hpp>
#include <set>

#include "support/fake_kube.hpp"
#include "support/run_task.hpp"

using namespace sluice;
using apply::Departure;
using base::ErrorKind;
using State = Departure::State;

namespace {

const kube::Resource kMaps{"", "v1", "ConfigMap", "configmaps", true};
const api::ObjectKey kA{"apps", "a"};

struct Fixture {
  std::shared_ptr<test::FakeKube> kube = std::make_shared<test::FakeKube>();
  std::unique_ptr<rt::Runtime> runtime = std::make_unique<rt::Runtime>(1);
  std::string uid;
  std::set<std::string> refused;

  explicit Fixture(const doc::Json& finalizers = doc::Json::array()) {
    kube->serve({kMaps});
    doc::Json object = {{"metadata", {{"name", "a"}, {"namespace", "apps"}, {"finalizers", finalizers}}}};
    kube->put(kMaps, object);
    uid = api::uid_of(kube->object(kMaps, kA));
    kube->authorize = [this](const test::FakeKube::Request& request) -> std::optional<base::Error> {
      if (request.plural != kMaps.plural || !refused.contains(request.verb)) return std::nullopt;
      return test::make_error(ErrorKind::forbidden, "you may not " + request.verb);
    };
  }
  ~Fixture() { runtime.reset(); }

  rt::Task<base::Result<Departure>> task(std::chrono::milliseconds limit) {
    auto mapper = std::make_shared<kube::RestMapper>(kube);
    auto waiting = apply::await_gone(kube, std::move(mapper), {"", "v1", "ConfigMap"}, kA, uid, limit);
    auto departure = co_await std::move(waiting);
    co_return departure;
  }
  Departure wait(std::chrono::milliseconds limit = std::chrono::milliseconds(700)) {
    auto waited = test::run(*runtime, task(limit));
    REQUIRE(waited);
    return *waited;
  }
  static rt::Task<void> erase_later(std::shared_ptr<test::FakeKube> kube) {
    co_await rt::sleep_for(std::chrono::milliseconds(50));
    kube->erase(kMaps, kA);
  }
};

}  // namespace

TEST_CASE("the end of an object is seen with no right but to get it") {
  const bool may_watch = GENERATE(true, false);
  Fixture fixture;
  if (!may_watch) fixture.refused = {"list", "watch"};
  fixture.runtime->spawn("erase", Fixture::erase_later(fixture.kube));
  CHECK(fixture.wait(std::chrono::seconds(10)).state == State::gone);
  CHECK((fixture.kube->count("get", kMaps.plural) > 0) == !may_watch);
}

TEST_CASE("another object of the name is not the one that is awaited") {
  Fixture fixture;
  fixture.uid = "of another one";
  if (GENERATE(true, false)) fixture.refused = {"list", "watch"};
  CHECK(fixture.wait().state == State::gone);
}

TEST_CASE("what holds it is said only of what was seen") {
  Fixture fixture(doc::Json::array({"example.com/hold"}));
  if (GENERATE(true, false)) fixture.refused = {"list", "watch"};
  Departure departure = fixture.wait();
  CHECK(departure.state == State::there);
  CHECK(departure.why == "it is there, and not being deleted");
  fixture.kube->erase(kMaps, kA);
  departure = fixture.wait();
  CHECK(departure.state == State::there);
  CHECK(departure.why == "it is being deleted, and its finalizers hold it: example.com/hold");
}

TEST_CASE("what nobody may look at is not taken for gone") {
  Fixture fixture;
  fixture.refused = {"list", "watch", "get"};
  const Departure departure = fixture.wait();
  CHECK(departure.state == State::unknown);
  CHECK(departure.why == "whether it is gone is not known: you may not get");
}

TEST_CASE("what cannot be mapped is not taken for gone, unless there is no such kind") {
  Fixture fixture;
  fixture.kube->fail_next("get", test::make_error(ErrorKind::unavailable, "no discovery now"), 100);
  const Departure departure = fixture.wait();
  CHECK(departure.state == State::unknown);
  CHECK(departure.why.find("no discovery now") != std::string::npos);
  fixture.kube->clear_faults();
  fixture.kube->serve({});
  CHECK(fixture.wait(std::chrono::seconds(20)).state == State::gone);
}
