#include "controller/options.hpp"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "base/digest.hpp"

namespace sluice::controller {

namespace {

std::string host_name() {
  std::array<char, 256> buffer{};
  return gethostname(buffer.data(), buffer.size() - 1) == 0 ? buffer.data() : "localhost";
}

void add_leader_election_flags(FlagSet& flags, LeaderElectionOptions& options) {
  flags.add("enable-leader-election", options.enabled, "Only one replica at a time reconciles.");
  flags.add("leader-election-release-on-cancel", options.release_on_cancel, "Give the lease up on shutdown.");
  flags.add("leader-election-lease-duration", options.lease_duration,
            "Time that replicas wait before they take over a lease that is not renewed.");
  flags.add("leader-election-renew-deadline", options.renew_deadline,
            "Time for which the leader tries to renew its lease before it gives up.");
  flags.add("leader-election-retry-period", options.retry_period, "Time between two tries.");
}

void add_watch_flags(FlagSet& flags, Options& options) {
  flags.add("watch-all-namespaces", options.watch_all_namespaces,
            "Watch objects in all namespaces; if false, only in the RUNTIME_NAMESPACE.");
  flags.add("watch-label-selector", options.watch_label_selector,
            "Watch only objects with matching labels, e.g. 'sharding.fluxcd.io/key=shard1'.");
  flags.add("watch-configs-label-selector", options.watch_configs_label_selector,
            "Watch ConfigMaps and Secrets with matching labels.");
}

void add_flags_without_effect(FlagSet& flags) {
  flags.accept_without_effect("kube-api-qps", false, "requests are limited by the server and by connections.");
  flags.accept_without_effect("kube-api-burst", false, "requests are limited by the server and by connections.");
  flags.accept_without_effect("token-cache-max-size", false, "no tokens of cloud providers are cached yet.");
  flags.accept_without_effect("token-cache-max-duration", false, "no tokens of cloud providers are cached yet.");
}

}  // namespace

std::string environment(const char* name, std::string fallback) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? std::move(fallback) : value;
}

Options default_options(std::string name) {
  Options options;
  options.name = std::move(name);
  options.runtime_namespace = environment("RUNTIME_NAMESPACE", "flux-system");
  options.pod_name = environment("POD_NAME", environment("HOSTNAME", host_name()));
  return options;
}

void add_common_flags(FlagSet& flags, Options& options) {
  flags.add("metrics-addr", options.metrics_addr, "Address of the metrics endpoint; 0 disables it.");
  flags.add("health-addr", options.health_addr, "Address of the health endpoint; 0 disables it.");
  flags.add(
      "events-addr", options.events_addr,
      "URL of an event server, as upstream's notification-controller has, that gets all events beside Kubernetes.");
  flags.add("concurrent", options.concurrent,
            "How many objects of a kind and namespace are reconciled at once; of all namespaces, twice as many.");
  flags.add("worker-threads", options.worker_threads,
            "Threads for blocking and CPU-bound work of one namespace, of all twice as many; 0 takes one per CPU, at "
            "least 2.");
  flags.add("log-level", options.log_level, "Log verbosity: trace, debug, info or error.");
  flags.add("log-encoding", options.log_encoding, "Log encoding: json or console.");
  flags.add("kubeconfig", options.kubeconfig, "Path of a kubeconfig; only needed outside of a cluster.");
  add_leader_election_flags(flags, options.leader_election);
  flags.add("min-retry-delay", options.retry.min, "Time before the first retry of a failing object; it doubles.");
  flags.add("max-retry-delay", options.retry.max, "Longest time between retries of a failing object.");
  flags.add("requeue-dependency", options.requeue_dependency,
            "Time after which unready dependencies are looked at again, if no event does so before.");
  flags.add("graceful-shutdown-timeout", options.graceful_shutdown,
            "Time that reconciliations get to end after SIGTERM.");
  flags.add("interval-jitter-percentage", options.interval_jitter_percentage,
            "Spread of intervals: 10 means up to 10% shorter or longer. Below 100.");
  add_watch_flags(flags, options);
  flags.add("no-cross-namespace-refs", options.no_cross_namespace_refs,
            "Allow references between objects only within one namespace.");
  flags.add("insecure-kubeconfig-exec", options.insecure_kubeconfig_exec,
            "Allow exec plugins in kubeconfigs given for remote apply.");
  flags.add("insecure-kubeconfig-tls", options.insecure_kubeconfig_tls,
            "Allow that kubeconfigs given for remote apply switch TLS verification off.");
  flags.add("default-service-account", options.default_service_account,
            "Service account impersonated where an object names none.");
  flags.add("default-kubeconfig-service-account", options.default_kubeconfig_service_account,
            "Service account for kubeconfig references that name none.");
  flags.add("feature-gates", options.feature_gates, "Comma-separated Name=true|false pairs.");
  add_flags_without_effect(flags);
}

base::Result<void> check_options(const Options& options) {
  const auto invalid = [](std::string message) {
    return base::unexpected(base::ErrorKind::invalid, std::move(message));
  };
  if (!base::parse_log_level(options.log_level)) return invalid("--log-level: unknown level " + options.log_level);
  if (options.log_encoding != "json" && options.log_encoding != "console") {
    return invalid("--log-encoding: must be json or console, not " + options.log_encoding);
  }
  if (options.concurrent < 1) return invalid("--concurrent: must be at least 1");
  if (options.interval_jitter_percentage < 0 || options.interval_jitter_percentage >= 100) {
    return invalid("--interval-jitter-percentage: must be between 0 and 99");
  }
  if (options.retry.min <= base::Duration::zero() || options.retry.max < options.retry.min) {
    return invalid("--min-retry-delay: must be positive and not above --max-retry-delay");
  }
  const auto& lease = options.leader_election;
  if (lease.lease_duration <= lease.renew_deadline || lease.renew_deadline <= lease.retry_period) {
    return invalid(
        "--leader-election-lease-duration must be above the renew deadline, and that above the retry period");
  }
  for (const auto& gate : options.feature_gates) {
    if (!gate.ends_with("=true") && !gate.ends_with("=false")) {
      return invalid("--feature-gates: " + gate + " is not of the form Name=true or Name=false");
    }
  }
  return {};
}

std::string Options::lease_name() const {
  std::string lease = name + "-leader-election";
  if (!watch_label_selector.empty()) lease += '-' + base::sha256_hex(watch_label_selector).substr(0, 8);
  return lease;
}

bool Options::is_enabled(std::string_view gate, bool fallback) const {
  bool enabled = fallback;
  for (const auto& entry : feature_gates) {
    const auto equals = entry.find('=');
    if (std::string_view(entry).substr(0, equals) == gate) enabled = entry.substr(equals + 1) == "true";
  }
  return enabled;
}

base::Logger make_logger(const Options& options) {
  auto level = base::parse_log_level(options.log_level);
  return base::Logger(std::move(level).value_or(base::LogLevel::info), 2, options.log_encoding == "console");
}

}  // namespace sluice::controller
