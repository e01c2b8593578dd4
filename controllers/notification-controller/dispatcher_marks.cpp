// The dispatcher's memory of what it delivered: in the process, in the local journal, and on the Events.
#include <algorithm>
#include <utility>

#include "dispatcher.hpp"

namespace sluice::notification_controller {

namespace {

constexpr int kMarkTriesAtShutdown = 3;
constexpr base::Duration kFirstMarkPause = std::chrono::milliseconds(100);
constexpr base::Duration kLongestMarkPause = std::chrono::seconds(5);
// So long the next message of a Provider waits for the mark of this one, where the Event's namespace is well; and
// where marks of that namespace wait already.
constexpr base::Duration kPatience = std::chrono::seconds(2);
constexpr base::Duration kShortPatience = std::chrono::milliseconds(250);
// One try aside, where nobody waits for it: more than the 30 s that a webhook may take.
constexpr base::Duration kLongestTry = std::chrono::seconds(40);

// What will never be known to the server. etcd's refusal of what is over its limits comes as a passing fault (500).
bool is_for_good(const base::Error& error) {
  if (error.kind == base::ErrorKind::invalid || error.kind == base::ErrorKind::too_large) return true;
  for (const std::string_view said : {"request is too large", "message larger than max"}) {
    if (error.message.find(said) != std::string::npos) return true;
  }
  return false;
}

// The server is there, whatever it says of this object.
bool is_answer(const base::Error& error) {
  return error.http_status != 0 && error.http_status < 500 && error.kind != base::ErrorKind::rate_limited;
}

}  // namespace

EventMark Dispatcher::event_mark(const Delivery& delivery, api::ObjectKey provider, DeliveryMark mark) {
  const Occurrence& what = *delivery.occurrence;
  return {what.event, what.event_uid, what.involved.kind, delivery.alert_uid, std::move(provider), std::move(mark)};
}

// What the Event says, or what this process or the last one knows beyond that.
std::optional<DeliveryMark> Dispatcher::mark_of(const doc::Json& event, std::string_view alert_uid) const {
  const auto uid = api::uid_of(event);
  if (const DeliveryMark* late = late_.find(uid, alert_uid)) return *late;
  auto written = read_mark(event, alert_uid);
  const DeliveryMark* noted = journal_->find(uid, alert_uid);
  if (noted == nullptr) return written;
  const bool is_newer = !written || written->state == DeliveryState::none || noted->last > written->last ||
                        (noted->last == written->last && noted->count > written->count);
  return is_newer ? *noted : written;
}

// The last process was killed before it could write to the Event, or never could. The journal keeps it until it is
// written.
void Dispatcher::make_up_for_mark(const AlertRule& rule, const doc::Json& event, const Occurrence& what) {
  const DeliveryMark* noted = journal_->find(what.event_uid, rule.uid);
  if (noted == nullptr || taken_.contains(taken_key(what, rule.uid))) return;
  if (late_.find(what.event_uid, rule.uid) != nullptr) return;
  if (mark_of(event, rule.uid) != *noted || read_mark(event, rule.uid) == *noted) {
    journal_->forget(what.event_uid, rule.uid);
    return;
  }
  const api::ObjectKey provider = api::resolve(rule.spec.provider_ref, rule.key.namespace_);
  late_.put({what.event, what.event_uid, what.involved.kind, rule.uid, provider, *noted});
}

// In the order in which a kill does the least harm: the journal has it before anything is asked of the server.
// Returns when the Event says it or is gone, or when it is clear that it will not say it soon.
rt::Task<void> Dispatcher::remember(api::ObjectKey provider, Delivery delivery, DeliveryState state) {
  DeliveryMark mark;
  mark.state = state;
  mark.count = delivery.occurrence->count;
  mark.last = delivery.occurrence->last;
  mark.digest = delivery.occurrence->digest;
  mark.told = std::chrono::floor<std::chrono::microseconds>(services_.clock.now());
  ledger_.note(delivery.alert_uid, delivery.occurrence->likeness, *mark.told);
  if (state == DeliveryState::sent) {
    const Occurrence& what = *delivery.occurrence;
    ledger_.note_word(delivery.alert_uid, what.involved, {what.severity, delivery.happened, *mark.told});
  }
  ledger_.settle(delivery.alert_uid, *delivery.occurrence, delivery.ticket);
  journal_->note(delivery.occurrence->event_uid, delivery.alert_uid, mark);
  rt::Task<void> writing = write_soon(event_mark(delivery, std::move(provider), std::move(mark)), delivery.alert);
  co_await std::move(writing);
  release(delivery);
}

// While the server is away nothing can be noted, and nothing else is sent: each message would be in doubt. Where it
// is this Event that takes no mark, others do not wait for it.
rt::Task<void> Dispatcher::write_soon(EventMark mark, api::ObjectKey alert) {
  if (late_.is_waiting(mark.event_uid, mark.alert_uid)) {
    late_.put(std::move(mark));  // behind the older one, which may be on its way
    co_return;
  }
  base::Duration patience = late_.is_behind(mark.event.namespace_) ? kShortPatience : kPatience;
  const base::SteadyPoint give_up_at = services_.clock.steady() + patience;
  base::Duration pause = kFirstMarkPause;
  for (int tries_at_end = 0;;) {
    rt::Task<Noting> writing = write_mark(mark, alert.namespace_, patience);
    const Noting noting = co_await std::move(writing);
    if (noting == Noting::never) late_.give_up(mark);
    if (noting == Noting::written) {
      late_.drop(mark);
      journal_->forget(mark.event_uid, mark.alert_uid);
    }
    if (noting != Noting::later) co_return;
    if (services_.runtime.stop_token().stop_requested() && ++tries_at_end >= kMarkTriesAtShutdown) co_return;
    if (services_.clock.steady() + pause >= give_up_at) {
      rt::Task<bool> asking = is_server_there(mark.event, alert.namespace_);
      const bool is_there = co_await std::move(asking);
      if (is_there) {
        late_.put(std::move(mark));
        co_return;
      }
      patience = std::min(patience * 2, kLongestTry);  // it may be slow
    }
    co_await rt::sleep_for(pause);
    pause = std::min(pause * 2, kLongestMarkPause);
  }
}

// A read that no webhook sees.
rt::Task<bool> Dispatcher::is_server_there(api::ObjectKey event, std::string owner) {
  const std::shared_ptr<kube::Client> client = services_.client->on_behalf_of(owner);
  rt::Task<base::Result<doc::Json>> reading =
      rt::with_timeout(client->get(events_resource(), std::move(event)), kPatience, "reading an Event");
  const auto read = co_await std::move(reading);
  co_return read || is_answer(read.error());
}

rt::Task<Noting> Dispatcher::write_mark(EventMark mark, std::string owner, base::Duration limit) {
  doc::Json patch = doc::Json::object();
  patch["metadata"]["annotations"][mark_key(mark.alert_uid)] = print_mark(mark.mark);
  kube::PatchOptions options;
  options.field_manager = options_.field_manager;
  const std::shared_ptr<kube::Client> client = services_.client->on_behalf_of(owner);
  rt::Task<base::Result<doc::Json>> patching = rt::with_timeout(
      client->patch(events_resource(), mark.event, kube::PatchType::merge, std::move(patch), std::move(options)), limit,
      "noting a delivery");
  auto patched = co_await std::move(patching);
  if (patched) {
    sources_->observe_write(mark.kind, *std::move(patched));
    co_return Noting::written;
  }
  const base::Error& error = patched.error();
  if (error.kind == base::ErrorKind::not_found) co_return Noting::written;  // expired, and its news with it
  services_.log.error("cannot note a delivery on its Event", error, {{"event", mark.event.str()}});
  co_return is_for_good(error) ? Noting::never : Noting::later;
}

// It is tried again, also by another process and however the Alert is edited.
rt::Task<bool> Dispatcher::mark_pending(api::ObjectKey provider, Delivery delivery) {
  const auto event = sources_->event(*delivery.occurrence);
  DeliveryMark mark;
  if (event) mark = mark_of(*event, delivery.alert_uid).value_or(DeliveryMark{});
  mark.pending = true;
  EventMark pending = event_mark(delivery, std::move(provider), std::move(mark));
  if (late_.is_waiting(pending.event_uid, pending.alert_uid)) {
    late_.put(std::move(pending));
    co_return true;
  }
  const bool is_behind = late_.is_behind(pending.event.namespace_);
  rt::Task<Noting> writing =
      write_mark(std::move(pending), delivery.alert.namespace_, is_behind ? kShortPatience : kPatience);
  const Noting noting = co_await std::move(writing);
  co_return noting != Noting::later;
}

LateMarks::Handlers Dispatcher::late_mark_handlers() {
  LateMarks::Handlers handlers;
  // In the share of the namespace whose Events take no marks.
  handlers.write = [this](EventMark mark) {
    std::string owner = mark.event.namespace_;
    return write_mark(std::move(mark), std::move(owner), kLongestTry);
  };
  handlers.written = [this](const EventMark& mark) { journal_->forget(mark.event_uid, mark.alert_uid); };
  handlers.given_up = [this](const EventMark& mark) { given_up(mark); };
  return handlers;
}

void Dispatcher::event_expired(const doc::Json& event) {
  receipts_.forget(event);
  const auto uid = api::uid_of(event);
  for (const auto& alert_uid : late_.forget(uid)) journal_->forget(uid, alert_uid);
}

void Dispatcher::given_up(const EventMark& mark) {
  services_.log.info("a delivery is not noted on its Event, which takes no note of it",
                     {{"event", mark.event.str()}, {"provider", mark.provider.str()}});
  if (services_.runtime.stop_token().stop_requested()) return;
  std::size_t& unsaid = unnoted_[mark.provider];
  if (unsaid == 0) tasks_.spawn(services_.runtime.context(), say_unnoted(mark.provider));
  ++unsaid;
}

rt::Task<void> Dispatcher::say_unnoted(api::ObjectKey provider) {
  co_await rt::sleep_for(options_.say_shed_after);
  const std::size_t count = unnoted_.at(provider);
  unnoted_.erase(provider);
  controller::EventRecord record;
  record.severity = controller::Severity::error;
  record.reason = "NotificationsNotNoted";
  record.message = std::to_string(count) +
                   " notifications were dealt with, but cannot be noted on their Events, which are too large or refuse "
                   "it: they may be sent again when the controller is moved";
  if (const auto object = providers_.find(provider)) services_.events.emit(*object, std::move(record));
}

}  // namespace sluice::notification_controller
