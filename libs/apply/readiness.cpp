#include "apply/readiness.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <optional>

namespace sluice::apply {
namespace {

using doc::Json;
using Path = std::initializer_list<std::string_view>;

std::optional<std::int64_t> maybe_int(const Json& object, Path path) {
  const Json* found = doc::find(object, path);
  if (found == nullptr || !found->is_number_integer()) return std::nullopt;
  return found->get<std::int64_t>();
}
std::int64_t int_at(const Json& object, Path path, std::int64_t otherwise) {
  return maybe_int(object, path).value_or(otherwise);
}

struct ConditionView {
  std::string_view status, reason, message;
};

std::optional<ConditionView> condition(const Json& object, std::string_view type) {
  const Json* list = doc::find(object, {"status", "conditions"});
  if (list == nullptr || !list->is_array()) return std::nullopt;
  for (const Json& entry : *list) {
    if (doc::find_string(entry, {"type"}) == type) {
      return ConditionView{doc::find_string(entry, {"status"}), doc::find_string(entry, {"reason"}),
                           doc::find_string(entry, {"message"})};
    }
  }
  return std::nullopt;
}
bool is_condition(const Json& object, std::string_view type, std::string_view status) {
  const auto found = condition(object, type);
  return found && found->status == status;
}

Readiness current(std::string message) { return {Health::current, std::move(message)}; }
Readiness in_progress(std::string message) { return {Health::in_progress, std::move(message)}; }
Readiness failed(std::string message) { return {Health::failed, std::move(message)}; }

// One count that has to reach, or come down to, another one.
struct Count {
  std::string_view what;
  std::int64_t have;
  std::int64_t want;
};
std::optional<Readiness> lacking(std::initializer_list<Count> counts) {
  for (const Count& count : counts) {
    if (count.have < count.want) return in_progress(fmt::format("{}: {}/{}", count.what, count.have, count.want));
  }
  return std::nullopt;
}
std::optional<Readiness> surplus(std::int64_t have, std::int64_t want) {
  if (have <= want) return std::nullopt;
  return in_progress(fmt::format("Pending termination: {}", have - want));
}

// Workload controllers write observedGeneration; without it they have not looked yet.
std::optional<Readiness> unobserved(const Json& object) {
  if (maybe_int(object, {"status", "observedGeneration"})) return std::nullopt;
  return in_progress("Not yet observed by its controller");
}

Readiness deployment(const Json& object) {
  if (auto waiting = unobserved(object)) return *waiting;
  const auto progressing = condition(object, "Progressing");
  if (progressing && progressing->reason == "ProgressDeadlineExceeded") return failed("Progress deadline exceeded");
  const std::int64_t want = int_at(object, {"spec", "replicas"}, 1);
  const std::int64_t total = int_at(object, {"status", "replicas"}, 0);
  const std::int64_t updated = int_at(object, {"status", "updatedReplicas"}, 0);
  const std::int64_t available = int_at(object, {"status", "availableReplicas"}, 0);
  const std::int64_t ready = int_at(object, {"status", "readyReplicas"}, 0);
  if (auto waiting = lacking({{"Replicas", total, want}, {"Updated", updated, want}})) return *waiting;
  if (auto waiting = surplus(total, want)) return *waiting;
  if (auto waiting = lacking({{"Available", available, updated}, {"Ready", ready, want}})) return *waiting;
  const bool paused = progressing && progressing->reason == "DeploymentPaused";
  const bool rolled_out =
      progressing && progressing->status == "True" && progressing->reason == "NewReplicaSetAvailable";
  if (progressing && !rolled_out && !paused) return in_progress("ReplicaSet not available");
  if (!is_condition(object, "Available", "True")) return in_progress("Deployment not available");
  return current(fmt::format("Deployment is available. Replicas: {}", total));
}

Readiness stateful_set(const Json& object) {
  if (doc::find_string(object, {"spec", "updateStrategy", "type"}) == "OnDelete") {
    return current("StatefulSet uses the OnDelete update strategy");
  }
  if (auto waiting = unobserved(object)) return *waiting;
  const std::int64_t want = int_at(object, {"spec", "replicas"}, 1);
  const std::int64_t total = int_at(object, {"status", "replicas"}, 0);
  const std::int64_t ready = int_at(object, {"status", "readyReplicas"}, 0);
  const std::int64_t current_replicas = int_at(object, {"status", "currentReplicas"}, 0);
  const std::int64_t updated = int_at(object, {"status", "updatedReplicas"}, 0);
  const std::int64_t partition = int_at(object, {"spec", "updateStrategy", "rollingUpdate", "partition"}, 0);
  if (auto waiting = lacking({{"Replicas", total, want}, {"Ready", ready, want}})) return *waiting;
  if (auto waiting = surplus(total, want)) return *waiting;
  if (partition > 0) {
    if (auto waiting = lacking({{"Updated up to the partition", updated, want - partition}})) return *waiting;
    return current(fmt::format("Partition rollout complete. Updated: {}", updated));
  }
  if (auto waiting = lacking({{"Current", current_replicas, want}})) return *waiting;
  const std::string_view running = doc::find_string(object, {"status", "currentRevision"});
  if (running != doc::find_string(object, {"status", "updateRevision"})) {
    return in_progress("Waiting for the updated revision to roll out");
  }
  return current(fmt::format("All replicas are ready as expected. Replicas: {}", total));
}

Readiness daemon_set(const Json& object) {
  if (auto waiting = unobserved(object)) return *waiting;
  const auto want = maybe_int(object, {"status", "desiredNumberScheduled"});
  if (!want) return in_progress("Missing .status.desiredNumberScheduled");
  if (auto waiting = lacking({{"Current", int_at(object, {"status", "currentNumberScheduled"}, 0), *want},
                              {"Updated", int_at(object, {"status", "updatedNumberScheduled"}, 0), *want},
                              {"Available", int_at(object, {"status", "numberAvailable"}, 0), *want},
                              {"Ready", int_at(object, {"status", "numberReady"}, 0), *want}})) {
    return *waiting;
  }
  return current(fmt::format("All replicas are scheduled as expected. Replicas: {}", *want));
}

Readiness replica_set(const Json& object) {
  if (is_condition(object, "ReplicaFailure", "True")) return in_progress("ReplicaFailure is True; see its pods");
  const std::int64_t want = int_at(object, {"spec", "replicas"}, 1);
  if (auto waiting = lacking({{"Labelled", int_at(object, {"status", "fullyLabeledReplicas"}, 0), want},
                              {"Available", int_at(object, {"status", "availableReplicas"}, 0), want},
                              {"Ready", int_at(object, {"status", "readyReplicas"}, 0), want}})) {
    return *waiting;
  }
  const std::int64_t total = int_at(object, {"status", "replicas"}, 0);
  if (auto waiting = surplus(total, want)) return *waiting;
  return current(fmt::format("ReplicaSet is available. Replicas: {}", total));
}

// Containers that wait in CrashLoopBackOff, "a, b".
std::string crash_looping(const Json& pod) {
  std::string names;
  const Json* statuses = doc::find(pod, {"status", "containerStatuses"});
  if (statuses == nullptr || !statuses->is_array()) return names;
  for (const Json& status : *statuses) {
    if (doc::find_string(status, {"state", "waiting", "reason"}) != "CrashLoopBackOff") continue;
    names += (names.empty() ? "" : ", ") + std::string(doc::find_string(status, {"name"}));
  }
  return names;
}

Readiness pod(const Json& object) {
  const std::string_view phase = doc::find_string(object, {"status", "phase"});
  if (phase == "Succeeded") return current("Pod has completed successfully");
  if (phase == "Failed") return current("Pod has completed, but not successfully");
  if (phase == "Running") {
    if (is_condition(object, "Ready", "True")) return current("Pod is ready");
    if (const std::string names = crash_looping(object); !names.empty()) {
      return failed("Containers in a crash loop: " + names);
    }
    return in_progress("Pod is running but not ready");
  }
  // Upstream calls a pod unschedulable after 15 s. Without a clock here it stays
  // in progress, and the caller's timeout reports the scheduler's own message.
  const auto scheduled = condition(object, "PodScheduled");
  if (scheduled && scheduled->status == "False")
    return in_progress(fmt::format("Not scheduled: {}", scheduled->message));
  return in_progress(phase.empty() ? "Pod phase not available" : "Pod is pending");
}

Readiness job(const Json& object) {
  const std::int64_t parallelism = int_at(object, {"spec", "parallelism"}, 1);
  const std::int64_t completions = int_at(object, {"spec", "completions"}, parallelism);
  const std::int64_t succeeded = int_at(object, {"status", "succeeded"}, 0);
  if (is_condition(object, "Complete", "True")) {
    return current(fmt::format("Job completed. Succeeded: {}/{}", succeeded, completions));
  }
  if (const auto why = condition(object, "Failed"); why && why->status == "True") {
    return failed(fmt::format("Job failed: {}", why->message));
  }
  if (doc::find_string(object, {"status", "startTime"}).empty()) return in_progress("Job not started");
  // kstatus: a running job counts as in progress until it completes.
  return in_progress(fmt::format("Job in progress. Succeeded: {}, active: {}, failed: {}", succeeded,
                                 int_at(object, {"status", "active"}, 0), int_at(object, {"status", "failed"}, 0)));
}

Readiness service(const Json& object) {
  const bool balanced = doc::find_string(object, {"spec", "type"}) == "LoadBalancer";
  if (balanced && doc::find_string(object, {"spec", "clusterIP"}).empty()) return in_progress("ClusterIP not set");
  return current("Service is ready");
}

Readiness volume_claim(const Json& object) {
  const std::string_view phase = doc::find_string(object, {"status", "phase"});
  if (phase == "Bound") return current("PersistentVolumeClaim is bound");
  return in_progress(fmt::format("PersistentVolumeClaim is not bound. Phase: {}", phase.empty() ? "unknown" : phase));
}

Readiness crd(const Json& object) {
  if (const auto names = condition(object, "NamesAccepted"); names && names->status == "False") {
    return failed(fmt::format("{}: {}", names->reason, names->message));
  }
  if (const auto established = condition(object, "Established")) {
    if (established->status == "True") return current("CRD is established");
    if (established->reason != "Installing")
      return failed(fmt::format("{}: {}", established->reason, established->message));
  }
  return in_progress("Install in progress");
}

Readiness always_ready(const Json&) { return current("Resource is always ready"); }

struct Rule {
  std::string_view group, kind;
  Readiness (*judge)(const Json&);
};
constexpr std::array<Rule, 13> kRules{{{"apps", "Deployment", deployment},
                                       {"apps", "StatefulSet", stateful_set},
                                       {"apps", "DaemonSet", daemon_set},
                                       {"apps", "ReplicaSet", replica_set},
                                       {"batch", "Job", job},
                                       {"batch", "CronJob", always_ready},
                                       {"", "Pod", pod},
                                       {"", "Service", service},
                                       {"", "PersistentVolumeClaim", volume_claim},
                                       {"", "ConfigMap", always_ready},
                                       {"", "Secret", always_ready},
                                       {"policy", "PodDisruptionBudget", always_ready},
                                       {"apiextensions.k8s.io", "CustomResourceDefinition", crd}}};

const Rule* rule_for(const Json& object) {
  const std::string_view api_version = doc::find_string(object, {"apiVersion"});
  const std::size_t slash = api_version.find('/');
  const std::string_view group = slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
  const std::string_view kind = doc::find_string(object, {"kind"});
  for (const Rule& rule : kRules) {
    if (rule.group == group && rule.kind == kind) return &rule;
  }
  return nullptr;
}

// What holds for every kind; nothing if the object is not judged by it.
std::optional<Readiness> generic(const Json& object) {
  if (doc::find(object, {"metadata", "deletionTimestamp"}) != nullptr) {
    return Readiness{Health::terminating, "Resource is scheduled for deletion"};
  }
  const auto generation = maybe_int(object, {"metadata", "generation"});
  const auto observed = maybe_int(object, {"status", "observedGeneration"});
  if (generation && observed && *generation != *observed) {
    return in_progress(fmt::format("Generation is {}, but the observed generation is {}", *generation, *observed));
  }
  if (const auto found = condition(object, "Reconciling"); found && found->status == "True") {
    return in_progress(std::string(found->message));
  }
  if (const auto found = condition(object, "Stalled"); found && found->status == "True") {
    return failed(std::string(found->message));
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Health health) noexcept {
  switch (health) {
    case Health::current: return "Current";
    case Health::in_progress: return "InProgress";
    case Health::failed: return "Failed";
    case Health::terminating: return "Terminating";
  }
  return "InProgress";
}

Readiness assess(const Json& object) {
  if (auto judged = generic(object)) return *judged;
  if (const Rule* rule = rule_for(object)) return rule->judge(object);
  if (const auto ready = condition(object, "Ready"); ready && ready->status != "True") {
    return in_progress(std::string(ready->message.empty() ? ready->reason : ready->message));
  }
  return current("Resource is current");
}

}  // namespace sluice::apply
