// A controller of a made-up kind whose steps do what a test says.
#pragma once

#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "api/conditions.hpp"
#include "controller/controller.hpp"
#include "harness.hpp"

namespace sluice::test {

using namespace std::chrono_literals;
using base::ErrorKind;
using doc::Json;

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
    const auto* size = doc::find(*context.object, {"spec", "size"});
    if (size == nullptr) return base::unexpected(ErrorKind::invalid, "spec.size: is required");
    return std::make_unique<FooRun>(FooRun{context, size->get<int>()});
  }
  controller::Steps<FooRun> steps() override {
    return {{"first", first, interrupt}, {"second", second}, {"third", [this](FooRun& run) { return finish(run); }}};
  }
  controller::Steps<FooRun> finalizers() override {
    return {{"clean", clean ? clean : [this](FooRun& run) { return finish_off(run); }, interrupt}};
  }
  std::unique_ptr<FooRun> begin_finalize(controller::RunContext& context) override {
    if (no_finalize_baton) return nullptr;
    return std::make_unique<FooRun>(FooRun{context, 0});
  }
  rt::Task<controller::StepResult> finish_off(FooRun& run) {
    finalized.push_back(run.context.meta.name);
    if (finalize_error) co_return controller::stall("Failed", *finalize_error);
    co_return controller::kContinue;
  }
  std::optional<base::Duration> deadline_of(const Json&) const override { return deadline; }
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
  StepFunction second = go_on;
  controller::Interrupt interrupt = controller::Interrupt::at_once;
  controller::Done done;
  std::optional<base::Error> finalize_error;
  StepFunction clean;
  bool no_finalize_baton = false;
  std::optional<base::Duration> deadline;
  int finished = 0;
  std::vector<std::string> finalized;
  std::vector<std::string> forgotten;
};

inline rt::Task<controller::StepResult> answer(controller::StepResult result) { co_return result; }

inline rt::Task<controller::StepResult> wait_long(FooRun& run, bool& waiting, base::Duration time) {
  run.context.progress("Waiting for something");
  waiting = true;
  co_await rt::sleep_for(time);
  co_return controller::kContinue;
}

inline rt::Task<controller::StepResult> wait_for_the_rest(FooRun& run) {
  co_await rt::sleep_for(run.context.time_left());
  co_return controller::retry("HealthCheckFailed", make_error(ErrorKind::timeout, "waited for the rest"));
}

inline rt::Task<controller::StepResult> hang_on_pool(rt::Runtime& runtime, std::atomic<bool>& begun,
                                                     const std::atomic<bool>& let_go) {
  auto work = [&begun, &let_go](std::stop_token) {
    begun = true;
    while (!let_go) std::this_thread::sleep_for(1ms);
    return 0;
  };
  auto working = rt::run_blocking(runtime, "apps", std::move(work));
  const int result = co_await std::move(working);
  static_cast<void>(result);
  co_return controller::kContinue;
}

inline rt::Task<controller::StepResult> until_told(FooRun& run) {
  while (!run.context.stop_token().stop_requested()) co_await rt::sleep_for(1ms);
  co_return controller::retry("Failed", make_error(ErrorKind::timeout, "told to stop"));
}

inline rt::Task<controller::StepResult> announce(FooRun& run, std::string id) {
  run.context.status["inventory"]["entries"] = Json::array({{{"id", id}, {"v", "v1"}}});
  auto saving = run.context.save();
  auto saved = co_await std::move(saving);
  if (!saved) co_return controller::retry("ReconciliationFailed", std::move(saved).error());
  co_return controller::kContinue;
}

inline rt::Task<controller::StepResult> wait_and_return(FooRun& run, bool& waiting, std::string& order) {
  run.context.release_worker();
  waiting = true;
  co_await rt::sleep_for(40ms);
  co_await run.context.take_worker_back();
  order += run.context.meta.name;
  co_return controller::kContinue;
}

inline rt::Task<controller::StepResult> hold_worker(bool& waits, const bool& let_go) {
  waits = true;
  while (!let_go) co_await rt::sleep_for(1ms);
  co_return controller::kContinue;
}

struct ControllerHarness : Harness {
  ControllerHarness() {
    options.concurrency = 2;
    options.jitter_percent = 0;
    options.retry.min = 20ms;
    options.progress_delay = 10ms;
    options.min_interval = 1ms;
  }
  ~ControllerHarness() { runtime.reset(); }
  void start() {
    cache =
        std::make_unique<controller::WatchCache>(kube, base::system_clock(), base::Logger::discard(), cache_options());
    subject = std::make_unique<controller::Controller>(
        controller::Services{*runtime, kube, base::system_clock(), log, events, metrics}, reconciler, *cache, options);
    runtime->spawn("cache", cache->run());
    runtime->spawn("controller", subject->run());
  }
  Json foo(const std::string& name = "a") const { return kube->object(kFoos, foo_key(name)); }
  api::Conditions conditions(const std::string& name = "a") const { return api::conditions_of(foo(name)); }
  bool is_ready(const std::string& name = "a") const { return conditions(name).is_true("Ready"); }
  // kstatus-sane, and observedGeneration right, whatever the test is about.
  void check_sane(bool settled = true, const std::string& name = "a") const {
    const Json object = foo(name);
    const auto* observed = doc::find(object, {"status", "observedGeneration"});
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

  base::Logger log = base::Logger::discard();
  std::shared_ptr<FooReconciler> reconciler = std::make_shared<FooReconciler>();
  controller::ControllerOptions options;
  std::unique_ptr<controller::WatchCache> cache;
  std::unique_ptr<controller::Controller> subject;
};

struct Pipe {
  std::array<int, 2> ends{};
  Pipe() { REQUIRE(::pipe(ends.data()) == 0); }
  ~Pipe() {
    for (const int end : ends) ::close(end);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
};

inline base::Error failure(const std::string& message) { return make_error(ErrorKind::unavailable, message); }

}  // namespace sluice::test
