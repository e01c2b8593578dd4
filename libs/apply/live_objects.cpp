#include "apply/live_objects.hpp"

#include <charconv>
#include <set>
#include <utility>

#include "api/names.hpp"
#include "apply/vanished.hpp"
#include "base/clock.hpp"

namespace sluice::apply {

using base::Result;
using doc::Json;

namespace {

// A watch that lived this long was of use, and starts the backoff anew.
constexpr auto kUsefulWatch = std::chrono::seconds(5);

bool is_off(const Json& object) {
  return api::annotation_of(object, api::annotation::kReconcile) == api::annotation_value::kDisabled ||
         api::annotation_of(object, api::annotation::kSsa) == api::annotation_value::kSsaIgnore;
}

// Versions that are no numbers are never older.
bool is_older(std::string_view left, std::string_view right) {
  const auto number = [](std::string_view text, std::uint64_t& value) {
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    return !text.empty() && read.ec == std::errc() && read.ptr == text.data() + text.size();
  };
  std::uint64_t l = 0;
  std::uint64_t r = 0;
  return number(left, l) && number(right, r) && l < r;
}

std::string name_of(const kube::Resource& resource) { return resource.api_version() + "/" + resource.plural; }

}  // namespace

struct LiveObjects::Kind {
  kube::Resource resource;
  bool watching = false;  // an open watch stands behind the records
  bool failed = false;    // the last round ended in an error
  std::string resource_version;
  std::unordered_map<api::ObjectKey, LiveObject> objects;
  rt::Notify changed;  // watching or failed

  api::ObjectId id(const api::ObjectKey& key) const {
    return {key.namespace_, key.name, resource.group, resource.kind};
  }
};

std::shared_ptr<LiveObjects> LiveObjects::create(rt::Runtime& runtime, std::shared_ptr<kube::Client> client,
                                                 base::Logger log, LiveOptions options) {
  return std::shared_ptr<LiveObjects>(
      new LiveObjects(runtime, std::move(client), std::move(log), std::move(options)));
}

LiveObjects::LiveObjects(rt::Runtime& runtime, std::shared_ptr<kube::Client> client, base::Logger log,
                         LiveOptions options)
    : runtime_(runtime), client_(std::move(client)), log_(std::move(log)), options_(std::move(options)) {}

LiveObjects::~LiveObjects() = default;

// --- asking ---

LiveObjects::Kind* LiveObjects::kind_of(const kube::Resource& resource) const {
  const auto found = kinds_.find(name_of(resource));
  return found == kinds_.end() ? nullptr : found->second.get();
}

LiveObject* LiveObjects::record(const kube::Resource& resource, const api::ObjectKey& key) const {
  Kind* kind = kind_of(resource);
  if (kind == nullptr) return nullptr;
  const auto found = kind->objects.find(key);
  return found == kind->objects.end() ? nullptr : &found->second;
}

const LiveObject* LiveObjects::find(const kube::Resource& resource, const api::ObjectKey& key) const {
  const LiveObject* known = record(resource, key);
  return known == nullptr || known->gone || known->resource_version.empty() ? nullptr : known;
}

bool LiveObjects::is_current(const kube::Resource& resource) const {
  const Kind* kind = kind_of(resource);
  return kind != nullptr && kind->watching;
}

std::size_t LiveObjects::size() const noexcept {
  std::size_t all = 0;
  for (const auto& [name, kind] : kinds_) all += kind->objects.size();
  return all;
}

rt::Task<bool> LiveObjects::wait_current(kube::Resource resource, std::chrono::nanoseconds limit) {
  const auto found = kinds_.find(name_of(resource));
  if (found == kinds_.end()) co_return false;
  const std::shared_ptr<Kind> kind = found->second;
  const auto deadline = base::system_clock().steady() + limit;
  while (!kind->watching && !kind->failed) {
    const auto left = deadline - base::system_clock().steady();
    if (left <= left.zero()) co_return false;
    const bool notified = co_await kind->changed.wait_for(left);
    static_cast<void>(notified);
  }
  co_return kind->watching;
}

std::shared_ptr<rt::Notify> LiveObjects::changes_of(const api::ObjectKey& owner) {
  std::weak_ptr<rt::Notify>& slot = waiting_[owner];
  auto notify = slot.lock();
  if (!notify) {
    notify = std::make_shared<rt::Notify>();
    slot = notify;
  }
  return notify;
}

void LiveObjects::tell(const api::ObjectKey& owner) {
  const auto found = waiting_.find(owner);
  if (found == waiting_.end()) return;
  if (const auto notify = found->second.lock()) {
    notify->notify_all();
  } else {
    waiting_.erase(found);
  }
}

void LiveObjects::tell_all() {
  std::erase_if(waiting_, [](const auto& entry) { return entry.second.expired(); });
  for (const auto& [owner, weak] : waiting_) {
    if (const auto notify = weak.lock()) notify->notify_all();
  }
}

// --- taking in ---

LiveObject LiveObjects::describe(const Json& object) const {
  LiveObject seen;
  seen.resource_version = api::resource_version_of(object);
  seen.uid = api::uid_of(object);
  seen.owner = {std::string(api::label_of(object, options_.owner_group + "/namespace")),
                std::string(api::label_of(object, options_.owner_group + "/name"))};
  seen.owned = owned_hash(object, options_.field_manager);
  seen.content = content_hash(object);
  Readiness readiness = assess(object);
  seen.health = readiness.health;
  if (readiness.health != Health::current) seen.message = std::move(readiness.message);
  seen.switched_off = is_off(object);
  seen.to_take_over = needs_takeover(object, options_.foreign);
  seen.may_vanish = may_vanish(object);
  return seen;
}

void LiveObjects::store(Kind& kind, const Json& object) {
  api::ObjectKey key = api::key_of(object);
  LiveObject seen = describe(object);
  if (seen.owner.name.empty()) return;  // not of the watched ones
  const auto [entry, is_new] = kind.objects.try_emplace(std::move(key));
  LiveObject& known = entry->second;
  if (!is_new) {
    if (known.resource_version == seen.resource_version || is_older(seen.resource_version, known.resource_version)) {
      return;
    }
    seen.writes = known.writes;
    if (known.uid == seen.uid || known.uid.empty() || known.writes > 0) {
      seen.desired = known.desired;
      seen.left = known.left;
    }
  }
  const api::ObjectKey former = known.owner;
  known = std::move(seen);
  judge(kind, entry->first, known);
  if (!former.name.empty() && former != known.owner) tell(former);
  tell(known.owner);
}

void LiveObjects::judge(const Kind& kind, const api::ObjectKey& key, LiveObject& object) {
  if (object.writes > 0 || object.left == 0 || object.stands() || object.switched_off) return;
  if (on_drift) on_drift(object.owner, kind.id(key));
}

void LiveObjects::tell_gone(const Kind& kind, const api::ObjectKey& key, const LiveObject& last) {
  if (last.left == 0) return;
  if (!last.may_vanish) {
    if (on_drift) on_drift(last.owner, kind.id(key));
  } else if (on_vanished) {
    on_vanished(last.owner, kind.id(key), last.desired);
  }
}

void LiveObjects::drop(Kind& kind, const api::ObjectKey& key, std::string_view version, const Json* last_state) {
  const auto found = kind.objects.find(key);
  if (found == kind.objects.end()) return;
  // A newer object of that name, written by us, may be known already.
  if (is_older(version, found->second.resource_version)) return;
  LiveObject last = std::move(found->second);
  // Whoever deletes it before its work is done has his own reasons. A list does not tell who it was.
  if (last_state != nullptr) last.may_vanish = may_vanish(*last_state) && has_finished(*last_state);
  if (last.writes > 0) {
    LiveObject& mark = found->second = LiveObject{};
    mark.owner = last.owner;
    mark.writes = last.writes;
    mark.may_vanish = last.may_vanish;
    mark.resource_version = version;
    mark.gone = true;
  } else {
    kind.objects.erase(found);
    tell_gone(kind, key, last);
  }
  tell(last.owner);
}

void LiveObjects::replace_all(Kind& kind, const kube::ObjectList& all) {
  // After a restore of etcd from a backup versions go back; then nothing that is known counts.
  if (is_older(all.resource_version, kind.resource_version)) kind.objects.clear();
  std::set<api::ObjectKey> listed;
  for (const Json& item : all.items) {
    listed.insert(api::key_of(item));
    store(kind, item);
  }
  std::vector<api::ObjectKey> gone;
  for (const auto& [key, object] : kind.objects) {
    if (!listed.contains(key)) gone.push_back(key);
  }
  // What we wrote after the list was made is newer than it, and stays.
  for (const api::ObjectKey& key : gone) drop(kind, key, all.resource_version);
}

void LiveObjects::observe(const kube::Resource& resource, const Json& object) {
  if (Kind* kind = kind_of(resource)) store(*kind, object);
}

void LiveObjects::note_left(const kube::Resource& resource, const Json& object, std::uint64_t desired) {
  Kind* kind = kind_of(resource);
  if (kind == nullptr) return;
  const std::uint64_t left = owned_hash(object, options_.field_manager);
  const api::ObjectKey key = api::key_of(object);
  if (LiveObject* known = record(resource, key)) {
    known->desired = desired;
    known->left = left;
  }
  store(*kind, object);
  if (LiveObject* known = record(resource, key)) {
    known->desired = desired;
    known->left = left;
  }
}

void LiveObjects::note_unchanged(const kube::Resource& resource, const api::ObjectKey& key, std::uint64_t desired) {
  if (LiveObject* known = record(resource, key)) {
    known->desired = desired;
    known->left = known->owned;
  }
}

void LiveObjects::disown(const kube::Resource& resource, const api::ObjectKey& key) {
  if (LiveObject* known = record(resource, key)) {
    known->desired = 0;
    known->left = 0;
  }
}

LiveObjects::Write::Write(std::shared_ptr<LiveObjects> live, kube::Resource resource, api::ObjectKey key)
    : live_(std::move(live)), resource_(std::move(resource)), key_(std::move(key)) {
  if (Kind* kind = live_->kind_of(resource_)) ++kind->objects[key_].writes;
}

LiveObjects::Write::~Write() {
  Kind* kind = live_->kind_of(resource_);
  if (kind == nullptr) return;
  const auto found = kind->objects.find(key_);
  if (found == kind->objects.end()) return;
  LiveObject& object = found->second;
  if (object.writes > 0) --object.writes;
  if (object.writes > 0) return;
  if (object.resource_version.empty() || object.gone) {  // never seen, or deleted meanwhile
    const LiveObject last = std::move(object);
    kind->objects.erase(found);
    live_->tell_gone(*kind, key_, last);
    return;
  }
  live_->judge(*kind, key_, object);
}

// --- watching ---

void LiveObjects::watch(const kube::Resource& resource) {
  std::shared_ptr<Kind>& kind = kinds_[name_of(resource)];
  if (kind) return;
  kind = std::make_shared<Kind>();
  kind->resource = resource;
  runtime_.spawn("live " + resource.plural, follow(weak_from_this(), kind), rt::AtShutdown::cancel);
}

rt::Task<Result<void>> LiveObjects::list_all(std::weak_ptr<LiveObjects> weak, std::shared_ptr<Kind> kind) {
  std::shared_ptr<kube::Client> client;
  kube::ListOptions options;
  {
    const auto self = weak.lock();
    if (!self) co_return Result<void>();
    client = self->client_;
    options.label_selector = self->options_.owner_group + "/name";
  }
  auto listed = co_await client->list(kind->resource, options);
  SLUICE_CO_TRY(const kube::ObjectList all, std::move(listed));
  const auto self = weak.lock();
  if (!self) co_return Result<void>();
  self->replace_all(*kind, all);
  kind->resource_version = all.resource_version;
  co_return Result<void>();
}

// One watch request, to its end. Success: the server ended it in order.
rt::Task<Result<void>> LiveObjects::watch_once(std::weak_ptr<LiveObjects> weak, std::shared_ptr<Kind> kind) {
  std::shared_ptr<kube::Client> client;
  kube::WatchOptions options;
  std::chrono::nanoseconds silence{};
  {
    const auto self = weak.lock();
    if (!self) co_return Result<void>();
    client = self->client_;
    options.label_selector = self->options_.owner_group + "/name";
    silence = self->options_.silence_limit;
  }
  options.resource_version = kind->resource_version;
  auto opened = co_await client->watch(kind->resource, options);
  SLUICE_CO_TRY(const std::unique_ptr<kube::Watch> watch, std::move(opened));
  kind->watching = true;
  kind->failed = false;
  kind->changed.notify_all();
  if (const auto self = weak.lock()) self->tell_all();
  for (;;) {
    auto waiting = rt::with_timeout(watch->next(), silence, "the next event of a watch");
    auto next = co_await std::move(waiting);
    SLUICE_CO_TRY(const auto event, std::move(next));
    if (!event) co_return Result<void>();
    const auto self = weak.lock();
    if (!self) co_return Result<void>();
    const std::string version(api::resource_version_of(event->object));
    if (!version.empty()) kind->resource_version = version;
    switch (event->type) {
      case kube::WatchEventType::bookmark: break;
      case kube::WatchEventType::added:
      case kube::WatchEventType::modified: self->store(*kind, event->object); break;
      case kube::WatchEventType::deleted: self->drop(*kind, api::key_of(event->object), version, &event->object); break;
    }
  }
}

rt::Task<void> LiveObjects::follow(std::weak_ptr<LiveObjects> weak, std::shared_ptr<Kind> kind) {
  bool must_list = true;
  std::chrono::nanoseconds backoff{0};
  while (!weak.expired()) {
    const auto started = base::system_clock().steady();
    rt::Task<Result<void>> round = must_list ? list_all(weak, kind) : watch_once(weak, kind);
    const auto outcome = co_await std::move(round);
    const bool was_watching = std::exchange(kind->watching, false);
    if (outcome && must_list) {
      must_list = false;
      continue;
    }
    // Only a list can mend a version that the server no longer knows.
    if (!outcome && outcome.error().kind == base::ErrorKind::gone) must_list = true;
    kind->failed = !outcome;
    kind->changed.notify_all();
    const bool useful = was_watching && base::system_clock().steady() - started > kUsefulWatch;
    if (const auto self = weak.lock()) {
      if (was_watching) self->tell_all();
      if (!outcome) {
        self->log_.info("watch of applied objects interrupted",
                        {{"resource", kind->resource.plural}, {"error", outcome.error().message}});
      }
      backoff = useful || backoff == backoff.zero() ? self->options_.min_backoff
                                                    : std::min(backoff * 2, self->options_.max_backoff);
    }
    const std::chrono::nanoseconds pause = outcome && useful ? std::chrono::nanoseconds(0) : backoff;
    co_await rt::sleep_for(pause);
  }
}

}  // namespace sluice::apply
