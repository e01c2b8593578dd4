// A daemon: everything that stands around its reconcilers, started and stopped
// in order.
//
//   rt::Task<base::Result<void>> setup(controller::App& app, const SourceOptions& own) {
//     app.add(std::make_shared<GitRepositoryReconciler>(app, own));
//     co_return base::Result<void>();
//   }
//   int main(int argc, char** argv) {
//     auto options = controller::default_options("source-controller");
//     SourceOptions own;
//     controller::FlagSet flags(options.name, "Turns sources into artifacts");
//     controller::add_common_flags(flags, options);
//     add_flags(flags, own);
//     if (auto code = flags.parse_or_exit_code(argc, argv)) return *code;
//     return controller::run_app(options, [&own](controller::App& app) { return setup(app, own); });
//   }
//
// Start: client, metrics and health servers, setup, caches, leader election,
// controllers. SIGTERM: no new runs; those on finish within the grace, or are
// cancelled; then the lease is released and the process ends, even if something
// hangs. Losing the lease ends the process.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "controller/controller.hpp"
#include "controller/options.hpp"
#include "controller/watch_cache.hpp"
#include "kube/rest_mapper.hpp"
#include "rt/runtime.hpp"

namespace sluice::controller {

class App {
 public:
  App(rt::Runtime& runtime, Options options, base::Logger log, std::shared_ptr<kube::Client> client);
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  rt::Runtime& runtime() noexcept;
  const Options& options() const noexcept;
  const base::Logger& log() const noexcept;
  const base::Clock& clock() const noexcept;
  // For times in objects: those of services() and of its reconcilers.
  const base::Clock& server_clock() const noexcept;
  const std::shared_ptr<kube::Client>& client() const noexcept;
  kube::RestMapper& mapper() noexcept;
  EventRecorder& events() noexcept;
  Metrics& metrics() noexcept;
  Services services();

  // The app's one cache of a resource under these options (resource, namespace
  // and selectors tell them apart); runs from start, or at once when added later.
  // The namespace that the daemon is limited to is filled in if none is named.
  WatchCache& cache(WatchCacheOptions options);
  // A controller for the reconciler's kind, over a cache limited by
  // --watch-label-selector.
  Controller& add(std::shared_ptr<Reconciler> reconciler);
  // A task that runs while this replica leads.
  void while_leading(std::string name, std::function<rt::Task<void>()> task);
  // `check` returns "" when ready, else why not; asked at every GET /readyz.
  void add_readiness_check(std::string name, std::function<std::string()> check);

  // The life described above; returns when this replica must end.
  rt::Task<base::Result<void>> run();
  // run() has returned while something that was cancelled has not ended: the process must be
  // left without unwinding.
  bool hangs() const noexcept;
  // Where /metrics and the probes are served, once run() has started them.
  int metrics_port() const noexcept;
  int health_port() const noexcept;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// Loads the cluster's configuration, runs `setup` and then the app until a
// signal; the exit code of main().
int run_app(const Options& options, std::function<rt::Task<base::Result<void>>(App&)> setup);

}  // namespace sluice::controller
