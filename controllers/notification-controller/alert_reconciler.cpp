#include "alert_reconciler.hpp"

#include <algorithm>
#include <utility>

#include "api/names.hpp"

namespace sluice::notification_controller {

AlertReconciler::AlertReconciler(controller::WatchCache& alerts, const controller::WatchCache& providers,
                                 const base::Clock& clock, bool no_cross_namespace_refs)
    : alerts_(alerts), providers_(providers), started_(clock.now()), no_cross_namespace_refs_(no_cross_namespace_refs) {
  traits_.resource = {std::string(api::group::kNotification), "v1beta3", std::string(api::kind::kAlert), "alerts",
                      true};
  traits_.status_manager = api::field_manager::kNotificationController;
  traits_.negative_conditions = {std::string(api::condition::kAccessDenied)};
  controller::CacheHandlers handlers;
  handlers.added = [this](const controller::Object& now) { note_suspended(*now); };
  handlers.updated = [this](const controller::Object&, const controller::Object& now) { note_suspended(*now); };
  alerts_.subscribe(std::move(handlers));
}

base::Result<std::unique_ptr<AlertRun>> AlertReconciler::begin(controller::RunContext& context) {
  auto alert = api::parse_alert(*context.object);
  if (!alert) {
    context.conditions.remove(kListeningCondition);
    return base::unexpected(std::move(alert).error());
  }
  AlertRule rule = AlertRule::compile(*alert, no_cross_namespace_refs_);
  return std::make_unique<AlertRun>(AlertRun{context, *std::move(alert), std::move(rule)});
}

void AlertReconciler::attach(controller::Controller& controller, controller::WatchCache& providers) {
  controller.watch(providers, [this](const controller::Object& before, const controller::Object& now) {
    std::vector<api::ObjectKey> concerned;
    if (before && now) return concerned;
    const api::ObjectKey provider = api::key_of(now ? *now : *before);
    for (const auto& alert : alerts_.list()) {
      const api::ObjectKey named{std::string(api::namespace_of(*alert)),
                                 std::string(doc::find_string(*alert, {"spec", "providerRef", "name"}))};
      if (named == provider) concerned.push_back(api::key_of(*alert));
    }
    return concerned;
  });
}

controller::Steps<AlertRun> AlertReconciler::steps() {
  return {{"listen", [this](AlertRun& run) { return listen(run); }},
          {"check_spec", [](AlertRun& run) { return check_spec(run); }},
          {"check_access", [this](AlertRun& run) { return check_access(run); }},
          {"check_provider", [this](AlertRun& run) { return check_provider(run); }}};
}

rt::Task<controller::StepResult> AlertReconciler::check_spec(AlertRun& run) {
  base::Error error;
  error.kind = base::ErrorKind::invalid;
  error.message = run.rule.wrong_expression.empty() ? run.rule.hopeless_source() : run.rule.wrong_expression;
  if (error.message.empty()) co_return controller::kContinue;
  co_return controller::stall(api::reason::kInvalidSpec, std::move(error));
}

// No step runs for a suspended one, and what happens meanwhile is not for it.
void AlertReconciler::note_suspended(const doc::Json& alert) {
  const doc::Json* suspend = doc::find(alert, {"spec", "suspend"});
  if (suspend == nullptr || !suspend->is_boolean() || !suspend->get<bool>()) return;
  seen_[api::key_of(alert)] = {std::string(api::uid_of(alert)), api::generation_of(alert), {}};
}

base::TimePoint AlertReconciler::since_before_us(const AlertRun& run) {
  if (!was_here_before_) {
    const auto all = alerts_.list();
    was_here_before_ = std::any_of(
        all.begin(), all.end(), [](const auto& alert) { return api::conditions_of(*alert).has(kListeningCondition); });
  }
  const auto* before = run.context.conditions.find(kListeningCondition);
  if (before != nullptr) return before->last_transition_time;
  const base::TimePoint created = run.alert.metadata.creation_timestamp.value_or(started_);
  return *was_here_before_ ? created : std::max(created, started_);
}

base::TimePoint AlertReconciler::since(const AlertRun& run) {
  const std::int64_t generation = run.context.meta.generation;
  const auto seen = seen_.find(run.context.key());
  const bool is_known = seen != seen_.end() && seen->second.uid == run.alert.metadata.uid;
  if (is_known && seen->second.generation == generation) return seen->second.since;
  const base::TimePoint since = is_known ? run.context.clock.now() : since_before_us(run);
  seen_[run.context.key()] = {run.alert.metadata.uid, generation, since};
  return since;
}

rt::Task<controller::StepResult> AlertReconciler::listen(AlertRun& run) {
  auto& conditions = run.context.conditions;
  const auto* before = conditions.find(kListeningCondition);
  if (before != nullptr && before->observed_generation == run.context.meta.generation) {
    seen_[run.context.key()] = {run.alert.metadata.uid, run.context.meta.generation, before->last_transition_time};
    co_return controller::kContinue;
  }
  const api::ConditionStamp stamp{run.context.meta.generation, since(run)};
  conditions.remove(kListeningCondition);
  conditions.mark_true(kListeningCondition, kListeningReason, "What happens from now on is sent", stamp);
  // Before anything is sent by this spec: the memory of a crash.
  auto saved = co_await run.context.save();
  if (saved) co_return controller::kContinue;
  co_return controller::retry(api::reason::kFailed, std::move(saved).error());
}

rt::Task<controller::StepResult> AlertReconciler::check_access(AlertRun& run) {
  std::string forbidden = run.rule.forbidden_source();
  if (forbidden.empty()) co_return controller::kContinue;
  base::Error error;
  error.kind = base::ErrorKind::forbidden;
  error.message = std::move(forbidden);
  co_return controller::stall(api::reason::kAccessDenied, std::move(error), api::condition::kAccessDenied);
}

rt::Task<controller::StepResult> AlertReconciler::check_provider(AlertRun& run) {
  const api::ObjectKey key = api::resolve(run.alert.spec.provider_ref, run.alert.metadata.namespace_);
  if (!providers_.find(key)) {
    base::Error error;
    error.kind = base::ErrorKind::not_found;
    error.message = "spec.providerRef: Provider '" + key.str() + "' does not exist; notifications wait for it";
    co_return controller::wait_for(api::reason::kDependencyNotReady, std::move(error), std::chrono::minutes(10));
  }
  run.context.ready_reason = api::reason::kSucceeded;
  run.context.ready_message = "Notifications go to Provider '" + key.str() + "'";
  co_return controller::Done{};
}

}  // namespace sluice::notification_controller
