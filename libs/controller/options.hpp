// The options that all daemons have, and the flags that set them. Names and
// defaults are upstream's (fluxcd/pkg runtime, compat page 4.7).
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "controller/flags.hpp"
#include "controller/leader_election.hpp"
#include "controller/work_queue.hpp"

namespace sluice::controller {

struct Options {
  std::string name;        // "source-controller"
  int concurrent = 4;      // objects reconciled at once
  int worker_threads = 0;  // pool for CPU work and blocking calls; 0: as many as CPUs, at least 2

  std::string metrics_addr = ":8080";
  std::string health_addr = ":9440";
  std::string events_addr;  // URL of an event server; empty: none
  std::string log_level = "info";
  std::string log_encoding = "json";
  std::string kubeconfig;

  LeaderElectionOptions leader_election;
  RetryDelay retry;
  base::Duration requeue_dependency = std::chrono::seconds(30);
  base::Duration graceful_shutdown = std::chrono::seconds(30);
  int interval_jitter_percentage = 5;

  bool watch_all_namespaces = true;
  std::string watch_label_selector;
  std::string watch_configs_label_selector = "reconcile.fluxcd.io/watch=Enabled";
  bool no_cross_namespace_refs = false;
  bool insecure_kubeconfig_exec = false;
  bool insecure_kubeconfig_tls = false;
  std::string default_service_account;
  std::string default_kubeconfig_service_account;
  std::vector<std::string> feature_gates;  // "Name=true"

  // From the environment, as upstream's manifests set it.
  std::string runtime_namespace;  // RUNTIME_NAMESPACE, else "flux-system"
  std::string pod_name;           // POD_NAME, else HOSTNAME, else the host's name

  // Flux: "<controller>-leader-election"; shards, told apart by their selector,
  // each have a lease of their own.
  std::string lease_name() const;
  // The namespace that watches are limited to; empty: all.
  std::string watched_namespace() const { return watch_all_namespaces ? std::string() : runtime_namespace; }
  bool is_enabled(std::string_view gate, bool fallback) const;
};

// The environment's value, or `fallback` where it has none or an empty one.
std::string environment(const char* name, std::string fallback);
// With what the environment says filled in.
Options default_options(std::string name);
void add_common_flags(FlagSet& flags, Options& options);
// What no single flag can see: levels, percentages, lease timing.
base::Result<void> check_options(const Options& options);
base::Logger make_logger(const Options& options);

}  // namespace sluice::controller
