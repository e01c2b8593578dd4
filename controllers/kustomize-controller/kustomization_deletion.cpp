// What becomes of the objects when their Kustomization is deleted.
#include <fmt/format.h>

#include <utility>

#include "api/names.hpp"
#include "apply/object_watch.hpp"
#include "kustomization_reconciler.hpp"

namespace sluice::kustomize_controller {

using base::ErrorKind;
using base::Result;
using controller::Severity;

namespace {

// Ends when the object is gone or cannot be watched.
rt::Task<void> until_gone(std::shared_ptr<kube::Client> client, kube::Resource resource, api::ObjectKey key,
                          std::string uid) {
  auto gone = co_await apply::await_gone(std::move(client), std::move(resource), std::move(key), std::move(uid));
  static_cast<void>(gone);
}

rt::Task<Result<void>> joined(rt::TaskGroup& group) {
  co_await group.join();
  co_return Result<void>();
}

std::string list_of(const api::ResourceInventory& inventory) {
  std::string text;
  for (const auto& entry : inventory.entries) {
    const auto id = api::ObjectId::parse(entry.id);
    text += "\n" + (id ? id->display() : entry.id);
  }
  return text;
}

}  // namespace

// Flux: a suspended Kustomization leaves its objects.
rt::Task<Result<void>> KustomizationReconciler::finalize(controller::RunContext& context) {
  SLUICE_CO_TRY(const api::Kustomization kustomization, api::parse_kustomization(*context.object));
  const api::KustomizationStatus& status = kustomization.status;
  if (!status.last_applied_revision.empty()) context.event_metadata["revision"] = status.last_applied_revision;
  if (!status.last_applied_origin_revision.empty()) {
    context.event_metadata["originRevision"] = status.last_applied_origin_revision;
  }
  const bool has_objects = status.inventory && !status.inventory->entries.empty();
  if (kustomization.spec.suspend || !has_objects || !api::deletes_objects(kustomization.spec)) {
    co_return Result<void>();
  }
  if (kustomization.spec.kube_config) {
    co_return base::unexpected(ErrorKind::unsupported,
                               "spec.kubeConfig: objects of another cluster cannot be deleted from here; set "
                               "spec.deletionPolicy to Orphan to leave them");
  }
  const std::string account = account_of(kustomization.spec);
  if (!account.empty()) {
    auto possible = co_await can_impersonate(context, account);
    SLUICE_CO_TRY(const bool exists, std::move(possible));
    if (!exists) {
      // Flux: without the account nothing can be deleted in its name, and the Kustomization must not stay for ever.
      context.event(Severity::error, api::reason::kPruneFailed,
                    "unable to prune objects, as the service account is gone:" + list_of(*status.inventory));
      co_return Result<void>();
    }
  }
  std::shared_ptr<kube::Client> client = client_for(context, kustomization);
  auto deleted = co_await delete_objects(context, kustomization, std::move(client));
  co_return deleted;
}

rt::Task<Result<bool>> KustomizationReconciler::can_impersonate(controller::RunContext& context, std::string account) {
  kube::Resource accounts{"", "v1", "ServiceAccount", "serviceaccounts", true};
  api::ObjectKey key{context.meta.namespace_, std::move(account)};
  auto found = co_await context.client->get(std::move(accounts), std::move(key));
  if (found) co_return true;
  if (found.error().kind == ErrorKind::not_found) co_return false;
  co_return base::unexpected(std::move(found).error());
}

rt::Task<Result<void>> KustomizationReconciler::delete_objects(controller::RunContext& context,
                                                               const api::Kustomization& kustomization,
                                                               std::shared_ptr<kube::Client> client) {
  apply::ApplySet set(apply_services(client), owner_of(kustomization));
  std::vector<api::InventoryEntry> entries = apply::entries_to_prune(*kustomization.status.inventory, {});
  rt::Task<apply::Outcome> task = set.prune(std::move(entries), {}, "Background");
  apply::Outcome outcome = co_await std::move(task);
  if (outcome.error) co_return base::unexpected(*std::move(outcome.error));
  const std::string log = change_log(outcome.changes);
  if (log.empty()) co_return Result<void>();
  context.log.info("objects deleted with their Kustomization", {{"output", log}});
  context.event(Severity::info, api::reason::kReconciliationSucceeded, log);
  if (api::effective_deletion_policy(kustomization.spec) == api::DeletionPolicy::wait_for_termination) {
    co_await await_termination(context, kustomization, std::move(client), std::move(outcome.changes));
  }
  co_return Result<void>();
}

rt::Task<void> KustomizationReconciler::await_termination(controller::RunContext& context,
                                                          const api::Kustomization& kustomization,
                                                          std::shared_ptr<kube::Client> client,
                                                          std::vector<apply::Change> deleted) {
  context.release_worker();
  std::vector<std::pair<kube::Resource, const apply::Change*>> vanishing;
  for (const auto& change : deleted) {
    if (change.action != apply::Action::deleted || change.uid.empty()) continue;
    api::GroupVersionKind kind{change.id.group, change.version, change.id.kind};
    auto resource = co_await services_.mapper->resource_for(std::move(kind));
    if (resource) vanishing.emplace_back(*std::move(resource), &change);
  }
  // Nothing may be awaited from here to the join: if that threw, the watches would run on with nobody to end them.
  rt::TaskGroup waits;
  for (auto& [resource, change] : vanishing) {
    waits.spawn(services_.runtime.context(), until_gone(client, std::move(resource), change->id.key(), change->uid));
  }
  rt::Task<Result<void>> all = joined(waits);
  const base::Duration limit = api::effective_timeout(kustomization.spec);
  auto waiting = rt::with_timeout(std::move(all), limit, "the termination of the objects");
  auto gone = co_await std::move(waiting);
  if (gone) co_return;
  context.event(Severity::error, api::reason::kPruneFailed,
                "failed to wait for resources termination: " + gone.error().message);
}

}  // namespace sluice::kustomize_controller
