// What becomes of the objects when their Kustomization is deleted.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "api/names.hpp"
#include "apply/object_watch.hpp"
#include "kustomization_reconciler.hpp"

namespace sluice::kustomize_controller {

using base::ErrorKind;
using base::Result;
using controller::Severity;

namespace {

// One whose end is awaited, and what became of it.
struct Vanishing {
  api::ObjectId id;
  std::string version;
  std::string uid;
  apply::Departure departure;
};

rt::Task<void> until_gone(apply::ApplyServices services, Vanishing& vanishing, base::Duration limit) {
  api::GroupVersionKind kind{vanishing.id.group, vanishing.version, vanishing.id.kind};
  auto waiting = apply::await_gone(std::move(services.client), std::move(services.mapper), std::move(kind),
                                   vanishing.id.key(), vanishing.uid, limit);
  vanishing.departure = co_await std::move(waiting);
}

constexpr std::size_t kMaxNamed = 10;  // of a message's objects

// Those that are not known to be gone; "" if all are.
std::string list_remaining(const std::vector<Vanishing>& all) {
  std::vector<std::string> named;
  std::size_t more = 0;
  for (const Vanishing& one : all) {
    if (one.departure.state == apply::Departure::State::gone) continue;
    if (named.size() == kMaxNamed) {
      ++more;
    } else {
      named.push_back(fmt::format("{}: {}", one.id.display(), one.departure.why));
    }
  }
  if (more > 0) named.push_back(fmt::format("and {} more", more));
  return fmt::format("{}", fmt::join(named, "; "));
}

std::string list_of(const api::ResourceInventory& inventory) {
  std::string text;
  for (const auto& entry : inventory.entries) {
    const auto id = api::ObjectId::parse(entry.id);
    text += "\n" + (id ? id->display() : entry.id);
  }
  return text;
}

// The texts that upstream's begin with stay: users match on them.
constexpr std::string_view kNotPruned = "unable to prune objects: ";

// Tells of what is not deleted, as nobody can read whether it should be.
void tell_unreadable(controller::RunContext& context, const api::KustomizationDeletion& deletion) {
  if (!deletion.is_decided && !deletion.inventory.entries.empty()) {
    context.event(Severity::error, api::reason::kPruneFailed,
                  fmt::format("{}{}\nThey are left, as it cannot be read what shall become of them: {}", kNotPruned,
                              list_of(deletion.inventory), fmt::join(deletion.unreadable, "; ")));
  } else if (!deletion.unreadable.empty()) {
    context.log.info("deleting a Kustomization whose spec cannot be read in full",
                     {{"unreadable", fmt::format("{}", fmt::join(deletion.unreadable, "; "))}});
  }
  if (!deletion.unreadable_entries.empty()) {
    context.event(Severity::error, api::reason::kPruneFailed,
                  fmt::format("{}entries of the inventory that cannot be read are left: {}", kNotPruned,
                              fmt::join(deletion.unreadable_entries, "; ")));
  }
}

// Of the error of a deletion that waits for others.
constexpr const char* kHeld = "Held";

// The deletion goes on when those that hold something back have got further.
base::Unexpected held_back(const std::vector<apply::Change>& held) {
  base::Error error;
  error.kind = ErrorKind::conflict;
  error.reason = kHeld;
  error.message = fmt::format("{} of its objects are not deleted yet: {}: {}", held.size(), held.front().id.display(),
                              held.front().why);
  return base::unexpected(std::move(error));
}

// What stays to be done. What is gone or on its way is told once; but its end may have to be awaited.
doc::Json inventory_left(const std::vector<apply::Change>& changes, api::DeletionPolicy policy) {
  const bool awaits = policy == api::DeletionPolicy::wait_for_termination;
  api::ResourceInventory left;
  for (const auto& change : changes) {
    const bool is_ending = change.action == apply::Action::deleted && !change.uid.empty();
    if (change.action == apply::Action::held || (awaits && is_ending)) left.entries.push_back(change.entry());
  }
  return api::to_json(left);
}

}  // namespace

controller::Steps<Run> KustomizationReconciler::finalizers() {
  return {{"finalize", [this](Run& run) { return finalize_or_wait(run); }}};
}

// finalize() reads of the spec what it needs, and what can be read.
std::unique_ptr<Run> KustomizationReconciler::begin_finalize(controller::RunContext& context) {
  return std::make_unique<Run>(Run{context, {}, context.clock.steady(), {}, {}, {}, {}, {}, {}, {}, {}, {}, false});
}

rt::Task<controller::StepResult> KustomizationReconciler::finalize_or_wait(Run& run) {
  auto finalizing = finalize(run.context);
  auto finalized = co_await std::move(finalizing);
  if (finalized) co_return controller::Done{};
  if (finalized.error().reason == kHeld) {
    co_return controller::wait_quietly_for(api::reason::kProgressing, std::move(finalized).error(),
                                           std::min(kPatience, common_.requeue_dependency));
  }
  co_return controller::retry(api::reason::kFailed, std::move(finalized).error());
}

bool KustomizationReconciler::has_waited(const controller::RunContext& context) {
  const base::SteadyPoint now = context.clock.steady();
  return now - held_since_.try_emplace(context.key(), now).first->second >= kDeletionPatience;
}

// Flux: a suspended Kustomization leaves its objects. The spec may be one that no run would accept: a
// Kustomization must be able to go, whatever is wrong with the rest of it.
rt::Task<Result<void>> KustomizationReconciler::finalize(controller::RunContext& context) {
  api::KustomizationDeletion deletion = api::read_deletion(*context.object);
  for (const auto& [key, field] :
       {std::pair{"revision", "lastAppliedRevision"}, std::pair{"originRevision", "lastAppliedOriginRevision"}}) {
    const std::string value(doc::find_string(*context.object, {"status", field}));
    if (!value.empty()) context.event_metadata[key] = value;
  }
  tell_unreadable(context, deletion);
  if (deletion.policy == api::DeletionPolicy::orphan || deletion.inventory.entries.empty()) co_return Result<void>();
  if (deletion.is_elsewhere) {
    co_return base::unexpected(ErrorKind::unsupported,
                               "spec.kubeConfig: objects of another cluster cannot be deleted from here; set "
                               "spec.deletionPolicy to Orphan to leave them");
  }
  const sources::Identity identity = identity_of(context.key(), deletion.service_account_name);
  if (!identity.is_own()) {
    auto finding = sources::find_account(context.client, identity);
    auto found = co_await std::move(finding);
    SLUICE_CO_TRY(const sources::AccountState state, std::move(found));
    if (state == sources::AccountState::gone) {
      // Flux: without the account nothing can be deleted in its name, and the Kustomization must not stay for ever.
      context.event(Severity::error, api::reason::kPruneFailed,
                    fmt::format("{}{}\nThey are left, as the service account '{}' is gone", kNotPruned,
                                list_of(deletion.inventory), identity.account));
      co_return Result<void>();
    }
  }
  std::shared_ptr<kube::Client> client = identity.client(context.client);
  auto deleting = delete_objects(context, std::move(deletion), std::move(client));
  auto deleted = co_await std::move(deleting);
  if (deleted) co_return Result<void>();
  base::Error error = std::move(deleted).error().with_context("pruning for deleted resource failed");
  if (error.kind == ErrorKind::forbidden && !identity.is_own()) {
    error.message += fmt::format(
        "; the service account '{}' of this namespace must be allowed to get and delete what it "
        "has applied, or spec.deletionPolicy be Orphan to leave it",
        identity.account);
  }
  co_return base::unexpected(std::move(error));
}

rt::Task<Claims> KustomizationReconciler::claims_on_deletion(controller::RunContext& context,
                                                             std::vector<api::InventoryEntry> entries) {
  auto finding = artifact_for_deletion(context);
  auto artifact = co_await std::move(finding);
  std::optional<api::Artifact> revision;
  if (artifact) revision = *artifact;
  rt::Task<Claims> asking = claims_on(context, std::move(revision), std::move(entries), true);
  Claims claims = co_await std::move(asking);
  if (!artifact) {
    claims.not_now = "its source, which may tell who takes it over, cannot be read now: " + artifact.error().message;
  }
  co_return claims;
}

rt::Task<Result<void>> KustomizationReconciler::delete_objects(controller::RunContext& context,
                                                               api::KustomizationDeletion deletion,
                                                               std::shared_ptr<kube::Client> client) {
  apply::ApplySet set(apply_services(client), owner_of(context.key()));
  std::vector<api::InventoryEntry> entries = apply::entries_to_prune(deletion.inventory, {});
  rt::Task<Claims> asking = claims_on_deletion(context, entries);
  const Claims claims = co_await std::move(asking);
  // Before we look who owns what: the one that we wait for may be done before we have looked at everything.
  wake_when_decided(context.key(), claims, entries);
  const bool is_over = has_waited(context);
  apply::PruneOptions options;
  options.hold = [&claims, is_over](const api::InventoryEntry& entry, const doc::Json& live) {
    return claims.why_left(entry, live, is_over);
  };
  options.is_final = true;
  rt::Task<apply::Outcome> task = set.prune(std::move(entries), {}, std::move(options));
  apply::Outcome outcome = co_await std::move(task);
  if (outcome.error) co_return base::unexpected(*std::move(outcome.error));
  tell_of_kept(context, outcome.changes);
  const std::string log = change_log(outcome.changes);
  if (!log.empty()) {
    context.log.info("objects deleted with their Kustomization", {{"output", log}});
    context.event(Severity::info, api::reason::kReconciliationSucceeded, log);
  }
  std::vector<apply::Change> held;
  api::ResourceInventory left;
  for (const auto& change : outcome.changes) {
    if (change.action != apply::Action::held) continue;
    held.push_back(change);
    left.entries.push_back(change.entry());
  }
  wake_when_decided(context.key(), claims, left.entries);
  if (!held.empty() && !is_over) {
    context.status["inventory"] = inventory_left(outcome.changes, deletion.policy);
    co_return held_back(held);
  }
  if (!held.empty()) {
    context.event(Severity::error, api::reason::kPruneFailed,
                  fmt::format("{}{}\nThey are left, and nobody deletes them any more: {}", kNotPruned, list_of(left),
                              held.front().why));
  }
  if (log.empty()) co_return Result<void>();
  if (deletion.policy == api::DeletionPolicy::wait_for_termination) {
    co_await await_termination(context, deletion.timeout, std::move(client), std::move(outcome.changes));
  }
  co_return Result<void>();
}

rt::Task<void> KustomizationReconciler::await_termination(controller::RunContext& context, base::Duration limit,
                                                          std::shared_ptr<kube::Client> client,
                                                          std::vector<apply::Change> deleted) {
  context.release_worker();
  std::vector<Vanishing> vanishing;
  for (const auto& change : deleted) {
    if (change.action != apply::Action::deleted || change.uid.empty()) continue;
    vanishing.push_back({change.id, change.version, change.uid, {}});
  }
  const apply::ApplyServices services = apply_services(std::move(client));
  // Nothing may be awaited from here to the join: if that threw, the waits would run on with nobody to end them.
  rt::TaskGroup waits;
  for (Vanishing& one : vanishing) waits.spawn(services_.runtime.context(), until_gone(services, one, limit));
  co_await waits.join();
  const std::string remaining = list_remaining(vanishing);
  if (remaining.empty()) co_return;
  context.log.info("objects that are not known to be gone outlive their Kustomization", {{"objects", remaining}});
  context.event(Severity::error, api::reason::kPruneFailed,
                fmt::format("failed to wait for resources termination: {}", remaining));
}

}  // namespace sluice::kustomize_controller
