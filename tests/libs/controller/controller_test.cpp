#include "controller/controller.hpp"

#include "api/names.hpp"
#include "foo_controller.hpp"

using namespace sluice::test;
namespace api = sluice::api;
namespace base = sluice::base;
namespace controller = sluice::controller;
namespace rt = sluice::rt;

TEST_CASE("a new object gets the finalizer, runs its steps and is Ready with one status write") {
  ControllerHarness h;
  h.kube->put(kFoos, make_foo("a", 3));
  h.start();
  until(*h.runtime, [&] { return h.is_ready(); });
  settle(*h.runtime);
  h.check_sane();
  CHECK(h.foo()["metadata"]["finalizers"] == Json{"finalizers.fluxcd.io"});
  CHECK(h.foo()["status"]["size"] == 3);
  CHECK(h.foo()["status"]["observedGeneration"] == 1);
  CHECK(h.conditions().reason("Ready") == "ReconciliationSucceeded");
  CHECK(h.conditions().message("Ready") == "Size is 3");
  CHECK(h.conditions().items().size() == 1);
  CHECK(h.kube->count("patch") == 2);  // finalizer, status
  CHECK(h.reconciler->finished == 1);  // our own writes trigger nothing
}

TEST_CASE("a run that changes nothing writes nothing") {
  ControllerHarness h;
  h.reconciler->done.requeue_after = 10ms;
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.reconciler->finished >= 4; });
  CHECK(h.kube->count("patch") == 2);
}

TEST_CASE("a failure is said in Ready, in its own condition and in an event, and tried again with backoff") {
  ControllerHarness h;
  h.reconciler->first = [](FooRun& run) {
    run.context.event_metadata["revision"] = "main@sha1:abc";
    return answer(controller::retry("GitOperationFailed", failure("cannot reach git"), "FetchFailed"));
  };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.events.records.size() >= 2; });
  CHECK(h.conditions().is_false("Ready"));
  CHECK(h.conditions().reason("Ready") == "GitOperationFailed");
  CHECK(h.conditions().message("Ready") == "cannot reach git");
  CHECK(h.conditions().is_true("FetchFailed"));
  CHECK(h.conditions().reason("Reconciling") == "ProgressingWithRetry");
  CHECK_FALSE(h.foo()["status"].contains("observedGeneration"));
  h.check_sane();
  CHECK(h.events.records[0].severity == controller::Severity::error);
  CHECK(h.events.records[0].reason == "GitOperationFailed");
  CHECK(h.events.records[0].annotations.at("example.com/revision") == "main@sha1:abc");

  h.reconciler->first = FooReconciler::go_on;
  until(*h.runtime, [&] { return h.is_ready(); });
  CHECK_FALSE(h.conditions().has("FetchFailed"));
  CHECK_FALSE(h.conditions().has("Reconciling"));
  h.check_sane();
}

TEST_CASE("a stalled object is not tried again until its spec changes") {
  ControllerHarness h;
  h.reconciler->first = [](FooRun& run) {
    if (run.size == 2) return FooReconciler::go_on(run);
    return answer(controller::stall("InvalidPath", make_error(ErrorKind::invalid, "no such path")));
  };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.conditions().is_true("Stalled"); });
  settle(*h.runtime, 60ms);
  CHECK(h.events.records.size() == 1);
  CHECK(h.conditions().reason("Ready") == "InvalidPath");
  CHECK_FALSE(h.conditions().has("Reconciling"));
  h.check_sane();
  h.edit("a", [](Json& foo) { foo["spec"]["size"] = 2; });
  until(*h.runtime, [&] { return h.is_ready(); });
  CHECK_FALSE(h.conditions().has("Stalled"));
  h.check_sane();
}

TEST_CASE("a spec that cannot be read stalls with InvalidSpec") {
  ControllerHarness h;
  auto foo = make_foo("a");
  foo["spec"].erase("size");
  h.kube->put(kFoos, foo);
  h.start();
  until(*h.runtime, [&] { return h.conditions().is_true("Stalled"); });
  CHECK(h.conditions().reason("Ready") == "InvalidSpec");
  CHECK(h.conditions().message("Ready") == "spec.size: is required");
}

TEST_CASE("waiting for something is told once and tried again after its own time") {
  ControllerHarness h;
  int tries = 0;
  h.reconciler->first = [&](FooRun&) {
    ++tries;
    return answer(controller::wait_for("DependencyNotReady", failure("apps/b is not ready"), 10ms));
  };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return tries >= 4; });
  REQUIRE(h.events.records.size() == 1);
  CHECK(h.events.records[0].severity == controller::Severity::info);
  CHECK(h.conditions().reason("Ready") == "DependencyNotReady");
  CHECK(h.kube->count("patch") == 2);
  h.check_sane();
}

TEST_CASE("what passes by itself is said by the conditions and by no Event") {
  ControllerHarness h;
  int tries = 0;
  h.reconciler->first = [&](FooRun& run) {
    if (++tries >= 3) return FooReconciler::go_on(run);
    return answer(controller::wait_quietly_for("ArtifactFailed", failure("artifact not found"), 10ms));
  };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.conditions().reason("Ready") == "ArtifactFailed"; });
  CHECK(h.conditions().message("Ready") == "artifact not found");
  until(*h.runtime, [&] { return h.is_ready(); });
  CHECK(h.events.records.empty());
  h.check_sane();
}

TEST_CASE("a long run publishes its progress, and a short one does not") {
  ControllerHarness h;
  bool waiting = false;
  h.reconciler->first = [&](FooRun& run) { return wait_long(run, waiting, 80ms); };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.conditions().is_true("Reconciling"); });
  CHECK(h.conditions().is_unknown("Ready"));
  CHECK(h.conditions().message("Ready") == "Waiting for something");
  h.check_sane(false);
  until(*h.runtime, [&] { return h.is_ready(); });
  CHECK_FALSE(h.conditions().has("Reconciling"));
  h.check_sane();
}

TEST_CASE("a newer spec cancels what the run waits for, at once") {
  ControllerHarness h;
  bool waiting = false;
  h.reconciler->first = [&](FooRun& run) {
    if (run.size == 2) return FooReconciler::go_on(run);
    return wait_long(run, waiting, 1h);
  };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return waiting; });
  h.edit("a", [](Json& foo) { foo["spec"]["size"] = 2; });
  until(
      *h.runtime, [&] { return h.is_ready(); }, 1s);
  CHECK(h.foo()["status"]["size"] == 2);
  CHECK(h.foo()["status"]["observedGeneration"] == 2);
  h.check_sane();
}

TEST_CASE("a step that must not be cancelled ends first, and the steps after it are left to the next run") {
  ControllerHarness h;
  bool waiting = false;
  h.reconciler->interrupt = controller::Interrupt::between_steps;
  h.reconciler->first = [&](FooRun& run) {
    if (run.size == 2) return FooReconciler::go_on(run);
    return wait_long(run, waiting, 50ms);
  };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return waiting; });
  h.edit("a", [](Json& foo) { foo["spec"]["size"] = 2; });
  settle(*h.runtime, 10ms);
  CHECK(h.reconciler->finished == 0);
  until(
      *h.runtime, [&] { return h.is_ready(); }, 1s);
  CHECK(h.reconciler->finished == 1);
  CHECK(h.foo()["status"]["size"] == 2);
}

TEST_CASE("requestedAt cancels the wait, starts a run, and is answered in the status") {
  ControllerHarness h;
  bool waiting = false;
  std::vector<bool> requested;
  h.reconciler->first = [&](FooRun& run) {
    requested.push_back(run.context.is_requested());
    if (!waiting) return wait_long(run, waiting, 1h);
    return FooReconciler::go_on(run);
  };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return waiting; });
  h.edit("a", [](Json& foo) { foo["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"] = "now"; });
  until(
      *h.runtime, [&] { return h.is_ready(); }, 1s);
  CHECK(h.foo()["status"]["lastHandledReconcileAt"] == "now");
  CHECK(requested == std::vector<bool>{false, true});
}

TEST_CASE("a suspended object is left alone until it is resumed") {
  ControllerHarness h;
  auto foo = make_foo("a");
  foo["spec"]["suspend"] = true;
  h.kube->put(kFoos, foo);
  h.start();
  until(*h.runtime, [&] { return h.kube->count("patch") == 1; });  // the finalizer, as upstream
  settle(*h.runtime);
  CHECK(h.reconciler->finished == 0);
  h.edit("a", [](Json& object) { object["spec"].erase("suspend"); });
  until(*h.runtime, [&] { return h.is_ready(); });
}

TEST_CASE("a status that cannot be written is tried again with backoff") {
  ControllerHarness h;
  h.kube->put(kFoos, make_foo("a"));
  bool armed = false;
  h.kube->before = [&](const FakeKube::Request& request) {
    if (request.subresource != "status" || armed) return;
    armed = true;
    h.kube->fail_next("patch", make_error(ErrorKind::forbidden, "not yet"), 2);
  };
  h.start();
  until(*h.runtime, [&] { return h.is_ready(); });
  CHECK(h.reconciler->finished >= 2);
}

TEST_CASE("a moment without the server while the status is written costs no second run") {
  ControllerHarness h;
  h.reconciler->kind.finalizer.clear();
  h.kube->put(kFoos, make_foo("a"));
  h.kube->fail_next("patch", failure("connection refused"));
  h.start();
  until(*h.runtime, [&] { return h.is_ready(); });
  CHECK(h.reconciler->finished == 1);
  CHECK(h.kube->count("patch") == 2);
}

TEST_CASE("no run begins while the server does not answer, and all that fell due do when it is back") {
  ControllerHarness h;
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.is_ready() && h.cache->state() == controller::WatchCache::State::watching; });
  const int before = h.reconciler->finished;
  h.kube->fail_next("watch", failure("connection refused"), 1000);
  h.kube->cut_watches(kFoos, failure("connection reset"));
  until(*h.runtime, [&] { return !h.cache->is_in_touch(); });
  h.subject->enqueue(foo_key("a"));
  settle(*h.runtime, 30ms);
  CHECK(h.reconciler->finished == before);
  h.kube->clear_faults();
  until(*h.runtime, [&] { return h.reconciler->finished == before + 1; });
}

TEST_CASE("an object that vanishes during its run ends quietly") {
  ControllerHarness h;
  h.kube->put(kFoos, make_foo("a"));
  h.reconciler->kind.finalizer.clear();
  h.reconciler->first = [&](FooRun& run) {
    h.kube->erase(kFoos, foo_key("a"));
    return FooReconciler::go_on(run);
  };
  h.start();
  until(*h.runtime, [&] { return !h.reconciler->forgotten.empty(); });
  CHECK(h.events.records.empty());
  CHECK(h.foo().is_null());
}

TEST_CASE("a change elsewhere wakes the objects that it is mapped to") {
  ControllerHarness h;
  const sluice::kube::Resource others{"example.com", "v1", "Other", "others", true};
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  auto options = h.cache_options();
  options.resource = others;
  controller::WatchCache other(h.kube, base::system_clock(), base::Logger::discard(), options);
  h.subject->watch(other, [](const controller::Object&, const controller::Object& now) {
    return now ? std::vector<api::ObjectKey>{foo_key("a")} : std::vector<api::ObjectKey>();
  });
  h.runtime->spawn("other", other.run());
  until(*h.runtime, [&] { return h.is_ready() && other.has_synced(); });
  const int before = h.reconciler->finished;
  h.kube->put(others, make_foo("source"));
  until(*h.runtime, [&] { return h.reconciler->finished == before + 1; });
  h.runtime.reset();  // before `other` goes
  h.subject.reset();
}

TEST_CASE("on shutdown the run that is on ends by itself within the grace, and no other begins") {
  ControllerHarness h;
  bool waiting = false;
  h.options.concurrency = 1;
  h.reconciler->first = [&](FooRun& run) { return wait_long(run, waiting, 30ms); };
  h.kube->put(kFoos, make_foo("a"));
  h.kube->put(kFoos, make_foo("b"));
  h.start();
  until(*h.runtime, [&] { return waiting; });
  h.runtime->shutdown(10s);
  until(*h.runtime, [&] { return h.is_ready("a") != h.is_ready("b"); });
  settle(*h.runtime, 100ms);
  CHECK(h.is_ready("a") != h.is_ready("b"));
  CHECK(h.reconciler->finished == 1);
}

TEST_CASE("objects are worked on side by side, up to the concurrency") {
  ControllerHarness h;
  bool waiting = false;
  int active = 0;
  int most = 0;
  h.reconciler->first = [&](FooRun& run) {
    most = std::max(most, ++active);
    return wait_long(run, waiting, 5ms);
  };
  h.kube->before = [&](const FakeKube::Request& request) { active -= request.subresource == "status"; };
  h.options.progress_delay = 1h;
  for (int i = 0; i < 8; ++i) h.kube->put(kFoos, make_foo("foo" + std::to_string(i)));
  h.start();
  until(*h.runtime, [&] { return h.reconciler->finished == 8; });
  CHECK(most == 2);
}

TEST_CASE("a namespace whose runs hang has its own workers, and holds up no other") {
  ControllerHarness h;
  h.options.concurrency = 2;
  int slow = 0;
  bool let_go = false;
  bool waits = false;
  h.reconciler->first = [&](FooRun& run) {
    if (run.context.meta.namespace_ != "slow") return FooReconciler::go_on(run);
    ++slow;
    return hold_worker(waits, let_go);
  };
  for (int i = 0; i < 12; ++i) h.kube->put(kFoos, make_foo("foo-" + std::to_string(i), 1, "slow"));
  h.start();
  until(*h.runtime, [&] { return slow == 2; });
  settle(*h.runtime);
  CHECK(slow == 2);
  for (int i = 0; i < 12; ++i) h.kube->put(kFoos, make_foo("foo-" + std::to_string(i)));
  until(*h.runtime, [&] { return h.reconciler->finished == 12; });
  CHECK(slow == 2);
  let_go = true;
  until(*h.runtime, [&] { return h.reconciler->finished == 24; });
}

TEST_CASE("what a run asks of the server is asked on behalf of its namespace, and the daemon's own is not") {
  ControllerHarness h;
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.is_ready(); });
  h.kube->erase(kFoos, foo_key("a"));
  until(*h.runtime, [&] { return h.foo().is_null(); });
  CHECK(h.kube->count("patch") == 3);  // a finalizer, the status, and the finalizer again
  for (const auto& request : h.kube->requests) {
    CAPTURE(request.verb);
    CHECK(request.owner == (request.verb == "patch" ? "apps" : ""));
  }
}
