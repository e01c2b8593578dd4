// How a run ends: by itself, suspended, out of time, overtaken; and what the status says then.
#include "foo_controller.hpp"

using namespace sluice::test;
namespace api = sluice::api;
namespace base = sluice::base;
namespace controller = sluice::controller;
namespace rt = sluice::rt;

TEST_CASE("a secret value that a run has read is in no condition and no Event, and a masked wait is told once") {
  ControllerHarness h;
  int tries = 0;
  h.reconciler->first = [&](FooRun& run) {
    run.context.masks->add("hunter2-hunter2");
    run.context.conditions.mark_true("Probed", "Probed", "as hunter2-hunter2", run.context.stamp());
    if (tries == 0) run.context.event(controller::Severity::info, "Probed", "as hunter2-hunter2");
    if (++tries == 1) return answer(controller::retry("BuildFailed", failure("no: hunter2-hunter2"), "BuildFailed"));
    return answer(controller::wait_for("DependencyNotReady", failure("wants hunter2-hunter2"), 10ms));
  };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.conditions().is_true("BuildFailed"); });
  CHECK(h.conditions().message("Ready") == "no: *****");
  until(*h.runtime, [&] { return tries >= 4; });
  CHECK(h.conditions().message("Ready") == "wants *****");
  CHECK(h.conditions().message("Probed") == "as *****");
  REQUIRE(h.events.records.size() == 3);
  CHECK(h.events.records[0].message == "as *****");
  CHECK(h.events.records[1].message == "no: *****");
  CHECK(h.events.records[2].message == "wants *****");
  CHECK(h.foo()["status"].dump().find("hunter2") == std::string::npos);
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

TEST_CASE(
    "what another process has said to be applied while this one cleaned up is cleaned up before the finalizer goes") {
  ControllerHarness h;
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.is_ready(); });
  h.kube->before = [&h, done = false](const FakeKube::Request& request) mutable {
    if (request.verb != "patch" || !request.body.contains("metadata") || std::exchange(done, true)) return;
    h.edit("a", [](Json& foo) { foo["status"]["inventory"]["entries"] = Json::array({{{"id", "x"}, {"v", "v1"}}}); });
  };
  h.kube->erase(kFoos, foo_key("a"));
  until(*h.runtime, [&] { return h.foo().is_null(); });
  CHECK(h.reconciler->finalized == std::vector<std::string>{"a", "a"});
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

TEST_CASE("what is kept of an object is no other's of its name, though nobody looked while there was none") {
  ControllerHarness h;
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.is_ready(); });
  h.edit("a", [](Json& foo) { foo["metadata"]["finalizers"] = Json::array(); });
  h.kube->erase(kFoos, foo_key("a"));
  h.kube->put(kFoos, make_foo("a", 2));
  until(*h.runtime, [&] { return h.is_ready() && h.foo()["status"]["size"] == 2; });
  CHECK(h.reconciler->forgotten == std::vector<std::string>{"a"});
}

TEST_CASE("a run whose object has gone back begins anew from what the server says") {
  ControllerHarness h;
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.is_ready(); });
  const auto backup = h.kube->back_up();
  bool restored = false;
  h.reconciler->second = [&](FooRun& run) {
    if (!std::exchange(restored, true)) h.kube->put_back(backup);
    return FooReconciler::go_on(run);
  };
  h.edit("a", [](Json& foo) { foo["spec"]["size"] = 2; });
  until(*h.runtime, [&] { return h.reconciler->finished >= 3; });
  settle(*h.runtime, 50ms);
  CHECK(h.foo()["status"]["size"] == 1);
  CHECK(h.is_ready());
  h.check_sane();
  h.edit("a", [](Json& foo) { foo["spec"]["size"] = 3; });
  until(*h.runtime, [&] { return h.foo()["status"]["size"] == 3; });
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

TEST_CASE("suspended during a step that may not be cut, a run goes on for as long as it does not wait") {
  ControllerHarness h;
  bool failed_before = true, writing = false;
  h.reconciler->interrupt = controller::Interrupt::between_steps;
  h.reconciler->first = [&](FooRun& run) {
    if (std::exchange(failed_before, false)) return answer(controller::retry("ArtifactFailed", failure("not there")));
    return wait_long(run, writing, 60ms);
  };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return writing; });
  REQUIRE(h.conditions().message("Ready") == "not there");
  h.edit("a", [](Json& foo) { foo["spec"]["suspend"] = true; });
  until(*h.runtime, [&] { return h.is_ready(); });
  CHECK(h.conditions().message("Ready") == "Size is 1");
  CHECK_FALSE(h.conditions().has("Reconciling"));
  settle(*h.runtime, 50ms);
  CHECK(h.reconciler->finished == 1);
}

TEST_CASE("suspended while it waits, a run says how far it came, and not what had failed before") {
  ControllerHarness h;
  bool failed_before = true, waiting = false;
  h.options.progress_delay = 1h;  // nothing of this run has been published when it is cut
  h.reconciler->first = [&](FooRun& run) {
    if (std::exchange(failed_before, false)) return answer(controller::retry("ArtifactFailed", failure("not there")));
    return wait_long(run, waiting, 1h);
  };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return waiting; });
  h.edit("a", [](Json& foo) { foo["spec"]["suspend"] = true; });
  until(*h.runtime, [&] { return h.conditions().reason("Ready") == "Suspended"; });
  CHECK(h.conditions().is_unknown("Ready"));
  CHECK(h.conditions().message("Ready") ==
        "Suspended while in progress: Waiting for something (the run before had failed: not there)");
  CHECK_FALSE(h.conditions().has("Reconciling"));
  settle(*h.runtime);
  CHECK(h.conditions().reason("Ready") == "Suspended");
}

TEST_CASE("a run that is suspended behind a step that may not be cut is cut where it waits then") {
  ControllerHarness h;
  bool writing = false, waiting = false;
  h.reconciler->interrupt = controller::Interrupt::between_steps;
  h.reconciler->first = [&](FooRun& run) { return wait_long(run, writing, 60ms); };
  h.reconciler->second = [&](FooRun& run) { return wait_long(run, waiting, 1h); };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return writing; });
  h.edit("a", [](Json& foo) { foo["spec"]["suspend"] = true; });
  until(*h.runtime, [&] { return waiting; });
  until(*h.runtime, [&] { return h.conditions().reason("Ready") == "Suspended"; });
  CHECK(h.reconciler->finished == 0);
}

TEST_CASE("a run that is not done in time fails, says in which step and at what, and is tried again") {
  ControllerHarness h;
  bool waiting = false;
  h.reconciler->deadline = 50ms;
  h.options.concurrency = 1;
  // What may not be cancelled is, when time is up.
  h.reconciler->interrupt = GENERATE(controller::Interrupt::at_once, controller::Interrupt::between_steps);
  h.reconciler->first = [&](FooRun& run) {
    if (run.context.meta.name == "b") return FooReconciler::go_on(run);
    return wait_long(run, waiting, 1h);
  };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return waiting; });
  h.kube->put(kFoos, make_foo("b"));
  until(*h.runtime, [&] { return h.is_ready("b"); });  // its worker is free again
  until(*h.runtime, [&] { return h.conditions().is_false("Ready"); });
  CHECK(h.conditions().reason("Ready") == "Failed");
  CHECK(h.conditions().message("Ready") ==
        "not done within the timeout of 50ms: step 'first' did not end (Waiting for something)");
  CHECK(h.conditions().reason("Reconciling") == "ProgressingWithRetry");
  h.check_sane();
  CHECK(h.metrics.text().find("controller_runtime_reconcile_timeouts_total{controller=\"foo\"} 0") ==
        std::string::npos);
  h.reconciler->first = FooReconciler::go_on;
  until(*h.runtime, [&] { return h.is_ready(); });
}

TEST_CASE("a run out of time whose work hangs on the pool hangs alone") {
  ControllerHarness h;
  h.options.concurrency = 1;
  h.reconciler->deadline = 50ms;
  std::atomic<bool> begun = false, let_go = false;
  h.reconciler->first = [&](FooRun& run) {
    if (run.context.meta.name == "b") return FooReconciler::go_on(run);
    return hang_on_pool(*h.runtime, begun, let_go);
  };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return begun.load(); });
  h.kube->put(kFoos, make_foo("b"));
  until(*h.runtime, [&] { return h.is_ready("b"); });
  CHECK_FALSE(h.conditions("a").is_false("Ready"));  // it has not ended
  h.reconciler->first = FooReconciler::go_on;
  let_go = true;
  until(*h.runtime, [&] { return h.is_ready("a"); });
}

TEST_CASE("the Events of a run are sent before its status says that it is done") {
  ControllerHarness h;
  std::vector<bool> ready_then;
  h.reconciler->first = [](FooRun& run) {
    run.context.event(controller::Severity::info, "Told", "of it");
    return FooReconciler::go_on(run);
  };
  h.events.on_wait = [&] { ready_then.push_back(h.is_ready()); };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.is_ready(); });
  CHECK(ready_then == std::vector<bool>{false});
}

TEST_CASE("a failure with an interval of its own does not make the next one without count as the first") {
  ControllerHarness h;
  h.options.retry.min = 40ms;
  int tries = 0;
  std::vector<std::chrono::steady_clock::time_point> when;
  h.reconciler->first = [&](FooRun&) {
    when.push_back(std::chrono::steady_clock::now());
    auto failed = controller::retry("Failed", failure("no"));
    if (++tries == 3) failed.retry_after = 5ms;  // after delays of 40 and 80 milliseconds
    return answer(std::move(failed));
  };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return tries >= 5; });
  CHECK(when[4] - when[3] >= 150ms);  // the third delay is 160, not 40 again
}

TEST_CASE("a step that bounds itself by the time that is left tells of it in its own words") {
  ControllerHarness h;
  h.reconciler->deadline = 40ms;
  h.reconciler->first = [&](FooRun& run) { return wait_for_the_rest(run); };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.conditions().is_false("Ready"); });
  CHECK(h.conditions().message("Ready") == "waited for the rest");
}

TEST_CASE("a step that may not be cancelled can look whether its time is up, and end in order") {
  ControllerHarness h;
  h.reconciler->deadline = 2s;  // so that being cut is a second further away
  h.reconciler->interrupt = controller::Interrupt::between_steps;
  h.reconciler->first = [&](FooRun& run) { return until_told(run); };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.conditions().is_false("Ready"); });
  CHECK(h.conditions().message("Ready") == "told to stop");
}

TEST_CASE("the log lines of a run hold no secret that it has read") {
  const Pipe pipe;
  ControllerHarness h;
  h.log = base::Logger(base::LogLevel::info, pipe.ends[1]);
  h.reconciler->first = [](FooRun& run) {
    run.context.masks->add("hunter2-hunter2");
    run.context.log.info("as hunter2-hunter2", {{"user", "hunter2-hunter2"}});
    return answer(controller::retry("Failed", failure("no, hunter2-hunter2")));
  };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.conditions().is_false("Ready"); });
  std::string text(65536, ' ');
  text.resize(static_cast<std::size_t>(::read(pipe.ends[0], text.data(), text.size())));
  CHECK(text.find("as *****") != std::string::npos);
  CHECK(text.find("no, *****") != std::string::npos);
  CHECK(text.find("hunter2") == std::string::npos);
}

TEST_CASE("a deletion has steps, progress and a deadline too, and a newer request cuts it") {
  ControllerHarness h;
  bool waiting = false;
  int tries = 0;
  h.reconciler->deadline = 1h;
  h.reconciler->clean = [&](FooRun& run) {
    ++tries;
    return wait_long(run, waiting, 1h);
  };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.is_ready(); });
  h.kube->erase(kFoos, foo_key("a"));
  until(*h.runtime, [&] { return h.conditions().message("Reconciling") == "Waiting for something"; });
  h.reconciler->deadline = 50ms;
  h.edit("a", [](Json& foo) { foo["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"] = "now"; });
  until(*h.runtime, [&] { return tries >= 2; });
  until(*h.runtime, [&] { return h.conditions().is_false("Ready"); });
  CHECK(h.conditions().message("Ready") ==
        "cleaning up: not done within the timeout of 50ms: step 'clean' did not end (Waiting for something)");
  h.reconciler->clean = FooReconciler::go_on;
  until(*h.runtime, [&] { return h.foo().is_null(); });
}

TEST_CASE("an object that cannot be read can be deleted") {
  ControllerHarness h;
  auto foo = make_foo("a");
  foo["spec"].erase("size");
  foo["metadata"]["finalizers"] = {"finalizers.fluxcd.io"};
  h.reconciler->no_finalize_baton = true;
  h.kube->put(kFoos, foo);
  h.start();
  until(*h.runtime, [&] { return h.conditions().is_true("Stalled"); });
  h.kube->erase(kFoos, foo_key("a"));
  until(*h.runtime, [&] { return h.foo().is_null(); });
  CHECK(h.events.records.back().reason == "InvalidSpec");
  CHECK(h.reconciler->finalized.empty());
}

TEST_CASE("a run comes back no sooner than after the shortest interval, and no interval is too long") {
  ControllerHarness h;
  h.options.min_interval = 100ms;
  h.options.jitter_percent = 5;
  h.reconciler->done.requeue_after = 0s;
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.is_ready(); });
  settle(*h.runtime, 350ms);
  CHECK(h.reconciler->finished <= 5);
  CHECK(h.reconciler->finished >= 2);
  h.reconciler->done.requeue_after = base::Duration::max();
  h.edit("a", [](Json& foo) { foo["spec"]["size"] = 2; });
  until(*h.runtime, [&] { return h.foo()["status"]["size"] == 2; });
  const int before = h.reconciler->finished;
  settle(*h.runtime, 250ms);
  CHECK(h.reconciler->finished == before);
}

TEST_CASE("a run knows why it happens, and a failure is remembered until a run ends well") {
  ControllerHarness h;
  std::vector<std::string> causes;
  bool fails = false;
  h.reconciler->done.requeue_after = 20ms;
  h.reconciler->first = [&](FooRun& run) {
    const auto& cause = run.context.cause();
    causes.push_back(std::string(cause.requested ? "r" : "") + (cause.new_generation ? "g" : "") +
                     (cause.after_failure ? "f" : ""));
    if (fails) return answer(controller::retry("ReconciliationFailed", failure("forbidden")));
    return FooReconciler::go_on(run);
  };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return causes.size() >= 2; });
  CHECK(causes[0] == "gf");
  CHECK(causes[1].empty());
  fails = true;
  h.edit("a", [](Json& foo) { foo["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"] = "now"; });
  until(*h.runtime, [&] { return h.conditions().is_false("Ready"); });
  until(*h.runtime, [&] { return causes.back() == "f"; });  // the retry, although nothing is requested any more
  fails = false;
  until(*h.runtime, [&] { return causes.back().empty(); });
  h.edit("a", [](Json& foo) { foo["spec"]["size"] = 2; });
  until(*h.runtime, [&] { return causes.back() == "g"; });
}

TEST_CASE("a run that finds its status written by somebody else is abandoned, and loses nothing of either") {
  ControllerHarness h;
  int runs = 0;
  h.reconciler->interrupt = GENERATE(controller::Interrupt::at_once, controller::Interrupt::between_steps);
  h.reconciler->first = [&](FooRun& run) {
    if (++runs > 1) return FooReconciler::go_on(run);
    // What another replica says meanwhile.
    Json foo = h.foo();
    foo["status"]["inventory"]["entries"] = Json::array({{{"id", "theirs"}, {"v", "v1"}}});
    foo["status"]["lastAppliedRevision"] = "newer";
    h.kube->put(kFoos, foo);
    return announce(run, "ours");
  };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.is_ready(); });
  CHECK(runs == 2);
  const Json status = h.foo()["status"];
  CHECK(status["lastAppliedRevision"] == "newer");
  CHECK(status["inventory"]["entries"] == Json::parse(R"([{"id": "theirs", "v": "v1"}, {"id": "ours", "v": "v1"}])"));
  CHECK(h.events.records.empty());  // an abandoned run fails nobody
  CHECK(h.reconciler->finished == 1);
}

TEST_CASE("a run that has waited takes a worker back before it works on, and before fresh runs") {
  ControllerHarness h;
  h.options.concurrency = 1;
  bool waiting = false, let_go = false, b_waits = false;
  std::string order;
  h.reconciler->first = [&](FooRun& run) {
    const std::string& name = run.context.meta.name;
    if (name == "a") return wait_and_return(run, waiting, order);
    order += name;
    if (name == "b") return hold_worker(b_waits, let_go);
    return FooReconciler::go_on(run);
  };
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return waiting; });
  h.kube->put(kFoos, make_foo("b"));
  until(*h.runtime, [&] { return b_waits; });
  h.kube->put(kFoos, make_foo("c"));
  settle(*h.runtime, 80ms);
  CHECK(order == "b");  // a is done waiting, and c is new, but the one worker is b's
  let_go = true;
  until(*h.runtime, [&] { return h.is_ready("a") && h.is_ready("c"); });
  CHECK(order == "bac");
}
