#include "sources.hpp"

#include <utility>

#include "state_news.hpp"

namespace sluice::notification_controller {

namespace {

// A kind that cannot be listed (no right to) must not hold up its Events.
constexpr base::Duration kSyncLimit = std::chrono::seconds(30);
constexpr base::Duration kAfterError = std::chrono::seconds(1);

}  // namespace

Sources::Sources(rt::Runtime& runtime, base::Logger log, OpenCache open, FindResource find)
    : runtime_(runtime), log_(std::move(log)), open_(std::move(open)), find_(std::move(find)) {}

InvolvedObject Sources::identity_of(const doc::Json& object) {
  InvolvedObject identity;
  identity.api_version = doc::find_string(object, {"apiVersion"});
  identity.kind = api::kind_of(object);
  identity.namespace_ = api::namespace_of(object);
  identity.name = api::name_of(object);
  identity.uid = api::uid_of(object);
  return identity;
}

void Sources::want(std::string_view name) {
  const SourceKind* kind = find_source_kind(name);
  if (kind == nullptr || sources_.contains(name)) return;
  Source& source = sources_[std::string(name)];
  source.kind = kind;
  if (running_) start(source);
}

void Sources::start(Source& source) {
  tasks_.spawn(runtime_.context(), follow(source));
  started_.notify_all();
}

rt::Task<void> Sources::run() {
  running_ = true;
  for (auto& [name, source] : sources_) start(source);
  for (;;) {
    // join() takes what it started along when this is cancelled.
    if (tasks_.running() > 0) {
      co_await tasks_.join();
    } else {
      co_await started_.wait();
    }
  }
}

// True once it is known whether there are such objects.
rt::Task<bool> Sources::find_objects(Source& source) {
  rt::Task<base::Result<kube::Resource>> finding =
      find_(std::string(source.kind->group), std::string(source.kind->kind));
  auto found = co_await std::move(finding);
  if (!found) {
    const bool absent = found.error().kind == base::ErrorKind::not_found;
    if (!absent) log_.error("cannot look up a kind", found.error(), {{"kind", source.kind->kind}});
    co_return absent;
  }
  controller::WatchCacheOptions options;
  options.resource = *std::move(found);
  options.transform = keep_state;
  controller::WatchCache& cache = open_(std::move(options));
  subscribe_objects(source, cache);
  const bool synced = co_await cache.wait_synced(kSyncLimit);
  if (!synced)
    log_.info("objects cannot be listed; their labels and states are unknown", {{"kind", source.kind->kind}});
  source.objects = &cache;
  co_return true;
}

rt::Task<void> Sources::follow(Source& source) {
  controller::WatchCacheOptions options;
  options.resource = events_resource();
  options.field_selector = "involvedObject.kind=" + std::string(source.kind->kind);
  options.transform = keep_event;
  source.events = &open_(std::move(options));
  // Before they are there, so that they are taken in as they come, and not all in one turn of the loop.
  subscribe_events(source);
  for (;;) {
    const bool known = co_await find_objects(source);
    if (known) break;
    co_await rt::sleep_for(kAfterError);
  }
  bool synced = false;
  while (!synced) synced = co_await source.events->wait_synced(kSyncLimit);
  source.ready = true;
  handlers_.ready(source.kind->kind);
  while (source.objects == nullptr) {
    co_await rt::sleep_for(look_again);
    [[maybe_unused]] const bool known = co_await find_objects(source);
  }
}

void Sources::event_changed(Source& source, const controller::Object& before, const controller::Object& now) {
  if (doc::find_string(*now, {"involvedObject", "kind"}) != source.kind->kind) return;
  source.chronicle.take_in(*now);
  if (source.ready) handlers_.event(before, now);
}

// Not for the life of a subscription but of the process: there is one of each.
void Sources::subscribe_events(Source& source) {
  controller::CacheHandlers handlers;
  handlers.added = [this, &source](const controller::Object& now) { event_changed(source, nullptr, now); };
  handlers.updated = [this, &source](const controller::Object& before, const controller::Object& now) {
    event_changed(source, before, now);
  };
  handlers.deleted = [this, &source](const controller::Object& last) {
    source.chronicle.forget(*last);
    handlers_.expired(*last);
  };
  source.events->subscribe(std::move(handlers));
}

// An Event may come to us before the object that it is about.
void Sources::subscribe_objects(Source& source, controller::WatchCache& cache) {
  controller::CacheHandlers handlers;
  handlers.added = [this, &source](const controller::Object& now) {
    if (source.ready) handlers_.appeared(identity_of(*now));
    handlers_.state(*now);
  };
  handlers.updated = [this](const controller::Object&, const controller::Object& now) { handlers_.state(*now); };
  handlers.deleted = [this](const controller::Object& last) { handlers_.gone(*last); };
  cache.subscribe(std::move(handlers));
}

const Sources::Source* Sources::find_source(std::string_view kind) const {
  const auto it = sources_.find(kind);
  return it == sources_.end() ? nullptr : &it->second;
}

bool Sources::is_ready(std::string_view kind) const {
  const Source* source = find_source(kind);
  return source != nullptr && source->ready;
}

bool Sources::is_in_touch(std::string_view kind) const {
  const Source* source = find_source(kind);
  return source != nullptr && source->ready && source->objects != nullptr && source->events->is_in_touch() &&
         source->objects->is_in_touch();
}

std::vector<controller::Object> Sources::events(std::string_view kind) const {
  const Source* source = find_source(kind);
  if (source == nullptr || source->events == nullptr) return {};
  return source->events->list();
}

const Chronicle& Sources::chronicle(std::string_view kind) const {
  static const Chronicle empty;
  const Source* source = find_source(kind);
  return source == nullptr ? empty : source->chronicle;
}

std::vector<controller::Object> Sources::events_about(const InvolvedObject& object) const {
  std::vector<controller::Object> found;
  for (const auto* entry : chronicle(object.kind).about(object)) {
    if (auto event = this->event(object.kind, entry->event)) found.push_back(std::move(event));
  }
  return found;
}

controller::Object Sources::event(std::string_view kind, const api::ObjectKey& key) const {
  const Source* source = find_source(kind);
  return source == nullptr || source->events == nullptr ? nullptr : source->events->find(key);
}

controller::Object Sources::event(const Occurrence& what) const {
  auto found = event(what.involved.kind, what.event);
  // Another one of that name is not the one.
  if (found && api::uid_of(*found) != what.event_uid) return nullptr;
  return found;
}

void Sources::observe_write(std::string_view kind, doc::Json event) {
  const Source* source = find_source(kind);
  if (source != nullptr && source->events != nullptr) source->events->observe_write(std::move(event));
}

controller::Object Sources::object(std::string_view kind, const api::ObjectKey& key) const {
  const Source* source = find_source(kind);
  if (source == nullptr || source->objects == nullptr) return nullptr;
  return source->objects->find(key);
}

std::shared_ptr<const api::StringMap> Sources::labels_of(const InvolvedObject& object) const {
  const auto found = this->object(object.kind, {object.namespace_, object.name});
  if (!found) return nullptr;
  return std::make_shared<const api::StringMap>(api::read_meta(*found).labels);
}

}  // namespace sluice::notification_controller
