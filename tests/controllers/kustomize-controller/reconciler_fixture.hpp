// The reconciler of Kustomizations as its tests run it: with an API server in memory and a real artifact server.
#pragma once

#include <catch2/catch.hpp>
#include "api/names.hpp"
#include "base/digest.hpp"
#include "http/server.hpp"
#include "kustomize-controller/kustomization_reconciler.hpp"
#include "libs/archive/raw_tar.hpp"
#include "libs/archive/temporary_folder.hpp"
#include "libs/controller/harness.hpp"
#include "support/run_task.hpp"

namespace sluice::kustomize_controller::reconciling {

inline const kube::Resource kKustomizations{"kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations",
                                            true};
inline const kube::Resource kRepositories{"source.toolkit.fluxcd.io", "v1", "GitRepository", "gitrepositories", true};
inline const kube::Resource kMaps{"", "v1", "ConfigMap", "configmaps", true};
inline const kube::Resource kDeployments{"apps", "v1", "Deployment", "deployments", true};

inline std::string config_map(const std::string& name, const std::string& value) {
  return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n  namespace: apps\ndata:\n  k: \"" + value +
         "\"\n";
}

struct Fixture : test::Harness {
  test::TemporaryFolder folder;
  std::map<std::string, std::string> archives;  // by path
  std::unique_ptr<http::Server> server;
  std::shared_ptr<artifact::Fetcher> fetcher;
  std::shared_ptr<apply::LiveObjects> live;
  std::unique_ptr<controller::WatchCache> cache;
  std::unique_ptr<controller::Controller> controller;

  static rt::Task<http::Reply> answer(Fixture* self, http::Request request) {
    const auto found = self->archives.find(request.target);
    http::Reply reply;
    reply.status = found == self->archives.end() ? 404 : 200;
    reply.body = found == self->archives.end() ? std::string() : found->second;
    co_return reply;
  }

  explicit Fixture(controller::Options common = {}, std::set<api::GroupKind> custom_stage = {}) {
    kube->serve({kKustomizations, kRepositories, kMaps, kDeployments});
    auto started = http::Server::start(*runtime, "127.0.0.1:0",
                                       [this](http::Request request) { return answer(this, std::move(request)); });
    REQUIRE(started);
    server = *std::move(started);
    artifact::FetcherOptions fetching;
    fetching.cache.root = folder.path().string();
    fetching.retry_delay = std::chrono::milliseconds(1);
    auto made = artifact::Fetcher::create(*runtime, std::move(fetching));
    REQUIRE(made);
    fetcher = *std::move(made);
    auto mapper = std::make_shared<kube::RestMapper>(kube);
    apply::LiveOptions options;
    options.owner_group = api::group::kKustomize;
    options.field_manager = "kustomize-controller";
    options.foreign = apply::foreign_managers(options.field_manager, {});
    options.min_backoff = std::chrono::milliseconds(1);
    live = apply::LiveObjects::create(*runtime, kube, base::Logger::discard(), std::move(options));
    auto sources = std::make_shared<sources::Sources>(
        sources::SourceServices{*runtime, kube, mapper, base::system_clock(), base::Logger::discard(), ""});
    auto reconciler = std::make_shared<KustomizationReconciler>(
        kustomize_controller::ReconcilerServices{*runtime, base::system_clock(), metrics, mapper, fetcher, live,
                                                 sources},
        std::move(common), kustomize_controller::KustomizeOptions{}, std::move(custom_stage));
    controller::WatchCacheOptions cached;
    cached.resource = kKustomizations;
    cache = std::make_unique<controller::WatchCache>(kube, base::system_clock(), base::Logger::discard(), cached);
    controller::ControllerOptions running;
    running.concurrency = 1;  // what only waits must not hold it
    running.retry.min = std::chrono::milliseconds(5);
    controller = std::make_unique<controller::Controller>(
        controller::Services{*runtime, kube, base::system_clock(), base::Logger::discard(), events, metrics},
        reconciler, *cache, running);
    reconciler->attach(*controller);
    sources->start();
  }
  // First all that runs ends, then what has sockets goes, and then what these lie on.
  ~Fixture() {
    runtime->shutdown(std::chrono::milliseconds(0));
    runtime->context().restart();
    runtime->run();
    controller.reset();
    cache.reset();
    live.reset();
    fetcher.reset();
    server.reset();
    runtime.reset();
  }
  static rt::Task<void> run_all(Fixture* self) {
    const bool synced = co_await self->cache->wait_synced(std::chrono::seconds(5));
    static_cast<void>(synced);
    co_await self->controller->run();
  }
  void start() {
    runtime->spawn("cache", cache->run());
    runtime->spawn("controller", run_all(this));
  }

  // A new artifact of the repository.
  void publish(const std::map<std::string, std::string>& files, const std::string& revision,
               const std::string& at = "2026-01-01T00:00:00Z") {
    std::string tar;
    for (const auto& [path, text] : files) {
      test::RawEntry entry;
      entry.name = path;
      entry.body = text;
      tar += test::raw_entry(entry);
    }
    const std::string bytes = test::gzip(tar + test::end_marker());
    const std::string path = "/" + base::sha256_hex(bytes) + ".tar.gz";
    archives[path] = bytes;
    doc::Json source = {{"metadata", {{"name", "repo"}, {"namespace", "flux-system"}}}, {"spec", {{"url", "x"}}}};
    source["status"]["artifact"] = {{"url", "http://127.0.0.1:" + std::to_string(server->port()) + path},
                                    {"digest", base::sha256_digest(bytes)},
                                    {"path", path},
                                    {"revision", revision},
                                    {"lastUpdateTime", at}};
    kube->put(kRepositories, source);
  }
  void kustomize(const std::string& name, doc::Json spec = doc::Json::object()) {
    doc::Json object = {{"metadata", {{"name", name}, {"namespace", "flux-system"}}}};
    object["spec"] = {{"interval", "10m"}, {"retryInterval", "20ms"}, {"prune", true}, {"path", "./" + name}};
    object["spec"]["sourceRef"] = {{"kind", "GitRepository"}, {"name", "repo"}};
    object["spec"].update(spec);
    kube->put(kKustomizations, object);
  }
  doc::Json get(const std::string& name) const { return kube->object(kKustomizations, {"flux-system", name}); }
  doc::Json map(const std::string& name) const { return kube->object(kMaps, {"apps", name}); }
  std::string value(const std::string& name) const {
    const doc::Json object = map(name);
    return object.is_null() ? "" : object["data"]["k"].get<std::string>();
  }
  bool is_ready(const std::string& name, const std::string& revision) const {
    const doc::Json object = get(name);
    if (object.is_null()) return false;
    return api::conditions_of(object).is_true("Ready") &&
           doc::find_string(object, {"status", "lastAppliedRevision"}) == revision;
  }
  std::string reason(const std::string& name) const {
    return std::string(api::conditions_of(get(name)).reason("Ready"));
  }
  std::string message(const std::string& name) const {
    return std::string(api::conditions_of(get(name)).message("Ready"));
  }
  void until(const std::function<bool()>& is_so) { test::until(*runtime, is_so, std::chrono::seconds(20)); }
  std::vector<std::string> inventory(const std::string& name) const {
    std::vector<std::string> ids;
    const doc::Json object = get(name);
    const auto* entries = doc::find(object, {"status", "inventory", "entries"});
    if (entries == nullptr) return ids;
    for (const auto& entry : *entries) ids.push_back(entry["id"].get<std::string>());
    return ids;
  }
  std::size_t count_events(const std::string& reason, const std::string& text) const {
    return static_cast<std::size_t>(
        std::count_if(events.records.begin(), events.records.end(), [&](const controller::EventRecord& record) {
          return record.reason == reason && record.message.find(text) != std::string::npos;
        }));
  }
  bool has_event(const std::string& reason, const std::string& text) const { return count_events(reason, text) > 0; }
  void request(const std::string& name, const std::string& token) {
    doc::Json object = get(name);
    object["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"] = token;
    kube->put(kKustomizations, object);
  }
};

}  // namespace sluice::kustomize_controller::reconciling
