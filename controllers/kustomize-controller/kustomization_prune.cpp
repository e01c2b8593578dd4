// The step that deletes what left the build, and who has a say in it.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "api/names.hpp"
#include "kustomization_reconciler.hpp"
#include "sources/access.hpp"

namespace sluice::kustomize_controller {

using base::Result;
using controller::kContinue;
using controller::Severity;
using controller::StepResult;

namespace {

// Of what goes before a build: what is not there, or not as it should be, mostly comes.
base::Unexpected not_yet(base::Error error) {
  if (error.kind == base::ErrorKind::not_found || error.kind == base::ErrorKind::untrusted) error.reason = kNotYet;
  return base::unexpected(std::move(error));
}

// What Ready says of what is to go and is still there.
std::string held_text(const std::vector<apply::Change>& changes) {
  std::string text;
  std::size_t more = 0;
  for (const auto& change : changes) {
    // The rest is known for the sake of what it is in.
    if (change.action != apply::Action::held || !change.is_news) continue;
    if (text.empty()) {
      text = fmt::format("; not deleted yet: {}: {}", change.id.display(), change.why);
    } else {
      ++more;
    }
  }
  if (more > 0) text += fmt::format(" (and {} more)", more);
  return text;
}

}  // namespace

rt::Task<Result<std::shared_ptr<const Rendered>>> KustomizationReconciler::render_sibling(
    controller::RunContext& context, api::Artifact artifact, controller::Object sibling) {
  SLUICE_CO_TRY(api::Kustomization parsed, api::parse_kustomization(*sibling));
  const api::ObjectKey key = api::key_of(*sibling);
  api::StringMap variables;
  if (parsed.spec.post_build) {
    rt::Task<Result<api::StringMap>> reading =
        kustomize_controller::read_variables(context.client, *parsed.spec.post_build, key.namespace_, context.masks);
    auto read = co_await std::move(reading);
    if (!read) co_return not_yet(std::move(read).error());
    variables = *std::move(read);
  }
  std::string as = render_key(*sibling, variables);
  if (const auto known = renders_.find(key, as); known && known->artifact_digest == artifact.digest) {
    co_return known->rendered;
  }
  // As a run of its own would do it, so that this one finds it done.
  Run run{context, std::move(parsed), context.clock.steady(), {}, {}, {}, {}, {}, {}, {}, {}, {}, false};
  run.owner = owner_of(key);
  run.variables = std::move(variables);
  auto fetched =
      co_await services_.fetcher->fetch(artifact, api::resolve(run.spec().source_ref, key.namespace_).namespace_);
  if (!fetched) co_return not_yet(std::move(fetched).error());
  run.tree = *std::move(fetched);
  run.artifact = std::move(artifact);
  rt::Task<Result<std::shared_ptr<const Rendered>>> rendering = render_or_reuse(run, std::move(as));
  auto rendered = co_await std::move(rendering);
  co_return rendered;
}

rt::Task<Claims> KustomizationReconciler::claims_on(controller::RunContext& context,
                                                    std::optional<api::Artifact> artifact,
                                                    std::vector<api::InventoryEntry> entries, bool is_deletion) {
  HandoverInput input;
  input.self = context.key();
  input.source = source_text(*context.object);
  if (controller_ != nullptr) input.kustomizations = controller_->cache().list();
  input.entries = std::move(entries);
  input.is_deletion = is_deletion;
  input.rules = access_rules();
  if (artifact) {
    // All builds together leave time for what is asked for.
    const base::SteadyPoint until = context.clock.steady() + context.time_left() / 3;
    input.build = [this, &context, until, artifact = *std::move(artifact)](controller::Object sibling) {
      const auto left = std::max(until - context.clock.steady(), base::SteadyPoint::duration::zero());
      return rt::with_timeout(render_sibling(context, artifact, std::move(sibling)), left,
                              "the builds of its siblings");
    };
  }
  rt::Task<Claims> task = find_claims(std::move(input));
  Claims claims = co_await std::move(task);
  co_return claims;
}

// What is not deleted although it left the build, and will not be, or not yet.
void KustomizationReconciler::tell_of_kept(controller::RunContext& context, const std::vector<apply::Change>& changes) {
  std::string log;
  std::string news;
  for (const auto& change : changes) {
    if (change.why.empty()) continue;
    const std::string line = fmt::format("{} left: {}", change.id.display(), change.why);
    log += (log.empty() ? "" : "\n") + line;
    if (change.is_news) news += (news.empty() ? "" : "\n") + line;
  }
  if (!log.empty()) context.log.info("objects left", {{"output", log}});
  if (!news.empty()) context.event_once(Severity::info, api::reason::kProgressing, news, news);
}

void KustomizationReconciler::wake_when_decided(const api::ObjectKey& owner, const Claims& claims,
                                                const std::vector<api::InventoryEntry>& held) {
  for (auto& [holder, waiting] : awaited_) waiting.erase(owner);
  for (const api::ObjectKey& holder : claims.holders(held)) awaited_[holder].insert(owner);
  std::erase_if(awaited_, [](const auto& entry) { return entry.second.empty(); });
}

// --- 7 ---

rt::Task<StepResult> KustomizationReconciler::prune(Run& run) {
  api::ResourceInventory inventory;
  std::set<std::string_view> known;
  for (const auto& entry : run.before.entries) known.insert(entry.id);
  for (const auto& change : run.changes) {
    const api::InventoryEntry entry = change.entry();
    if (change.is_ours || known.contains(entry.id)) inventory.entries.push_back(entry);
  }
  std::vector<api::InventoryEntry> stale = apply::entries_to_prune(run.before, inventory);
  std::optional<base::Error> error;
  if (!stale.empty() && run.spec().prune) {
    rt::Task<Claims> asking = claims_on(run.context, run.artifact, stale, false);
    const Claims claims = co_await std::move(asking);
    // Before we look who owns what: the one that we wait for may be done before we have looked at everything.
    wake_when_decided(run.owner.key(), claims, stale);
    const bool is_patient = run.context.clock.now() - run.artifact.last_update_time < kPatience;
    apply::PruneOptions options;
    options.hold = [&claims, is_patient](const api::InventoryEntry& entry, const doc::Json& live) {
      return claims.why_held(entry, live, is_patient);
    };
    apply::ApplySet set(apply_services(run.client), run.owner);
    rt::Task<apply::Outcome> task = set.prune(stale, run.changes, std::move(options));
    apply::Outcome outcome = co_await std::move(task);
    error = std::move(outcome.error);
    const std::string log = change_log(outcome.changes);
    if (!log.empty()) {
      run.changed = true;
      run.context.log.info("garbage collection completed", {{"output", log}});
      run.context.event(Severity::info, api::reason::kProgressing, log);
    }
    tell_of_kept(run.context, outcome.changes);
    // What could not be deleted, or is held, stays known, or nobody would try again.
    std::set<std::string> settled;
    std::vector<api::InventoryEntry> held;
    for (const auto& change : outcome.changes) {
      if (change.action == apply::Action::held) {
        held.push_back(change.entry());
      } else {
        settled.insert(change.id.str());
      }
    }
    run.held_text = held_text(outcome.changes);
    wake_when_decided(run.owner.key(), claims, held);
    // A claim is followed by whoever makes it; of what else holds something nobody tells us.
    const bool is_claimed = std::all_of(
        held.begin(), held.end(), [&claims](const api::InventoryEntry& entry) { return claims.by.contains(entry.id); });
    const bool must_ask_again = !is_claimed || !claims.unknown.empty() || !claims.not_now.empty();
    if (!held.empty() && must_ask_again && controller_ != nullptr) {
      // Most of it is over soon after the commit.
      const bool is_short = is_patient || !claims.not_now.empty();
      controller_->enqueue_after(run.owner.key(),
                                 is_short ? std::min(kPatience, common_.requeue_dependency) : kPatience);
    }
    for (auto& entry : stale) {
      if (!settled.contains(entry.id)) inventory.entries.push_back(std::move(entry));
    }
  }
  run.context.status["inventory"] = api::to_json(inventory);
  if (error) co_return failed(run, api::reason::kPruneFailed, *std::move(error));
  co_return kContinue;
}

// What the source of a Kustomization that is being deleted has now; nothing where there is none. An error is one
// that passes: whatever else is wrong with the source or the spec must not keep the Kustomization.
rt::Task<Result<std::optional<api::Artifact>>> KustomizationReconciler::artifact_for_deletion(
    controller::RunContext& context) {
  api::CrossNamespaceSourceReference ref;
  const auto read = [&context](std::string_view field) {
    return std::string(doc::find_string(*context.object, {"spec", "sourceRef", field}));
  };
  ref.api_version = read("apiVersion");
  ref.kind = read("kind");
  ref.name = read("name");
  ref.namespace_ = read("namespace");
  std::optional<api::Artifact> none;
  if (ref.kind.empty() || ref.name.empty()) co_return none;
  const api::ObjectKey key = api::resolve(ref, context.key().namespace_);
  if (!sources::check_access(ref, key, context.key().namespace_, access_rules())) co_return none;
  auto finding = services_.sources->find(ref, key);
  auto found = co_await std::move(finding);
  if (!found) {
    if (is_passing(found.error())) co_return base::unexpected(std::move(found).error());
    co_return none;
  }
  auto artifact = api::artifact_of(**found);
  if (!artifact || !*artifact) co_return none;
  co_return *std::move(artifact);
}

}  // namespace sluice::kustomize_controller
