#include "controller/watch_cache.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace sluice::controller {

namespace {

// A watch that lasted this long, or brought a change, was worth opening.
constexpr base::Duration kUsefulWatch = std::chrono::seconds(10);
// Of what a server asks for with Retry-After.
constexpr base::Duration kLongestObeyed = std::chrono::minutes(1);
// How often a failure that goes on is logged.
constexpr base::Duration kLogPause = std::chrono::minutes(1);
// A resource that is not served this many times in a row is not there: a server
// that starts up denies for a moment what it has.
constexpr int kAbsent = 4;
// kubectl's copy of the object inside of the object, as large as the rest of it.
constexpr const char* kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";
// What is held whole at a time: 1000 Kustomizations of 50 objects cost a daemon 42 MiB at its
// peak in client-go's pages of 500, 24 in these, and the same CPU.
constexpr std::int64_t kPageSize = 100;

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

bool WatchCache::is_in_touch() const noexcept {
  if (!last_error_) return true;
  switch (last_error_->kind) {
    case base::ErrorKind::unavailable:
    case base::ErrorKind::timeout:
    case base::ErrorKind::rate_limited: return false;
    default: return true;  // the server answers, though not as we would like
  }
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
  const auto kept = std::make_shared<const CacheHandlers>(std::move(handlers));
  handlers_.emplace(id, kept);
  if (kept->added) {
    for (const auto& object : list()) kept->added(object);
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

void WatchCache::cut(doc::Json& object) const {
  if (const auto metadata = object.find("metadata"); metadata != object.end() && metadata->is_object()) {
    metadata->erase("managedFields");
    const auto annotations = metadata->find("annotations");
    if (annotations != metadata->end() && annotations->is_object()) annotations->erase(kLastApplied);
  }
  if (options_.transform) options_.transform(object);
}

Object WatchCache::prepare(doc::Json object) const {
  cut(object);
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
  if (!last_error_) return;
  last_error_.reset();
  // One broken connection is no news; an outage is, and so is its end.
  if (failures_ > 1) log_.info("watch restored", {{"failures", failures_}});
  failures_ = 0;
  in_touch_notify_.notify_all();
}

void WatchCache::note_synced() {
  if (std::exchange(synced_, true)) return;
  synced_notify_.notify_all();
}

void WatchCache::note_failure(const base::Error& error, base::Duration pause) {
  last_error_ = error;
  const base::SteadyPoint now = clock_.steady();
  if (++failures_ > 1 && now - logged_at_ < kLogPause) return;
  logged_at_ = now;
  log_.info("watch interrupted", {{"error", error.message}, {"retryAfter", base::format_duration(pause)}});
}

rt::Task<base::Result<void>> WatchCache::list_all() {
  kube::ListOptions options;
  options.namespace_ = options_.namespace_;
  options.label_selector = options_.label_selector;
  options.field_selector = options_.field_selector;
  options.cut = [this](doc::Json& object) { cut(object); };
  options.metadata_only = options_.metadata_only;
  options.page_size = kPageSize;
  auto listing = client_->list(options_.resource, options);
  auto listed = co_await std::move(listing);
  SLUICE_CO_TRY(auto all, std::move(listed));
  replace_all(std::move(all));
  note_alive();
  note_synced();
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
  options.timeout = std::chrono::ceil<std::chrono::seconds>(spread(options_.watch_timeout));
  auto opening = client_->watch(options_.resource, options);
  auto opened = co_await std::move(opening);
  SLUICE_CO_TRY(const std::unique_ptr<kube::Watch> watch, std::move(opened));
  enter(State::watching);
  note_alive();
  for (;;) {
    auto waiting = rt::with_timeout(watch->next(), options_.silence_limit, "the next event of a watch");
    auto next = co_await std::move(waiting);
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
  const struct Stopped {
    State& state;
    ~Stopped() { state = State::stopped; }
  } stopped{state_};
  base::Duration backoff = options_.min_backoff;
  bool must_list = true;
  int absences = 0;
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
    const bool absent = !outcome && must_list && outcome.error().kind == base::ErrorKind::not_found;
    absences = absent ? absences + 1 : 0;
    // Its definition is not installed, so there are no objects. Whoever waits for the
    // cache goes on without; what is cached is not dropped on such a word.
    if (absences >= kAbsent) note_synced();
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
  if (outcome) return spread(backoff);
  const base::Error& error = outcome.error();
  base::Duration pause = spread(backoff);
  if (error.retry_after) pause = std::max(pause, std::min<base::Duration>(*error.retry_after, kLongestObeyed));
  note_failure(error, pause);
  return pause;
}

// So that all the watches of all daemons do not come back in one moment.
base::Duration WatchCache::spread(base::Duration pause) {
  std::uniform_real_distribution<double> share(0.75, 1.25);
  return std::chrono::duration_cast<base::Duration>(pause * share(random_));
}

}  // namespace sluice::controller
