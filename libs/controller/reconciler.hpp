// What a kind must provide to be reconciled; the shell (controller.hpp) does
// the rest. A daemon derives from StepReconciler<Run>, whose steps() is the
// kind's table of contents; finalizers() is the same for its deletion:
//
//   struct FooRun { controller::RunContext& context; api::Foo foo; std::string built; };
//   controller::Steps<FooRun> FooReconciler::steps() {
//     return {{"build", [this](FooRun& run) { return build(run); }},
//             {"apply", [this](FooRun& run) { return apply(run); }, controller::Interrupt::between_steps}};
//   }
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "controller/outcome.hpp"
#include "controller/run_context.hpp"
#include "kube/client.hpp"
#include "rt/task.hpp"

namespace sluice::controller {

// What the shell must know of a kind.
struct KindTraits {
  kube::Resource resource;
  std::string finalizer;       // empty: nothing to do on deletion
  std::string status_manager;  // field manager of status writes; Flux: "gotk-kustomize-controller", "source-controller"
  // Conditions of this kind for which True is bad news; taken away when a run
  // ends well, or fails otherwise.
  std::vector<std::string> negative_conditions;
  // Whether Ready, Reconciling and observedGeneration are written at all
  // (upstream's Provider and Alert have no status).
  bool has_status = true;
  // Of the kind's objects, those that are kept ready for use; see WatchCacheOptions.
  std::size_t kept_whole = std::numeric_limits<std::size_t>::max();
};

class Reconciler {
 public:
  virtual ~Reconciler() = default;
  virtual const KindTraits& traits() const = 0;
  // Runs the steps; never returns Continue. Called on the loop, concurrently
  // for different objects.
  virtual rt::Task<StepResult> reconcile(RunContext& context) = 0;
  // The object is being deleted and carries our finalizer: Done takes it off, a failure is
  // said and tried again. Deadline, interruption and progress are as in reconcile(). It must
  // not need a spec that can be read: an object that cannot be parsed must be deletable.
  // Flux: suspended objects still run finalizers. Unless overridden: finalize().
  virtual rt::Task<StepResult> clean_up(RunContext& context);
  // The same for a kind whose deletion is one piece; an error is tried again with backoff.
  virtual rt::Task<base::Result<void>> finalize(RunContext& context);
  // The object is gone, or the next run is about another one of that name: drop what is kept about it.
  virtual void forget(const api::ObjectKey& key);
  // How long a run of this object may take, all steps together, waits included (Flux:
  // spec.timeout); nothing for no bound. Ten minutes, unless overridden. Pure.
  virtual std::optional<base::Duration> deadline_of(const doc::Json& object) const;
  // What a run that did not end in time has come to. Failed, tried again with backoff, unless
  // overridden. `error` is of kind timeout and names the step and what it waited for.
  virtual StepFailure deadline_passed(const RunContext& context, base::Error error) const;
};

// What happens to a step when a newer spec, request or input arrives meanwhile. A deadline
// that has passed cancels either.
enum class Interrupt {
  at_once,        // it is cancelled where it waits
  between_steps,  // it runs to its end (writes that must be accounted for)
};

template <class Run>
struct Step {
  std::string_view name;  // a literal
  std::function<rt::Task<StepResult>(Run&)> run;
  Interrupt interrupt = Interrupt::at_once;
};
template <class Run>
using Steps = std::vector<Step<Run>>;

// Tells the shell which step is on; used by StepReconciler only.
class RunControl {
 public:
  static void enter(RunContext& context, std::string_view step, Interrupt interrupt);
  // True if the run must end here, as something newer waits.
  static bool leave(RunContext& context);
};

template <class Run>
class StepReconciler : public Reconciler {
 public:
  // The baton, which has a `RunContext& context`: parses the spec. `invalid` stalls the object with InvalidSpec,
  // `unsupported` with UnsupportedField.
  virtual base::Result<std::unique_ptr<Run>> begin(RunContext& context) = 0;
  virtual Steps<Run> steps() = 0;

  // What is to be done before the object may go; none: finalize().
  virtual Steps<Run> finalizers() { return {}; }
  // Their baton, made of an object whose spec may not parse. Null: what is to be done cannot
  // be told any more, so nothing is, an event says so, and the object goes.
  virtual std::unique_ptr<Run> begin_finalize(RunContext& context) {
    auto begun = begin(context);
    return begun ? *std::move(begun) : nullptr;
  }

  rt::Task<StepResult> reconcile(RunContext& context) final {
    auto begun = begin(context);
    if (!begun) {
      const bool unsupported = begun.error().kind == base::ErrorKind::unsupported;
      co_return stall(unsupported ? "UnsupportedField" : "InvalidSpec", std::move(begun).error());
    }
    const std::unique_ptr<Run> run = *std::move(begun);
    auto walking = walk(steps(), *run);
    StepResult result = co_await std::move(walking);
    co_return result;
  }

  rt::Task<StepResult> clean_up(RunContext& context) final {
    Steps<Run> table = finalizers();
    if (table.empty()) {
      auto finalizing = Reconciler::clean_up(context);
      StepResult result = co_await std::move(finalizing);
      co_return result;
    }
    const std::unique_ptr<Run> run = begin_finalize(context);
    if (run == nullptr) {
      context.event(Severity::error, "InvalidSpec", "deleted without cleaning up, as its spec cannot be read");
      co_return Done{};
    }
    auto walking = walk(std::move(table), *run);
    StepResult result = co_await std::move(walking);
    co_return result;
  }

 private:
  static rt::Task<StepResult> walk(Steps<Run> table, Run& run) {
    for (const auto& step : table) {
      RunControl::enter(run.context, step.name, step.interrupt);
      rt::Task<StepResult> task = step.run(run);
      StepResult result = co_await std::move(task);
      if (!std::holds_alternative<Continue>(result)) co_return result;
      // The next run starts from the newer state; this one has nothing to add.
      if (RunControl::leave(run.context)) co_return Done{base::Duration::zero(), false};
    }
    co_return Done{};
  }
};

}  // namespace sluice::controller
