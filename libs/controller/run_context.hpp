// One reconciliation of one object, as its steps see it. Owned by the shell;
// lives on the loop for as long as the steps run.
//
// A step reads `object`, edits the drafts (`status`, `conditions`), and the
// shell writes them: at save(), some time after progress(), and at the end.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/conditions.hpp"
#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "controller/event_recorder.hpp"
#include "controller/watch_cache.hpp"
#include "doc/json.hpp"
#include "kube/client.hpp"
#include "rt/runtime.hpp"

namespace sluice::controller {

class StatusWriter;

class RunContext {
 public:
  RunContext(Object object, std::shared_ptr<kube::Client> client, const base::Clock& clock, base::Logger log,
             EventRecorder& events, std::shared_ptr<StatusWriter> writer);

  const Object object;  // as it was when the run began
  const api::ObjectMeta meta;
  const api::GroupVersionKind gvk;
  const std::shared_ptr<kube::Client> client;
  const base::Clock& clock;
  const base::Logger log;  // carries kind, namespace, name and reconcileID

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
  void release_worker() {
    if (release_worker_) release_worker_();
  }

  // Something newer waits: a step that cannot be cancelled may end early.
  bool superseded() const noexcept { return superseded_; }

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
  std::function<void()> release_worker_;
  std::shared_ptr<StatusWriter> writer_;  // null for kinds without status
  std::optional<Progress> pending_;       // said, not yet in `conditions`
  std::string last_handled_;              // of status, until the run has a result
  std::int64_t observed_generation_ = 0;
  std::string step_;
  bool superseded_ = false;
  bool told_ = false;  // this run has emitted an event
  bool interruptible_ = true;
  bool cut_short_ = false;
  bool finished_ = false;
  rt::Notify changed_;
};

}  // namespace sluice::controller
