#include "controller/watch_cache.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace sluice::controller {

namespace {

// A watch that lasted this long, or brought a change, was worth opening.
constexpr base::Duration kUsefulWatch = std::chrono::seconds(10);

std::optional<std::uint64_t> as_number(std::string_view version) noexcept {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), number);
  if (error != std::errc() || end != version.data() + version.size()) return std::nullopt;
  return number;
}

}  // namespace

bool is_older_version(std::string_view left, std::string_view right) noexcept {
  const auto a = as_number(left);
  const auto b = as_number(right);
  return a && b && *a < *b;
}

WatchCache::WatchCache(std::shared_ptr<kube::Client> client, const base::Clock& clock, base::Logger log,
                       WatchCacheOptions options)
    : client_(std::move(client)),
      clock_(clock),
      log_(log.with({{"resource", options.resource.plural}, {"group", options.resource.group}})),
      options_(std::move(options)) {}

WatchCache::~WatchCache() = default;

// --- reading ---

Object WatchCache::find(const api::ObjectKey& key) const {
  const auto it = objects_.find(key);
  return it == objects_.end() ? nullptr : it->second;
}

std::vector<Object> WatchCache::list() const {
  std::vector<Object> all;
  all.reserve(objects_.size());
  for (const auto& [key, object] : objects_) all.push_back(object);
  return all;
}

std::vector<Object> WatchCache::by_index(std::string_view index, std::string_view name) const {
  std::vector<Object> found;
  const auto it = indexes_.find(index);
  if (it == indexes_.end()) return found;
  const auto entry = it->second.entries.find(name);
  if (entry == it->second.entries.end()) return found;
  for (const auto& key : entry->second) {
    if (auto object = find(key)) found.push_back(std::move(object));
  }
  return found;
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

std::optional<base::Duration> WatchCache::staleness() const {
  if (!last_alive_) return std::nullopt;
  if (state_ == State::watching) return base::Duration::zero();
  return clock_.steady() - *last_alive_;
}

// --- indexes and handlers ---

void WatchCache::add_index(std::string name, IndexFunction keys_of) {
  Index& index_entry = indexes_[std::move(name)];
  index_entry = Index{std::move(keys_of), {}};
  for (const auto& [key, object] : objects_) index(index_entry, object, true);
}

void WatchCache::index(Index& index, const Object& object, bool insert) {
  const api::ObjectKey key = api::key_of(*object);
  for (const auto& name : index.keys_of(*object)) {
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
    if (before) index(entry, before, false);
    if (now) index(entry, now, true);
  }
}

WatchCache::HandlerId WatchCache::subscribe(CacheHandlers handlers) {
  const HandlerId id = next_handler_++;
  const auto added = handlers.added;
  handlers_.emplace(id, std::move(handlers));
  if (added) {
    for (const auto& object : list()) added(object);
  }
  return id;
}

void WatchCache::unsubscribe(HandlerId id) { handlers_.erase(id); }

void WatchCache::notify(const Object& before, const Object& now) {
  // A copy: a handler may subscribe or unsubscribe.
  const auto handlers = handlers_;
  for (const auto& [id, handler] : handlers) {
    if (!before && handler.added) handler.added(now);
    if (before && now && handler.updated) handler.updated(before, now);
    if (!now && handler.deleted) handler.deleted(before);
  }
}

// --- changing ---

Object WatchCache::prepare(doc::Json object) const {
  if (const auto metadata = object.find("metadata"); metadata != object.end() && metadata->is_object()) {
    metadata->erase("managedFields");
  }
  if (options_.transform) options_.transform(object);
  return std::make_shared<const doc::Json>(std::move(object));
}

void WatchCache::store(doc::Json object, bool even_if_older) {
  const api::ObjectKey key = api::key_of(object);
  const Object before = find(key);
  if (before) {
    const auto known = api::resource_version_of(*before);
    const auto offered = api::resource_version_of(object);
    if (known == offered || (!even_if_older && is_older_version(offered, known))) return;
  }
  ++changes_seen_;
  const Object now = prepare(std::move(object));
  objects_[key] = now;
  reindex(before, now);
  notify(before, now);
}

void WatchCache::drop(const api::ObjectKey& key, Object last) {
  const Object before = find(key);
  if (!before) return;
  // A new object of that name, written by us, may be known already.
  if (last && is_older_version(api::resource_version_of(*last), api::resource_version_of(*before))) return;
  ++changes_seen_;
  objects_.erase(key);
  reindex(before, nullptr);
  notify(last ? last : before, nullptr);
}

void WatchCache::observe_write(doc::Json object) {
  const api::ObjectKey key = api::key_of(object);
  // Only what is cached is replaced. An object that is not may have been deleted
  // meanwhile, or belong to another shard; the watch will bring a new one.
  if (!objects_.contains(key)) return;
  store(std::move(object), false);
}

void WatchCache::replace_all(kube::ObjectList all) {
  // After a restore of etcd from a backup versions go back; then the list is
  // right and the cache wrong. Else what is newer here is a write of our own.
  const bool went_back = is_older_version(all.resource_version, resource_version_);
  resource_version_ = all.resource_version;
  std::set<api::ObjectKey> listed;
  for (auto& item : all.items) {
    listed.insert(api::key_of(item));
    store(std::move(item), went_back);
  }
  std::vector<api::ObjectKey> gone;
  for (const auto& [key, object] : objects_) {
    if (!listed.contains(key)) gone.push_back(key);
  }
  for (const auto& key : gone) drop(key, nullptr);
}

// --- the state machine ---

void WatchCache::enter(State state) { state_ = state; }

void WatchCache::note_alive() {
  last_alive_ = clock_.steady();
  last_error_.reset();
}

rt::Task<base::Result<void>> WatchCache::list_all() {
  kube::ListOptions options;
  options.namespace_ = options_.namespace_;
  options.label_selector = options_.label_selector;
  options.field_selector = options_.field_selector;
  options.metadata_only = options_.metadata_only;
  auto listed = co_await client_->list(options_.resource, options);
  SLUICE_CO_TRY(auto all, std::move(listed));
  replace_all(std::move(all));
  note_alive();
  if (!synced_) {
    synced_ = true;
    synced_notify_.notify_all();
  }
  co_return base::Result<void>();
}

// One watch request, to its end. Success: the server ended it in order.
rt::Task<base::Result<void>> WatchCache::watch_once() {
  kube::WatchOptions options;
  options.namespace_ = options_.namespace_;
  options.label_selector = options_.label_selector;
  options.field_selector = options_.field_selector;
  options.metadata_only = options_.metadata_only;
  options.resource_version = resource_version_;
  options.timeout = options_.watch_timeout;
  auto opened = co_await client_->watch(options_.resource, options);
  SLUICE_CO_TRY(const std::unique_ptr<kube::Watch> watch, std::move(opened));
  enter(State::watching);
  note_alive();
  for (;;) {
    auto next = co_await rt::with_timeout(watch->next(), options_.silence_limit, "the next event of a watch");
    SLUICE_CO_TRY(auto event, std::move(next));
    if (!event) co_return base::Result<void>();
    note_alive();
    const auto version = api::resource_version_of(event->object);
    if (!version.empty()) resource_version_ = version;
    switch (event->type) {
      case kube::WatchEventType::bookmark: break;
      case kube::WatchEventType::added:
      case kube::WatchEventType::modified: store(std::move(event->object), false); break;
      case kube::WatchEventType::deleted: {
        const api::ObjectKey key = api::key_of(event->object);
        drop(key, prepare(std::move(event->object)));
        break;
      }
    }
  }
}

rt::Task<void> WatchCache::run() {
  base::Duration backoff = options_.min_backoff;
  bool must_list = true;
  for (;;) {
    if (must_list) enter(State::listing);
    const base::SteadyPoint started = clock_.steady();
    const std::uint64_t changes_before = changes_seen_;
    rt::Task<base::Result<void>> round = must_list ? list_all() : watch_once();
    const auto outcome = co_await std::move(round);
    if (outcome && must_list) {
      must_list = false;
      continue;
    }
    // Only a list can mend a version that the server no longer knows.
    if (!outcome && outcome.error().kind == base::ErrorKind::gone) must_list = true;
    // A watch that was of use starts the backoff anew; one that ends or expires
    // at once, however politely, must not make us spin.
    if (changes_seen_ != changes_before || clock_.steady() - started > kUsefulWatch) backoff = options_.min_backoff;
    const base::Duration pause = pause_after(outcome, backoff);
    enter(State::backing_off);
    co_await rt::sleep_for(pause);
    backoff = std::min(backoff * 2, options_.max_backoff);
  }
}

// How long to wait after a round; says why, where it failed.
base::Duration WatchCache::pause_after(const base::Result<void>& outcome, base::Duration backoff) {
  if (outcome) return backoff;
  const base::Error& error = outcome.error();
  last_error_ = error;
  const base::Duration pause = error.retry_after ? std::max<base::Duration>(backoff, *error.retry_after) : backoff;
  log_.info("watch interrupted", {{"error", error.message}, {"retryAfter", base::format_duration(pause)}});
  return pause;
}

}  // namespace sluice::controller
