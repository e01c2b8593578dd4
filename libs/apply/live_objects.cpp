#include "apply/live_objects.hpp"

#include <fmt/format.h>

#include <utility>

#include "apply/detail/job.hpp"
#include "base/clock.hpp"

namespace sluice::apply {

using base::Result;
using doc::Json;
using Effect = LiveObject::Effect;

namespace {

// Without the end of a Job's work in its record, nobody takes its absence for what its TTL has done.
void set_ending(LiveObject& record, const Json& object) {
  auto ending = may_vanish(object) ? ending_of(object) : std::nullopt;
  record.may_vanish = ending.has_value();
  record.has_failed = ending && !ending->succeeded;
  if (record.has_failed) record.message = std::move(ending->why);
}

constexpr std::size_t kMaxEndings = 10'000;  // of a kind

// Nobody applies in our name by hand: where they are so, one of our kind has made the object its own.
bool are_labels_applied(const Json& object, const LiveOptions& options) {
  const std::string name = options.owner_group + "/name";
  const std::string space = options.owner_group + "/namespace";
  return has_applied(object, options.field_manager, {"metadata", "labels", name}) &&
         has_applied(object, options.field_manager, {"metadata", "labels", space});
}

std::string name_of(const kube::Resource& resource) { return resource.api_version() + "/" + resource.plural; }

}  // namespace

// The records of one kind, and the reflector that feeds them.
class LiveObjects::Kind final : public kube::ReflectorSink {
 public:
  Kind(std::weak_ptr<LiveObjects> live, std::shared_ptr<kube::Client> client, const base::Logger& log,
       kube::ReflectorOptions options)
      : resource(options.resource),
        reflector(std::move(client), base::system_clock(), log, std::move(options), *this),
        live_(std::move(live)) {}

  api::ObjectId id(const api::ObjectKey& key) const {
    return {key.namespace_, key.name, resource.group, resource.kind};
  }

  void list_began(const std::string&, kube::ListMark mark, bool went_back) override {
    this->mark = mark;
    if (!went_back) return;
    for (auto& [key, object] : objects) object.forget_version();
    endings.clear();  // of Jobs that may never have been
  }
  void list_ended(const std::string& version, kube::ListMark mark) override {
    std::vector<api::ObjectKey> absent;
    for (const auto& [key, object] : objects) {
      const bool expected = object.state() == LiveObject::State::expected && object.writes > 0;
      if (object.mark != mark && !expected) absent.push_back(key);
    }
    if (const auto live = live_.lock()) {
      for (const api::ObjectKey& key : absent) live->lose(*this, key, version);
    }
  }
  void seen(Json object) override {
    if (const auto live = live_.lock()) live->store(*this, api::key_of(object), live->describe(object));
  }
  bool knows(const api::ObjectKey& key, std::string_view uid, std::string_view version) override {
    const auto found = objects.find(key);
    if (found == objects.end()) return false;
    LiveObject& known = found->second;
    if (known.gone || known.unreadable || known.uid != uid || known.resource_version != version) return false;
    known.mark = mark;
    return true;
  }
  void seen_unreadable(Json metadata) override {
    if (const auto live = live_.lock()) live->store(*this, api::key_of(metadata), live->describe_unreadable(metadata));
  }
  void removed(Json last) override {
    if (const auto live = live_.lock()) live->lose(*this, api::key_of(last), api::resource_version_of(last), &last);
  }
  void not_served(bool kind_gone) override {
    const auto live = live_.lock();
    if (!kind_gone || !live) return;
    std::vector<api::ObjectKey> all;
    for (const auto& [key, object] : objects) all.push_back(key);
    for (const api::ObjectKey& key : all) live->lose(*this, key, {});
  }
  void state_changed() override {
    changed.notify_all();
    const auto live = live_.lock();
    if (!live) return;
    if (std::exchange(was_current_, reflector.is_current()) != reflector.is_current()) live->tell_all();
    // Between two watches in order there is nothing wrong.
    std::string why = why_blind();
    if (why.empty() && !reflector.is_current()) return;
    if (std::exchange(told_, why) != why && live->on_blindness) live->on_blindness(resource, why);
  }
  bool is_satisfied() const override { return live_.expired(); }

  std::string why_blind() const {
    const auto& trouble = reflector.trouble();
    return trouble ? trouble->message : std::string();
  }

  const kube::Resource resource;
  std::unordered_map<api::ObjectKey, LiveObject> objects;
  std::unordered_map<api::ObjectKey, Ending> endings;  // of what has vanished, until it is seen again
  kube::ListMark mark = 0;
  rt::Notify changed;  // the reflector's state
  kube::Reflector reflector;

 private:
  std::weak_ptr<LiveObjects> live_;
  bool was_current_ = false;
  std::string told_;  // why drift goes unseen
};

std::shared_ptr<LiveObjects> LiveObjects::create(rt::Runtime& runtime, std::shared_ptr<kube::Client> client,
                                                 base::Logger log, LiveOptions options) {
  return std::shared_ptr<LiveObjects>(new LiveObjects(runtime, std::move(client), std::move(log), std::move(options)));
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
  return known == nullptr || !known->is_there() ? nullptr : known;
}

bool LiveObjects::is_current(const kube::Resource& resource) const {
  const Kind* kind = kind_of(resource);
  return kind != nullptr && kind->reflector.is_current();
}

std::string LiveObjects::why_not_current(const kube::Resource& resource) const {
  const Kind* kind = kind_of(resource);
  if (kind == nullptr) return fmt::format("{} are not watched", resource.plural);
  if (kind->reflector.is_current()) return {};
  const std::string why = kind->why_blind();
  return fmt::format("the watch of {} is {}{}{}", resource.plural, to_string(kind->reflector.state()),
                     why.empty() ? "" : ": ", why);
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
  using State = kube::Reflector::State;
  while (!kind->reflector.is_current() && !kind->reflector.trouble() && kind->reflector.state() != State::stopped) {
    const auto left = deadline - base::system_clock().steady();
    if (left <= left.zero()) co_return false;
    const bool notified = co_await kind->changed.wait_for(left);
    static_cast<void>(notified);
  }
  co_return kind->reflector.is_current();
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
  seen.switched_off = is_switched_off(object);
  seen.to_take_over = needs_takeover(object, options_.foreign);
  seen.labels_applied = are_labels_applied(object, options_);
  set_ending(seen, object);
  return seen;
}

// Nothing but what metadata says: whether it is ours, and another one than before.
LiveObject LiveObjects::describe_unreadable(const Json& metadata) const {
  LiveObject seen;
  seen.resource_version = api::resource_version_of(metadata);
  seen.uid = api::uid_of(metadata);
  seen.owner = {std::string(api::label_of(metadata, options_.owner_group + "/namespace")),
                std::string(api::label_of(metadata, options_.owner_group + "/name"))};
  seen.message = "the object is too large to be read";
  seen.switched_off = is_switched_off(metadata);
  seen.unreadable = true;
  seen.labels_applied = are_labels_applied(metadata, options_);
  return seen;
}

void LiveObjects::store(Kind& kind, const api::ObjectKey& key, LiveObject now) {
  // Not of the watched ones; but the label of one that is known may have been emptied.
  if (now.owner.name.empty() && !kind.objects.contains(key)) return;
  now.mark = kind.mark;
  kind.endings.erase(key);
  LiveObject& known = kind.objects[key];
  const api::ObjectKey former = known.owner;
  if (known.uid == now.uid && kube::is_older_version(now.resource_version, known.resource_version)) {
    kind.reflector.doubt();
  }
  const Effect effect = known.see(std::move(now));
  if (effect == Effect::none) return;
  const LiveObject after = known;  // who is told may change the records
  tell_effect(kind, key, after, effect);
  if (!former.name.empty() && former != after.owner) tell(former);
  if (after.concerned() != former && after.concerned() != after.owner) tell(after.concerned());
  tell(after.owner);
}

void LiveObjects::lose(Kind& kind, const api::ObjectKey& key, std::string_view version, const Json* last_state) {
  const auto found = kind.objects.find(key);
  if (found == kind.objects.end()) return;
  // A list does not tell the last state; there what was seen before counts.
  if (last_state != nullptr && !kube::is_older_version(version, found->second.resource_version)) {
    set_ending(found->second, *last_state);
  }
  bool forget = false;
  const Effect effect = found->second.lose(version, forget);
  if (effect == Effect::none) return;
  const LiveObject last = found->second;
  if (forget) kind.objects.erase(found);
  tell_effect(kind, key, last, effect);
  tell(last.owner);
  if (last.concerned() != last.owner) tell(last.concerned());
}

void LiveObjects::tell_effect(Kind& kind, const api::ObjectKey& key, const LiveObject& object, Effect effect) {
  if (effect == Effect::drifted && on_drift) on_drift(object.concerned(), kind.id(key));
  if (effect == Effect::vanished) note_ending(kind, key, object);
  if (effect == Effect::vanished && on_vanished) on_vanished(object.concerned(), kind.id(key), object.desired);
}

void LiveObjects::note_ending(Kind& kind, const api::ObjectKey& key, const LiveObject& object) {
  // Whichever goes: of what nobody knows how it ended the work is done once more.
  if (kind.endings.size() >= kMaxEndings) kind.endings.erase(kind.endings.begin());
  kind.endings[key] = {!object.has_failed, object.has_failed ? object.message : std::string()};
}

const Ending* LiveObjects::ending(const kube::Resource& resource, const api::ObjectKey& key) const {
  const Kind* kind = kind_of(resource);
  if (kind == nullptr) return nullptr;
  const auto found = kind->endings.find(key);
  return found == kind->endings.end() ? nullptr : &found->second;
}

void LiveObjects::disown_other_versions(const Kind& kind, const api::ObjectKey& key) {
  const auto found = kind.objects.find(key);
  if (found == kind.objects.end() || found->second.uid.empty()) return;
  for (const auto& [name, other] : kinds_) {
    if (other.get() == &kind) continue;
    const auto same = other->objects.find(key);
    if (same != other->objects.end() && same->second.uid == found->second.uid) same->second.disown();
  }
}

void LiveObjects::observe(const kube::Resource& resource, const Json& object) {
  if (Kind* kind = kind_of(resource)) store(*kind, api::key_of(object), describe(object));
}

void LiveObjects::note_left(const kube::Resource& resource, const Json& object, std::uint64_t desired) {
  Kind* kind = kind_of(resource);
  if (kind == nullptr) return;
  LiveObject answer = describe(object);
  const std::uint64_t left = answer.owned;
  const api::ObjectKey by = answer.owner;
  const api::ObjectKey key = api::key_of(object);
  // Before, so that the answer itself is no drift; and after, as it may make the record.
  if (LiveObject* known = record(resource, key)) known->leave(by, desired, left);
  store(*kind, key, std::move(answer));
  if (LiveObject* known = record(resource, key)) known->leave(by, desired, left);
  disown_other_versions(*kind, key);
}

void LiveObjects::note_unchanged(const kube::Resource& resource, const api::ObjectKey& key, std::uint64_t desired) {
  LiveObject* known = record(resource, key);
  if (known == nullptr) return;
  known->confirm(desired);
  disown_other_versions(*kind_of(resource), key);
}

void LiveObjects::await_return(const kube::Resource& resource, const api::ObjectKey& key, api::ObjectKey owner) {
  if (LiveObject* known = record(resource, key)) known->await_return(std::move(owner));
}

void LiveObjects::disown(const kube::Resource& resource, const api::ObjectKey& key) {
  if (LiveObject* known = record(resource, key)) known->disown();
}

LiveObjects::Write::Write(std::shared_ptr<LiveObjects> live, kube::Resource resource, api::ObjectKey key)
    : live_(std::move(live)), resource_(std::move(resource)), key_(std::move(key)) {
  if (Kind* kind = live_->kind_of(resource_)) kind->objects[key_].begin_write();
}

LiveObjects::Write::~Write() {
  Kind* kind = live_->kind_of(resource_);
  if (kind == nullptr) return;
  const auto found = kind->objects.find(key_);
  if (found == kind->objects.end()) return;
  bool forget = false;
  const Effect effect = found->second.end_write(forget);
  const LiveObject last = found->second;
  if (forget) kind->objects.erase(found);
  live_->tell_effect(*kind, key_, last, effect);
}

// --- watching ---

namespace {

// Keeps the kind for as long as its reflector runs.
template <class Kind>
rt::Task<void> follow(std::shared_ptr<Kind> kind) {
  auto ended = co_await kind->reflector.run();
  static_cast<void>(ended);
}

}  // namespace

void LiveObjects::watch(const kube::Resource& resource) {
  std::shared_ptr<Kind>& kind = kinds_[name_of(resource)];
  if (kind) return;
  kube::ReflectorOptions options;
  options.resource = resource;
  options.label_selector = options_.owner_group + "/name";
  options.min_pause = options_.min_backoff;
  options.max_pause = options_.max_backoff;
  options.silence_limit = options_.silence_limit;
  options.pages = options_.pages;
  options.mapper = options_.mapper;
  kind = std::make_shared<Kind>(weak_from_this(), client_, log_.with({{"for", "drift detection"}}), std::move(options));
  runtime_.spawn("live " + resource.plural, follow(kind), rt::AtShutdown::cancel);
}

}  // namespace sluice::apply
