#include "controller/event_poster.hpp"

#include <algorithm>
#include <utility>

#include "api/names.hpp"
#include "api/object_meta.hpp"

namespace sluice::controller {

namespace {

constexpr std::chrono::milliseconds kTimeout = std::chrono::seconds(5);  // Flux
constexpr base::Duration kLongestPause = std::chrono::seconds(30);

std::string_view severity_name(Severity severity) {
  switch (severity) {
    case Severity::trace: return api::event::kSeverityTrace;
    case Severity::info: return api::event::kSeverityInfo;
    case Severity::error: return api::event::kSeverityError;
  }
  return api::event::kSeverityInfo;
}

}  // namespace

doc::Json event_json(const doc::Json& object, const EventRecord& record, base::TimePoint now,
                     const EventPosterOptions& options) {
  const auto meta = api::read_meta(object);
  doc::Json event = doc::Json::object();
  auto& involved = event["involvedObject"];
  involved["apiVersion"] = doc::find_string(object, {"apiVersion"});
  involved["kind"] = api::kind_of(object);
  involved["namespace"] = meta.namespace_;
  involved["name"] = meta.name;
  involved["uid"] = meta.uid;
  involved["resourceVersion"] = meta.resource_version;
  event["severity"] = severity_name(record.severity);
  event["timestamp"] = base::format_time(now);
  event["message"] = record.message;
  event["reason"] = record.reason;
  api::StringMap metadata = record.annotations;
  for (const auto& [key, value] : meta.annotations) {
    // Flux: the daemon's own metadata wins over the object's annotations.
    if (key.starts_with(api::annotation::kEventPrefix)) metadata.try_emplace(key, value);
  }
  if (!metadata.empty()) event["metadata"] = metadata;
  event["reportingController"] = options.controller;
  event["reportingInstance"] = options.instance;
  return event;
}

EventPoster::EventPoster(std::shared_ptr<http::Client> client, const base::Clock& clock, base::Logger log,
                         EventPosterOptions options)
    : client_(std::move(client)), clock_(clock), log_(std::move(log)), options_(std::move(options)) {}

base::Result<std::unique_ptr<EventPoster>> EventPoster::create(rt::Runtime& runtime, const std::string& url,
                                                               const base::Clock& clock, base::Logger log,
                                                               EventPosterOptions options) {
  http::ClientOptions client_options;
  client_options.max_connections = 1;
  client_options.connect_timeout = kTimeout;
  client_options.request_timeout = kTimeout;
  client_options.max_body = 1U << 20U;
  client_options.user_agent = options.controller;
  SLUICE_TRY(auto client, http::Client::create(runtime, url, std::move(client_options)));
  return std::unique_ptr<EventPoster>(new EventPoster(std::move(client), clock, std::move(log), std::move(options)));
}

void EventPoster::emit(const doc::Json& object, EventRecord record) {
  if (record.severity == Severity::trace) return;
  if (queued_.size() >= options_.max_queued) queued_.pop_front();
  queued_.push_back(doc::print_json(event_json(object, record, clock_.now(), options_)));
  changed_.notify_all();
}

// Said once when the server goes away, and once when it is back.
void EventPoster::note(bool reached, const std::string& why) {
  if (reached == !away_) return;
  away_ = !reached;
  if (away_) {
    log_.info("the event server does not take events; they are Kubernetes Events all the same", {{"error", why}});
  } else {
    log_.info("the event server takes events again");
  }
}

rt::Task<void> EventPoster::post(std::string body) {
  base::Duration pause = options_.first_pause;
  // While the server is away an event is tried once, not to hold up those behind it for long.
  const int attempts = away_ ? 1 : options_.max_attempts;
  for (int attempt = 1;; ++attempt) {
    http::Request request;
    request.method = "POST";
    request.target = client_->url().target;
    request.headers.set("Content-Type", "application/json");
    request.body = body;
    auto sending = client_->send(std::move(request));
    const auto answer = co_await std::move(sending);
    if (answer && answer->status < 500) {
      note(true, {});
      if (answer->status >= 400 && answer->status != 429) {
        log_.info("the event server refused an event", {{"status", answer->status}});
      }
      co_return;
    }
    const std::string why = answer ? "status " + std::to_string(answer->status) : answer.error().message;
    if (attempt >= attempts) {
      note(false, why);
      co_return;
    }
    co_await rt::sleep_for(pause);
    pause = std::min(pause * 2, kLongestPause);
  }
}

rt::Task<void> EventPoster::run() {
  for (;;) {
    if (queued_.empty()) {
      co_await changed_.wait();
      continue;
    }
    std::string body = std::move(queued_.front());
    queued_.pop_front();
    busy_ = true;
    auto posting = post(std::move(body));
    co_await std::move(posting);
    busy_ = false;
    changed_.notify_all();
  }
}

rt::Task<void> EventPoster::flush() {
  while (busy_ || !queued_.empty()) co_await changed_.wait();
}

}  // namespace sluice::controller
