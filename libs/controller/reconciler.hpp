// What a kind must provide to be reconciled; the shell (controller.hpp) does
// the rest. A daemon derives from StepReconciler<Run>, whose steps() is the
// kind's table of contents:
//
//   struct FooRun { controller::RunContext& context; api::Foo foo; std::string built; };
//   controller::Steps<FooRun> FooReconciler::steps() {
//     return {{"build", [this](FooRun& run) { return build(run); }},
//             {"apply", [this](FooRun& run) { return apply(run); }, controller::Interrupt::between_steps}};
//   }
#pragma once

#include <functional>
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
};

class Reconciler {
 public:
  virtual ~Reconciler() = default;
  virtual const KindTraits& traits() const = 0;
  // Runs the steps; never returns Continue. Called on the loop, concurrently
  // for different objects.
  virtual rt::Task<StepResult> reconcile(RunContext& context) = 0;
  // The object is being deleted and carries our finalizer. On success the shell
  // takes it off; an error is reported and tried again with backoff.
  // Flux: suspended objects still run finalizers.
  virtual rt::Task<base::Result<void>> finalize(RunContext& context);
  // The object is gone: drop what is kept about it.
  virtual void forget(const api::ObjectKey& key);
};

// What happens to a step when a newer spec, request or input arrives meanwhile.
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
  // The baton: parses the spec. `invalid` stalls the object with InvalidSpec,
  // `unsupported` with UnsupportedField.
  virtual base::Result<std::unique_ptr<Run>> begin(RunContext& context) = 0;
  virtual Steps<Run> steps() = 0;

  rt::Task<StepResult> reconcile(RunContext& context) final {
    auto begun = begin(context);
    if (!begun) {
      const bool unsupported = begun.error().kind == base::ErrorKind::unsupported;
      co_return stall(unsupported ? "UnsupportedField" : "InvalidSpec", std::move(begun).error());
    }
    const std::unique_ptr<Run> run = *std::move(begun);
    const Steps<Run> table = steps();
    for (const auto& step : table) {
      RunControl::enter(context, step.name, step.interrupt);
      rt::Task<StepResult> task = step.run(*run);
      StepResult result = co_await std::move(task);
      if (!std::holds_alternative<Continue>(result)) co_return result;
      // The next run starts from the newer state; this one has nothing to add.
      if (RunControl::leave(context)) co_return Done{base::Duration::zero(), false};
    }
    co_return Done{};
  }
};

}  // namespace sluice::controller
