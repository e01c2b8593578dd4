// The second half of the dispatcher: one attempt to deliver.
#include <utility>

#include "api/kind.hpp"
#include "api/names.hpp"
#include "dispatcher.hpp"

namespace sluice::notification_controller {

namespace {

constexpr std::string_view kDispatchFailed = "NotificationDispatchFailed";  // Flux: reason of events on Alerts
constexpr const char* kDeliveries = "gotk_notification_deliveries_total";
constexpr const char* kDeliveryTime = "gotk_notification_delivery_duration_seconds";

}  // namespace

// The Alert's spec is not in force: forever, or only until the edit is taken in?
Dispatcher::Fate Dispatcher::fate_without_rule(const Delivery& delivery) const {
  if (to_adopt_.contains(delivery.alert)) return Fate::wait;
  const auto object = alerts_.find(delivery.alert);
  if (!object || api::uid_of(*object) != delivery.alert_uid) return Fate::drop;
  const auto alert = api::parse_alert(*object);
  if (!alert || alert->spec.suspend || alert->metadata.is_being_deleted()) return Fate::drop;
  return alert->status.observed_generation == alert->metadata.generation ? Fate::drop : Fate::wait;
}

// Alert, Provider and Event may have changed while it waited.
Dispatcher::Plan Dispatcher::plan(const Delivery& delivery) const {
  Plan plan;
  const auto known = rules_.find(delivery.alert);
  if (known == rules_.end() || known->second.rule.uid != delivery.alert_uid) {
    plan.fate = fate_without_rule(delivery);
    plan.why = "the Alert is not in force";
    return plan;
  }
  const AlertRule& rule = known->second.rule;
  const Occurrence& what = *delivery.occurrence;
  // Of the rule that it was judged by, the expressions need not be asked again.
  const bool is_wanted = delivery.rule == rule.version ? rule.listens_to(what, labels_) : rule.wants(what, labels_);
  if (!is_wanted || is_for_others(rule, what)) {
    plan.why = "the Alert no longer wants it";
    return plan;
  }
  const auto event = sources_->event(what);
  if (!event) {
    plan.why = "its Event has expired";
    return plan;
  }
  plan.fate = Fate::wait;
  const api::ObjectKey key = api::resolve(rule.spec.provider_ref, rule.key.namespace_);
  const auto object = providers_.find(key);
  plan.why = "Provider '" + key.str() + "' does not exist";
  if (!object) return plan;
  // A late word of when nobody knew what this receiver would be sent besides.
  if (!delivery.marked_pending && read_telling(*event).ready_since && is_told_elsewhere(rule, *event, what)) {
    plan.fate = Fate::drop;
    plan.why = "the Event that it stands for has come";
    return plan;
  }
  auto provider = api::parse_provider(*object);
  plan.why = "Provider '" + key.str() + "' is Stalled";
  if (!provider) return plan;
  plan.provider = *std::move(provider);
  if (plan.provider.spec.suspend) {
    plan.fate = Fate::skip;
    plan.why = "Provider '" + key.str() + "' is suspended";
    return plan;
  }
  if (!api::unsupported_message(*object).empty()) return plan;
  plan.fate = Fate::send;
  plan.why.clear();
  plan.notification = compose(what, rule.spec);
  return plan;
}

rt::Task<Attempt> Dispatcher::attempt(api::ObjectKey outbox, Delivery delivery) {
  const Plan next = plan(delivery);
  const auto rule = rules_.find(delivery.alert);
  if (rule != rules_.end() && api::resolve(rule->second.rule.spec.provider_ref, delivery.alert.namespace_) != outbox) {
    // The Alert was pointed at another Provider meanwhile.
    release(delivery);
    enqueue(rule->second.rule, std::move(delivery));
    co_return Attempt{};
  }
  if (next.fate == Fate::wait) co_return Attempt{Outcome::failed, std::nullopt, false};
  if (next.fate == Fate::drop) {
    services_.log.info(
        "notification dropped",
        {{"alert", delivery.alert.str()}, {"object", delivery.occurrence->involved.str()}, {"why", next.why}});
    release(delivery);
    co_return Attempt{};
  }
  if (next.fate == Fate::skip) {
    rt::Task<void> remembering = remember(outbox, delivery, DeliveryState::skipped);
    co_await std::move(remembering);
    co_return Attempt{};
  }
  api::Provider provider = next.provider;
  Notification notification = next.notification;
  const base::SteadyPoint started = services_.clock.steady();
  rt::Task<base::Result<void>> delivering =
      courier_->deliver(std::move(provider), std::move(notification), delivery.id);
  auto sent = co_await std::move(delivering);
  const std::chrono::duration<double> took = services_.clock.steady() - started;
  services_.metrics.observe(kDeliveryTime, "Time that receivers took to answer.",
                            {{"provider", outbox.name}, {"namespace", outbox.namespace_}}, took.count());
  rt::Task<Attempt> concluding = conclude(outbox, std::move(delivery), std::move(sent));
  const Attempt concluded = co_await std::move(concluding);
  drop_series_if_gone(outbox);
  co_return concluded;
}

// What is counted of a Provider goes with it; of one that went while something was being sent, then.
void Dispatcher::drop_series_if_gone(const api::ObjectKey& provider) {
  if (providers_.find(provider)) return;
  const controller::Metrics::Labels labels{{"provider", provider.name}, {"namespace", provider.namespace_}};
  for (const char* series : {kDeliveries, kDeliveryTime}) services_.metrics.forget(series, labels);
}

rt::Task<Attempt> Dispatcher::conclude(api::ObjectKey provider, Delivery delivery, base::Result<void> sent) {
  const std::string result =
      sent ? "delivered" : (sent.error().kind == base::ErrorKind::invalid ? "rejected" : "failed");
  services_.metrics.count(kDeliveries, "Attempts to deliver a notification.",
                          {{"provider", provider.name}, {"namespace", provider.namespace_}, {"result", result}});
  if (sent) {
    rt::Task<void> remembering = remember(provider, delivery, DeliveryState::sent);
    co_await std::move(remembering);
    services_.log.info("notification delivered", {{"alert", delivery.alert.str()},
                                                  {"provider", provider.str()},
                                                  {"object", delivery.occurrence->involved.str()},
                                                  {"reason", delivery.occurrence->reason},
                                                  {"id", delivery.id}});
    note_trouble(provider, std::string());
    co_return Attempt{Outcome::delivered, std::nullopt, false};
  }
  const base::Error& error = sent.error();
  services_.log.error("notification not delivered", error,
                      {{"alert", delivery.alert.str()}, {"provider", provider.str()}, {"id", delivery.id}});
  if (error.kind == base::ErrorKind::invalid) {
    report(delivery, error.message + "; it will not be tried again");
    rt::Task<void> remembering = remember(provider, delivery, DeliveryState::rejected);
    co_await std::move(remembering);
    co_return Attempt{};
  }
  if (!delivery.marked_pending) report(delivery, error.message);
  note_trouble(provider, error.message);
  Attempt attempt{Outcome::failed, std::nullopt, false};
  if (error.retry_after) attempt.retry_after = *error.retry_after;
  if (!delivery.marked_pending) {
    rt::Task<bool> marking = mark_pending(provider, delivery);
    const bool is_marked = co_await std::move(marking);
    attempt.marked_pending = is_marked;
  }
  co_return attempt;
}

// It is on its way no longer. What its receiver was told is noted before.
void Dispatcher::release(const Delivery& delivery) {
  taken_.erase(taken_key(*delivery.occurrence, delivery.alert_uid));
  ledger_.settle(delivery.alert_uid, *delivery.occurrence, delivery.ticket);
}

void Dispatcher::note_trouble(const api::ObjectKey& provider, std::string message) {
  const auto known = trouble_.find(provider);
  if (message.empty() ? known == trouble_.end() : known != trouble_.end() && known->second == message) return;
  if (message.empty()) {
    trouble_.erase(known);
  } else {
    trouble_[provider] = std::move(message);
  }
  if (on_trouble_) on_trouble_(provider);
}

void Dispatcher::report(const Delivery& delivery, const std::string& message) {
  const auto alert = alerts_.find(delivery.alert);
  if (!alert) return;
  controller::EventRecord record;
  record.severity = controller::Severity::error;
  record.reason = kDispatchFailed;
  record.message = "failed to send notification for " + delivery.occurrence->involved.str() + ": " + message;
  services_.events.emit(*alert, std::move(record));
}

}  // namespace sluice::notification_controller
