// One reconciliation from load to status write; see controller.hpp. Runs on the
// loop; private to this library.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <unordered_map>

#include "controller/controller.hpp"
#include "controller/fold.hpp"

namespace sluice::controller {

// What is to become of the key.
struct NextRun {
  enum class When { on_change, after, backoff } when = When::on_change;
  base::Duration delay{};
  ReconcileResult result = ReconcileResult::success;
};

class Shell {
 public:
  Shell(Services services, std::shared_ptr<Reconciler> reconciler, WatchCache& cache, ControllerOptions options);

  rt::Task<NextRun> run(api::ObjectKey key, WorkerSlot worker = {});
  // Something newer than the key's run has come: cancels what it waits for. No effect where none is on.
  void interrupt(const api::ObjectKey& key);
  void interrupt_all();

 private:
  struct Active {
    RunContext& context;
    rt::TaskGroup& tasks;
  };
  class Registration;

  enum class Job { reconcile, finalize };

  void meet(const api::ObjectKey& key, const Object& object);
  std::shared_ptr<RunContext> make_context(Object object, WorkerSlot worker);
  rt::Task<NextRun> run_live(Object object, WorkerSlot worker);
  rt::Task<NextRun> settle_suspended(std::shared_ptr<RunContext> context);
  rt::Task<NextRun> run_deletion(Object object, WorkerSlot worker);
  rt::Task<std::optional<StepResult>> run_steps(std::shared_ptr<RunContext> context, Job job);
  StepFailure out_of_time(const RunContext& context) const;
  bool is_suspended_now(const RunContext& context) const;
  static rt::Task<void> steps_task(Reconciler& reconciler, std::shared_ptr<RunContext> context, Job job,
                                   std::optional<StepResult>& result);
  static rt::Task<void> publisher_task(std::shared_ptr<RunContext> context, base::Duration delay);
  static rt::Task<void> watch_task(std::shared_ptr<RunContext> context, rt::TaskGroup& tasks);
  rt::Task<base::Result<void>> write_status(RunContext& context, bool settled);
  rt::Task<NextRun> conclude(std::shared_ptr<RunContext> context, std::optional<StepResult> result);
  NextRun settle(RunContext& context, const StepResult& result, bool& settled);
  NextRun settle(RunContext& context, const Done& done, const FoldInput& input);
  NextRun settle(RunContext& context, const StepFailure& failure, const FoldInput& input);
  base::Duration planned(base::Duration interval, bool jitter);
  std::string new_reconcile_id();

  Services services_;
  std::shared_ptr<Reconciler> reconciler_;
  const KindTraits traits_;
  WatchCache& cache_;
  ControllerOptions options_;
  std::unordered_map<api::ObjectKey, Active> active_;
  std::unordered_map<api::ObjectKey, std::string> met_;  // UID that the last run was about
  std::mt19937_64 random_;
};

}  // namespace sluice::controller
