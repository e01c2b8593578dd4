// Alert (notification.toolkit.fluxcd.io/v1beta3): is its spec in order, and since
// when is it in force? The sending is the dispatcher's.
//
// 1. listen        Listening=True from now on (see below)
// 2. check_spec    expressions parse, sources can match     Stalled InvalidSpec
// 3. check_access  no source that is forbidden              Stalled AccessDenied
// 4. check_provider  the Provider exists                    waits, DependencyNotReady
//
// What is wrong in one entry of a list does not silence the others: the rest is in force, as
// upstream has it, and Ready says that not all of it is.
//
// Listening says since when the spec is in force, in lastTransitionTime; what
// happened before is not sent. It starts
//   - for a new Alert, when it was created;
//   - where no Alert was ever looked after by us (first start, or a takeover from
//     another notification-controller), at the start of this process;
//   - for an edited one, when the edit was seen; but an edit made while no process
//     ran leaves it, as what happened meanwhile must not be lost;
//   - for one that is no longer suspended, when that was seen, if this process saw it suspended.
//     Suspended before, and resumed while no process ran, it reads as edited.
// A time that could not be written yet is kept until it is: the next try must not take a later one.
// Nothing is deleted on deletion, so there is no finalizer.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "alert_rule.hpp"
#include "controller/app.hpp"
#include "controller/reconciler.hpp"

namespace sluice::notification_controller {

struct AlertRun {
  controller::RunContext& context;
  api::Alert alert;
  AlertRule rule;
};

class AlertReconciler final : public controller::StepReconciler<AlertRun> {
 public:
  // The caches outlive this.
  AlertReconciler(controller::WatchCache& alerts, const controller::WatchCache& providers, const base::Clock& clock,
                  bool no_cross_namespace_refs);

  const controller::KindTraits& traits() const override { return traits_; }
  base::Result<std::unique_ptr<AlertRun>> begin(controller::RunContext& context) override;
  controller::Steps<AlertRun> steps() override;
  void forget(const api::ObjectKey& key) override { seen_.erase(key); }
  // An Alert's condition says whether its Provider is there. `controller` is that of this kind.
  void attach(controller::Controller& controller, controller::WatchCache& providers);

 private:
  static rt::Task<controller::StepResult> check_spec(AlertRun& run);
  rt::Task<controller::StepResult> listen(AlertRun& run);
  rt::Task<controller::StepResult> check_access(AlertRun& run);
  rt::Task<controller::StepResult> check_provider(AlertRun& run);
  // What this process has seen of an Alert: the generation that was in force, or was to be, and
  // since when; or a suspended one.
  struct Seen {
    std::string uid;
    std::int64_t generation = 0;
    base::TimePoint since{};
  };
  void note_suspended(const doc::Json& alert);
  base::TimePoint since(const AlertRun& run);
  base::TimePoint since_before_us(const AlertRun& run);

  controller::WatchCache& alerts_;
  const controller::WatchCache& providers_;
  const base::TimePoint started_;
  bool no_cross_namespace_refs_;
  std::optional<bool> was_here_before_;  // some Alert carries our mark
  std::map<api::ObjectKey, Seen> seen_;
  controller::KindTraits traits_;
};

}  // namespace sluice::notification_controller
