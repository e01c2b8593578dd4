#include "dispatcher.hpp"

#include <algorithm>
#include <utility>

#include "api/kind.hpp"
#include "api/names.hpp"

namespace sluice::notification_controller {

namespace {

// The spec is in force, since when; nothing while it is not, or not yet.
std::optional<base::TimePoint> in_force_since(const api::Alert& alert) {
  if (alert.spec.suspend || alert.metadata.is_being_deleted()) return std::nullopt;
  const auto* listening = alert.status.conditions.find(kListeningCondition);
  if (listening == nullptr || listening->status != api::ConditionStatus::is_true) return std::nullopt;
  if (listening->observed_generation != alert.metadata.generation) return std::nullopt;
  return listening->last_transition_time;
}

}  // namespace

Dispatcher::Dispatcher(controller::Services services, DispatcherParts parts, DispatcherOptions options)
    : services_(std::move(services)),
      alerts_(parts.alerts),
      providers_(parts.providers),
      sources_(std::move(parts.sources)),
      courier_(std::move(parts.courier)),
      journal_(std::move(parts.journal)),
      options_(std::move(options)),
      labels_([sources = sources_](const InvolvedObject& object) { return sources->labels_of(object); }),
      states_(services_.clock, options_.event_grace,
              [this](std::string kind, api::ObjectKey key) { return look_at(std::move(kind), std::move(key)); }),
      backlog_(
          services_.clock, audience_,
          {[this](const auto& alert) { adopt(alert); },
           [this](const doc::Json& event) { receipts_.take_in(event, services_.clock.now(), false); },
           [this](const doc::Json& event, const auto& alert) { take_in(event, alert); },
           [this](const auto& event, const auto& what, const auto& alert) { return judge_event(event, what, alert); }}),
      deliveries_(std::make_shared<rt::FairSlots>(options_.max_deliveries, 0)),
      room_(options_.max_waiting),
      late_(services_.runtime, options_.max_late_marks, late_mark_handlers()),
      owed_(options_.max_waiting) {}

std::optional<std::string> Dispatcher::trouble(const api::ObjectKey& provider) const {
  const auto it = trouble_.find(provider);
  return it == trouble_.end() ? std::nullopt : std::optional<std::string>(it->second);
}

std::size_t Dispatcher::waiting() const noexcept {
  std::size_t all = 0;
  for (const auto& [key, outbox] : outboxes_) all += outbox->waiting();
  return all;
}

// --- what happens in the cluster ---

rt::Task<void> Dispatcher::run() {
  tasks_.spawn(services_.runtime.context(), sources_->run());
  tasks_.spawn(services_.runtime.context(), states_.run());
  tasks_.spawn(services_.runtime.context(), backlog_.run());
  tasks_.spawn(services_.runtime.context(), tell_owed());
  subscribe();
  co_await tasks_.join();
}

void Dispatcher::subscribe() {
  Sources::Handlers sources;
  sources.event = [this](const auto& before, const auto& now) { event_changed(before, now); };
  sources.expired = [this](const doc::Json& event) { event_expired(event); };
  sources.appeared = [this](const InvolvedObject& object) { backlog_.add(sources_->events_about(object)); };
  sources.state = [this](const doc::Json& object) { states_.changed(object); };
  sources.gone = [this](const doc::Json& object) { states_.gone(object); };
  sources.ready = [this](std::string_view kind) { backlog_.add(sources_->events(kind)); };
  sources_->handle(std::move(sources));
  controller::CacheHandlers alerts;
  alerts.added = [this](const controller::Object& now) { alert_changed(*now); };
  alerts.updated = [this](const controller::Object&, const controller::Object& now) { alert_changed(*now); };
  alerts.deleted = [this](const controller::Object& last) { alert_gone(api::key_of(*last)); };
  alert_handler_ = alerts_.subscribe(std::move(alerts));
  controller::CacheHandlers providers;
  providers.added = [this](const controller::Object& now) { provider_changed(doc::Json(), *now); };
  providers.updated = [this](const controller::Object& before, const controller::Object& now) {
    provider_changed(*before, *now);
  };
  provider_handler_ = providers_.subscribe(std::move(providers));
}

// A mark that is written on an Event, for each Alert that hears of it, does not have it judged anew for all of them.
void Dispatcher::event_changed(const controller::Object& before, const controller::Object& now) {
  receipts_.take_in(*now, services_.clock.now(), true);
  const auto marked = before ? changed_marks(*before, *now) : std::nullopt;
  if (!marked) {
    backlog_.add(now);
    return;
  }
  for (const auto& alert_uid : *marked) {
    if (audience_.knows(alert_uid)) take_in_mark(alert_uid, *now);
  }
}

void Dispatcher::alert_gone(const api::ObjectKey& key) {
  rules_.erase(key);
  audience_.remove(key);
  // What is kept of its other Alerts comes again when it is needed.
  expressions_->forget(key.namespace_);
  verdicts_.forget(key.namespace_);
}

// A page of a listing has hundreds of them: what takes time waits for its turn. What a rule
// must no longer do it does not from now on.
void Dispatcher::alert_changed(const doc::Json& object) {
  const api::ObjectKey key = api::key_of(object);
  if (rules_.contains(key)) {
    const auto alert = api::parse_alert(object);
    const Rule& known = rules_.at(key);
    const auto since = alert ? in_force_since(*alert) : std::nullopt;
    const bool is_same = since && known.generation == alert->metadata.generation && known.rule.since == *since &&
                         known.rule.uid == alert->metadata.uid;
    if (is_same) return;
    if (!since) alert_gone(key);
  }
  if (to_adopt_.insert(key).second) backlog_.adopt(key);
}

void Dispatcher::adopt(const api::ObjectKey& key) {
  to_adopt_.erase(key);
  const controller::Object object = alerts_.find(key);
  const auto alert = object ? api::parse_alert(*object) : base::Result<api::Alert>(base::unexpected(base::Error{}));
  const auto since = alert ? in_force_since(*alert) : std::nullopt;
  if (!since) {
    alert_gone(key);
    return;
  }
  Rule& kept = rules_[key];
  kept = {AlertRule::compile(*alert, options_.no_cross_namespace_refs, expressions_), alert->metadata.generation};
  kept.rule.since = *since;
  kept.rule.version = ++rules_made_;
  audience_.put(kept.rule);
  std::set<std::string> kinds;
  for (const auto& source : kept.rule.spec.event_sources) kinds.insert(source.kind);
  for (const auto& kind : kinds) {
    sources_->want(kind);
    if (sources_->is_ready(kind)) backlog_.add_for(key, sources_->events(kind));
  }
}

void Dispatcher::provider_changed(const doc::Json& before, const doc::Json& now) {
  if (before.is_object() && api::generation_of(before) == api::generation_of(now)) return;
  if (doc::find_string(before, {"spec", "type"}) != doc::find_string(now, {"spec", "type"})) {
    // What its type is not sent was not heard.
    std::set<std::string> kinds;
    for (const auto& [key, known] : rules_) {
      if (api::resolve(known.rule.spec.provider_ref, key.namespace_) != api::key_of(now)) continue;
      for (const auto& source : known.rule.spec.event_sources) kinds.insert(source.kind);
    }
    states_.look_again(kinds);
  }
  const auto outbox = outboxes_.find(api::key_of(now));
  if (outbox != outboxes_.end()) outbox->second->hurry();
}

// Marks count before anything is judged by them.
void Dispatcher::take_in(const doc::Json& event, const api::ObjectKey& alert) {
  const auto known = rules_.find(alert);
  if (known != rules_.end()) take_in_mark(known->second.rule.uid, event);
}

// False if it is to be called again.
bool Dispatcher::judge_event(const controller::Object& event, const std::shared_ptr<const Occurrence>& what,
                             const api::ObjectKey& alert) {
  const auto known = rules_.find(alert);
  if (known == rules_.end()) return true;
  // It may have been marked while it waited.
  const controller::Object live = sources_->event(*what);
  const bool is_marked = live && live != event && changed_marks(*event, *live);
  const bool is_settled = consider(known->second.rule, is_marked ? *live : *event, what);
  if (is_settled) ++judged_;
  return is_settled;
}

void Dispatcher::take_in_mark(std::string_view alert_uid, const doc::Json& event) {
  const auto mark = mark_of(event, alert_uid);
  if (mark) ledger_.take_in(event, alert_uid, *mark, services_.clock.now());
}

// Flux: chats get no events that are meant for commit statuses. Nothing while nobody knows what the Provider will be.
std::optional<bool> Dispatcher::gets_commit_statuses(const AlertRule& rule) const {
  const auto provider = providers_.find(api::resolve(rule.spec.provider_ref, rule.key.namespace_));
  if (!provider) return std::nullopt;
  return doc::find_string(*provider, {"spec", "type"}) != api::provider_type::kSlack;
}

bool Dispatcher::is_for_others(const AlertRule& rule, const Occurrence& what) const {
  return is_commit_status_update(what) && gets_commit_statuses(rule) == false;
}

JudgeInput Dispatcher::input_for(const AlertRule& rule, const doc::Json& event, const Occurrence& what) {
  JudgeInput input;
  input.mark = mark_of(event, rule.uid);
  input.since = rule.since;
  input.now = services_.clock.now();
  input.window = options_.rate_limit_interval;
  input.received = receipts_.take_in(event, input.now, false);
  input.last_alike = ledger_.alike(rule.uid, what.likeness);
  return input;
}

// `is_owed`: its interval is over, whenever it came, and its state stands: it is no history. False if that is to be
// asked again, as it takes longer than a turn.
bool Dispatcher::consider(const AlertRule& rule, const doc::Json& event, const std::shared_ptr<const Occurrence>& what,
                          bool is_owed) {
  if (taken_.contains(taken_key(*what, rule.uid))) return true;
  JudgeInput input = input_for(rule, event, *what);
  if (is_owed) {
    input.received = input.now;
    input.since = base::TimePoint();
  }
  const Verdict verdict = judge(*what, input);
  if (verdict == Verdict::covered) {
    make_up_for_mark(rule, event, *what);
    look_again_if_contrary(rule, *what);
  }
  if (verdict == Verdict::repeated || verdict == Verdict::history) hold_back(rule, *what, input, verdict);
  if (verdict != Verdict::due) return true;
  if (!rule.hears_of(*what, labels_) || is_for_others(rule, *what)) return true;
  const bool is_wanted = verdicts_.find(rule.key.namespace_, rule.version, event) == true;
  if (!is_wanted && !rule.passes(what->message)) return true;
  const bool was_tried = input.mark && input.mark->pending;
  if (!was_tried && is_told_elsewhere(rule, event, *what)) return true;
  const auto is_not_for_it = was_tried ? false : is_recovery_of_others(rule, event, *what);
  if (!is_not_for_it) {
    verdicts_.put(rule.key.namespace_, rule.version, event, true);
    return false;
  }
  if (*is_not_for_it) return true;
  Delivery delivery;
  delivery.alert = rule.key;
  delivery.alert_uid = rule.uid;
  delivery.occurrence = what;
  delivery.id = delivery_id(*what, rule.uid, input.mark);
  delivery.marked_pending = was_tried;
  delivery.rule = rule.version;
  delivery.happened = *input.received;
  enqueue(rule, std::move(delivery));
  return true;
}

void Dispatcher::enqueue(const AlertRule& rule, Delivery delivery) {
  const Occurrence& what = *delivery.occurrence;
  const api::ObjectKey provider = api::resolve(rule.spec.provider_ref, rule.key.namespace_);
  if (!make_room(provider.namespace_)) {
    put_off(delivery);
    count_shed(provider, 1);
    return;
  }
  room_.take(provider.namespace_);
  taken_.insert(taken_key(what, rule.uid));
  const base::TimePoint now = services_.clock.now();
  ledger_.sweep(now - options_.rate_limit_interval - std::chrono::hours(1), services_.clock.steady());
  delivery.ticket = ledger_.depart(rule.uid, what, {what.severity, delivery.happened, now});
  owed_.erase(rule.uid, what.involved);
  outbox_of(provider).push(std::move(delivery));
}

// What waits, waits for as long as a receiver is away. Where too much does, the oldest of what waits for
// the Provider with the most gives way: who has the room is who must make it. False if nobody has.
bool Dispatcher::make_room(const std::string& space) {
  if (room_.has_room(space)) return true;
  Outbox* longest = nullptr;
  api::ObjectKey provider;
  for (auto it = outboxes_.lower_bound({space, std::string()}); it != outboxes_.end() && it->first.namespace_ == space;
       ++it) {
    if (longest != nullptr && it->second->waiting() <= longest->waiting()) continue;
    longest = it->second.get();
    provider = it->first;
  }
  if (longest == nullptr) return false;
  // Many at once, as it takes a look at all of them.
  const std::vector<Delivery> oldest = longest->shed(room_.held(space) / 16 + 1);
  for (const auto& delivery : oldest) {
    release(delivery);
    room_.give_back(space);
  }
  for (const auto& delivery : oldest) put_off(delivery);
  if (!oldest.empty()) count_shed(provider, oldest.size());
  return room_.has_room(space);
}

// It was not told. Where nothing newer about the object is on its way, it is what the receiver must know.
void Dispatcher::put_off(const Delivery& delivery) {
  const Occurrence& what = *delivery.occurrence;
  if (ledger_.is_on_its_way(delivery.alert_uid, what.involved)) return;
  const base::SteadyPoint due = services_.clock.steady() + options_.try_again_after;
  owe({delivery.alert, delivery.alert_uid, what.involved, what.event, what.severity, due, true}, due);
}

void Dispatcher::count_shed(const api::ObjectKey& provider, std::size_t count) {
  std::size_t& unsaid = shed_[provider];
  if (unsaid == 0) tasks_.spawn(services_.runtime.context(), say_shed(provider));
  unsaid += count;
}

rt::Task<void> Dispatcher::say_shed(api::ObjectKey provider) {
  co_await rt::sleep_for(options_.say_shed_after);
  const std::size_t count = shed_.at(provider);
  shed_.erase(provider);
  controller::EventRecord record;
  record.severity = controller::Severity::error;
  record.reason = "NotificationsDropped";
  record.message = std::to_string(count) +
                   " notifications were dropped or put off, the oldest of those that waited: too " +
                   "many wait for the Providers of this namespace";
  services_.log.info("notifications dropped or put off, as too many wait",
                     {{"provider", provider.str()}, {"count", count}});
  if (const auto object = providers_.find(provider)) services_.events.emit(*object, std::move(record));
}

Outbox& Dispatcher::outbox_of(const api::ObjectKey& provider) {
  auto& outbox = outboxes_[provider];
  if (!outbox) {
    auto deliver = [this, provider](Delivery delivery) { return attempt(provider, std::move(delivery)); };
    auto is_settled = [this, space = provider.namespace_] { room_.give_back(space); };
    outbox = std::make_unique<Outbox>(services_.runtime, services_.clock, deliveries_, provider.namespace_,
                                      std::move(deliver), std::move(is_settled));
    tasks_.spawn(services_.runtime.context(), run_outbox(provider));
  }
  return *outbox;
}

rt::Task<void> Dispatcher::run_outbox(api::ObjectKey provider) {
  for (;;) {
    Outbox& outbox = *outboxes_.at(provider);
    co_await outbox.run();
    if (outbox.waiting() > 0) continue;
    outboxes_.erase(provider);
    co_return;
  }
}

void Dispatcher::forget(const api::ObjectKey& provider) {
  trouble_.erase(provider);
  drop_series_if_gone(provider);
  const auto outbox = outboxes_.find(provider);
  if (outbox != outboxes_.end()) outbox->second->close();
}

}  // namespace sluice::notification_controller
