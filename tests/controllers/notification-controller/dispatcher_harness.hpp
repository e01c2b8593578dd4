// The dispatcher and its reconciler against an API server in memory, with a
// courier that does as it is told. A "crash" throws the process's memory away.
#pragma once

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <fstream>
#include <functional>

#include "notification-controller/alert_reconciler.hpp"
#include "notification-controller/dispatcher.hpp"
#include "support.hpp"
#include "support/fake_kube.hpp"

namespace sluice::test {

using namespace std::chrono_literals;
using notification_controller::Courier;

inline const kube::Resource kAlerts{"notification.toolkit.fluxcd.io", "v1beta3", "Alert", "alerts", true};
inline const kube::Resource kProviders{"notification.toolkit.fluxcd.io", "v1beta3", "Provider", "providers", true};
inline const kube::Resource kKustomizations{kGroup, "v1", "Kustomization", "kustomizations", true};
inline const kube::Resource kEvents{"", "v1", "Event", "events", true};

struct Sent {
  std::string provider;
  std::string message;
  std::string id;
  api::StringMap metadata;
};

// Takes all, or fails as `answer` says.
class FakeCourier final : public Courier {
 public:
  rt::Task<base::Result<void>> deliver(api::Provider provider, notification_controller::Notification what,
                                       std::string id) override {
    ++attempts;
    const std::string name = provider.metadata.name;
    std::size_t& under_way_now = under_way[provider.metadata.namespace_];
    most_under_way = std::max(most_under_way, ++under_way_now);
    while (hang.contains(name)) co_await rt::sleep_for(2ms);
    --under_way_now;
    if (const auto it = answer.find(name); it != answer.end()) co_return base::unexpected(it->second);
    sent.push_back({name, what.message, id, what.metadata});
    if (after_sending) after_sending();
    co_return base::Result<void>();
  }
  std::vector<std::string> messages(const std::string& provider = "hook") const {
    std::vector<std::string> out;
    for (const auto& item : sent) {
      if (item.provider == provider) out.push_back(item.message);
    }
    return out;
  }
  std::vector<Sent> sent;
  std::map<std::string, base::Error> answer;
  std::set<std::string> hang;
  std::map<std::string, std::size_t> under_way;  // by namespace
  std::size_t most_under_way = 0;                // of one
  std::function<void()> after_sending;
  int attempts = 0;
};

inline rt::Task<void> run_app(controller::App& app, bool& ended) {
  [[maybe_unused]] const auto result = co_await app.run();
  ended = true;
}

inline rt::Task<base::Result<kube::Resource>> kustomizations(bool installed) {
  if (!installed) co_return base::unexpected(base::ErrorKind::not_found, "no such kind");
  co_return kKustomizations;
}

inline std::string now_and(base::Duration later = {}) {
  return base::format_time(base::system_clock().now() + std::chrono::duration_cast<base::TimePoint::duration>(later));
}

// The time for what the dispatcher waits for. While it is held no grace ends, however slow the machine is.
class HeldClock final : public base::Clock {
 public:
  base::TimePoint now() const override { return base::system_clock().now(); }
  base::SteadyPoint steady() const override { return held_at_.value_or(base::system_clock().steady()) - lost_; }
  void hold() { held_at_ = base::system_clock().steady(); }
  void go_on() {
    lost_ += base::system_clock().steady() - *held_at_;
    held_at_.reset();
  }

 private:
  std::optional<base::SteadyPoint> held_at_;
  base::Duration lost_{};
};

// One process's memory. The cluster and the receivers outlive it.
struct Process {
  Process(std::shared_ptr<FakeKube> kube, FakeCourier& courier, notification_controller::DispatcherOptions options,
          bool crd_installed, const std::string& journal_path, const base::Clock& clock)
      : runtime(std::make_unique<rt::Runtime>(1)) {
    auto common = controller::default_options("notification-controller");
    common.metrics_addr = "0";
    common.health_addr = "0";
    common.graceful_shutdown = 100ms;
    app = std::make_unique<controller::App>(*runtime, common, base::Logger::discard(), kube);
    controller::WatchCacheOptions alert_options;
    alert_options.resource = kAlerts;
    controller::WatchCacheOptions provider_options;
    provider_options.resource = kProviders;
    auto& alerts = app->cache(alert_options);
    auto& providers = app->cache(provider_options);
    alerts_seen = &alerts;
    providers_seen = &providers;
    sources = std::make_shared<notification_controller::Sources>(
        *runtime, app->log(),
        [this](controller::WatchCacheOptions wanted) -> controller::WatchCache& { return app->cache(wanted); },
        [crd_installed](std::string, std::string) { return kustomizations(crd_installed); });
    const notification_controller::DispatcherParts parts{
        alerts, providers, sources, std::shared_ptr<Courier>(&courier, [](Courier*) {}),
        std::make_shared<notification_controller::Journal>(journal_path, base::Logger::discard())};
    const controller::Services own = app->services();
    controller::Services services{own.runtime, own.client, clock, own.log, own.events, own.metrics};
    dispatcher = std::make_unique<notification_controller::Dispatcher>(std::move(services), parts, options);
    app->add(std::make_shared<notification_controller::AlertReconciler>(alerts, providers, app->clock(),
                                                                        options.no_cross_namespace_refs));
    app->while_leading("dispatcher", [this] { return dispatcher->run(); });
    runtime->spawn("app", run_app(*app, ended));
  }
  // In order, so that nothing leaks; a crash is told by writes that fail meanwhile.
  // The runtime goes first, and with it whatever still uses the rest.
  ~Process() {
    runtime->context().restart();
    runtime->shutdown(5s);
    while (!ended) runtime->context().run_one();
    runtime.reset();
  }
  bool ended = false;
  std::unique_ptr<rt::Runtime> runtime;
  std::unique_ptr<controller::App> app;
  controller::WatchCache* alerts_seen = nullptr;
  controller::WatchCache* providers_seen = nullptr;
  std::shared_ptr<notification_controller::Sources> sources;
  std::unique_ptr<notification_controller::Dispatcher> dispatcher;
};

struct Harness {
  Harness() { kube->put(kProviders, make_provider("hook")); }
  ~Harness() { crash(); }
  void start() { process = std::make_unique<Process>(kube, courier, options, crd_installed, journal_path, clock); }
  void crash() {
    courier.hang.clear();
    process.reset();
  }
  void turn(std::chrono::milliseconds time) {
    process->runtime->context().restart();
    process->runtime->context().run_for(time);
  }
  void until(const std::function<bool()>& is_so, std::chrono::milliseconds limit = 60s) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    process->runtime->context().restart();
    while (!is_so()) {
      if (std::chrono::steady_clock::now() > deadline) FAIL("it never became so");
      process->runtime->context().run_one_for(10ms);
    }
  }
  // The process knows the Alert, or the Provider, as it is now.
  void until_seen(const std::string& alert) { until_seen(process->alerts_seen, kAlerts, {"apps", alert}); }
  void until_provider_seen(const std::string& name) { until_seen(process->providers_seen, kProviders, {"apps", name}); }
  void until_seen(const controller::WatchCache* cache, const kube::Resource& resource, const api::ObjectKey& key) {
    until([&] {
      const auto seen = cache->find(key);
      const doc::Json live = kube->object(resource, key);
      if (live.is_null() || !seen) return live.is_null() && !seen;
      return api::resource_version_of(*seen) == api::resource_version_of(live);
    });
  }
  // The Alert is created at `created`, and the process takes it in.
  void add_alert(const std::string& name, doc::Json spec = doc::Json::object(), base::Duration created = -10min) {
    doc::Json alert = make_alert(name, std::move(spec));
    alert["metadata"]["creationTimestamp"] = now_and(created);
    kube->put(kAlerts, alert);
  }
  bool is_listening(const std::string& name) const {
    return api::conditions_of(kube->object(kAlerts, {"apps", name}))
        .is_true(notification_controller::kListeningCondition);
  }
  void start_with_alert() {
    add_alert("a");
    start();
    until([&] { return is_listening("a"); });
  }
  std::string mark_of(const doc::Json& event, const std::string& alert = "uid-a") const {
    const auto live = kube->object(kEvents, api::key_of(event));
    return std::string(api::annotation_of(live, notification_controller::mark_key(alert)));
  }
  void bump(const doc::Json& event, base::Duration later) {
    doc::Json live = kube->object(kEvents, api::key_of(event));
    live["count"] = live["count"].get<int>() + 1;
    live["lastTimestamp"] = now_and(later);
    kube->put(kEvents, live);
  }
  std::shared_ptr<FakeKube> kube = std::make_shared<FakeKube>();
  HeldClock clock;
  FakeCourier courier;
  notification_controller::DispatcherOptions options;
  bool crd_installed = true;
  std::string journal_path;  // none
  std::unique_ptr<Process> process;
};

inline doc::Json event_now(const std::string& object, const std::string& message, base::Duration later = 1s) {
  return make_event(object, message, now_and(later));
}

}  // namespace sluice::test
