#include "controller/shell.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "api/kind.hpp"
#include "api/names.hpp"
#include "controller/finalizers.hpp"
#include "controller/status_writer.hpp"

namespace sluice::controller {

namespace {

// How long a status waits for the events of its run.
constexpr base::Duration kEventPatience = std::chrono::seconds(2);

bool is_suspended(const doc::Json& object) {
  const auto* suspend = doc::find(object, {"spec", "suspend"});
  return suspend != nullptr && suspend->is_boolean() && suspend->get<bool>();
}

// What has to be cleaned up, by a status.
doc::Json inventory_in(const doc::Json& status) {
  const doc::Json* inventory = doc::find(status, {"inventory"});
  return inventory == nullptr ? doc::Json() : *inventory;
}

NextRun after_backoff() { return {NextRun::When::backoff, {}, ReconcileResult::error}; }
NextRun abandoned() { return {NextRun::When::backoff, {}, ReconcileResult::requeue}; }
NextRun on_change() { return {}; }

std::string sentence_for(const StepFailure& failure) {
  return failure.error.message.empty() ? failure.reason : failure.error.message;
}

// Runs finish() however the steps end, cancellation included.
template <class Function>
class AtEnd {
 public:
  explicit AtEnd(Function f) : f_(std::move(f)) {}
  ~AtEnd() { f_(); }
  AtEnd(const AtEnd&) = delete;
  AtEnd& operator=(const AtEnd&) = delete;

 private:
  Function f_;
};

}  // namespace

// Makes a run known to interrupt() while it lasts.
class Shell::Registration {
 public:
  Registration(Shell& shell, RunContext& context, rt::TaskGroup& tasks) : shell_(shell), key_(context.key()) {
    shell_.active_.emplace(key_, Active{context, tasks});  // the queue hands a key to one worker
  }
  ~Registration() { shell_.active_.erase(key_); }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

 private:
  Shell& shell_;
  api::ObjectKey key_;
};

Shell::Shell(Services services, std::shared_ptr<Reconciler> reconciler, WatchCache& cache, ControllerOptions options)
    : services_(std::move(services)),
      reconciler_(std::move(reconciler)),
      traits_(reconciler_->traits()),
      cache_(cache),
      options_(options),
      random_(std::random_device{}()) {}

void Shell::interrupt(const api::ObjectKey& key) {
  const auto it = active_.find(key);
  if (it == active_.end()) return;
  RunContext& context = it->second.context;
  // To suspend is to say "no more", not "nothing of this": what may not be cancelled goes on to a
  // state that can be told.
  if (!context.interruptible_ && is_suspended_now(context)) {
    context.suspending_ = true;
    return;
  }
  context.superseded_ = true;
  if (!context.interruptible_) return;
  context.cut_short_ = true;
  it->second.tasks.cancel();
}

void Shell::interrupt_all() {
  std::vector<api::ObjectKey> keys;
  for (const auto& [key, run] : active_) keys.push_back(key);
  for (const auto& key : keys) interrupt(key);
}

// Of the very object that the run is about, and not on its way out.
bool Shell::is_suspended_now(const RunContext& context) const {
  const Object now = cache_.find(context.key());
  return now && api::uid_of(*now) == context.meta.uid && !api::is_being_deleted(*now) && is_suspended(*now);
}

// What was learned of an object says nothing of another one of its name, whether or not anybody
// has looked while there was none.
void Shell::meet(const api::ObjectKey& key, const Object& object) {
  const std::string uid(object ? api::uid_of(*object) : std::string_view());
  const auto met = met_.find(key);
  const bool is_first = met == met_.end();
  if (!is_first && met->second == uid) return;
  if (!is_first || !object) {
    reconciler_->forget(key);
    services_.metrics.forget(traits_.resource.kind, key);
  }
  if (!object) {
    met_.erase(key);
  } else {
    met_.insert_or_assign(key, uid);
  }
}

rt::Task<NextRun> Shell::run(api::ObjectKey key, WorkerSlot worker) {
  const Object object = cache_.find(key);
  meet(key, object);
  if (!object) co_return on_change();
  const base::SteadyPoint started = services_.clock.steady();
  const bool deleted = api::is_being_deleted(*object);
  rt::Task<NextRun> task = deleted ? run_deletion(object, std::move(worker)) : run_live(object, std::move(worker));
  const NextRun next = co_await std::move(task);
  // A deleted object's series went with it.
  if (!deleted) services_.metrics.reconciled(traits_.resource.kind, key, services_.clock.steady() - started);
  co_return next;
}

std::shared_ptr<RunContext> Shell::make_context(Object object, WorkerSlot worker) {
  const api::ObjectKey key = api::key_of(*object);
  auto log = services_.log.with({{"controllerKind", traits_.resource.kind},
                                 {"name", key.name},
                                 {"namespace", key.namespace_},
                                 {"reconcileID", new_reconcile_id()}});
  // What is asked for an object may take its namespace's share of connections, and no more.
  const auto client = services_.client->on_behalf_of(key.namespace_);
  std::shared_ptr<StatusWriter> writer;
  if (traits_.has_status) {
    auto on_read = [&cache = cache_](doc::Json read) { cache.observe_write(std::move(read)); };
    writer =
        std::make_shared<StatusWriter>(client, traits_.resource, traits_.status_manager, *object, std::move(on_read));
    writer->on_went_back([&cache = cache_](doc::Json read) { cache.observe_went_back(std::move(read)); });
    writer->on_stale([this, key] { interrupt(key); });
  }
  auto context = std::make_shared<RunContext>(std::move(object), client, services_.clock, std::move(log),
                                              services_.events, std::move(writer));
  context->worker_ = std::move(worker);
  context->limit_ = reconciler_->deadline_of(*context->object);
  if (context->limit_) {
    const auto limit = std::clamp<base::Duration>(*context->limit_, base::Duration::zero(), kLongestDelay);
    context->limit_ = limit;
    context->deadline_ = RunContext::Steady::now() + limit;
  }
  return context;
}

rt::Task<NextRun> Shell::run_live(Object object, WorkerSlot worker) {
  if (!traits_.finalizer.empty() && !api::read_meta(*object).has_finalizer(traits_.finalizer)) {
    auto adding =
        change_finalizer(services_.client->on_behalf_of(std::string(api::namespace_of(*object))), traits_.resource,
                         *object, traits_.finalizer, FinalizerChange::add, traits_.status_manager);
    auto added = co_await std::move(adding);
    if (!added) {
      if (added.error().kind == base::ErrorKind::not_found) co_return on_change();
      services_.log.error("cannot add the finalizer", added.error(), {{"name", api::key_of(*object).str()}});
      co_return after_backoff();
    }
    cache_.observe_write(*added);
    object = std::make_shared<const doc::Json>(*std::move(added));
  }
  auto context = make_context(object, std::move(worker));
  if (is_suspended(*object)) {
    context->log.info("reconciliation is suspended");
    auto settling = settle_suspended(context);
    const NextRun next = co_await std::move(settling);
    co_return next;
  }
  std::optional<StepResult> result;
  std::string unsupported = api::unsupported_message(*object);
  if (unsupported.empty()) {
    if (context->observed_generation_ != context->meta.generation || context->is_requested()) {
      context->progress("Reconciliation in progress");
    }
    auto running = run_steps(context, Job::reconcile);
    result = co_await std::move(running);
  } else {
    base::Error error;
    error.kind = base::ErrorKind::unsupported;
    error.message = std::move(unsupported);
    result = stall(api::reason::kUnsupportedField, std::move(error));
  }
  auto concluding = conclude(context, std::move(result));
  const NextRun next = co_await std::move(concluding);
  co_return next;
}

// Suspending an object cuts its run short; what that run has said of its progress
// must not stand for as long as the object is suspended.
rt::Task<NextRun> Shell::settle_suspended(std::shared_ptr<RunContext> context) {
  if (context->conditions.reason(api::condition::kReconciling) != api::reason::kProgressing) co_return on_change();
  fold_suspended(context->conditions, context->stamp());
  auto writing = write_status(*context, false);
  auto written = co_await std::move(writing);
  if (written || written.error().kind == base::ErrorKind::not_found) co_return on_change();
  if (context->writer_->is_stale()) co_return abandoned();
  context->log.error("cannot write the status", written.error());
  co_return after_backoff();
}

// Nothing: the run was cut short by something newer.
rt::Task<std::optional<StepResult>> Shell::run_steps(std::shared_ptr<RunContext> context, Job job) {
  std::optional<StepResult> result;
  rt::TaskGroup tasks;
  const Registration registration(*this, *context, tasks);
  tasks.spawn(services_.runtime.context(), publisher_task(context, options_.progress_delay));
  tasks.spawn(services_.runtime.context(), watch_task(context, tasks));
  tasks.spawn(services_.runtime.context(), steps_task(*reconciler_, context, job, result));
  co_await tasks.join();
  if (context->cut_short_) co_return std::nullopt;
  if (!result && context->expired_) {
    services_.metrics.timed_out(Metrics::controller_name(traits_.resource.kind));
    result = out_of_time(*context);
  }
  co_return std::move(result);
}

StepFailure Shell::out_of_time(const RunContext& context) const {
  const std::string& what = context.waits_for_.empty() ? context.last_progress_ : context.waits_for_;
  base::Error error;
  error.kind = base::ErrorKind::timeout;
  error.message = fmt::format("not done within the timeout of {}: step '{}' did not end",
                              base::format_duration(*context.limit_), context.step_);
  if (!what.empty()) error.message += " (" + what + ")";
  return reconciler_->deadline_passed(context, std::move(error));
}

rt::Task<void> Shell::steps_task(Reconciler& reconciler, std::shared_ptr<RunContext> context, Job job,
                                 std::optional<StepResult>& result) {
  const AtEnd end([context] { context->finish(); });
  rt::Task<StepResult> task = job == Job::reconcile ? reconciler.reconcile(*context) : reconciler.clean_up(*context);
  StepResult found = co_await std::move(task);
  result = std::move(found);
}

rt::Task<void> Shell::watch_task(std::shared_ptr<RunContext> context, rt::TaskGroup& tasks) {
  auto watching = context->watch_time([&tasks] { tasks.cancel(); });
  co_await std::move(watching);
}

rt::Task<void> Shell::publisher_task(std::shared_ptr<RunContext> context, base::Duration delay) {
  co_await context->publish_progress(delay);
}

rt::Task<base::Result<void>> Shell::write_status(RunContext& context, bool settled) {
  if (!context.writer_) co_return base::Result<void>();
  auto writing = context.writer_->write(context.compose(settled));
  auto written = co_await std::move(writing);
  co_return written;
}

rt::Task<NextRun> Shell::conclude(std::shared_ptr<RunContext> context, std::optional<StepResult> result) {
  NextRun next = {NextRun::When::after, {}, ReconcileResult::requeue};
  bool settled = false;
  if (context->writer_ && context->writer_->is_stale()) result.reset();
  if (result) {
    next = settle(*context, *result, settled);
  } else {
    context->log.info("superseded by a newer change", {{"step", context->step_}});
    if (is_suspended_now(*context)) {
      // No run follows that would say how things are.
      context->apply_progress();
      fold_suspended(context->conditions, context->stamp());
    }
  }
  if (context->told_) {
    // A status that says "done" ends the matter: killed in between, nobody would tell of it any more.
    auto telling = services_.events.wait_sent(*context->object, kEventPatience);
    co_await std::move(telling);
  }
  auto writing = write_status(*context, settled);
  auto written = co_await std::move(writing);
  if (written) co_return next;
  if (written.error().kind == base::ErrorKind::not_found) co_return on_change();
  if (context->writer_->is_stale()) {
    context->log.info("run abandoned: somebody else has written the status meanwhile", {{"step", context->step_}});
    co_return abandoned();
  }
  context->log.error("cannot write the status", written.error());
  co_return after_backoff();
}

NextRun Shell::settle(RunContext& context, const StepResult& result, bool& settled) {
  const FoldInput input{traits_.negative_conditions, context.ready_reason, context.ready_message};
  context.pending_.reset();
  if (const auto handled = context.meta.annotation(api::annotation::kReconcileRequestedAt)) {
    context.last_handled_ = *handled;
  }
  if (const auto* failure = std::get_if<StepFailure>(&result)) {
    settled = failure->disposition == Disposition::stalled;
    return settle(context, *failure, input);
  }
  settled = true;
  const auto* done = std::get_if<Done>(&result);
  return settle(context, done != nullptr ? *done : Done{}, input);
}

NextRun Shell::settle(RunContext& context, const Done& done, const FoldInput& input) {
  fold_done(context.conditions, input, context.stamp());
  if (!done.requeue_after) return on_change();
  return {NextRun::When::after, planned(*done.requeue_after, done.jitter), ReconcileResult::requeue_after};
}

NextRun Shell::settle(RunContext& context, const StepFailure& failure, const FoldInput& input) {
  const std::string text = context.masks->apply(sentence_for(failure));
  const auto* ready = context.conditions.find(api::condition::kReady);
  const bool said_before = ready != nullptr && ready->status == api::ConditionStatus::is_false &&
                           ready->reason == failure.reason && ready->message == text;
  fold_failure(context.conditions, input, failure, context.stamp());
  if (failure.disposition == Disposition::wait) {
    // Waiting is no news while nothing about it changes.
    if (!said_before && failure.is_news) context.event(Severity::info, failure.reason, text);
    context.log.info("waiting", {{"step", context.step_}, {"reason", failure.reason}, {"message", text}});
    const base::Duration delay = failure.retry_after.value_or(std::chrono::seconds(30));
    return {NextRun::When::after, planned(delay, false), ReconcileResult::requeue_after};
  }
  context.event(Severity::error, failure.reason, text);
  context.log.error("reconciliation failed", failure.error, {{"step", context.step_}, {"reason", failure.reason}});
  if (failure.disposition == Disposition::stalled) {
    services_.metrics.stalled(Metrics::controller_name(traits_.resource.kind));
    return {NextRun::When::on_change, {}, ReconcileResult::error};
  }
  if (failure.retry_after) return {NextRun::When::after, planned(*failure.retry_after, true), ReconcileResult::error};
  return after_backoff();
}

rt::Task<NextRun> Shell::run_deletion(Object object, WorkerSlot worker) {
  const auto meta = api::read_meta(*object);
  if (traits_.finalizer.empty() || !meta.has_finalizer(traits_.finalizer)) co_return on_change();
  auto context = make_context(object, std::move(worker));
  auto running = run_steps(context, Job::finalize);
  auto result = co_await std::move(running);
  auto* failure = result ? std::get_if<StepFailure>(&*result) : nullptr;
  if (!result || failure != nullptr) {
    if (failure != nullptr) {
      base::Error told = std::move(failure->error).with_context("cleaning up");
      failure->error = std::move(told);
      // It has been marked for deletion; there is nothing left that a person would edit.
      if (failure->disposition == Disposition::stalled) failure->disposition = Disposition::retry;
    }
    auto concluding = conclude(context, std::move(result));
    const NextRun next = co_await std::move(concluding);
    co_return next;
  }
  // Another process may have gone on for a while, as the leader that it was, and have said what it has applied since:
  // that is cleaned up as well, by the next run.
  const doc::Json cleaned = context->writer_ ? inventory_in(context->writer_->known()) : doc::Json();
  auto is_all = [cleaned, says = context->writer_ != nullptr](const doc::Json& now) {
    return !says || inventory_in(now.value("status", doc::Json::object())) == cleaned;
  };
  auto removing = change_finalizer(context->client, traits_.resource, *object, traits_.finalizer,
                                   FinalizerChange::remove, traits_.status_manager, std::move(is_all));
  auto removed = co_await std::move(removing);
  if (removed || removed.error().kind == base::ErrorKind::not_found) co_return on_change();
  context->log.error("cannot remove the finalizer", removed.error());
  co_return after_backoff();
}

// Never so soon that it becomes a loop, and never so late that sums overflow.
// Flux: +/- the percentage, so that objects of one interval drift apart.
base::Duration Shell::planned(base::Duration interval, bool jitter) {
  interval = std::clamp<base::Duration>(interval, base::Duration::zero(), kLongestDelay);
  if (jitter && options_.jitter_percent != 0) {
    const double share = static_cast<double>(options_.jitter_percent) / 100.0;
    std::uniform_real_distribution<double> factor(1.0 - share, 1.0 + share);
    interval = std::chrono::duration_cast<base::Duration>(interval * factor(random_));
  }
  return std::max(interval, options_.min_interval);
}

std::string Shell::new_reconcile_id() {
  const std::uint64_t high = random_();
  const std::uint64_t low = random_();
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32U, (high >> 16U) & 0xffffU, high & 0xffffU,
                     low >> 48U, low & 0xffffffffffffU);
}

}  // namespace sluice::controller
