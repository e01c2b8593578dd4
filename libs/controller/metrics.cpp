#include "controller/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <tuple>
#include <utility>

namespace sluice::controller {

namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using Buckets = Histogram::BucketBoundaries;
using PlainLabels = std::map<std::string, std::string>;

double seconds(base::Duration duration) { return std::chrono::duration<double>(duration).count(); }

Buckets exponential(double first, double factor, int count) {
  Buckets buckets;
  for (int i = 0; i < count; ++i) buckets.push_back(first * std::pow(factor, i));
  return buckets;
}

// Go's ExponentialBucketsRange(10e-3, 1800, 10), as fluxcd/pkg uses it.
const Buckets& reconcile_buckets() {
  static const Buckets buckets = exponential(10e-3, std::pow(1800.0 / 10e-3, 1.0 / 9.0), 10);
  return buckets;
}
// controller-runtime's buckets of reconcile_time.
const Buckets& worker_buckets() {
  static const Buckets buckets = {0.005, 0.01, 0.025, 0.05, 0.1,  0.15, 0.2,  0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6,
                                  0.7,   0.8,  0.9,   1.0,  1.25, 1.5,  1.75, 2.0,  2.5, 3.0,  3.5, 4.0,  4.5, 5,
                                  6,     7,    8,     9,    10,   15,   20,   25,   30,  40,   50,  60};
  return buckets;
}
const Buckets& queue_buckets() {
  static const Buckets buckets = exponential(10e-9, 10, 12);
  return buckets;
}

const char* to_label(ReconcileResult result) {
  switch (result) {
    case ReconcileResult::success: return "success";
    case ReconcileResult::requeue: return "requeue";
    case ReconcileResult::requeue_after: return "requeue_after";
    case ReconcileResult::error: return "error";
  }
  return "error";
}

// client-go counts by HTTP method, the client here by verb.
std::string method_of(const std::string& verb) {
  if (verb == "get" || verb == "list" || verb == "watch") return "GET";
  if (verb == "create") return "POST";
  if (verb == "update") return "PUT";
  if (verb == "apply" || verb == "patch") return "PATCH";
  if (verb == "delete" || verb == "remove") return "DELETE";
  return "GET";
}

class QueueMetrics final : public QueueObserver {
 public:
  QueueMetrics(Gauge& depth, Counter& adds, Counter& retries, Histogram& wait, Histogram& work, Gauge& unfinished,
               Gauge& longest)
      : depth_(depth),
        adds_(adds),
        retries_(retries),
        wait_(wait),
        work_(work),
        unfinished_(unfinished),
        longest_(longest) {}
  void added() override { adds_.Increment(); }
  void depth(std::size_t keys) override { depth_.Set(static_cast<double>(keys)); }
  void waited(base::Duration in_queue) override { wait_.Observe(seconds(in_queue)); }
  void started(base::SteadyPoint when) override {
    const std::lock_guard lock(mutex_);
    under_way_.insert(when);
  }
  void worked(base::SteadyPoint since, base::SteadyPoint until) override {
    work_.Observe(seconds(until - since));
    const std::lock_guard lock(mutex_);
    if (const auto it = under_way_.find(since); it != under_way_.end()) under_way_.erase(it);
  }
  void retried() override { retries_.Increment(); }
  // What is still being worked on: client-go's sum, and the oldest.
  void measure(base::SteadyPoint now) {
    const std::lock_guard lock(mutex_);
    double sum = 0;
    for (const auto& since : under_way_) sum += seconds(now - since);
    unfinished_.Set(sum);
    longest_.Set(under_way_.empty() ? 0 : seconds(now - *under_way_.begin()));
  }

 private:
  Gauge& depth_;
  Counter& adds_;
  Counter& retries_;
  Histogram& wait_;
  Histogram& work_;
  Gauge& unfinished_;
  Gauge& longest_;
  std::mutex mutex_;
  std::multiset<base::SteadyPoint> under_way_;
};

// How many entries /proc/self/fd has.
long open_files() {
  std::error_code ec;
  long count = 0;
  for (std::filesystem::directory_iterator it("/proc/self/fd", ec), end; !ec && it != end; it.increment(ec)) ++count;
  return std::max(0L, count - 1);  // that of the look itself
}

void write_gauge(std::ostream& out, const char* name, const char* help, long long value) {
  out << "# HELP " << name << ' ' << help << "\n# TYPE " << name << " gauge\n" << name << ' ' << value << '\n';
}

// The process_* numbers that Prometheus' client libraries have (Linux /proc).
void write_process_metrics(std::ostream& out, std::int64_t started) {
  out << "# HELP process_start_time_seconds Start time of the process since unix epoch in seconds.\n"
      << "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds " << started << '\n';
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    const double cpu = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                       static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    out << "# HELP process_cpu_seconds_total Total user and system CPU time spent in seconds.\n"
        << "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total " << cpu << '\n';
  }
  std::ifstream statm("/proc/self/statm");
  long pages = 0;
  long resident = 0;
  if (statm >> pages >> resident) {
    const long long page = sysconf(_SC_PAGESIZE);
    write_gauge(out, "process_resident_memory_bytes", "Resident memory size in bytes.", resident * page);
    write_gauge(out, "process_virtual_memory_bytes", "Virtual memory size in bytes.", pages * page);
  }
  write_gauge(out, "process_open_fds", "Number of open file descriptors.", open_files());
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    write_gauge(out, "process_max_fds", "Maximum number of open file descriptors.",
                static_cast<long long>(files.rlim_cur));
  }
}

}  // namespace

struct Metrics::Impl {
  template <class Builder>
  auto& family(Builder builder, const std::string& name, const std::string& help) {
    return builder.Name(name).Help(help).Register(registry);
  }
  Family<Counter>& counters(const std::string& name, const std::string& help) {
    return family(prometheus::BuildCounter(), name, help);
  }
  Family<Gauge>& gauges(const std::string& name, const std::string& help) {
    return family(prometheus::BuildGauge(), name, help);
  }
  Family<Histogram>& histograms(const std::string& name, const std::string& help) {
    return family(prometheus::BuildHistogram(), name, help);
  }
  // A series of a daemon's own, noted so that it can be found by a part of its labels. Under the
  // lock. Prometheus' registry refuses a name used for two types or with two helps: the first help stands.
  template <class Builder, class... More>
  auto& series(Builder builder, const std::string& name, const std::string& help, const Labels& labels, More... more) {
    auto& own = family(std::move(builder), name, helps.try_emplace(name, help).first->second);
    auto& one = own.Add(PlainLabels(labels.begin(), labels.end()), std::move(more)...);
    by_labels[name].try_emplace(labels, [&own, &one] { own.Remove(&one); });
    return one;
  }

  prometheus::Registry registry;
  Family<Counter>& reconciles{
      counters("controller_runtime_reconcile_total", "Total number of reconciliations per controller")};
  Family<Counter>& reconcile_errors{
      counters("controller_runtime_reconcile_errors_total", "Total number of reconciliation errors per controller")};
  Family<Counter>& reconcile_terminal{counters("controller_runtime_terminal_reconcile_errors_total",
                                               "Total number of terminal reconciliation errors per controller")};
  Family<Counter>& reconcile_panics{
      counters("controller_runtime_reconcile_panics_total", "Total number of reconciliation panics per controller")};
  Family<Counter>& reconcile_timeouts{counters("controller_runtime_reconcile_timeouts_total",
                                               "Total number of reconciliation timeouts per controller")};
  Family<Histogram>& reconcile_time{
      histograms("controller_runtime_reconcile_time_seconds", "Length of time per reconciliation per controller")};
  Family<Gauge>& workers_max{
      gauges("controller_runtime_max_concurrent_reconciles", "Maximum number of concurrent reconciles per controller")};
  Family<Gauge>& workers_active{
      gauges("controller_runtime_active_workers", "Number of currently used workers per controller")};
  Family<Histogram>& durations{histograms("gotk_reconcile_duration_seconds",
                                          "The duration in seconds of a GitOps Toolkit resource reconciliation.")};
  Family<Gauge>& queue_depth{gauges("workqueue_depth", "Current depth of workqueue")};
  Family<Counter>& queue_adds{counters("workqueue_adds_total", "Total number of adds handled by workqueue")};
  Family<Counter>& queue_retries{counters("workqueue_retries_total", "Total number of retries handled by workqueue")};
  Family<Histogram>& queue_wait{histograms("workqueue_queue_duration_seconds",
                                           "How long in seconds an item stays in workqueue before being requested")};
  Family<Histogram>& queue_work{
      histograms("workqueue_work_duration_seconds", "How long in seconds processing an item from workqueue takes.")};
  Family<Gauge>& queue_unfinished{gauges("workqueue_unfinished_work_seconds",
                                         "How many seconds of work is in progress and has not been observed yet")};
  Family<Gauge>& queue_longest{gauges("workqueue_longest_running_processor_seconds",
                                      "How many seconds the longest running processor has been running")};
  Family<Counter>& requests{
      counters("rest_client_requests_total", "Number of HTTP requests, partitioned by status code, method, and host.")};
  Family<Gauge>& leaders{
      gauges("leader_election_master_status", "Whether this process leads: 0 indicates backup, 1 indicates master.")};

  const std::int64_t started =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::mutex mutex;
  std::map<std::string, std::string> helps;
  std::map<std::string, std::unique_ptr<QueueMetrics>> queues;
  std::map<std::pair<std::string, api::ObjectKey>, Histogram*> by_object;
  std::map<std::tuple<std::string, int, std::string>, Counter*, std::less<>> by_request;  // verb, status, host
  std::map<std::string, std::map<Labels, std::function<void()>>> by_labels;  // how each is removed, by name
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

void Metrics::max_workers(const std::string& controller, std::size_t workers) {
  impl_->workers_max.Add({{"controller", controller}}).Set(static_cast<double>(workers));
  // Shown from the start, so that the first error is seen as an increase.
  for (const auto result :
       {ReconcileResult::success, ReconcileResult::requeue, ReconcileResult::requeue_after, ReconcileResult::error}) {
    impl_->reconciles.Add({{"controller", controller}, {"result", to_label(result)}}).Increment(0);
  }
  // A panic ends the process here, so that its series is always at 0: dashboards sum it.
  for (auto* family :
       {&impl_->reconcile_errors, &impl_->reconcile_terminal, &impl_->reconcile_panics, &impl_->reconcile_timeouts}) {
    family->Add({{"controller", controller}}).Increment(0);
  }
}

std::string Metrics::controller_name(std::string kind) {
  for (char& c : kind) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return kind;
}

void Metrics::timed_out(const std::string& controller) {
  impl_->reconcile_timeouts.Add({{"controller", controller}}).Increment();
}

void Metrics::stalled(const std::string& controller) {
  impl_->reconcile_terminal.Add({{"controller", controller}}).Increment();
}

void Metrics::worker_started(const std::string& controller) {
  impl_->workers_active.Add({{"controller", controller}}).Increment();
}

void Metrics::worker_finished(const std::string& controller, ReconcileResult result, base::Duration took) {
  impl_->workers_active.Add({{"controller", controller}}).Decrement();
  impl_->reconciles.Add({{"controller", controller}, {"result", to_label(result)}}).Increment();
  if (result == ReconcileResult::error) impl_->reconcile_errors.Add({{"controller", controller}}).Increment();
  impl_->reconcile_time.Add({{"controller", controller}}, worker_buckets()).Observe(seconds(took));
}

void Metrics::reconciled(const std::string& kind, const api::ObjectKey& key, base::Duration took) {
  const std::lock_guard lock(impl_->mutex);
  auto& series = impl_->by_object[{kind, key}];
  if (series == nullptr) {
    const PlainLabels labels = {{"kind", kind}, {"name", key.name}, {"namespace", key.namespace_}};
    series = &impl_->durations.Add(labels, reconcile_buckets());
  }
  series->Observe(seconds(took));
}

void Metrics::forget(const std::string& kind, const api::ObjectKey& key) {
  const std::lock_guard lock(impl_->mutex);
  const auto it = impl_->by_object.find({kind, key});
  if (it == impl_->by_object.end()) return;
  impl_->durations.Remove(it->second);
  impl_->by_object.erase(it);
}

QueueObserver& Metrics::queue(const std::string& name) {
  const std::lock_guard lock(impl_->mutex);
  auto& observer = impl_->queues[name];
  if (!observer) {
    const PlainLabels labels = {{"name", name}, {"controller", name}};
    observer = std::make_unique<QueueMetrics>(
        impl_->queue_depth.Add(labels), impl_->queue_adds.Add(labels), impl_->queue_retries.Add(labels),
        impl_->queue_wait.Add(labels, queue_buckets()), impl_->queue_work.Add(labels, queue_buckets()),
        impl_->queue_unfinished.Add(labels), impl_->queue_longest.Add(labels));
  }
  return *observer;
}

void Metrics::api_request(const std::string& verb, int http_status, const std::string& host) {
  // client-go: what never got an answer has the code "<error>".
  const std::lock_guard lock(impl_->mutex);
  auto known = impl_->by_request.find(std::tie(verb, http_status, host));
  if (known == impl_->by_request.end()) {
    const std::string code = http_status == 0 ? "<error>" : std::to_string(http_status);
    Counter& series = impl_->requests.Add({{"code", code}, {"method", method_of(verb)}, {"host", host}});
    known = impl_->by_request.emplace(std::tuple(verb, http_status, host), &series).first;
  }
  known->second->Increment();
}

void Metrics::leader(const std::string& lease, bool is_leader) {
  impl_->leaders.Add({{"name", lease}}).Set(is_leader ? 1 : 0);
}

void Metrics::count(const std::string& name, const std::string& help, const Labels& labels, double by) {
  const std::lock_guard lock(impl_->mutex);
  impl_->series(prometheus::BuildCounter(), name, help, labels).Increment(by);
}

void Metrics::set(const std::string& name, const std::string& help, const Labels& labels, double value) {
  const std::lock_guard lock(impl_->mutex);
  impl_->series(prometheus::BuildGauge(), name, help, labels).Set(value);
}

void Metrics::observe(const std::string& name, const std::string& help, const Labels& labels, double value) {
  const std::lock_guard lock(impl_->mutex);
  impl_->series(prometheus::BuildHistogram(), name, help, labels, worker_buckets()).Observe(value);
}

void Metrics::forget(const std::string& name, const Labels& labels) {
  const std::lock_guard lock(impl_->mutex);
  const auto known = impl_->by_labels.find(name);
  if (known == impl_->by_labels.end()) return;
  std::erase_if(known->second, [&labels](const auto& series) {
    const Labels& all = series.first;
    const bool concerned = std::all_of(labels.begin(), labels.end(), [&all](const auto& label) {
      const auto has = all.find(label.first);
      return has != all.end() && has->second == label.second;
    });
    if (concerned) series.second();
    return concerned;
  });
}

std::string Metrics::text() const {
  {
    const std::lock_guard lock(impl_->mutex);
    for (auto& [name, queue] : impl_->queues) queue->measure(base::system_clock().steady());
  }
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, impl_->registry.Collect());
  write_process_metrics(out, impl_->started);
  return std::move(out).str();
}

}  // namespace sluice::controller
