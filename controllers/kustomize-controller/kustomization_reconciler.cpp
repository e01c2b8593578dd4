#include "kustomization_reconciler.hpp"

#include <fmt/format.h>

#include <utility>

#include "api/names.hpp"
#include "dependencies.hpp"
#include "kube/secret_view.hpp"
#include "sources/access.hpp"

namespace sluice::kustomize_controller {

using base::ErrorKind;
using base::Result;
using controller::kContinue;
using controller::Severity;
using controller::StepResult;

namespace {

constexpr const char* kBuilds = "sluice_kustomize_builds_total";
constexpr const char* kLayers = "sluice_kustomize_layers_total";
constexpr const char* kLayersHelp = "Folders below those of Kustomizations, built or reused from an earlier build.";
constexpr const char* kBuildsHelp = "Builds of Kustomizations, done or skipped as what they would read stands.";

base::Error make_error(ErrorKind kind, std::string message) {
  base::Error error;
  error.kind = kind;
  error.message = std::move(message);
  return error;
}

}  // namespace

KustomizationReconciler::KustomizationReconciler(ReconcilerServices services, controller::Options common,
                                                 KustomizeOptions own, std::set<api::GroupKind> custom_stage)
    : services_(std::move(services)),
      common_(std::move(common)),
      own_(std::move(own)),
      custom_stage_(std::move(custom_stage)) {
  traits_.resource = {std::string(api::group::kKustomize), "v1", std::string(api::kind::kKustomization),
                      "kustomizations", true};
  traits_.finalizer = api::finalizer::kFlux;
  traits_.status_manager = "gotk-kustomize-controller";
  traits_.kept_whole = kKeptWhole;
}

Result<std::unique_ptr<Run>> KustomizationReconciler::begin(controller::RunContext& context) {
  SLUICE_TRY(api::Kustomization parsed, api::parse_kustomization(*context.object));
  auto run = std::make_unique<Run>(
      Run{context, std::move(parsed), context.clock.steady(), {}, {}, {}, {}, {}, {}, {}, {}, {}, false});
  run->owner = owner_of(context.key());
  run->client = identity_of(context.key(), run->spec().service_account_name).client(context.client);
  if (run->kustomization.status.inventory) run->before = *run->kustomization.status.inventory;
  return run;
}

std::optional<base::Duration> KustomizationReconciler::deadline_of(const doc::Json& object) const {
  const auto parsed = api::parse_kustomization(object);
  if (!parsed) return StepReconciler::deadline_of(object);
  return api::effective_timeout(parsed->spec);
}

controller::StepFailure KustomizationReconciler::deadline_passed(const controller::RunContext& context,
                                                                 base::Error error) const {
  const std::string& step = context.step();
  const bool is_health = step == "await_health";
  const std::string_view reason = step == "resolve_source" || step == "fetch_artifact" ? api::reason::kArtifactFailed
                                  : step == "check_dependencies"                ? api::reason::kDependencyNotReady
                                  : step == "read_variables" || step == "build" ? api::reason::kBuildFailed
                                  : step == "prune"                             ? api::reason::kPruneFailed
                                  : is_health                                   ? api::reason::kHealthCheckFailed
                                                                                : api::reason::kReconciliationFailed;
  auto failure = controller::retry(reason, std::move(error), is_health ? api::condition::kHealthy : std::string_view());
  const auto parsed = api::parse_kustomization(*context.object);
  if (parsed) failure.retry_after = api::effective_retry_interval(parsed->spec);
  return failure;
}

std::string Run::occurrence(std::string_view what) const {
  return fmt::format("{} after {}", what, doc::print_json(api::to_json(kustomization.status.history)));
}

bool Run::was_well() const {
  const api::KustomizationStatus& before = kustomization.status;
  if (before.conditions.is_true(api::condition::kReady)) return true;
  if (!before.conditions.is_unknown(api::condition::kReady) || before.history.empty()) return false;
  const api::Snapshot& last = before.history.front();
  const auto revision = last.metadata.find("revision");
  return last.last_reconciled_status == api::reason::kReconciliationSucceeded && revision != last.metadata.end() &&
         revision->second == artifact.revision;
}

controller::Steps<Run> KustomizationReconciler::steps() {
  using enum controller::Interrupt;
  return {{"resolve_source", [this](Run& run) { return resolve_source(run); }},
          {"check_dependencies", [this](Run& run) { return check_dependencies(run); }},
          {"read_variables", [this](Run& run) { return read_variables(run); }},
          {"fetch_artifact", [this](Run& run) { return fetch_artifact(run); }},
          {"build", [this](Run& run) { return build(run); }},
          {"apply", [this](Run& run) { return apply(run); }, between_steps},
          {"prune", [this](Run& run) { return prune(run); }, between_steps},
          {"await_health", [this](Run& run) { return await_health(run); }},
          {"conclude", [this](Run& run) { return conclude(run); }}};
}

// --- 1 ---

rt::Task<StepResult> KustomizationReconciler::resolve_source(Run& run) {
  const api::CrossNamespaceSourceReference ref = run.spec().source_ref;
  const api::ObjectKey key = api::resolve(ref, run.owner.namespace_);
  constexpr std::string_view text = "Reconciliation in progress";
  // What has taken the place of a cancelled wait is this run: no failure any more.
  if (run.context.conditions.reason(api::condition::kReady) == api::reason::kHealthCheckCanceled) {
    run.context.conditions.mark_unknown(api::condition::kReady, api::reason::kProgressing, text, run.context.stamp());
  }
  run.context.progress(text);
  unserved_.erase(run.owner.key());
  triggers_.erase(run.owner.key());
  if (auto allowed = sources::check_access(ref, key, run.owner.namespace_, access_rules()); !allowed) {
    co_return controller::stall(api::reason::kAccessDenied, std::move(allowed).error());
  }
  auto found = co_await services_.sources->find(ref, key);
  if (!found && found.error().kind == ErrorKind::not_found) {
    uptake_.found_none(run.owner.key());
    base::Duration delay = std::min(api::effective_retry_interval(run.spec()), common_.requeue_dependency);
    if (kube::is_about_unserved_kind(found.error())) delay = retry_unserved(run, delay);
    auto error = std::move(found).error().with_context(fmt::format("Source '{}' not found", ref.str()));
    co_return controller::wait_quietly_for(api::reason::kArtifactFailed, std::move(error), delay);
  }
  if (!found) {
    if (kube::is_about_unserved_kind(found.error())) retry_unserved(run, {});
    auto error = std::move(found).error().with_context(fmt::format("unable to get source '{}'", key.str()));
    co_return controller::retry(api::reason::kArtifactFailed, std::move(error));
  }
  auto artifact = api::artifact_of(**found);
  if (!artifact) co_return controller::retry(api::reason::kArtifactFailed, std::move(artifact).error());
  if (!*artifact) {
    uptake_.found_none(run.owner.key());
    auto error = make_error(ErrorKind::not_found, fmt::format("Source artifact not found, retrying in {}",
                                                              base::format_duration(common_.requeue_dependency)));
    co_return controller::wait_quietly_for(api::reason::kArtifactFailed, std::move(error), common_.requeue_dependency);
  }
  run.artifact = **std::move(artifact);
  uptake_.took(run.owner.key(), run.artifact);
  run.context.event_metadata["revision"] = run.artifact.revision;
  const auto origin = run.artifact.metadata.find("org.opencontainers.image.revision");
  if (origin != run.artifact.metadata.end() && !origin->second.empty()) {
    run.origin_revision = origin->second;
    run.context.event_metadata["originRevision"] = origin->second;
  }
  co_return kContinue;
}

// --- 2 ---

rt::Task<Result<controller::Object>> KustomizationReconciler::dependency(Run& run, api::ObjectKey key) {
  if (controller_ != nullptr) {
    if (auto cached = controller_->cache().find(key)) co_return cached;
  }
  // Of another shard, or younger than the watch.
  auto answer = co_await run.context.client->get(traits_.resource, std::move(key));
  if (!answer && answer.error().kind == ErrorKind::not_found) co_return controller::Object();
  if (!answer) co_return base::unexpected(std::move(answer).error());
  co_return std::make_shared<const doc::Json>(*std::move(answer));
}

rt::Task<StepResult> KustomizationReconciler::check_dependencies(Run& run) {
  for (const api::DependencyReference& ref : run.spec().depends_on) {
    const api::ObjectKey key = api::resolve(ref, run.owner.namespace_);
    auto found = co_await dependency(run, key);
    if (!found) co_return controller::retry(api::reason::kDependencyNotReady, std::move(found).error());
    std::string why = why_not_ready(found->get(), key, run.kustomization, run.artifact);
    if (why.empty()) continue;
    // The condition says which and why; the Event what upstream's says, as users leave it out by these words.
    const api::Conditions& said = run.context.conditions;
    if (said.reason(api::condition::kReady) != api::reason::kDependencyNotReady ||
        said.message(api::condition::kReady) != why) {
      run.context.event(Severity::info, api::reason::kDependencyNotReady,
                        fmt::format("Dependencies do not meet ready condition, retrying in {}",
                                    base::format_duration(common_.requeue_dependency)));
    }
    auto error = make_error(ErrorKind::not_found, std::move(why));
    co_return controller::wait_quietly_for(api::reason::kDependencyNotReady, std::move(error),
                                           common_.requeue_dependency);
  }
  co_return kContinue;
}

// --- 3 ---

rt::Task<StepResult> KustomizationReconciler::read_variables(Run& run) {
  if (!run.spec().post_build) co_return kContinue;
  if (!run.spec().post_build->substitute_from.empty()) {
    services_.sources->watch_configs(common_.watch_configs_label_selector);
  }
  rt::Task<Result<api::StringMap>> task = kustomize_controller::read_variables(
      run.context.client, *run.spec().post_build, run.owner.namespace_, run.context.masks);
  auto variables = co_await std::move(task);
  if (!variables) {
    co_return failed(run, api::reason::kBuildFailed, std::move(variables).error().with_context("post build failed"));
  }
  run.variables = *std::move(variables);
  co_return kContinue;
}

// --- 4 ---

rt::Task<StepResult> KustomizationReconciler::fetch_artifact(Run& run) {
  // What was rendered from this very artifact needs no artifact.
  const auto known = renders_.find(run.owner.key(), render_key(*run.context.object, run.variables));
  if (known && known->artifact_digest == run.artifact.digest) {
    run.rendered = known->rendered;
    services_.metrics.count(kBuilds, kBuildsHelp, {{"result", "skipped"}});
    co_return kContinue;
  }
  run.context.progress(fmt::format("Fetching manifests for revision {} with a timeout of {}", run.artifact.revision,
                                   base::format_duration(api::effective_timeout(run.spec()))));
  // Whoever waits for a server holds no worker: it may be slow, and be a tenant's.
  if (!services_.fetcher->cache().find(run.artifact.digest)) run.context.release_worker();
  const api::ObjectKey source = api::resolve(run.spec().source_ref, run.owner.namespace_);
  auto fetching = services_.fetcher->fetch(run.artifact, source.namespace_);
  auto fetched = co_await std::move(fetching);
  auto taking = run.context.take_worker_back();
  co_await std::move(taking);
  if (fetched) {
    run.tree = *std::move(fetched);
    co_return kContinue;
  }
  const bool is_missing = fetched.error().kind == ErrorKind::not_found;
  if (!is_missing && fetched.error().kind != ErrorKind::untrusted) {
    co_return controller::retry(api::reason::kArtifactFailed, std::move(fetched).error());
  }
  // Mostly what the source says of it is out of date for a moment.
  auto error =
      make_error(fetched.error().kind, fmt::format("Source is not ready, {}, retrying in {}",
                                                   is_missing ? "artifact not found" : "artifact digest changed",
                                                   base::format_duration(common_.requeue_dependency)));
  if (!is_missing) error.message += ": " + fetched.error().message;
  co_return controller::wait_quietly_for(api::reason::kArtifactFailed, std::move(error), common_.requeue_dependency);
}

// --- 5 ---

rt::Task<Result<std::shared_ptr<const Rendered>>> KustomizationReconciler::render_or_reuse(Run& run, std::string key) {
  struct Made {
    std::shared_ptr<const Rendered> rendered;
    RenderCache::Records records;
    bool reused = false;
  };
  const auto known = renders_.find(run.owner.key(), key);
  const auto tree = run.tree;
  Substitution substitution;
  substitution.variables = run.variables;
  substitution.masks = run.context.masks;
  substitution.strict = common_.is_enabled("StrictPostBuildSubstitutions", true);
  substitution.always = run.spec().post_build &&
                        run.spec().post_build->substitute_strategy == std::optional(api::SubstituteStrategy::always);
  const auto input =
      std::make_shared<const RenderInput>(RenderInput{run.kustomization, run.owner, std::move(substitution)});
  auto work = [known, tree, input, layers = layers_](std::stop_token stop) -> Result<Made> {
    const artifact::TreeManifest& manifest = tree->manifest();
    if (known && (manifest.is_complete() ? manifest.holds(known->records)
                                         : base::RecordingView::still_holds(known->records, tree->files()))) {
      return Made{known->rendered, known->records, true};
    }
    const base::RecordingView view(tree->files());
    SLUICE_TRY(Rendered rendered, render(view, *input, layers.get(), stop));
    return Made{std::make_shared<const Rendered>(std::move(rendered)), view.records(), false};
  };
  auto rendering = rt::run_blocking(services_.runtime, run.owner.namespace_, std::move(work));
  auto done = co_await std::move(rendering);
  count_layers();
  SLUICE_CO_TRY(Made made, std::move(done));
  services_.metrics.count(kBuilds, kBuildsHelp, {{"result", made.reused ? "skipped" : "done"}});
  std::shared_ptr<const Rendered> rendered = made.rendered;
  renders_.put(run.owner.key(),
               {std::move(key), run.artifact.digest, std::move(made.records), std::move(made.rendered)});
  co_return rendered;
}

void KustomizationReconciler::count_layers() {
  const kustomize::BuildCache::Counters now = layers_->counters();
  const auto add = [this](const char* result, std::size_t before, std::size_t after) {
    if (after == before) return;
    services_.metrics.count(kLayers, kLayersHelp, {{"result", result}}, static_cast<double>(after - before));
  };
  add("built", counted_.layers_built, now.layers_built);
  add("reused", counted_.layers_reused, now.layers_reused);
  counted_ = now;
}

rt::Task<StepResult> KustomizationReconciler::build(Run& run) {
  if (!run.rendered) {
    run.context.progress(fmt::format("Building manifests for revision {} with a timeout of {}", run.artifact.revision,
                                     base::format_duration(api::effective_timeout(run.spec()))));
    auto rendering = render_or_reuse(run, render_key(*run.context.object, run.variables));
    auto rendered = co_await std::move(rendering);
    run.tree.reset();
    if (!rendered) {
      const std::string kind = rendered.error().reason;
      if (kind != kPathNotFound) run.context.status["lastAttemptedRevision"] = run.artifact.revision;
      const std::string_view reason = kind == kPathNotFound ? api::reason::kArtifactFailed
                                      : kind == kEncrypted  ? api::reason::kReconciliationFailed
                                                            : api::reason::kBuildFailed;
      co_return failed(run, reason, std::move(rendered).error());
    }
    run.rendered = *std::move(rendered);
    for (const std::string& warning : run.rendered->warnings) run.context.log.info("build", {{"warning", warning}});
  }
  run.context.status["lastAttemptedRevision"] = run.artifact.revision;
  co_return kContinue;
}

// --- 9; 6 is in kustomization_apply.cpp, 7 in kustomization_prune.cpp, 8 in kustomization_health.cpp ---

rt::Task<StepResult> KustomizationReconciler::conclude(Run& run) {
  controller::RunContext& context = run.context;
  const api::KustomizationStatus& before = run.kustomization.status;
  const bool is_new = before.last_applied_revision != run.artifact.revision ||
                      before.observed_generation != context.meta.generation || !run.was_well();
  context.status["lastAppliedRevision"] = run.artifact.revision;
  if (run.origin_revision.empty()) {
    context.status.erase("lastAppliedOriginRevision");
  } else {
    context.status["lastAppliedOriginRevision"] = run.origin_revision;
  }
  context.ready_message = "Applied revision: " + run.artifact.revision + run.held_text;
  // Nothing is wrong with that, but mostly a name is misspelt.
  if (run.rendered->manifests->empty()) context.ready_message += "; the build has no objects";
  // Runs that found nothing to do, but for the one at the interval, leave no trace.
  const bool is_due =
      before.history.empty() || context.clock.now() - before.history.front().last_reconciled > run.spec().interval / 2;
  if (is_new || run.changed || is_due || context.is_requested()) {
    record_history(run, api::reason::kReconciliationSucceeded);
  }
  if (is_new || run.changed || context.is_requested()) {
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(context.clock.steady() - run.started);
    const std::string text = fmt::format("Reconciliation finished in {}, next run in {}", base::format_duration(took),
                                         base::format_duration(run.spec().interval));
    context.log.info(text, {{"revision", run.artifact.revision}});
    if (!common_.is_enabled("DisableCommitStatusEvent", false)) {
      context.event_once(Severity::info, api::reason::kReconciliationSucceeded, text, run.occurrence("finished"),
                         {{"commit_status", "update"}});
    }
  }
  controller::Done done;
  done.requeue_after = run.spec().interval;
  co_return done;
}

void KustomizationReconciler::record_history(Run& run, std::string_view reason) {
  if (!run.rendered) return;
  api::History history = run.kustomization.status.history;
  api::ReconcileRecord record;
  record.digest = run.rendered->digest;
  record.status = reason;
  record.at = run.context.clock.now();
  record.took = run.context.clock.steady() - run.started;
  record.metadata["revision"] = run.artifact.revision;
  if (!run.origin_revision.empty()) record.metadata["originRevision"] = run.origin_revision;
  api::upsert(history, record);
  run.context.status["history"] = api::to_json(history);
}

controller::StepFailure KustomizationReconciler::failed(Run& run, std::string_view reason, base::Error error) {
  record_history(run, reason);
  controller::StepFailure failure = controller::retry(reason, std::move(error));
  failure.retry_after = api::effective_retry_interval(run.spec());
  return failure;
}

// A definition wakes whoever misses its kind, but discovery may show that a moment later, when nothing
// wakes them any more.
base::Duration KustomizationReconciler::retry_unserved(const Run& run, base::Duration usual) {
  unserved_.insert(run.owner.key());
  const bool is_fresh = defined_ && run.context.clock.steady() - *defined_ < kDiscoveryLag;
  return is_fresh ? std::min<base::Duration>(usual, kLagRetry) : usual;
}

// --- who ---

sources::AccessRules KustomizationReconciler::access_rules() const {
  return {common_.no_cross_namespace_refs, common_.is_enabled("ExternalArtifact", true)};
}

apply::Owner KustomizationReconciler::owner_of(const api::ObjectKey& key) {
  return {std::string(api::group::kKustomize), key.name, key.namespace_,
          std::string(api::field_manager::kKustomizeController)};
}

sources::Identity KustomizationReconciler::identity_of(const api::ObjectKey& key, const std::string& named) const {
  return sources::Identity::of(key.namespace_, named, common_.default_service_account);
}

}  // namespace sluice::kustomize_controller
