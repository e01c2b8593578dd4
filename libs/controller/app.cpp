#include "controller/app.hpp"

#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <utility>

#include "controller/endpoints.hpp"
#include "controller/event_poster.hpp"
#include "kube/server_clock.hpp"

namespace sluice::controller {

namespace {

// After the grace for reconciliations: for events, the lease and open requests.
constexpr auto kLastWords = std::chrono::seconds(5);
constexpr auto kLastPosts = std::chrono::seconds(1);
// What has been cancelled unwinds in an instant, unless it hangs.
constexpr auto kUnwinding = std::chrono::seconds(1);
// Before runs that wait are cut, when the daemon is told to stop.
constexpr auto kPatience = std::chrono::seconds(5);
// Events of so many objects are on their way at once, of one namespace half as many (EventLanes).
constexpr int kEventSenders = 16;

std::string cache_key(const WatchCacheOptions& options) {
  return fmt::format("{}|{}|{}|{}|{}|{}", options.resource.api_version(), options.resource.plural, options.namespace_,
                     options.label_selector, options.field_selector, options.metadata_only);
}

std::string unique_identity(const std::string& pod) {
  std::random_device random;
  return fmt::format("{}_{:08x}{:08x}", pod, random(), random());
}

// Kubernetes Events, and an event server if there is one.
class Recorders final : public EventRecorder {
 public:
  Recorders(EventRecorder& kube, EventRecorder* server) : kube_(kube), server_(server) {}
  void emit(const doc::Json& object, EventRecord record) override {
    if (server_ != nullptr) server_->emit(object, record);
    kube_.emit(object, std::move(record));
  }
  rt::Task<void> wait_sent(const doc::Json& object, base::Duration limit) override {
    return kube_.wait_sent(object, limit);
  }

 private:
  EventRecorder& kube_;
  EventRecorder* server_;
};

rt::Task<base::Result<void>> posted(EventPoster& poster) {
  co_await poster.flush();
  co_return base::Result<void>();
}

rt::Task<base::Result<void>> flushed(KubeEventRecorder& events) {
  co_await events.flush();
  co_return base::Result<void>();
}

rt::Task<base::Result<void>> released(LeaderElector& elector) {
  co_await elector.release();
  co_return base::Result<void>();
}

}  // namespace

struct App::Impl {
  struct LeadingTask {
    std::string name;
    std::function<rt::Task<void>()> start;
  };
  struct ReadinessCheck {
    std::string name;
    std::function<std::string()> check;
  };

  Impl(rt::Runtime& r, Options o, base::Logger l, std::shared_ptr<kube::Client> c)
      : runtime(r),
        options(std::move(o)),
        log(std::move(l)),
        client(std::move(c)),
        mapper(client),
        server_clock(base::system_clock(), client),
        kube_events(client, server_clock, log, {options.name, options.pod_name, 1024}),
        poster(make_poster()),
        events(kube_events, poster.get()),
        elector(client, base::system_clock(), log, {options.runtime_namespace, options.lease_name()},
                unique_identity(options.pod_name), options.leader_election) {}

  std::unique_ptr<EventPoster> make_poster();
  base::Result<void> serve(std::weak_ptr<Impl> weak);
  std::string why_not_ready() const;
  void start_cache(WatchCache& cache) { background.spawn(runtime.context(), cache.run()); }
  static rt::Task<void> lead(Impl& self);
  static rt::Task<void> await_caches(Impl& self);
  static rt::Task<void> cut_waits(Impl& self);
  rt::Task<void> wind_down();

  rt::Runtime& runtime;
  const Options options;
  const base::Logger log;
  std::shared_ptr<kube::Client> client;
  std::shared_ptr<Metrics> metrics = std::make_shared<Metrics>();
  kube::RestMapper mapper;
  kube::ServerClock server_clock;
  KubeEventRecorder kube_events;
  base::Result<void> poster_made;
  std::unique_ptr<EventPoster> poster;  // null without --events-addr
  Recorders events;
  LeaderElector elector;
  std::map<std::string, std::unique_ptr<WatchCache>> caches;
  // After the caches, as controllers unsubscribe from them when they go.
  std::vector<std::unique_ptr<Controller>> controllers;
  std::vector<LeadingTask> leading_tasks;
  std::vector<ReadinessCheck> checks;
  std::unique_ptr<http::Server> metrics_server;
  std::unique_ptr<http::Server> health_server;

  bool running = false;
  bool stopping = false;
  bool leading = false;
  bool lease_lost = false;
  bool hangs = false;
  rt::Notify changed;
  rt::TaskGroup background;  // caches, events: from start to end
  rt::TaskGroup leadership;  // waiting for the lease and keeping it
  rt::TaskGroup workers;     // controllers
  rt::TaskGroup helpers;     // while_leading()
};

std::unique_ptr<EventPoster> App::Impl::make_poster() {
  if (options.events_addr.empty()) return nullptr;
  EventPosterOptions poster_options;
  poster_options.controller = options.name;
  poster_options.instance = options.pod_name;
  auto made = EventPoster::create(runtime, options.events_addr, server_clock, log, std::move(poster_options));
  if (made) return *std::move(made);
  poster_made = base::unexpected(std::move(made).error().with_context("--events-addr"));
  return nullptr;
}

base::Result<void> App::Impl::serve(std::weak_ptr<Impl> weak) {
  auto metrics_at = serve_metrics(runtime, options.metrics_addr, metrics);
  if (!metrics_at) return base::unexpected(std::move(metrics_at).error().with_context("--metrics-addr"));
  metrics_server = *std::move(metrics_at);
  auto health_at = serve_health(runtime, options.health_addr, [weak] {
    const auto self = weak.lock();  // a connection may outlive the app
    return self ? self->why_not_ready() : std::string("shutting down\n");
  });
  if (!health_at) return base::unexpected(std::move(health_at).error().with_context("--health-addr"));
  health_server = *std::move(health_at);
  return {};
}

std::string App::Impl::why_not_ready() const {
  std::string why;
  if (stopping) why += "shutting down\n";
  for (const auto& [key, cache] : caches) {
    const std::string missing = cache->why_not_ready();
    if (!missing.empty()) why += missing + '\n';
  }
  for (const auto& check : checks) {
    const std::string answer = check.check();
    if (!answer.empty()) why += check.name + ": " + answer + '\n';
  }
  return why;
}

rt::Task<void> App::Impl::await_caches(Impl& self) {
  for (;;) {
    WatchCache* missing = nullptr;
    for (const auto& [key, cache] : self.caches) {
      if (!cache->has_synced()) missing = cache.get();
    }
    if (missing == nullptr) co_return;
    auto syncing = missing->wait_synced(std::chrono::seconds(15));
    const bool synced = co_await std::move(syncing);
    if (!synced) self.log.info("still waiting for a cache", {{"resource", missing->resource().plural}});
  }
}

rt::Task<void> App::Impl::lead(Impl& self) {
  // A standby keeps its caches warm, so taking over costs no list.
  co_await await_caches(self);
  const bool elected = self.options.leader_election.enabled;
  if (elected) co_await self.elector.acquire();
  self.leading = true;
  self.metrics->leader(self.options.lease_name(), true);
  for (auto& controller : self.controllers) self.workers.spawn(self.runtime.context(), controller->run());
  for (auto& task : self.leading_tasks) self.helpers.spawn(self.runtime.context(), task.start());
  self.log.info("controllers started", {{"kinds", self.controllers.size()}});
  if (!elected) co_return;
  co_await self.elector.keep();
  self.metrics->leader(self.options.lease_name(), false);
  self.lease_lost = true;
  self.workers.cancel();  // who has lost the lease may not write any more: no grace
  self.changed.notify_all();
}

// What merely waits (a health check may do so for minutes) is cut early, so that
// most of the grace belongs to writes that must be accounted for.
rt::Task<void> App::Impl::cut_waits(Impl& self) {
  co_await rt::sleep_for(std::min<base::Duration>(self.options.graceful_shutdown / 4, kPatience));
  for (auto& controller : self.controllers) controller->interrupt_all();
}

// Nothing that was cancelled is waited for without bound: work on the pool that heeds no stop
// token must not keep the lease, nor the process. It writes nothing to the server any more.
rt::Task<void> App::Impl::wind_down() {
  // Who leads keeps the lease for as long as runs may write; who does not must
  // not begin to.
  if (!leading) {
    leadership.cancel();
    co_await leadership.join();
  }
  background.spawn(runtime.context(), cut_waits(*this));
  bool finished = false;
  if (!lease_lost) {
    auto finishing = workers.join_for(options.graceful_shutdown);
    finished = co_await std::move(finishing);
    if (!finished) log.info("reconciliations cancelled at the end of the grace");
  }
  if (!finished) {
    workers.cancel();
    auto unwinding = workers.join_for(kUnwinding);
    finished = co_await std::move(unwinding);
  }
  helpers.cancel();
  const bool helped = co_await helpers.join_for(kUnwinding);
  hangs = !finished || !helped;
  if (hangs) log.error("what was cancelled does not end; leaving it behind", {{"runs", workers.running()}});
  leadership.cancel();
  co_await leadership.join();
  auto sending = rt::with_timeout(flushed(kube_events), kLastWords / 2, "sending the last events");
  auto sent = co_await std::move(sending);
  if (!sent) log.info("events dropped at shutdown", {{"error", sent.error().message}});
  if (poster) {
    auto posting = rt::with_timeout(posted(*poster), kLastPosts, "posting the last events");
    auto all = co_await std::move(posting);
    if (!all) log.info("events not posted at shutdown", {{"error", all.error().message}});
  }
  if (options.leader_election.enabled && options.leader_election.release_on_cancel && !lease_lost) {
    auto giving_up = rt::with_timeout(released(elector), kLastWords / 2, "releasing the lease");
    auto given_up = co_await std::move(giving_up);
    if (!given_up) log.info("lease not released", {{"error", given_up.error().message}});
  }
  background.cancel();
  const bool quiet = co_await background.join_for(kUnwinding);
  hangs = hangs || !quiet;
  if (metrics_server) metrics_server->stop();
  if (health_server) health_server->stop();
}

App::App(rt::Runtime& runtime, Options options, base::Logger log, std::shared_ptr<kube::Client> client)
    : impl_(std::make_shared<Impl>(runtime, std::move(options), std::move(log), std::move(client))) {}
App::~App() = default;

rt::Runtime& App::runtime() noexcept { return impl_->runtime; }
const Options& App::options() const noexcept { return impl_->options; }
const base::Logger& App::log() const noexcept { return impl_->log; }
const base::Clock& App::clock() const noexcept { return base::system_clock(); }
const base::Clock& App::server_clock() const noexcept { return impl_->server_clock; }
const std::shared_ptr<kube::Client>& App::client() const noexcept { return impl_->client; }
kube::RestMapper& App::mapper() noexcept { return impl_->mapper; }
EventRecorder& App::events() noexcept { return impl_->events; }
Metrics& App::metrics() noexcept { return *impl_->metrics; }
Services App::services() {
  return {impl_->runtime, impl_->client, server_clock(), impl_->log, impl_->events, *impl_->metrics};
}
bool App::hangs() const noexcept { return impl_->hangs; }
int App::metrics_port() const noexcept { return impl_->metrics_server ? impl_->metrics_server->port() : 0; }
int App::health_port() const noexcept { return impl_->health_server ? impl_->health_server->port() : 0; }

WatchCache& App::cache(WatchCacheOptions options) {
  if (options.namespace_.empty() && options.resource.namespaced) {
    options.namespace_ = impl_->options.watched_namespace();
  }
  if (!options.mapper) options.mapper = std::make_shared<kube::RestMapper>(impl_->mapper);
  auto& slot = impl_->caches[cache_key(options)];
  if (!slot) {
    slot = std::make_unique<WatchCache>(impl_->client, clock(), impl_->log, std::move(options));
    if (impl_->running) impl_->start_cache(*slot);
  }
  return *slot;
}

Controller& App::add(std::shared_ptr<Reconciler> reconciler) {
  const Options& options = impl_->options;
  WatchCacheOptions cache_options;
  cache_options.resource = reconciler->traits().resource;
  cache_options.label_selector = options.watch_label_selector;
  cache_options.kept_whole = reconciler->traits().kept_whole;
  ControllerOptions controller_options;
  controller_options.concurrency = static_cast<std::size_t>(options.concurrent);
  controller_options.retry = options.retry;
  controller_options.jitter_percent = static_cast<unsigned>(options.interval_jitter_percentage);
  WatchCache& own = cache(std::move(cache_options));
  own.require();
  impl_->controllers.push_back(
      std::make_unique<Controller>(services(), std::move(reconciler), own, controller_options));
  return *impl_->controllers.back();
}

void App::while_leading(std::string name, std::function<rt::Task<void>()> task) {
  impl_->leading_tasks.push_back({std::move(name), std::move(task)});
}

void App::add_readiness_check(std::string name, std::function<std::string()> check) {
  impl_->checks.push_back({std::move(name), std::move(check)});
}

rt::Task<base::Result<void>> App::run() {
  Impl& self = *impl_;
  SLUICE_CO_CHECK(self.poster_made);
  SLUICE_CO_CHECK(self.serve(impl_));
  self.running = true;
  for (int i = 0; i < kEventSenders; ++i) self.background.spawn(self.runtime.context(), self.kube_events.run());
  if (self.poster) self.background.spawn(self.runtime.context(), self.poster->run());
  for (auto& [key, cache] : self.caches) self.start_cache(*cache);
  self.leadership.spawn(self.runtime.context(), Impl::lead(self));
  // Called on the loop or, when the runtime is destroyed, after the loop's end.
  const std::stop_callback on_stop(self.runtime.stop_token(), [&self] {
    self.stopping = true;
    self.changed.notify_all();
  });
  while (!self.stopping && !self.lease_lost) co_await self.changed.wait();
  co_await self.wind_down();
  if (!self.lease_lost) co_return base::Result<void>();
  co_return base::unexpected(base::ErrorKind::unavailable, "leadership was lost");
}

namespace {

struct Outcome {
  bool ended = false;
  base::Result<void> result;
};

rt::Task<void> live(App& app, const std::function<rt::Task<base::Result<void>>(App&)>& setup, Outcome& outcome) {
  rt::Task<base::Result<void>> task = setup(app);
  auto ready = co_await std::move(task);
  if (ready) {
    auto ended = co_await app.run();
    outcome.result = std::move(ended);
  } else {
    outcome.result = base::unexpected(std::move(ready).error().with_context("starting"));
  }
  outcome.ended = true;
  // Idle connections are nobody's work any more; they need no grace.
  app.runtime().context().stop();
}

std::size_t pool_size(const Options& options) {
  if (options.worker_threads > 0) return static_cast<std::size_t>(options.worker_threads);
  return std::max<std::size_t>(2, std::thread::hardware_concurrency());
}

// client-go's metrics name the server by host and port.
std::string host_of(const std::string& url) {
  const auto scheme = url.find("://");
  const std::string rest = scheme == std::string::npos ? url : url.substr(scheme + 3);
  return rest.substr(0, rest.find('/'));
}

int fail(const base::Error& error) {
  std::fprintf(stderr, "%s\n", error.message.c_str());
  return 1;
}

}  // namespace

int run_app(const Options& options, std::function<rt::Task<base::Result<void>>(App&)> setup) {
  if (const auto checked = check_options(options); !checked) return fail(checked.error());
  auto config = kube::load_config({options.kubeconfig, "", true});
  if (!config) return fail(config.error());
  const std::string server = host_of(config->server);
  const base::Logger log = make_logger(options);

  rt::Runtime runtime(pool_size(options));
  auto client = kube::Client::create(runtime, *std::move(config));
  if (!client) return fail(client.error());
  App app(runtime, options, log, *client);
  (*client)->on_request([&app, server](const std::string& verb, int status, std::chrono::nanoseconds) {
    app.metrics().api_request(verb, status, server);
  });
  Outcome outcome;
  runtime.spawn("app", live(app, setup, outcome));
  runtime.run_until_signal(std::chrono::duration_cast<std::chrono::milliseconds>(options.graceful_shutdown) +
                           2 * kLastWords);
  if (!outcome.ended || app.hangs()) {
    // Something would not be cancelled. All state is in the cluster, so leaving
    // at once is safe; unwinding what still runs is not.
    log.error("shutdown did not end within its grace");
    std::_Exit(1);
  }
  if (outcome.result) return 0;
  log.error("exiting", outcome.result.error());
  return 1;
}

}  // namespace sluice::controller
