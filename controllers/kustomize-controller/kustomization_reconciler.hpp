// Kustomization: an artifact's folder becomes objects in the cluster, and they
// stay as they were left.
//
//  1. resolve_source      the source of spec.sourceRef and its artifact
//  2. check_dependencies  those of spec.dependsOn are ready
//  3. read_variables      those of spec.postBuild
//  4. fetch_artifact      on this machine, its digest proven
//  5. build               kustomize; not repeated while what it read stands
//  6. apply               server-side apply in stages, each dry-run first
//  7. prune               what left the set
//  8. await_health        with spec.wait or spec.healthChecks; holds no worker
//  9. conclude            revision and history
//
// Ready: ReconciliationSucceeded, ArtifactFailed (1, 4, 5: path), AccessDenied (1),
// DependencyNotReady (2), BuildFailed (3, 5), ReconciliationFailed (6), PruneFailed
// (7), HealthCheckFailed, HealthCheckCanceled (8). Healthy: Succeeded,
// HealthCheckFailed, Progressing. Stalled: AccessDenied, UnsupportedField, InvalidSpec.
//
// A newer spec, request or artifact cancels whatever waits in 1 to 5 and 8; 6
// and 7 run to their end. The inventory names an object before it is written,
// so that one left by a kill -9 is found again.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "apply/live_objects.hpp"
#include "artifact/fetcher.hpp"
#include "controller/controller.hpp"
#include "controller/options.hpp"
#include "controller/reconciler.hpp"
#include "handover.hpp"
#include "kube/rest_mapper.hpp"
#include "options.hpp"
#include "render.hpp"
#include "run.hpp"
#include "sources/access.hpp"
#include "sources/drift_pacer.hpp"
#include "sources/identity.hpp"
#include "sources/sources.hpp"
#include "sources/uptake.hpp"
#include "sources/verification.hpp"

namespace sluice::kustomize_controller {

struct ReconcilerServices {
  rt::Runtime& runtime;
  const base::Clock& clock;
  controller::Metrics& metrics;
  std::shared_ptr<kube::RestMapper> mapper;
  std::shared_ptr<artifact::Fetcher> fetcher;
  std::shared_ptr<apply::LiveObjects> live;
  std::shared_ptr<sources::Sources> sources;
};

class KustomizationReconciler final : public controller::StepReconciler<Run>,
                                      public std::enable_shared_from_this<KustomizationReconciler> {
 public:
  KustomizationReconciler(ReconcilerServices services, controller::Options common, KustomizeOptions own,
                          std::set<api::GroupKind> custom_stage);

  // Connects what wakes objects: their sources, dependencies and drift.
  void attach(controller::Controller& controller);

  const controller::KindTraits& traits() const override { return traits_; }
  base::Result<std::unique_ptr<Run>> begin(controller::RunContext& context) override;
  controller::Steps<Run> steps() override;
  controller::Steps<Run> finalizers() override;
  std::unique_ptr<Run> begin_finalize(controller::RunContext& context) override;
  rt::Task<base::Result<void>> finalize(controller::RunContext& context) override;
  std::optional<base::Duration> deadline_of(const doc::Json& object) const override;
  controller::StepFailure deadline_passed(const controller::RunContext& context, base::Error error) const override;
  void forget(const api::ObjectKey& key) override;

 private:
  static constexpr std::size_t kLayerCacheBytes = 32U << 20U;
  static constexpr std::size_t kKeptWhole = 64;  // Kustomizations that are at work, or were just now
  static constexpr base::Duration kDiscoveryLag = std::chrono::seconds(15);
  static constexpr base::Duration kLagRetry = std::chrono::seconds(1);
  static constexpr std::size_t kWorthSorting = 8;  // fewer are all taken up at once
  static constexpr base::Duration kSortingLimit = std::chrono::seconds(30);
  // At most, of those that a new artifact concerns before those that only learn its revision.
  static constexpr base::Duration kHeadStart = std::chrono::seconds(2);
  static constexpr base::Duration kHeadStartLook = std::chrono::milliseconds(20);

  rt::Task<controller::StepResult> resolve_source(Run& run);
  rt::Task<controller::StepResult> check_dependencies(Run& run);
  rt::Task<controller::StepResult> read_variables(Run& run);
  rt::Task<controller::StepResult> fetch_artifact(Run& run);
  rt::Task<controller::StepResult> build(Run& run);
  rt::Task<controller::StepResult> apply(Run& run);
  rt::Task<controller::StepResult> prune(Run& run);
  rt::Task<controller::StepResult> await_health(Run& run);
  rt::Task<controller::StepResult> conclude(Run& run);

  rt::Task<base::Result<std::shared_ptr<const Rendered>>> render_or_reuse(Run& run, std::string key);
  void count_layers();
  rt::Task<base::Result<void>> announce(Run& run, std::vector<api::InventoryEntry> entries);
  rt::Task<base::Result<void>> announce_standing(Run& run, const std::vector<apply::Change>& changes);
  rt::Task<apply::Outcome> apply_set(Run& run, apply::ApplyOptions options);
  rt::Task<base::Result<void>> repair(Run& run);
  // Who else builds what is about to be deleted, at the revision of `artifact`.
  rt::Task<Claims> claims_on(controller::RunContext& context, std::optional<api::Artifact> artifact,
                             std::vector<api::InventoryEntry> entries, bool is_deletion);
  rt::Task<base::Result<std::shared_ptr<const Rendered>>> render_sibling(controller::RunContext& context,
                                                                         api::Artifact artifact,
                                                                         controller::Object sibling);
  rt::Task<base::Result<std::optional<api::Artifact>>> artifact_for_deletion(controller::RunContext& context);
  rt::Task<Claims> claims_on_deletion(controller::RunContext& context, std::vector<api::InventoryEntry> entries);
  sources::AccessRules access_rules() const;
  rt::Task<controller::StepResult> finalize_or_wait(Run& run);
  // True once a deletion has been waiting for others for kDeletionPatience; the first call begins the wait.
  bool has_waited(const controller::RunContext& context);
  static void tell_of_left_out(Run& run, const std::vector<apply::Change>& changes);
  void tell_of_kept(controller::RunContext& context, const std::vector<apply::Change>& changes);
  void wake_when_decided(const api::ObjectKey& owner, const Claims& claims,
                         const std::vector<api::InventoryEntry>& held);
  rt::Task<base::Result<controller::Object>> dependency(Run& run, api::ObjectKey key);
  rt::Task<base::Result<void>> delete_objects(controller::RunContext& context, api::KustomizationDeletion deletion,
                                              std::shared_ptr<kube::Client> client);
  rt::Task<void> await_termination(controller::RunContext& context, base::Duration limit,
                                   std::shared_ptr<kube::Client> client, std::vector<apply::Change> deleted);

  apply::ApplyServices apply_services(std::shared_ptr<kube::Client> client) const;
  apply::ApplyOptions apply_options(Run& run);
  static apply::Owner owner_of(const api::ObjectKey& key);
  sources::Identity identity_of(const api::ObjectKey& key, const std::string& named) const;
  void record_history(Run& run, std::string_view reason);
  controller::StepFailure failed(Run& run, std::string_view reason, base::Error error);
  base::Duration retry_unserved(const Run& run, base::Duration usual);
  void wake_for_artifact(const std::string& source, const std::string& artifact);
  // Those that the artifact's files concern first (concern.hpp).
  static rt::Task<void> wake_by_concern(std::weak_ptr<KustomizationReconciler> weak, std::string source,
                                        std::string artifact);
  rt::Task<void> await_arrival(std::vector<api::ObjectKey> keys, std::string artifact);
  bool has_arrived(const api::ObjectKey& key, const std::string& artifact) const;
  std::vector<api::ObjectKey> who_lacks(const std::string& source, const std::string& artifact) const;
  rt::Task<std::shared_ptr<const artifact::Tree>> tree_of(api::ObjectKey user, std::string artifact);
  void supersede(const api::ObjectKey& key, const std::string& trigger);
  void wake_for_definitions();
  void wake_for_config(const std::string& config);
  void wake_for_drift(const api::ObjectKey& owner, const api::ObjectId& id);

  ReconcilerServices services_;
  controller::Options common_;
  KustomizeOptions own_;
  std::set<api::GroupKind> custom_stage_;
  controller::KindTraits traits_;
  controller::Controller* controller_ = nullptr;
  RenderCache renders_;
  // Of all Kustomizations, as they may share bases; what of its counters the metrics have.
  std::shared_ptr<kustomize::BuildCache> layers_ = std::make_shared<kustomize::BuildCache>(kLayerCacheBytes);
  kustomize::BuildCache::Counters counted_;
  sources::DriftPacer pacer_;
  sources::Verifications verifications_;
  sources::Uptake uptake_;
  std::unordered_map<api::ObjectKey, std::string> triggers_;  // what has superseded the run that is on
  std::optional<base::SteadyPoint> defined_;                  // when a definition last came or changed
  std::shared_ptr<apply::Vanished> vanished_ = std::make_shared<apply::Vanished>();
  std::map<api::ObjectKey, std::set<api::ObjectKey>> awaited_;        // who holds objects back -> for whom
  std::unordered_map<api::ObjectKey, base::SteadyPoint> held_since_;  // whose deletion waits for others
  std::set<api::ObjectKey> unserved_;                                 // failed, as a kind is not served
};

// What of a set of changes is worth telling, "Deployment/apps/web created" a line.
std::string change_log(const std::vector<apply::Change>& changes);

}  // namespace sluice::kustomize_controller
