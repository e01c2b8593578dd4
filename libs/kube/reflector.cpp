#include "kube/reflector.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <charconv>
#include <utility>

namespace sluice::kube {

using base::ErrorKind;
using base::Result;

namespace {

// A watch that lasted this long, or brought an event, was worth opening.
constexpr base::Duration kUsefulWatch = std::chrono::seconds(10);
// Of what a server asks for with Retry-After.
constexpr base::Duration kLongestObeyed = std::chrono::minutes(1);
// How often a failure that goes on is logged.
constexpr base::Duration kLogPause = std::chrono::minutes(10);

std::optional<std::uint64_t> as_number(std::string_view version) noexcept {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), number);
  if (error != std::errc() || end != version.data() + version.size()) return std::nullopt;
  return number;
}

// A server that ends a watch that much before its time goes away, and may come back as another.
constexpr base::Duration kEarly = std::chrono::seconds(5);

// What does not mend itself: somebody has to give rights, a certificate, a token.
bool is_refusal(ErrorKind kind) {
  return kind == ErrorKind::unauthorized || kind == ErrorKind::forbidden || kind == ErrorKind::untrusted ||
         kind == ErrorKind::invalid || kind == ErrorKind::unsupported || kind == ErrorKind::too_large;
}

}  // namespace

bool is_older_version(std::string_view left, std::string_view right) noexcept {
  const auto a = as_number(left);
  const auto b = as_number(right);
  return a && b && *a < *b;
}

std::string_view to_string(Reflector::State state) noexcept {
  switch (state) {
    case Reflector::State::idle: return "idle";
    case Reflector::State::listing: return "listing";
    case Reflector::State::opening: return "opening";
    case Reflector::State::watching: return "watching";
    case Reflector::State::pausing: return "pausing";
    case Reflector::State::stopped: return "stopped";
  }
  return "stopped";
}

Reflector::Reflector(std::shared_ptr<Client> client, const base::Clock& clock, base::Logger log,
                     ReflectorOptions options, ReflectorSink& sink)
    : client_(std::move(client)),
      clock_(clock),
      log_(log.with({{"resource", options.resource.plural}, {"group", options.resource.group}})),
      options_(std::move(options)),
      sink_(sink),
      page_size_(options_.pages),
      pause_(options_.min_pause) {}

std::optional<base::Duration> Reflector::staleness() const {
  if (!last_alive_) return std::nullopt;
  if (is_current()) return base::Duration::zero();
  return clock_.steady() - *last_alive_;
}

void Reflector::wake() { woken_.notify_all(); }

void Reflector::doubt() {
  doubted_ = true;
  doubts_.notify_all();
}

void Reflector::distrust() {
  ++distrusts_;
  doubt();
}

// --- states ---

void Reflector::enter(State state) {
  if (state_ == state) return;
  state_ = state;
  sink_.state_changed();
}

void Reflector::note_alive() {
  last_alive_ = clock_.steady();
  failures_ = 0;
  const bool was_unserved = !std::exchange(served_, true);
  if (logged_ || was_unserved) log_.info("watch restored", {{"state", to_string(state_)}});
  logged_.reset();
  if (!trouble_ && !was_unserved) return;
  trouble_.reset();
  sink_.state_changed();
}

void Reflector::note_failure(const base::Error& error) {
  ++failures_;
  trouble_ = error;
  tell_failure(error);
  sink_.state_changed();
}

void Reflector::tell_failure(const base::Error& error) {
  // One broken connection is no news; an outage is, and so is its end.
  if (failures_ == 1 && !is_refusal(error.kind)) return;
  if (!served_) return;  // which is told once
  const base::SteadyPoint now = clock_.steady();
  if (logged_ == error.kind && now - logged_at_ < kLogPause) return;
  logged_ = error.kind;
  logged_at_ = now;
  if (is_refusal(error.kind)) {
    log_.error("watch refused", error);
  } else {
    log_.info("watch interrupted", {{"error", error.message}});
  }
}

// --- one round ---

ListOptions Reflector::what_to_list() const {
  ListOptions options;
  options.namespace_ = options_.namespace_;
  options.label_selector = options_.label_selector;
  options.field_selector = options_.field_selector;
  options.metadata_only = options_.metadata_only;
  return options;
}

rt::Task<Result<void>> Reflector::list_once() {
  PageReader pages(*client_, options_.resource, what_to_list(), page_size_);
  const ListMark mark = ++mark_;
  const std::uint64_t distrusts = distrusts_;
  std::string version;
  for (bool first = true; !pages.is_done(); first = false) {
    auto answer = co_await pages.next();
    SLUICE_CO_TRY(PageReader::Page page, std::move(answer));
    note_alive();
    if (first) {
      version = page.resource_version;
      const bool went_back = is_older_version(version, version_) || distrusts != distrusts_settled_;
      if (went_back) log_.info("versions have gone back, as if etcd was restored: all is listed anew");
      sink_.list_began(version, mark, went_back);
    }
    for (doc::Json& object : page.objects) sink_.seen(std::move(object));
    for (doc::Json& object : page.unreadable) {
      log_.error("an object is too large to be read", {{"name", api::key_of(object).str()}});
      sink_.seen_unreadable(std::move(object));
    }
  }
  version_ = version;
  distrusts_settled_ = distrusts;
  suspicious_ = false;
  sink_.list_ended(version, mark);
  co_return Result<void>();
}

// Whether the server's version is older than what was told. A list that is not asked for a version
// is answered with the newest, whichever server answers ("Resource versions", semantics of list).
rt::Task<Result<void>> Reflector::look_back() {
  ListOptions options = what_to_list();
  options.page_size = 1;
  options.metadata_only = true;
  const std::string told = version_;
  auto answer = co_await client_->list_page(options_.resource, std::move(options));
  SLUICE_CO_TRY(const ListPage page, std::move(answer));
  suspicious_ = false;
  if (is_older_version(page.resource_version, told)) must_list_ = true;
  co_return Result<void>();
}

// Beside the watch, which goes on meanwhile: most doubts come to nothing.
rt::Task<void> Reflector::heed_doubts() {
  for (;;) {
    while (!doubted_) co_await doubts_.wait();
    doubted_ = false;
    suspicious_ = true;
    if (distrusts_ != distrusts_settled_) {
      must_list_ = true;
    } else if (state_ == State::watching) {
      auto looking = look_back();
      auto looked = co_await std::move(looking);
      static_cast<void>(looked);  // if it failed the suspicion is left
    }
    if (must_list_) {
      cut_.notify_all();
      wake();
    }
    co_await rt::sleep_for(options_.doubt_pause);
  }
}

void Reflector::take(WatchEvent event) {
  note_alive();
  const std::string_view version = api::resource_version_of(event.object);
  // It goes on forward only, so that the list that follows is known to have gone back.
  if (is_older_version(version, version_)) {
    doubt();
  } else if (!version.empty()) {
    version_ = version;
  }
  if (event.type == WatchEventType::bookmark) return;
  ++told_;
  if (event.is_known) return;
  if (event.type == WatchEventType::deleted) {
    sink_.removed(std::move(event.object));
  } else {
    sink_.seen(std::move(event.object));
  }
}

// Returns when the watch is to be left for a list: true as somebody has said so, false as it was silent for too long.
rt::Task<bool> Reflector::guard_watch() {
  const auto limit = std::chrono::duration_cast<RealTime::duration>(options_.silence_limit);
  while (!must_list_) {
    const auto left = limit - (RealTime::now() - last_told_);
    if (left <= left.zero()) co_return false;
    const bool cut = co_await cut_.wait_for(left);
    if (cut) co_return true;
  }
  co_return true;
}

// Reads until the watch ends, or is left. One race for all its events: one for each took more CPU than to read it.
rt::Task<Result<void>> Reflector::follow_watch(Watch& watch) {
  using boost::asio::experimental::awaitable_operators::operator||;
  last_told_ = RealTime::now();
  auto race = read_events(watch) || guard_watch();
  try {
    auto first = co_await std::move(race);
    if (first.index() == 0) co_return std::get<0>(std::move(first));
    if (std::get<1>(first)) co_return Result<void>();
  } catch (const boost::asio::multiple_exceptions& both) {
    std::rethrow_exception(both.first_exception());  // as rt::with_timeout() does
  }
  must_list_ = true;
  co_return base::unexpected(ErrorKind::timeout,
                             "a watch told nothing for " + base::format_duration(options_.silence_limit));
}

// One watch request, to its end. Success: the server ended it in order, or a list must be made.
rt::Task<Result<void>> Reflector::watch_once() {
  if (suspicious_) {
    auto looking = look_back();
    auto looked = co_await std::move(looking);
    SLUICE_CO_CHECK(std::move(looked));
    if (must_list_) co_return Result<void>();
  }
  WatchOptions options;
  options.namespace_ = options_.namespace_;
  options.label_selector = options_.label_selector;
  options.field_selector = options_.field_selector;
  options.metadata_only = options_.metadata_only;
  options.resource_version = version_;
  options.knows = [&sink = sink_](const api::ObjectKey& key, std::string_view uid, std::string_view version) {
    return sink.knows(key, uid, version);
  };
  const auto lifetime = std::chrono::ceil<std::chrono::seconds>(spread(options_.watch_timeout));
  options.timeout = lifetime;
  const base::SteadyPoint asked = clock_.steady();
  auto opened = co_await client_->watch(options_.resource, std::move(options));
  SLUICE_CO_TRY(const std::unique_ptr<Watch> watch, std::move(opened));
  note_alive();
  enter(State::watching);
  const std::string from = version_;
  auto following = follow_watch(*watch);
  auto read = co_await std::move(following);
  if (read && (version_ == from || clock_.steady() - asked < lifetime - kEarly)) suspicious_ = true;
  co_return read;
}

rt::Task<Result<void>> Reflector::read_events(Watch& watch) {
  while (!sink_.is_satisfied() && !must_list_) {
    auto waiting = watch.next();
    auto next = co_await std::move(waiting);
    last_told_ = RealTime::now();
    SLUICE_CO_TRY(auto event, std::move(next));
    if (!event) break;
    take(*std::move(event));
  }
  co_return Result<void>();
}

// A 404 for a whole resource. Only proof is taken for an answer.
rt::Task<void> Reflector::look_whether_served() {
  must_list_ = true;
  if (!options_.mapper || !served_) co_return;
  const Resource& resource = options_.resource;
  api::GroupVersionKind kind{resource.group, resource.version, resource.kind};
  options_.mapper->doubt(kind.group_kind());
  auto found = co_await options_.mapper->resource_for(kind);
  if (found || found.error().reason != RestMapper::kNoKindMatch) co_return;
  auto any = co_await options_.mapper->resource_for_group_kind(resource.group, resource.kind);
  const bool kind_gone = !any && any.error().reason == RestMapper::kNoKindMatch;
  served_ = false;
  log_.info("not served by the API server; looked for again when definitions change", {{"kind", kind.str()}});
  if (kind_gone) version_.clear();
  trouble_ = found.error();
  sink_.not_served(kind_gone);
  sink_.state_changed();
}

// --- pausing ---

base::Duration Reflector::ceiling_of(const base::Error& error) const {
  if (error.kind == ErrorKind::not_found && hears_of_definitions()) return options_.max_pause_not_served;
  return is_refusal(error.kind) ? options_.max_pause_refused : options_.max_pause;
}

// So that all the watches of all daemons do not come back in one moment.
base::Duration Reflector::spread(base::Duration pause) {
  std::uniform_real_distribution<double> share(0.75, 1.25);
  return std::chrono::duration_cast<base::Duration>(pause * share(random_));
}

rt::Task<void> Reflector::pause(const Result<void>& outcome, bool useful) {
  // A watch that ends or expires at once, however politely, must not make us spin.
  if (useful) pause_ = options_.min_pause;
  if (outcome && useful) co_return;
  const base::Duration ceiling =
      outcome ? options_.max_pause : std::max(ceiling_of(outcome.error()), options_.min_pause);
  base::Duration pause = spread(std::min(pause_, ceiling));
  pause_ = std::min(pause_ * 2, ceiling);
  if (!outcome && outcome.error().retry_after) {
    pause = std::max(pause, std::min<base::Duration>(*outcome.error().retry_after, kLongestObeyed));
  }
  rt::Notify& sign = !served_ && hears_of_definitions() ? options_.mapper->changes() : woken_;
  const bool woken = co_await sign.wait_for(pause);
  if (woken) pause_ = options_.min_pause;
}

rt::Task<Result<void>> Reflector::run() {
  const struct Stopped {
    State& state;
    ~Stopped() { state = State::stopped; }  // cancelled or not: nobody may trust it any more
  } stopped{state_};
  using boost::asio::experimental::awaitable_operators::operator||;
  auto both = follow() || heed_doubts();
  try {
    auto ended = co_await std::move(both);
    if (ended.index() == 0) co_return std::get<0>(std::move(ended));
  } catch (const boost::asio::multiple_exceptions& thrown) {
    std::rethrow_exception(thrown.first_exception());  // as rt::with_timeout() does
  }
  co_return Result<void>();
}

rt::Task<Result<void>> Reflector::follow() {
  while (!sink_.is_satisfied()) {
    const bool listing = std::exchange(must_list_, false);
    enter(listing ? State::listing : State::opening);
    const base::SteadyPoint started = clock_.steady();
    const std::uint64_t told_before = told_;
    rt::Task<Result<void>> round = listing ? list_once() : watch_once();
    const auto outcome = co_await std::move(round);
    if (sink_.is_satisfied()) break;
    if (outcome && (listing || must_list_)) continue;
    if (!outcome) {
      if (listing) must_list_ = true;
      const base::Error& error = outcome.error();
      if (options_.is_final && options_.is_final(error)) co_return outcome;
      // Only a list can mend a version that the server no longer knows, or an event that we cannot read.
      if (error.kind == ErrorKind::gone || error.kind == ErrorKind::too_large) must_list_ = true;
      // Who comes back may be another.
      if (error.kind == ErrorKind::unavailable || error.kind == ErrorKind::timeout) suspicious_ = true;
      note_failure(error);
      if (error.kind == ErrorKind::not_found) co_await look_whether_served();
    }
    enter(State::pausing);
    const bool useful = told_ != told_before || (!listing && clock_.steady() - started > kUsefulWatch);
    co_await pause(outcome, useful);
  }
  co_return Result<void>();
}

}  // namespace sluice::kube
