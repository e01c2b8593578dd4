#include "controller/event_recorder.hpp"

#include <fmt/format.h>

#include <deque>
#include <utility>

#include "api/names.hpp"
#include "controller/event_correlator.hpp"

namespace sluice::controller {

namespace {

// client-go sleeps ten seconds between tries and gives up after twelve.
constexpr int kMaxAttempts = 12;
constexpr base::Duration kFirstPause = std::chrono::milliseconds(250);
constexpr base::Duration kLongestPause = std::chrono::seconds(10);
// The API server's bound (core/v1 Event validation).
constexpr std::size_t kMaxMessage = 1024;

const kube::Resource& events_resource() {
  static const kube::Resource resource{"", "v1", "Event", "events", true};
  return resource;
}

// client-go: what the server has rejected is not sent again; only what it could
// not take. One refused event must not hold up those behind it.
bool may_be_taken_later(base::ErrorKind kind) {
  return kind == base::ErrorKind::rate_limited || kind == base::ErrorKind::unavailable ||
         kind == base::ErrorKind::timeout;
}

std::string cut(std::string message) {
  if (message.size() <= kMaxMessage) return message;
  std::size_t end = kMaxMessage - 3;
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xc0U) == 0x80U) --end;  // not inside of a character
  return message.substr(0, end) + "...";
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
  rt::Task<void> send(EventCorrelator::Decision decision);

  std::shared_ptr<kube::Client> client;
  const base::Clock& clock;
  base::Logger log;
  EventRecorderOptions options;
  EventCorrelator correlator;
  std::deque<doc::Json> queued;
  bool sending = false;
  std::int64_t last_suffix = 0;
  rt::Notify changed;
};

doc::Json KubeEventRecorder::Impl::build(const doc::Json& object, EventRecord record) {
  const auto meta = api::read_meta(object);
  const base::TimePoint now = clock.now();
  api::StringMap annotations = std::move(record.annotations);
  for (const auto& [key, value] : meta.annotations) {
    // Flux: the daemon's own metadata wins over the object's annotations.
    if (key.starts_with(api::annotation::kEventPrefix)) annotations.try_emplace(key, value);
  }
  // client-go names events by the nanosecond; two of one nanosecond must differ.
  const auto nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
  last_suffix = std::max<std::int64_t>(nanos, last_suffix + 1);

  doc::Json event = doc::Json::object();
  event["apiVersion"] = "v1";
  event["kind"] = "Event";
  event["metadata"]["name"] = fmt::format("{}.{:x}", meta.name, last_suffix);
  event["metadata"]["namespace"] = meta.namespace_.empty() ? "default" : meta.namespace_;
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
  return event;
}

rt::Task<base::Result<void>> KubeEventRecorder::Impl::send_once(const EventCorrelator::Decision& decision) {
  const std::string space(doc::find_string(decision.event, {"metadata", "namespace"}));
  if (decision.patch) {
    const api::ObjectKey key{space, std::string(doc::find_string(*decision.patch, {"metadata", "name"}))};
    kube::PatchOptions patch_options;
    patch_options.field_manager = options.controller;
    auto patched = co_await client->patch(events_resource(), key, kube::PatchType::merge, *decision.patch,
                                          std::move(patch_options));
    if (patched) co_return base::Result<void>();
    // Events live an hour; then the count starts anew.
    if (patched.error().kind != base::ErrorKind::not_found) co_return base::unexpected(std::move(patched).error());
    correlator.forget(decision.key);
  }
  auto created = co_await client->create(events_resource(), decision.event, options.controller);
  // An answer that got lost, and a second try.
  if (created || created.error().kind == base::ErrorKind::already_exists) co_return base::Result<void>();
  co_return base::unexpected(std::move(created).error());
}

rt::Task<void> KubeEventRecorder::Impl::send(EventCorrelator::Decision decision) {
  base::Duration pause = kFirstPause;
  for (int attempt = 1;; ++attempt) {
    const auto sent = co_await send_once(decision);
    if (sent) co_return;
    if (!may_be_taken_later(sent.error().kind) || attempt == kMaxAttempts) {
      correlator.forget(decision.key);
      log.error("event dropped", sent.error(), {{"reason", doc::find_string(decision.event, {"reason"})}});
      co_return;
    }
    co_await rt::sleep_for(pause);
    pause = std::min(pause * 2, kLongestPause);
  }
}

KubeEventRecorder::KubeEventRecorder(std::shared_ptr<kube::Client> client, const base::Clock& clock, base::Logger log,
                                     EventRecorderOptions options)
    : impl_(std::make_unique<Impl>(std::move(client), clock, std::move(log), std::move(options))) {}
KubeEventRecorder::~KubeEventRecorder() = default;

void KubeEventRecorder::emit(const doc::Json& object, EventRecord record) {
  if (impl_->queued.size() >= impl_->options.max_queued) {
    impl_->log.info("event dropped: too many wait", {{"reason", doc::find_string(impl_->queued.front(), {"reason"})}});
    impl_->queued.pop_front();
  }
  impl_->queued.push_back(impl_->build(object, std::move(record)));
  impl_->changed.notify_all();
}

rt::Task<void> KubeEventRecorder::run() {
  Impl& self = *impl_;
  for (;;) {
    while (self.queued.empty()) co_await self.changed.wait();
    auto decision = self.correlator.observe(std::move(self.queued.front()));
    self.queued.pop_front();
    self.sending = true;
    co_await self.send(std::move(decision));
    self.sending = false;
    self.changed.notify_all();
  }
}

rt::Task<void> KubeEventRecorder::flush() {
  Impl& self = *impl_;
  while (self.sending || !self.queued.empty()) co_await self.changed.wait();
}

}  // namespace sluice::controller
