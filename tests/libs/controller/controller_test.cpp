#include "controller/controller.hpp"

#include "api/names.hpp"
#include "harness.hpp"

using namespace std::chrono_literals;
using namespace sluice::test;
using sluice::base::ErrorKind;
using sluice::doc::Json;
namespace api = sluice::api;
namespace base = sluice::base;
namespace controller = sluice::controller;
namespace rt = sluice::rt;

namespace {

struct FooRun {
  controller::RunContext& context;
  int size = 0;
};

// A reconciler whose steps do what the test says.
class FooReconciler final : public controller::StepReconciler<FooRun> {
 public:
  using StepFunction = std::function<rt::Task<controller::StepResult>(FooRun&)>;

  const controller::KindTraits& traits() const override { return kind; }
  base::Result<std::unique_ptr<FooRun>> begin(controller::RunContext& context) override {
    const auto* size = sluice::doc::find(*context.object, {"spec", "size"});
    if (size == nullptr) return base::unexpected(ErrorKind::invalid, "spec.size: is required");
    return std::make_unique<FooRun>(FooRun{context, size->get<int>()});
  }
  controller::Steps<FooRun> steps() override {
    return {{"first", first, interrupt}, {"second", [this](FooRun& run) { return finish(run); }}};
  }
  rt::Task<base::Result<void>> finalize(controller::RunContext& context) override {
    finalized.push_back(context.meta.name);
    if (finalize_error) co_return base::unexpected(*finalize_error);
    co_return base::Result<void>();
  }
  void forget(const api::ObjectKey& key) override { forgotten.push_back(key.name); }

  rt::Task<controller::StepResult> finish(FooRun& run) {
    ++finished;
    run.context.status["size"] = run.size;
    run.context.ready_message = "Size is " + std::to_string(run.size);
    co_return done;
  }
  static rt::Task<controller::StepResult> go_on(FooRun&) { co_return controller::kContinue; }

  controller::KindTraits kind{kFoos, "finalizers.fluxcd.io", "foo-controller", {"FetchFailed", "BuildFailed"}, true};
  StepFunction first = go_on;
  controller::Interrupt interrupt = controller::Interrupt::at_once;
  controller::Done done;
  std::optional<base::Error> finalize_error;
  int finished = 0;
  std::vector<std::string> finalized;
  std::vector<std::string> forgotten;
};

rt::Task<controller::StepResult> answer(controller::StepResult result) { co_return result; }

rt::Task<controller::StepResult> wait_long(FooRun& run, bool& waiting, base::Duration time) {
  run.context.progress("Waiting for something");
  waiting = true;
  co_await rt::sleep_for(time);
  co_return controller::kContinue;
}

struct ControllerHarness : Harness {
  ControllerHarness() {
    options.concurrency = 2;
    options.jitter_percent = 0;
    options.retry.min = 20ms;
    options.progress_delay = 10ms;
  }
  ~ControllerHarness() { runtime.reset(); }
  void start() {
    cache =
        std::make_unique<controller::WatchCache>(kube, base::system_clock(), base::Logger::discard(), cache_options());
    subject = std::make_unique<controller::Controller>(
        controller::Services{*runtime, kube, base::system_clock(), base::Logger::discard(), events, metrics},
        reconciler, *cache, options);
    runtime->spawn("cache", cache->run());
    runtime->spawn("controller", subject->run());
  }
  Json foo(const std::string& name = "a") const { return kube->object(kFoos, foo_key(name)); }
  api::Conditions conditions(const std::string& name = "a") const { return api::conditions_of(foo(name)); }
  bool is_ready(const std::string& name = "a") const { return conditions(name).is_true("Ready"); }
  // kstatus-sane, and observedGeneration right, whatever the test is about.
  void check_sane(bool settled = true, const std::string& name = "a") const {
    const Json object = foo(name);
    const auto* observed = sluice::doc::find(object, {"status", "observedGeneration"});
    const auto faults = api::check_conditions(conditions(name), api::generation_of(object),
                                              observed == nullptr ? 0 : observed->get<std::int64_t>(), settled);
    CAPTURE(object.dump(), faults);
    CHECK(faults.empty());
  }
  void edit(const std::string& name, const std::function<void(Json&)>& change) {
    Json object = foo(name);
    change(object);
    kube->put(kFoos, object);
  }

  std::shared_ptr<FooReconciler> reconciler = std::make_shared<FooReconciler>();
  controller::ControllerOptions options;
  std::unique_ptr<controller::WatchCache> cache;
  std::unique_ptr<controller::Controller> subject;
};

base::Error failure(const std::string& message) { return make_error(ErrorKind::unavailable, message); }

}  // namespace

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

TEST_CASE("deletion finalizes, even when suspended, and takes only our finalizer off") {
  ControllerHarness h;
  auto foo = make_foo("a");
  foo["spec"]["suspend"] = true;
  foo["metadata"]["finalizers"] = {"somebody.else/keeps", "finalizers.fluxcd.io"};
  h.kube->put(kFoos, foo);
  h.start();
  settle(*h.runtime);
  h.kube->erase(kFoos, foo_key("a"));
  until(*h.runtime, [&] { return h.foo()["metadata"]["finalizers"].size() == 1; });
  CHECK(h.foo()["metadata"]["finalizers"] == Json{"somebody.else/keeps"});
  CHECK(h.reconciler->finalized == std::vector<std::string>{"a"});
}

TEST_CASE("a finalizer that fails is tried again, and the object is forgotten when it has gone") {
  ControllerHarness h;
  h.reconciler->finalize_error = failure("storage is away");
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.is_ready(); });
  h.kube->erase(kFoos, foo_key("a"));
  until(*h.runtime, [&] { return h.reconciler->finalized.size() >= 2; });
  CHECK(h.conditions().is_false("Ready"));
  CHECK(h.conditions().message("Ready") == "cleaning up: storage is away");
  h.reconciler->finalize_error.reset();
  until(*h.runtime, [&] { return !h.reconciler->forgotten.empty(); });
  CHECK(h.foo().is_null());
  CHECK(h.metrics.text().find("name=\"a\"") == std::string::npos);
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
  h.start();
  until(*h.runtime, [&] { return h.cache->state() == controller::WatchCache::State::watching; });
  h.kube->fail_next("watch", failure("connection refused"), 1000);
  h.kube->cut_watches(kFoos, failure("connection reset"));
  until(*h.runtime, [&] { return !h.cache->is_in_touch(); });
  h.kube->put(kFoos, make_foo("a"));
  h.subject->enqueue(foo_key("a"));
  settle(*h.runtime, 30ms);
  CHECK(h.reconciler->finished == 0);
  h.kube->clear_faults();
  until(*h.runtime, [&] { return h.is_ready(); });
}

TEST_CASE("suspending an object during its run leaves no progress standing on it") {
  ControllerHarness h;
  bool waiting = false;
  h.reconciler->first = [&](FooRun& run) { return wait_long(run, waiting, 1h); };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.conditions().is_true("Reconciling"); });
  h.edit("a", [](Json& foo) { foo["spec"]["suspend"] = true; });
  until(*h.runtime, [&] { return !h.conditions().has("Reconciling"); });
  CHECK(h.conditions().is_unknown("Ready"));
  CHECK(h.conditions().reason("Ready") == "Suspended");
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
  h.runtime->shutdown(200ms);
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
