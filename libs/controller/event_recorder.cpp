#include "controller/event_recorder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "api/names.hpp"
#include "base/digest.hpp"
#include "controller/event_correlator.hpp"
#include "controller/event_lanes.hpp"

namespace sluice::controller {

namespace {

constexpr base::Duration kFirstPause = std::chrono::milliseconds(250);
constexpr base::Duration kLongestPause = std::chrono::seconds(10);
// After that an event is history, and nobody's alert any more.
constexpr base::Duration kTooOld = std::chrono::minutes(30);
// Ours; core/v1 Events, unlike those of events.k8s.io, are not bounded by the server.
constexpr std::size_t kMaxMessage = 16 * 1024;

const kube::Resource& events_resource() {
  static const kube::Resource resource{"", "v1", "Event", "events", true};
  return resource;
}

// Where a namespace is being deleted nothing can be created ever again.
bool is_of_ending_namespace(const base::Error& error) {
  return error.kind == base::ErrorKind::forbidden && error.message.find("being terminated") != std::string::npos;
}

// How often an event that met `error` may be tried in all. One that is refused must
// not hold up those behind it for long, one that could not be delivered must.
int attempts_for(const base::Error& error) {
  constexpr int kNoLimit = std::numeric_limits<int>::max();
  constexpr int kBroken = 12;  // client-go's limit; here for a server that answers 500
  constexpr int kRefused = 4;  // some two seconds: a server that starts refuses what it will allow
  switch (error.kind) {
    case base::ErrorKind::rate_limited:
    case base::ErrorKind::timeout: return kNoLimit;
    case base::ErrorKind::unavailable: return error.http_status == 500 ? kBroken : kNoLimit;
    case base::ErrorKind::conflict:
    case base::ErrorKind::unauthorized: return kRefused;
    case base::ErrorKind::forbidden: return is_of_ending_namespace(error) ? 1 : kRefused;
    default: return 1;
  }
}

std::string cut(std::string message) {
  if (message.size() <= kMaxMessage) return message;
  std::size_t end = kMaxMessage - 3;
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xc0U) == 0x80U) --end;  // not inside of a character
  return message.substr(0, end) + "...";
}

// "<object>.<16 hex digits>", as client-go names Events; cut so that the server takes it.
std::string event_name(std::string object, std::uint64_t suffix) {
  constexpr std::size_t kMaxName = 253;  // of a DNS subdomain, RFC 1123
  constexpr std::size_t kSuffix = 17;
  if (object.size() > kMaxName - kSuffix) object.resize(kMaxName - kSuffix);
  // A label ends in a letter or digit.
  while (!object.empty() && (object.back() == '.' || object.back() == '-')) object.pop_back();
  return fmt::format("{}.{:016x}", object, suffix);
}

// The same for all who tell of one occurrence.
std::uint64_t occurrence_suffix(const doc::Json& event, const std::string& occurrence) {
  doc::Json told = doc::Json::array();
  for (const auto field : {"apiVersion", "kind", "uid"})
    told.push_back(doc::find_string(event, {"involvedObject", field}));
  for (const auto field : {"reportingComponent", "type", "reason"}) told.push_back(doc::find_string(event, {field}));
  told.push_back(occurrence);
  return std::stoull(base::sha256_hex(doc::print_json(told)).substr(0, 16), nullptr, 16);
}

// Those of one object are sent in order.
std::string lane_of(const doc::Json& object) {
  const auto meta = api::read_meta(object);
  return meta.uid.empty() ? fmt::format("{}/{}", api::kind_of(object), meta.key().str()) : meta.uid;
}

}  // namespace

std::string event_key(std::string_view group, std::string_view key) {
  return group.empty() ? std::string(key) : fmt::format("{}/{}", group, key);
}

struct KubeEventRecorder::Impl {
  Impl(std::shared_ptr<kube::Client> c, const base::Clock& k, base::Logger l, EventRecorderOptions o)
      : client(std::move(c)), clock(k), log(std::move(l)), options(std::move(o)), correlator(k) {}

  doc::Json build(const doc::Json& object, EventRecord record);
  rt::Task<base::Result<void>> send_once(const EventCorrelator::Decision& decision);
  rt::Task<void> send(EventCorrelator::Decision decision, base::SteadyPoint since);
  void report_overflow();
  void report_dropped(const doc::Json& event, const base::Error& error) const;

  std::shared_ptr<kube::Client> client;
  const base::Clock& clock;
  base::Logger log;
  EventRecorderOptions options;
  EventCorrelator correlator;
  EventLanes lanes;
  std::size_t overflowed = 0;  // since the last report
  std::int64_t last_suffix = 0;
  rt::Notify to_send;
  rt::Notify idle;
};

doc::Json KubeEventRecorder::Impl::build(const doc::Json& object, EventRecord record) {
  const auto meta = api::read_meta(object);
  const base::TimePoint now = clock.now();
  api::StringMap annotations = record.annotations;
  for (const auto& [key, value] : meta.annotations) {
    // Flux: the daemon's own metadata wins over the object's annotations.
    if (key.starts_with(api::annotation::kEventPrefix)) annotations.try_emplace(key, value);
  }
  // Whatever the object's annotations say.
  annotations.erase(std::string(kSeverityAnnotation));
  if (record.severity == Severity::trace) annotations[std::string(kSeverityAnnotation)] = api::event::kSeverityTrace;
  doc::Json event = doc::Json::object();
  event["apiVersion"] = "v1";
  event["kind"] = "Event";
  event["metadata"]["namespace"] = meta.namespace_.empty() ? "default" : meta.namespace_;
  std::string occurrence = std::move(record.occurrence);
  if (!occurrence.empty()) occurrence += doc::print_json(doc::Json(record.annotations));
  if (!annotations.empty()) event["metadata"]["annotations"] = annotations;
  auto& involved = event["involvedObject"];
  involved["apiVersion"] = doc::find_string(object, {"apiVersion"});
  involved["kind"] = api::kind_of(object);
  involved["name"] = meta.name;
  if (!meta.namespace_.empty()) involved["namespace"] = meta.namespace_;
  involved["uid"] = meta.uid;
  involved["resourceVersion"] = meta.resource_version;
  event["type"] = record.severity == Severity::error ? "Warning" : "Normal";
  event["reason"] = std::move(record.reason);
  event["message"] = cut(std::move(record.message));
  event["source"]["component"] = options.controller;
  event["reportingComponent"] = options.controller;
  event["reportingInstance"] = options.instance;
  event["firstTimestamp"] = base::format_time(now);
  event["lastTimestamp"] = base::format_time(now);
  event["count"] = 1;
  if (occurrence.empty()) {
    // client-go names events by the nanosecond; two of one nanosecond must differ.
    const auto nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
    last_suffix = std::max<std::int64_t>(nanos, last_suffix + 1);
    event["metadata"]["name"] = event_name(meta.name, static_cast<std::uint64_t>(last_suffix));
  } else {
    event["metadata"]["name"] = event_name(meta.name, occurrence_suffix(event, occurrence));
  }
  return event;
}

rt::Task<base::Result<void>> KubeEventRecorder::Impl::send_once(const EventCorrelator::Decision& decision) {
  const std::string space(doc::find_string(decision.event, {"metadata", "namespace"}));
  const auto client_of_space = client->on_behalf_of(space);
  if (decision.patch) {
    const api::ObjectKey key{space, std::string(doc::find_string(*decision.patch, {"metadata", "name"}))};
    kube::PatchOptions patch_options;
    patch_options.field_manager = options.controller;
    auto patching = client_of_space->patch(events_resource(), key, kube::PatchType::merge, *decision.patch,
                                           std::move(patch_options));
    auto patched = co_await std::move(patching);
    if (patched) co_return base::Result<void>();
    // Events live an hour; then the count starts anew.
    if (patched.error().kind != base::ErrorKind::not_found) co_return base::unexpected(std::move(patched).error());
    correlator.forget(decision.key);
  }
  auto creating = client_of_space->create_unread(events_resource(), decision.event, options.controller);
  auto created = co_await std::move(creating);
  // An answer that got lost and a second try, or somebody who told of the same occurrence.
  if (created || created.error().kind == base::ErrorKind::already_exists) co_return base::Result<void>();
  co_return base::unexpected(std::move(created).error());
}

rt::Task<void> KubeEventRecorder::Impl::send(EventCorrelator::Decision decision, base::SteadyPoint since) {
  base::Duration pause = kFirstPause;
  for (int attempt = 1;; ++attempt) {
    auto trying = send_once(decision);
    const auto sent = co_await std::move(trying);
    if (sent) co_return;
    if (attempt >= attempts_for(sent.error()) || clock.steady() - since > kTooOld) {
      correlator.forget(decision.key);
      report_dropped(decision.event, sent.error());
      co_return;
    }
    co_await rt::sleep_for(pause);
    pause = std::min(pause * 2, kLongestPause);
  }
}

void KubeEventRecorder::Impl::report_dropped(const doc::Json& event, const base::Error& error) const {
  const std::vector<base::LogField> fields = {{"reason", doc::find_string(event, {"reason"})},
                                              {"error", error.message}};
  // The ordinary course of things, for each object of it.
  if (is_of_ending_namespace(error)) return log.debug("event dropped", fields);
  log.error("event dropped", fields);
}

void KubeEventRecorder::Impl::report_overflow() {
  if (overflowed == 0) return;
  log.info("events dropped: too many waited for the server", {{"events", std::exchange(overflowed, 0)}});
}

KubeEventRecorder::KubeEventRecorder(std::shared_ptr<kube::Client> client, const base::Clock& clock, base::Logger log,
                                     EventRecorderOptions options)
    : impl_(std::make_unique<Impl>(std::move(client), clock, std::move(log), std::move(options))) {}
KubeEventRecorder::~KubeEventRecorder() = default;

void KubeEventRecorder::emit(const doc::Json& object, EventRecord record) {
  Impl& self = *impl_;
  if (self.lanes.waiting() >= self.options.max_queued && self.lanes.drop_one()) ++self.overflowed;
  const bool once = !record.occurrence.empty();
  self.lanes.push(std::string(api::namespace_of(object)), lane_of(object),
                  {self.build(object, std::move(record)), once, self.clock.steady()});
  self.to_send.notify_all();
}

rt::Task<void> KubeEventRecorder::run() {
  Impl& self = *impl_;
  for (;;) {
    std::optional<EventLanes::Taken> next = self.lanes.take();
    if (!next) {
      co_await self.to_send.wait();
      continue;
    }
    EventCorrelator::Decision decision;
    if (next->event.once) {
      decision.event = std::move(next->event.object);
    } else {
      decision = self.correlator.observe(std::move(next->event.object));
    }
    auto sending = self.send(std::move(decision), next->event.since);
    co_await std::move(sending);
    if (self.lanes.waiting() == 0) self.report_overflow();
    self.lanes.finish(next->lane);
    if (self.lanes.waiting() > 0) self.to_send.notify_all();  // their owner may have room again
    if (self.lanes.is_idle()) self.idle.notify_all();
  }
}

rt::Task<void> EventRecorder::wait_sent(const doc::Json& /*object*/, base::Duration /*limit*/) { co_return; }

rt::Task<void> KubeEventRecorder::wait_sent(const doc::Json& object, base::Duration limit) {
  Impl& self = *impl_;
  const std::string lane = lane_of(object);
  const base::SteadyPoint deadline = self.clock.steady() + limit;
  while (const auto unsettled = self.lanes.unsettled(lane)) {
    const base::Duration left = deadline - self.clock.steady();
    if (left <= base::Duration::zero()) co_return;
    auto waiting = unsettled->wait_for(left);
    const bool notified = co_await std::move(waiting);
    if (!notified) co_return;
  }
}

rt::Task<void> KubeEventRecorder::flush() {
  while (!impl_->lanes.is_idle()) co_await impl_->idle.wait();
}

}  // namespace sluice::controller
