// Keeps all objects of one kind reconciled: cache events in, queue, workers, the
// reconcile shell, requeue. Runs on the loop.
//
// The shell does for every run: load; finalizer and deletion; suspend; fields
// that are not honoured yet (Stalled, UnsupportedField); the steps; outcome to
// conditions; one status write if anything changed; events; metrics; requeue.
// A change of spec, a requestedAt, forceAt or resetAt annotation, or a deletion
// supersedes the run that is on: it is cancelled where it waits and run anew. A run that
// lasts longer than its object's deadline is ended and fails.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "controller/event_recorder.hpp"
#include "controller/metrics.hpp"
#include "controller/reconciler.hpp"
#include "controller/watch_cache.hpp"
#include "controller/work_queue.hpp"
#include "kube/client.hpp"
#include "rt/runtime.hpp"

namespace sluice::controller {

struct ControllerOptions {
  // Runs that work at once for one namespace, those not counted that only wait; twice as many for
  // all together, so that no namespace can hold up another. Flux: --concurrent
  std::size_t concurrency = 4;
  RetryDelay retry;
  unsigned jitter_percent = 5;  // Flux: --interval-jitter-percentage
  // A run is followed by the next at its interval, or a retry, no sooner than this.
  base::Duration min_interval = std::chrono::seconds(1);
  // How long a run may go before its progress is published; later progress waits twice as long. Each
  // is a write of its own, seen by all who watch: of many objects at once it costs more than it tells.
  base::Duration progress_delay = std::chrono::seconds(1);
};

// What controllers share; all outlive them.
struct Services {
  rt::Runtime& runtime;
  std::shared_ptr<kube::Client> client;
  const base::Clock& clock;
  base::Logger log;
  EventRecorder& events;
  Metrics& metrics;
};

class Controller {
 public:
  // Maps a change elsewhere to the objects of this kind that it concerns.
  // `before` is null for what is new, `now` for what is gone.
  using MapFunction = std::function<std::vector<api::ObjectKey>(const Object& before, const Object& now)>;

  // `cache` holds the objects of the reconciler's kind and outlives this.
  Controller(Services services, std::shared_ptr<Reconciler> reconciler, WatchCache& cache, ControllerOptions options);
  ~Controller();
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  // Runs what falls due until the runtime stops: then each run finishes, or is
  // cancelled with this task. The caches must have synced.
  rt::Task<void> run();

  // Reconcile soon; a run that is on is left alone and followed by another.
  void enqueue(api::ObjectKey key);
  void enqueue_after(api::ObjectKey key, base::Duration delay);
  // Reconcile when there is time: nothing that anybody waits for will come of it.
  void enqueue_at_leisure(api::ObjectKey key);
  // Reconcile now: what waits in a run that is on is cancelled.
  void supersede(api::ObjectKey key);
  // Cuts all that waits short; with a queue that has been shut down nothing follows.
  void interrupt_all();
  // Enqueues (or, with `urgent`, supersedes) whatever `map` names at each change in `other`.
  void watch(WatchCache& other, MapFunction map, bool urgent = false);

  WatchCache& cache() noexcept;
  const WorkQueue& queue() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::controller
