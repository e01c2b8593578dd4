#include "controller/finalizers.hpp"

#include "harness.hpp"
#include "support/run_task.hpp"

using namespace sluice::test;
using sluice::base::ErrorKind;
using sluice::base::Result;
using sluice::controller::FinalizerChange;
using sluice::doc::Json;

namespace {

constexpr const char* kOurs = "finalizers.example.com";

struct FinalizerHarness : Harness {
  explicit FinalizerHarness(Json finalizers) {
    Json foo = make_foo("a");
    foo["metadata"]["finalizers"] = std::move(finalizers);
    kube->put(kFoos, foo);
    known = kube->object(kFoos, foo_key("a"));
  }
  ~FinalizerHarness() { runtime.reset(); }
  Result<Json> change(FinalizerChange what) {
    return run(*runtime, sluice::controller::change_finalizer(kube, kFoos, known, kOurs, what, "gotk-foo-controller"));
  }
  // Somebody is faster than the first patch.
  void meanwhile(std::function<void()> act) {
    kube->before = [act = std::move(act), done = false](const FakeKube::Request& request) mutable {
      if (request.verb == "patch" && !std::exchange(done, true)) act();
    };
  }
  void set_finalizers(Json finalizers) {
    Json foo = kube->object(kFoos, foo_key("a"));
    foo["metadata"]["finalizers"] = std::move(finalizers);
    kube->put(kFoos, foo);
  }
  Json finalizers() const { return kube->object(kFoos, foo_key("a"))["metadata"]["finalizers"]; }

  Json known;  // as a cache has it
};

}  // namespace

TEST_CASE("a finalizer comes beside those that are there and goes alone, also those of which the cache knows nothing") {
  FinalizerHarness adding(Json::array({"old"}));
  adding.meanwhile([&] { adding.set_finalizers({"old", "new"}); });
  REQUIRE(adding.change(FinalizerChange::add));
  CHECK(adding.finalizers() == Json{"old", "new", kOurs});
  FinalizerHarness removing(Json::array({kOurs, "old"}));
  removing.meanwhile([&] { removing.set_finalizers({kOurs, "old", "new"}); });
  REQUIRE(removing.change(FinalizerChange::remove));
  CHECK(removing.finalizers() == Json{"old", "new"});
}

TEST_CASE("a finalizer is not taken off what has become something else meanwhile") {
  FinalizerHarness h(Json::array({kOurs}));
  h.meanwhile([&] {
    Json foo = h.kube->object(kFoos, foo_key("a"));
    foo["status"]["size"] = 2;
    h.kube->put(kFoos, foo);
  });
  const auto change = [&](bool may) {
    return run(*h.runtime, sluice::controller::change_finalizer(
                               h.kube, kFoos, h.known, kOurs, FinalizerChange::remove, "gotk-foo-controller",
                               [may](const Json& now) { return may && now["status"]["size"] == 2; }));
  };
  const auto changed = change(false);
  REQUIRE_FALSE(changed);
  CHECK(changed.error().kind == ErrorKind::conflict);
  CHECK(h.finalizers() == Json::array({kOurs}));
  CHECK(change(true));
  CHECK(h.finalizers() == Json::array());
}

TEST_CASE("another object of the name keeps its finalizers and gets none") {
  const FinalizerChange what = GENERATE(FinalizerChange::add, FinalizerChange::remove);
  const Json before = what == FinalizerChange::add ? Json::array() : Json::array({kOurs});
  FinalizerHarness h(before);
  h.meanwhile([&] {
    h.set_finalizers(Json::array());
    h.kube->erase(kFoos, foo_key("a"));
    h.kube->put(kFoos, make_foo("a"));
    h.set_finalizers(before);
  });
  const auto changed = h.change(what);
  REQUIRE_FALSE(changed);
  CHECK(changed.error().kind == ErrorKind::not_found);
  CHECK(h.finalizers() == before);
}
