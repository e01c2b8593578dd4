#include "apply/readiness.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

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
  std::string_view type, status, reason, message;
};

// All conditions in their order: where several decide, the first one does. What
// is malformed is left out here, as `malformed` finds it before any judge.
std::vector<ConditionView> conditions(const Json& object) {
  std::vector<ConditionView> views;
  const Json* list = doc::find(object, {"status", "conditions"});
  if (list == nullptr || !list->is_array()) return views;
  for (const Json& entry : *list) {
    views.push_back({doc::find_string(entry, {"type"}), doc::find_string(entry, {"status"}),
                     doc::find_string(entry, {"reason"}), doc::find_string(entry, {"message"})});
  }
  return views;
}

// The first of that type and status.
std::optional<ConditionView> condition(const Json& object, std::string_view type, std::string_view status) {
  for (const ConditionView& found : conditions(object)) {
    if (found.type == type && found.status == status) return found;
  }
  return std::nullopt;
}
bool is_condition(const Json& object, std::string_view type, std::string_view status) {
  return condition(object, type, status).has_value();
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

// A field that kstatus reads as a number, which must be one where it is there.
std::string not_a_number(const Json& object, Path path, std::string_view name) {
  const Json* found = doc::find(object, path);
  if (found == nullptr || found->is_number_integer()) return {};
  return fmt::format("{} is no whole number", name);
}

// What is wrong with the fields that every judgement reads; "" if nothing. Of
// such an object nobody can tell whether it is ready.
std::string malformed(const Json& object) {
  const Json* deleted = doc::find(object, {"metadata", "deletionTimestamp"});
  if (deleted != nullptr && !deleted->is_string()) return "metadata.deletionTimestamp is no text";
  std::string wrong = not_a_number(object, {"metadata", "generation"}, "metadata.generation");
  if (wrong.empty() && doc::find(object, {"metadata", "generation"}) != nullptr) {
    wrong = not_a_number(object, {"status", "observedGeneration"}, "status.observedGeneration");
  }
  if (!wrong.empty()) return wrong;
  const Json* status = doc::find(object, {"status"});
  if (status != nullptr && !status->is_null() && !status->is_object()) return "status is no map";
  const Json* list = doc::find(object, {"status", "conditions"});
  if (list == nullptr || list->is_null()) return {};
  if (!list->is_array()) return "status.conditions is no list";
  for (const Json& entry : *list) {
    if (!entry.is_object() && !entry.is_null()) return "status.conditions holds something else than conditions";
    for (const char* field : {"type", "status", "reason", "message"}) {
      const Json* value = doc::find(entry, {field});
      if (value != nullptr && !value->is_string() && !value->is_null()) {
        return fmt::format("the {} of a condition is no text", field);
      }
    }
  }
  return {};
}

Readiness deployment(const Json& object) {
  // What a Deployment says where it has no deadline.
  constexpr std::int64_t kNoDeadline = std::numeric_limits<std::int32_t>::max();
  bool progressed = int_at(object, {"spec", "progressDeadlineSeconds"}, kNoDeadline) == kNoDeadline;
  bool is_available = false;
  for (const ConditionView& found : conditions(object)) {
    if (found.type == "Progressing") {
      if (found.reason == "ProgressDeadlineExceeded") return failed("Progress deadline exceeded");
      progressed = progressed || (found.status == "True" && found.reason == "NewReplicaSetAvailable");
    }
    is_available = is_available || (found.type == "Available" && found.status == "True");
  }
  const std::int64_t want = int_at(object, {"spec", "replicas"}, 1);
  const std::int64_t total = int_at(object, {"status", "replicas"}, 0);
  const std::int64_t updated = int_at(object, {"status", "updatedReplicas"}, 0);
  const std::int64_t available = int_at(object, {"status", "availableReplicas"}, 0);
  const std::int64_t ready = int_at(object, {"status", "readyReplicas"}, 0);
  if (auto waiting = lacking({{"Replicas", total, want}, {"Updated", updated, want}})) return *waiting;
  if (auto waiting = surplus(total, want)) return *waiting;
  if (auto waiting = lacking({{"Available", available, updated}, {"Ready", ready, want}})) return *waiting;
  if (!progressed) return in_progress("ReplicaSet not available");
  if (!is_available) return in_progress("Deployment not available");
  return current(fmt::format("Deployment is available. Replicas: {}", total));
}

Readiness stateful_set(const Json& object) {
  if (doc::find_string(object, {"spec", "updateStrategy", "type"}) == "OnDelete") {
    return current("StatefulSet uses the OnDelete update strategy");
  }
  const std::int64_t want = int_at(object, {"spec", "replicas"}, 1);
  const std::int64_t total = int_at(object, {"status", "replicas"}, 0);
  const std::int64_t ready = int_at(object, {"status", "readyReplicas"}, 0);
  const std::int64_t current_replicas = int_at(object, {"status", "currentReplicas"}, 0);
  const std::int64_t updated = int_at(object, {"status", "updatedReplicas"}, 0);
  const auto partition = maybe_int(object, {"spec", "updateStrategy", "rollingUpdate", "partition"});
  if (auto waiting = lacking({{"Replicas", total, want}, {"Ready", ready, want}})) return *waiting;
  if (auto waiting = surplus(total, want)) return *waiting;
  // The server writes `partition: 0` by itself: then the number of updated replicas decides.
  if (partition && *partition != -1) {
    if (auto waiting = lacking({{"Updated", updated, want - *partition}})) return *waiting;
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
  if (!maybe_int(object, {"metadata", "generation"})) return in_progress("metadata.generation not found");
  if (!maybe_int(object, {"status", "observedGeneration"})) return in_progress("Not yet observed by its controller");
  const auto want = maybe_int(object, {"status", "desiredNumberScheduled"});
  if (!want || *want == -1) return in_progress("Missing .status.desiredNumberScheduled");
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
  if (!phase.empty() && phase != "Pending") return in_progress(fmt::format("Unknown phase {}", phase));
  // Upstream calls a pod unschedulable after 15 s. Without a clock here it stays
  // in progress, and the caller's timeout reports the scheduler's own message.
  if (const auto unscheduled = condition(object, "PodScheduled", "False")) {
    return in_progress(fmt::format("Not scheduled: {}", unscheduled->message));
  }
  return in_progress(phase.empty() ? "Pod phase not available" : "Pod is pending");
}

// As Flux's own reader judges Jobs (fluxcd/pkg runtime/statusreaders), where
// kstatus calls one that has begun ready.
Readiness job(const Json& object) {
  const Json* suspended = doc::find(object, {"spec", "suspend"});
  if (suspended != nullptr && suspended->is_boolean() && suspended->get<bool>()) return current("Job is suspended");
  const std::int64_t parallelism = int_at(object, {"spec", "parallelism"}, 1);
  const std::int64_t completions = int_at(object, {"spec", "completions"}, parallelism);
  const std::int64_t succeeded = int_at(object, {"status", "succeeded"}, 0);
  for (const ConditionView& found : conditions(object)) {
    if (found.status != "True") continue;
    if (found.type == "Complete")
      return current(fmt::format("Job completed. Succeeded: {}/{}", succeeded, completions));
    if (found.type == "Failed") return failed(fmt::format("Job failed: {}", found.message));
  }
  if (doc::find_string(object, {"status", "startTime"}).empty()) return in_progress("Job not started");
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
  for (const ConditionView& found : conditions(object)) {
    const bool refused = found.type == "NamesAccepted" && found.status == "False";
    const bool gone = found.type == "Established" && found.status == "False" && found.reason != "Installing";
    if (refused || gone) return failed(fmt::format("{}: {}", found.reason, found.message));
    if (found.type == "Established" && found.status == "True") return current("CRD is established");
  }
  return in_progress("Install in progress");
}

Readiness always_ready(const Json&) { return current("Resource is always ready"); }

struct Rule {
  std::string_view group, kind;
  Readiness (*judge)(const Json&);
};
constexpr std::array<Rule, 16> kRules{{{"apps", "Deployment", deployment},
                                       {"extensions", "Deployment", deployment},
                                       {"extensions", "DaemonSet", daemon_set},
                                       {"extensions", "ReplicaSet", replica_set},
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

bool is_job(const Rule* rule) { return rule != nullptr && rule->judge == job; }

// What holds for every kind; nothing if the object is not judged by it.
std::optional<Readiness> generic(const Json& object, const Rule* rule) {
  if (!doc::find_string(object, {"metadata", "deletionTimestamp"}).empty()) {
    return Readiness{Health::terminating, "Resource is scheduled for deletion"};
  }
  if (is_job(rule)) return std::nullopt;
  const auto generation = maybe_int(object, {"metadata", "generation"});
  const auto observed = maybe_int(object, {"status", "observedGeneration"});
  if (generation && observed && *generation != *observed) {
    return in_progress(fmt::format("Generation is {}, but the observed generation is {}", *generation, *observed));
  }
  for (const ConditionView& found : conditions(object)) {
    if (found.status != "True") continue;
    if (found.type == "Reconciling") return in_progress(std::string(found.message));
    if (found.type == "Stalled") return failed(std::string(found.message));
  }
  return std::nullopt;
}

// The first Ready condition with a status that means something.
std::optional<Readiness> by_ready_condition(const Json& object) {
  for (const ConditionView& found : conditions(object)) {
    if (found.type != "Ready") continue;
    if (found.status == "True") return current("Resource is ready");
    if (found.status == "False" || found.status == "Unknown") {
      return in_progress(std::string(found.message.empty() ? found.reason : found.message));
    }
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
  const Rule* rule = rule_for(object);
  if (const std::string wrong = malformed(object); !wrong.empty()) {
    return in_progress("Its health cannot be told: " + wrong);
  }
  if (auto judged = generic(object, rule)) return *judged;
  if (rule != nullptr) return rule->judge(object);
  if (auto judged = by_ready_condition(object)) return *judged;
  return current("Resource is current");
}

}  // namespace sluice::apply
