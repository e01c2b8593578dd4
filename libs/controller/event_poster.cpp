#include "controller/event_poster.hpp"

#include <algorithm>
#include <utility>

#include "api/names.hpp"
#include "api/object_meta.hpp"

namespace sluice::controller {

namespace {

constexpr std::chrono::milliseconds kTimeout = std::chrono::seconds(5);  // Flux
constexpr base::Duration kLongestPause = std::chrono::seconds(30);

// Ours, as of a Kubernetes Event. Whoever may annotate an object says what there is.
constexpr std::size_t kMaxMessage = 16U << 10U;
constexpr std::size_t kMaxMetadata = 16U << 10U;

std::string cut(std::string_view message) {
  if (message.size() <= kMaxMessage) return std::string(message);
  std::size_t end = kMaxMessage - 3;
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xc0U) == 0x80U) --end;  // not inside of a character
  return std::string(message.substr(0, end)) + "...";
}

api::StringMap metadata_of(const api::StringMap& said, const api::StringMap& annotations) {
  api::StringMap metadata;
  std::size_t room = kMaxMetadata;
  const auto add = [&](const std::string& key, const std::string& value) {
    const std::size_t size = key.size() + value.size();
    if (size <= room && metadata.try_emplace(key, value).second) room -= size;
  };
  for (const auto& [key, value] : said) add(key, value);
  for (const auto& [key, value] : annotations) {
    // Flux: the daemon's own metadata wins over the object's annotations.
    if (key.starts_with(api::annotation::kEventPrefix) && !said.contains(key)) add(key, value);
  }
  return metadata;
}

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
  event["message"] = cut(record.message);
  event["reason"] = record.reason;
  const api::StringMap metadata = metadata_of(record.annotations, meta.annotations);
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
  Queued event{std::string(api::kind_of(object)) + "/" + api::key_of(object).str(),
               doc::print_json(event_json(object, record, clock_.now(), options_))};
  while (!queued_.empty() &&
         (queued_.size() >= options_.max_queued || bytes_ + event.body.size() > options_.max_queued_bytes)) {
    drop_one();
  }
  bytes_ += event.body.size();
  held_[event.object] += event.body.size();
  queued_.push_back(std::move(event));
  changed_.notify_all();
}

void EventPoster::drop_one() {
  const auto most =
      std::max_element(held_.begin(), held_.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  const auto oldest =
      std::find_if(queued_.begin(), queued_.end(), [&](const Queued& event) { return event.object == most->first; });
  queued_.splice(queued_.begin(), queued_, oldest);
  take_first();
}

std::string EventPoster::take_first() {
  Queued event = std::move(queued_.front());
  queued_.pop_front();
  bytes_ -= event.body.size();
  const auto held = held_.find(event.object);
  held->second -= event.body.size();
  if (held->second == 0) held_.erase(held);
  return std::move(event.body);
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
    std::string body = take_first();
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
