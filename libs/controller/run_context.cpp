#include "controller/run_context.hpp"

#include <chrono>
#include <utility>

#include "api/names.hpp"
#include "controller/fold.hpp"
#include "controller/reconciler.hpp"
#include "controller/status_writer.hpp"

namespace sluice::controller {

namespace {

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
      log(std::move(logger)),
      status(draft_of(*object)),
      conditions(api::conditions_of(*object)),
      events_(events),
      writer_(std::move(writer)),
      last_handled_(doc::find_string(*object, {"status", "lastHandledReconcileAt"})),
      observed_generation_(observed_generation_of(*object)) {}

bool RunContext::is_requested() const { return api::is_reconcile_requested(meta, last_handled_); }

bool RunContext::is_forced() const {
  const auto forced = meta.annotation(api::annotation::kForceRequestedAt);
  const auto requested = meta.annotation(api::annotation::kReconcileRequestedAt);
  return is_requested() && forced && requested && *forced == *requested;
}

void RunContext::progress(std::string_view message, std::string_view reason) {
  pending_ = Progress{std::string(reason), std::string(message)};
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
  return compose_status(status, conditions, {meta.generation, observed_generation_, settled, last_handled_});
}

// Publishes what progress() says once the run has gone on for `delay` after it.
rt::Task<void> RunContext::publish_progress(base::Duration delay) {
  // Real time, whatever clock the daemon was given: this paces requests.
  using Steady = std::chrono::steady_clock;
  for (;;) {
    while (!pending_ && !finished_) co_await changed_.wait();
    const auto due = Steady::now() + std::chrono::duration_cast<Steady::duration>(delay);
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
  if (context.log.enabled(base::LogLevel::debug)) context.log.debug("step", {{"step", step}});
}

bool RunControl::leave(RunContext& context) {
  context.interruptible_ = true;
  context.cut_short_ = context.superseded_;
  return context.cut_short_;
}

rt::Task<base::Result<void>> Reconciler::finalize(RunContext&) { co_return base::Result<void>(); }
void Reconciler::forget(const api::ObjectKey&) {}

}  // namespace sluice::controller
