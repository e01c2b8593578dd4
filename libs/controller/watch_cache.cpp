#include "controller/watch_cache.hpp"

#include <fmt/format.h>

#include <utility>

namespace sluice::controller {

namespace {

// kubectl's copy of the object inside of the object, as large as the rest of it.
constexpr const char* kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

bool is_away(base::ErrorKind kind) {
  return kind == base::ErrorKind::unavailable || kind == base::ErrorKind::timeout ||
         kind == base::ErrorKind::rate_limited;
}

}  // namespace

WatchCache::WatchCache(std::shared_ptr<kube::Client> client, const base::Clock& clock, base::Logger log,
                       WatchCacheOptions options)
    : clock_(clock),
      options_(std::move(options)),
      shelf_(options_.kept_whole),
      reflector_(std::move(client), clock, std::move(log), reflecting(options_), *this) {}

kube::ReflectorOptions WatchCache::reflecting(const WatchCacheOptions& options) {
  kube::ReflectorOptions reflecting;
  reflecting.resource = options.resource;
  reflecting.namespace_ = options.namespace_;
  reflecting.label_selector = options.label_selector;
  reflecting.field_selector = options.field_selector;
  reflecting.metadata_only = options.metadata_only;
  reflecting.min_pause = options.min_backoff;
  reflecting.max_pause = options.max_backoff;
  reflecting.watch_timeout = options.watch_timeout;
  reflecting.silence_limit = options.silence_limit;
  reflecting.mapper = options.mapper;
  return reflecting;
}

WatchCache::~WatchCache() = default;

// --- reading ---

Object WatchCache::find(const api::ObjectKey& key) const { return shelf_.find(key); }

std::vector<Object> WatchCache::list() const {
  std::vector<Object> all;
  all.reserve(shelf_.size());
  for (const auto& key : shelf_.keys()) all.push_back(shelf_.look(key));
  return all;
}

std::vector<api::ObjectKey> WatchCache::keys_by_index(std::string_view index, std::string_view name) const {
  const auto it = indexes_.find(index);
  if (it == indexes_.end()) return {};
  const auto entry = it->second.entries.find(name);
  if (entry == it->second.entries.end()) return {};
  return {entry->second.begin(), entry->second.end()};
}

rt::Task<bool> WatchCache::wait_synced(base::Duration limit) {
  const base::SteadyPoint deadline = clock_.steady() + limit;
  while (!synced_) {
    const base::Duration left = deadline - clock_.steady();
    if (left <= base::Duration::zero()) co_return false;
    const bool notified = co_await synced_notify_.wait_for(left);
    if (!notified && !synced_) co_return false;
  }
  co_return true;
}

// While it answers, though not as we would like, it is there.
bool WatchCache::is_in_touch() const noexcept { return !last_error() || !is_away(last_error()->kind); }

std::string WatchCache::why_not_ready() const {
  const auto& error = last_error();
  const std::string& plural = options_.resource.plural;
  if (!synced_)
    return fmt::format("cache of {} has not synced{}{}", plural, error ? ": " : "", error ? error->message : "");
  if (!error || is_away(error->kind)) return {};
  const bool unserved = !reflector_.is_served();
  if (unserved ? !required_ : !required_ && error->kind != base::ErrorKind::unauthorized) return {};
  if (unserved || error->kind != base::ErrorKind::gone)
    return fmt::format("{} cannot be watched: {}", plural, error->message);
  return {};
}

rt::Task<void> WatchCache::wait_in_touch(base::Duration limit) {
  if (is_in_touch()) co_return;
  const bool notified = co_await in_touch_notify_.wait_for(limit);
  static_cast<void>(notified);
}

// --- indexes and handlers ---

void WatchCache::add_index(std::string name, IndexFunction keys_of) {
  Index& index_entry = indexes_[std::move(name)];
  index_entry = Index{std::move(keys_of), {}};
  for (const auto& key : shelf_.keys()) index(index_entry, *shelf_.look(key), true);
}

void WatchCache::index(Index& index, const doc::Json& object, bool insert) {
  const api::ObjectKey key = api::key_of(object);
  for (const auto& name : index.keys_of(object)) {
    if (insert) {
      index.entries[name].insert(key);
      continue;
    }
    const auto entry = index.entries.find(name);
    if (entry == index.entries.end()) continue;
    entry->second.erase(key);
    if (entry->second.empty()) index.entries.erase(entry);
  }
}

void WatchCache::reindex(const Object& before, const Object& now) {
  for (auto& [name, entry] : indexes_) {
    if (before) index(entry, *before, false);
    if (now) index(entry, *now, true);
  }
}

WatchCache::HandlerId WatchCache::subscribe(CacheHandlers handlers) {
  const HandlerId id = next_handler_++;
  const auto kept = std::make_shared<const CacheHandlers>(std::move(handlers));
  handlers_.emplace(id, kept);
  if (kept->added) {
    for (const auto& key : shelf_.keys()) {
      if (const Object object = shelf_.look(key)) kept->added(object);
    }
  }
  return id;
}

void WatchCache::unsubscribe(HandlerId id) { handlers_.erase(id); }

void WatchCache::notify(const Object& before, const Object& now) {
  // A handler may subscribe or unsubscribe, itself or another; so each step
  // looks for the next one anew, and what is called stays alive meanwhile.
  HandlerId last = 0;
  for (auto it = handlers_.begin(); it != handlers_.end(); it = handlers_.upper_bound(last)) {
    last = it->first;
    const std::shared_ptr<const CacheHandlers> handler = it->second;
    if (!before && handler->added) handler->added(now);
    if (before && now && handler->updated) handler->updated(before, now);
    if (!now && handler->deleted) handler->deleted(before);
  }
}

// --- changing ---

Object WatchCache::prepare(doc::Json object) const {
  if (const auto metadata = object.find("metadata"); metadata != object.end() && metadata->is_object()) {
    metadata->erase("managedFields");
    const auto annotations = metadata->find("annotations");
    if (annotations != metadata->end() && annotations->is_object()) annotations->erase(kLastApplied);
  }
  if (options_.transform) options_.transform(object);
  return std::make_shared<const doc::Json>(std::move(object));
}

void WatchCache::store(doc::Json object, bool whatever_version) {
  const api::ObjectKey key = api::key_of(object);
  const Object before = find(key);
  if (before) {
    shelf_.set_mark(key, mark_);
    const auto known = api::resource_version_of(*before);
    const auto offered = api::resource_version_of(object);
    if (known == offered || (!whatever_version && !went_back_ && is_older_version(offered, known))) return;
  }
  // Of the same name, but another one: what was there before has gone unseen.
  const bool another = before && api::uid_of(*before) != api::uid_of(object);
  if (another) drop(key, nullptr);
  const Object now = prepare(std::move(object));
  shelf_.put(key, now, mark_);
  const Object replaced = another ? nullptr : before;
  reindex(replaced, now);
  notify(replaced, now);
}

void WatchCache::drop(const api::ObjectKey& key, Object last) {
  const Object before = find(key);
  if (!before) return;
  // A new object of that name may be known already. Of the same one we may have written a newer state, and it is gone
  // from what is watched all the same: somebody has taken the label off by which it was selected.
  const bool another = last && api::uid_of(*last) != api::uid_of(*before);
  if (another && is_older_version(api::resource_version_of(*last), api::resource_version_of(*before))) return;
  shelf_.erase(key);
  reindex(before, nullptr);
  notify(last ? last : before, nullptr);
}

void WatchCache::observe_write(doc::Json object) {
  // Only what is cached is replaced. An object that is not may have been deleted
  // meanwhile, or belong to another shard; the watch will bring a new one.
  const api::ObjectKey key = api::key_of(object);
  const Object known = find(key);
  if (!known || api::uid_of(*known) != api::uid_of(object)) return;
  if (is_older_version(api::resource_version_of(object), api::resource_version_of(*known))) {
    reflector_.doubt();
    return;
  }
  // A list that is on its way says itself what it holds.
  const kube::ListMark mark = *shelf_.mark(key);
  store(std::move(object));
  shelf_.set_mark(key, mark);
}

void WatchCache::observe_went_back(doc::Json object) {
  reflector_.distrust();
  if (find(api::key_of(object))) store(std::move(object), true);
}

// --- what the reflector tells ---

void WatchCache::list_began(const std::string&, kube::ListMark mark, bool went_back) {
  mark_ = mark;
  went_back_ = went_back;
}

void WatchCache::list_ended(const std::string&, kube::ListMark mark) {
  // Also what we have written since the list was made: it was there then, but not selected any more.
  std::vector<api::ObjectKey> gone;
  for (api::ObjectKey& key : shelf_.keys()) {
    if (shelf_.mark(key) != mark) gone.push_back(std::move(key));
  }
  went_back_ = false;
  for (const auto& key : gone) drop(key, nullptr);
  note_synced();
}

void WatchCache::seen(doc::Json object) { store(std::move(object)); }

bool WatchCache::knows(const api::ObjectKey& key, std::string_view uid, std::string_view version) {
  const Object known = find(key);
  if (!known || api::uid_of(*known) != uid || api::resource_version_of(*known) != version) return false;
  shelf_.set_mark(key, mark_);
  return true;
}

// What was known of it is old, but the last that is known.
void WatchCache::seen_unreadable(doc::Json metadata) { shelf_.set_mark(api::key_of(metadata), mark_); }

void WatchCache::removed(doc::Json last) {
  const api::ObjectKey key = api::key_of(last);
  drop(key, prepare(std::move(last)));
}

void WatchCache::not_served(bool kind_gone) {
  std::vector<api::ObjectKey> gone;
  if (kind_gone) gone = shelf_.keys();
  for (const auto& key : gone) drop(key, nullptr);
  note_synced();
}

void WatchCache::state_changed() {
  if (is_in_touch()) in_touch_notify_.notify_all();
}

void WatchCache::note_synced() {
  if (std::exchange(synced_, true)) return;
  synced_notify_.notify_all();
}

rt::Task<void> WatchCache::run() {
  auto ended = co_await reflector_.run();
  static_cast<void>(ended);  // it ends only when it is cancelled
}

}  // namespace sluice::controller
