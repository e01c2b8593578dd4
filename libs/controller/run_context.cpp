#include "controller/run_context.hpp"

#include <algorithm>
#include <utility>

#include "api/names.hpp"
#include "controller/fold.hpp"
#include "controller/reconciler.hpp"
#include "controller/status_writer.hpp"
#include "controller/work_queue.hpp"

namespace sluice::controller {

namespace {

constexpr base::Duration kLeastSlack = std::chrono::milliseconds(100);
constexpr base::Duration kMostSlack = std::chrono::seconds(5);
// A step that only concludes ends within it; one that waits does not.
constexpr base::Duration kSuspendPatience = std::chrono::seconds(1);
constexpr base::Duration kDefaultDeadline = std::chrono::minutes(10);

api::GroupVersionKind kind_of(const doc::Json& object) {
  auto gvk = api::gvk_of(object);
  return gvk ? *std::move(gvk) : api::GroupVersionKind();
}

std::int64_t observed_generation_of(const doc::Json& object) {
  const auto* value = doc::find(object, {"status", "observedGeneration"});
  return value != nullptr && value->is_number_integer() ? value->get<std::int64_t>() : 0;
}

}  // namespace

RunContext::RunContext(Object of, std::shared_ptr<kube::Client> kube_client, const base::Clock& the_clock,
                       base::Logger logger, EventRecorder& events, std::shared_ptr<StatusWriter> writer)
    : object(std::move(of)),
      meta(api::read_meta(*object)),
      gvk(kind_of(*object)),
      client(std::move(kube_client)),
      clock(the_clock),
      masks(std::make_shared<base::Masks>()),
      log(logger.masked(masks)),
      status(draft_of(*object)),
      conditions(api::conditions_of(*object)),
      events_(events),
      writer_(std::move(writer)),
      last_handled_(doc::find_string(*object, {"status", "lastHandledReconcileAt"})),
      observed_generation_(observed_generation_of(*object)) {
  cause_.requested = is_requested();
  cause_.new_generation = observed_generation_ != meta.generation;
  cause_.after_failure = !conditions.is_true(api::condition::kReady);
}

bool RunContext::is_requested() const { return api::is_reconcile_requested(meta, last_handled_); }

bool RunContext::is_forced() const {
  const auto forced = meta.annotation(api::annotation::kForceRequestedAt);
  const auto requested = meta.annotation(api::annotation::kReconcileRequestedAt);
  return is_requested() && forced && requested && *forced == *requested;
}

void RunContext::progress(std::string_view message, std::string_view reason) {
  pending_ = Progress{std::string(reason), std::string(message)};
  last_progress_ = message;
  changed_.notify_all();
}

rt::Task<base::Result<void>> RunContext::save() {
  if (!writer_) co_return base::Result<void>();
  apply_progress();
  auto writing = writer_->write(compose(false));
  auto written = co_await std::move(writing);
  co_return written;
}

void RunContext::event(Severity severity, std::string_view reason, std::string_view message, api::StringMap extra) {
  emit({severity, std::string(reason), std::string(message), {}, {}}, std::move(extra));
}

void RunContext::event_once(Severity severity, std::string_view reason, std::string_view message,
                            std::string occurrence, api::StringMap extra) {
  emit({severity, std::string(reason), std::string(message), {}, std::move(occurrence)}, std::move(extra));
}

void RunContext::emit(EventRecord record, api::StringMap extra) {
  for (const auto& [key, value] : event_metadata) record.annotations[event_key(gvk.group, key)] = value;
  for (auto& [key, value] : extra) record.annotations[event_key(gvk.group, key)] = value;
  record.message = masks->apply(std::move(record.message));
  events_.emit(*object, std::move(record));
  told_ = true;
}

void RunContext::apply_progress() {
  const auto said = std::exchange(pending_, std::nullopt);
  if (!said) return;
  const api::ConditionStamp now = stamp();
  conditions.mark_reconciling(said->reason, said->message, now);
  // A failure of this very spec stays visible while it is tried again.
  const auto* ready = conditions.find(api::condition::kReady);
  const bool failed_before = ready != nullptr && ready->status == api::ConditionStatus::is_false &&
                             ready->observed_generation == meta.generation;
  if (!failed_before) conditions.mark_unknown(api::condition::kReady, said->reason, said->message, now);
}

doc::Json RunContext::compose(bool settled) const {
  std::vector<api::Condition> told = conditions.items();
  for (auto& condition : told) condition.message = masks->apply(std::move(condition.message));
  return compose_status(status, api::Conditions(std::move(told)),
                        {meta.generation, observed_generation_, settled, last_handled_});
}

void RunContext::release_worker() {
  if (worker_.release) worker_.release();
}

rt::Task<void> RunContext::take_worker_back() {
  if (!worker_.take_back) co_return;
  auto taking = worker_.take_back();
  co_await std::move(taking);
}

base::Duration RunContext::time_left() const {
  if (!limit_) return kLongestDelay;
  const auto left = std::chrono::duration_cast<base::Duration>(deadline_ - Steady::now());
  return std::max(left, base::Duration::zero());
}

// Cuts the steps when their time is over, or the patience with an object that is suspended is.
// Runs beside the steps and is cut with them.
rt::Task<void> RunContext::watch_time(std::function<void()> cut) {
  // Steps that bound themselves by time_left() get a moment to tell of it.
  const base::Duration slack =
      limit_ ? std::clamp<base::Duration>(*limit_ / 10, kLeastSlack, kMostSlack) : base::Duration();
  while (!finished_) {
    const auto now = Steady::now();
    if (limit_ && now >= deadline_) stop_.request_stop();
    if (limit_ && now >= deadline_ + slack) {
      expired_ = true;
      // What still hangs, as work on the pool that heeds nothing, shall hang alone.
      release_worker();
      cut();
      co_return;
    }
    if (suspend_due_ && interruptible_ && now >= *suspend_due_) {
      cut_short_ = true;
      cut();
      co_return;
    }
    auto due = now + std::chrono::hours(1);
    if (limit_) due = std::min(due, now < deadline_ ? deadline_ : deadline_ + slack);
    if (suspend_due_ && interruptible_) due = std::min(due, *suspend_due_);
    const bool woken = co_await changed_.wait_for(due - now);
    static_cast<void>(woken);
  }
}

// Publishes what progress() says once the run has gone on for `delay` after it, and later for twice that.
rt::Task<void> RunContext::publish_progress(base::Duration delay) {
  for (bool is_first = true;; is_first = false) {
    while (!pending_ && !finished_) co_await changed_.wait();
    const auto due = Steady::now() + std::chrono::duration_cast<Steady::duration>(is_first ? delay : delay * 2);
    while (!finished_ && Steady::now() < due) {
      const bool woken = co_await changed_.wait_for(due - Steady::now());
      static_cast<void>(woken);
    }
    if (finished_) co_return;
    auto saved = co_await save();
    if (!saved) log.info("progress not published", {{"error", saved.error().message}});
  }
}

void RunContext::finish() {
  finished_ = true;
  changed_.notify_all();
}

void RunControl::enter(RunContext& context, std::string_view step, Interrupt interrupt) {
  context.step_ = step;
  context.interruptible_ = interrupt == Interrupt::at_once;
  context.waits_for_.clear();
  if (context.suspending_ && context.interruptible_) {
    if (!context.suspend_due_) context.suspend_due_ = RunContext::Steady::now() + kSuspendPatience;
    context.changed_.notify_all();
  }
  if (context.log.enabled(base::LogLevel::debug)) context.log.debug("step", {{"step", step}});
}

bool RunControl::leave(RunContext& context) {
  context.interruptible_ = true;
  context.cut_short_ = context.superseded_;
  return context.cut_short_;
}

rt::Task<StepResult> Reconciler::clean_up(RunContext& context) {
  RunControl::enter(context, "finalize", Interrupt::at_once);
  auto finalizing = finalize(context);
  auto finalized = co_await std::move(finalizing);
  if (finalized) co_return Done{};
  co_return retry(api::reason::kFailed, std::move(finalized).error());
}

rt::Task<base::Result<void>> Reconciler::finalize(RunContext&) { co_return base::Result<void>(); }
void Reconciler::forget(const api::ObjectKey&) {}
std::optional<base::Duration> Reconciler::deadline_of(const doc::Json&) const { return kDefaultDeadline; }
StepFailure Reconciler::deadline_passed(const RunContext&, base::Error error) const {
  return retry(api::reason::kFailed, std::move(error));
}

}  // namespace sluice::controller
