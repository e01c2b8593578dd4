// One reconciliation of one object, as its steps see it. Owned by the shell;
// lives on the loop for as long as the steps run.
//
// A step reads `object`, edits the drafts (`status`, `conditions`), and the
// shell writes them: at save(), some time after progress(), and at the end.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "api/conditions.hpp"
#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/masks.hpp"
#include "base/result.hpp"
#include "controller/event_recorder.hpp"
#include "controller/watch_cache.hpp"
#include "doc/json.hpp"
#include "kube/client.hpp"
#include "rt/runtime.hpp"

namespace sluice::controller {

class StatusWriter;

// Why a run happens, as the object itself says it, so that neither a retry nor a restart of the
// daemon loses it: what a run has found to be wrong stands in the status until one ends well.
struct Cause {
  bool requested = false;       // by an annotation that no run has answered
  bool new_generation = false;  // no run has come to an end with this spec
  bool after_failure = false;   // Ready is not True: the last run failed, waited, or was cut
  // What is believed to stand must be proven. Else only time has passed, or an input has moved.
  bool must_verify() const noexcept { return requested || new_generation || after_failure; }
};

// One of the places that bound how many runs work at once.
struct WorkerSlot {
  std::function<void()> release;              // may be called more than once
  std::function<rt::Task<void>()> take_back;  // returns when there is one; at once if it is held
};

class RunContext {
 public:
  RunContext(Object object, std::shared_ptr<kube::Client> client, const base::Clock& clock, base::Logger log,
             EventRecorder& events, std::shared_ptr<StatusWriter> writer);

  const Object object;  // as it was when the run began
  const api::ObjectMeta meta;
  const api::GroupVersionKind gvk;
  const std::shared_ptr<kube::Client> client;
  const base::Clock& clock;
  // The secret values that this run has read (kube::SecretView adds them; so must whoever gets
  // at one otherwise). Conditions, Events and log lines of the run pass through it; event
  // metadata, which identifies, does not. Shared, as jobs on the pool may add to it.
  const std::shared_ptr<base::Masks> masks;
  const base::Logger log;  // carries kind, namespace, name and reconcileID; masked

  // The draft of `status`, without the parts that the shell keeps itself:
  // conditions, observedGeneration, lastHandledReconcileAt.
  doc::Json status;
  // The draft of the conditions. Steps set only what they found to be so
  // (SourceVerified, Healthy=True); failures are told by returning StepFailure.
  api::Conditions conditions;
  // Ready=True says this when the run ends well.
  std::string ready_reason = "ReconciliationSucceeded";
  std::string ready_message;
  // Metadata of every event from here on, by bare key ("revision").
  api::StringMap event_metadata;

  const api::ObjectKey key() const { return meta.key(); }
  api::ConditionStamp stamp() const { return {meta.generation, clock.now()}; }
  // A reconciliation was asked for by annotation, and this run answers it.
  bool is_requested() const;
  // The same with forceAt beside requestedAt (Flux: both hold the same value).
  bool is_forced() const;
  // As it was when the run began.
  const Cause& cause() const noexcept { return cause_; }

  // There is something to do and this is what is being done: Reconciling=True
  // and Ready=Unknown with this message. Published if the run is still busy a
  // moment later, so that runs of a blink cost one write; costs nothing here.
  void progress(std::string_view message, std::string_view reason = "Progressing");
  // Writes the drafts now. For what must be known before the next effect (an
  // inventory before its objects).
  rt::Task<base::Result<void>> save();
  // Emits an event about the object with event_metadata and `extra`.
  void event(Severity severity, std::string_view reason, std::string_view message, api::StringMap extra = {});

  // As event(), of a thing that happens once: a run that is made again, as this one was
  // killed before its status was written, tells nothing new. `occurrence` sets the thing
  // apart from others of the same reason and metadata: what the status said at the start
  // that the end of this run changes. Texts may differ (a duration).
  void event_once(Severity severity, std::string_view reason, std::string_view message, std::string occurrence,
                  api::StringMap extra = {});

  // From here on this run only waits: its worker may take up another object.
  void release_worker();
  // The wait is over and there is work to do again (a repair): returns when a worker is free.
  rt::Task<void> take_worker_back();

  // What is left of the run's time (Reconciler::deadline_of); a step that waits bounds itself
  // by it, to say in its own words what it waited for. Long where there is no deadline.
  base::Duration time_left() const;
  // Asked to stop when that time is over. For steps that may not be cancelled: moments later
  // they are, come what may. Work on the pool gets a token of its own.
  std::stop_token stop_token() const { return stop_.get_token(); }
  // Noted for the message of a deadline that passes: "the webhook of Deployment/apps/web".
  // Until the next call or step; else the last progress() stands for it.
  void waits_for(std::string what) { waits_for_ = std::move(what); }

  // The step that is on, by its name in the table.
  const std::string& step() const noexcept { return step_; }

  // Something newer waits: a step that cannot be cancelled may end early.
  bool superseded() const noexcept { return superseded_; }
  // The object has been suspended since the run began. Steps that may not be cancelled run to
  // their end, and those after them if they end at once, so that the status tells what was
  // done; a step may leave out what need not be done now.
  bool suspended_meanwhile() const noexcept { return suspending_; }

 private:
  friend class Shell;
  friend class RunControl;
  void emit(EventRecord record, api::StringMap extra);
  doc::Json compose(bool settled) const;
  void apply_progress();
  rt::Task<void> publish_progress(base::Duration delay);
  void finish();

  struct Progress {
    std::string reason;
    std::string message;
  };
  EventRecorder& events_;
  WorkerSlot worker_;
  std::shared_ptr<StatusWriter> writer_;  // null for kinds without status
  std::optional<Progress> pending_;       // said, not yet in `conditions`
  std::string last_handled_;              // of status, until the run has a result
  std::int64_t observed_generation_ = 0;
  using Steady = std::chrono::steady_clock;  // real time, whatever clock the daemon was given
  rt::Task<void> watch_time(std::function<void()> cut);

  Cause cause_;
  std::string step_;
  std::string waits_for_;
  std::string last_progress_;
  std::stop_source stop_;
  std::optional<base::Duration> limit_;
  Steady::time_point deadline_ = Steady::time_point::max();
  std::optional<Steady::time_point> suspend_due_;  // when a step that can be cut is cut
  bool superseded_ = false;
  bool suspending_ = false;
  bool expired_ = false;
  bool told_ = false;  // this run has emitted an event
  bool interruptible_ = true;
  bool cut_short_ = false;
  bool finished_ = false;
  rt::Notify changed_;
};

}  // namespace sluice::controller
