// The numbers that a daemon shows at /metrics, under the names that Flux's and
// controller-runtime's dashboards read. Safe from any thread.
// Facts: controller-runtime pkg/metrics, pkg/internal/controller/metrics;
// fluxcd/pkg runtime/metrics/recorder.go.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "controller/work_queue.hpp"

namespace sluice::controller {

enum class ReconcileResult { success, requeue, requeue_after, error };

class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  using Labels = api::StringMap;

  // controller-runtime names a controller, and so its metrics, after its kind in lower case.
  static std::string controller_name(std::string kind);
  // controller_runtime_*{controller}
  void max_workers(const std::string& controller, std::size_t workers);
  void worker_started(const std::string& controller);
  void worker_finished(const std::string& controller, ReconcileResult result, base::Duration took);
  // controller_runtime_reconcile_timeouts_total: a run that its deadline ended
  void timed_out(const std::string& controller);
  // controller_runtime_terminal_reconcile_errors_total: one that no retry can mend
  void stalled(const std::string& controller);
  // gotk_reconcile_duration_seconds{kind,name,namespace}
  void reconciled(const std::string& kind, const api::ObjectKey& key, base::Duration took);
  // The object is gone, and with it its series.
  void forget(const std::string& kind, const api::ObjectKey& key);
  // workqueue_*{name,controller}; the observer lives as long as this.
  QueueObserver& queue(const std::string& name);
  // rest_client_requests_total{code,method,host}
  void api_request(const std::string& verb, int http_status, const std::string& host);
  // leader_election_master_status{name}
  void leader(const std::string& lease, bool is_leader);

  // Metrics of a daemon's own. `help` of the first call stands.
  void count(const std::string& name, const std::string& help, const Labels& labels, double by = 1);
  void set(const std::string& name, const std::string& help, const Labels& labels, double value);
  void observe(const std::string& name, const std::string& help, const Labels& labels, double seconds);
  // What these labels say is gone: all series of that name that have them, whatever else they have.
  void forget(const std::string& name, const Labels& labels);

  // All of it in Prometheus' text format 0.0.4, with process_* numbers.
  std::string text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::controller
