#include "artifact_story.hpp"

#include <fmt/format.h>

#include "api/names.hpp"

namespace sluice::source_controller {

namespace condition = api::condition;
namespace reason = api::reason;
using base::Result;
using controller::kContinue;
using controller::StepFailure;
using controller::StepResult;

namespace {

// Reasons that only sources have.
constexpr std::string_view kArtifactVerificationFailed = "ArtifactVerificationFailed";
constexpr std::string_view kGarbageCollectionSucceeded = "GarbageCollectionSucceeded";
constexpr std::string_view kGarbageCollectionFailed = "GarbageCollectionFailed";
constexpr std::string_view kArtifactIncomplete = "ArtifactIncomplete";

StepFailure storage_failed(std::string_view why, base::Error error, std::string_view doing) {
  return controller::retry(why, std::move(error).with_context(doing), condition::kStorageOperationFailed);
}

// What there is on the disk of the artifact that a status names.
struct Storage {
  artifact::Condition condition = artifact::Condition::missing;
  std::size_t collected = 0;
};

Result<Storage> look(const artifact::Store& store, const artifact::Owner& owner, const api::Artifact& artifact,
                     const base::Logger& log, std::stop_token stop) {
  Storage found;
  // Flux: a failing collection fails no reconciliation.
  auto collected = store.collect(owner, artifact);
  if (collected) {
    found.collected = *collected;
  } else {
    log.error("garbage collection of artifacts failed", collected.error());
  }
  SLUICE_TRY(found.condition, store.check(owner, artifact, std::move(stop)));
  if (found.condition == artifact::Condition::damaged) SLUICE_CHECK(store.remove(owner, artifact));
  return found;
}

bool has_failed(const api::Conditions& conditions) {
  return conditions.is_true(condition::kFetchFailed) || conditions.is_true(condition::kIncludeUnavailable) ||
         conditions.is_true(condition::kStorageOperationFailed);
}

// The draft of the status with the artifact, or without one.
void set_artifact(doc::Json& status, const std::optional<api::Artifact>& artifact) {
  if (artifact) {
    status["artifact"] = api::to_json(*artifact);
  } else {
    status.erase("artifact");
  }
}

// An artifact that cannot be read is none: it is made anew.
std::optional<api::Artifact> artifact_in(const doc::Json& object) {
  auto found = api::artifact_of(object);
  return found ? *std::move(found) : std::nullopt;
}

void set_event_metadata(SourceRun& run) {
  auto& metadata = run.context.event_metadata;
  metadata[std::string(api::event::kMetaRevision)] = run.artifact->revision;
  metadata[std::string(api::event::kMetaDigest)] = run.artifact->digest;
}

void mark_stored(SourceRun& run, const std::string& revision) {
  auto& context = run.context;
  const std::string message = fmt::format("stored artifact for revision '{}'", revision);
  context.conditions.mark_true(condition::kArtifactInStorage, reason::kSucceeded, message, context.stamp());
  context.ready_message = message;
}

}  // namespace

SourceRun::SourceRun(controller::RunContext& run_context, base::Duration spec_interval)
    : context(run_context),
      interval(spec_interval),
      before(artifact_in(*run_context.object)),
      artifact(before),
      recovering(has_failed(run_context.conditions)) {
  context.ready_reason = reason::kSucceeded;
}

Filled Shelf::put(std::string_view file, std::string told, const artifact::Store::Fill& fill) const {
  auto stored = store_->publish(owner_, file, revision_, fill);
  if (stored) {
    stored->last_update_time = now_;
    return Filling{.artifact = *std::move(stored), .told = std::move(told)};
  }
  if (stored.error().reason == artifact::Store::kFolderFailed) {
    return storage_failed(reason::kDirectoryCreationFailed, std::move(stored).error(),
                          "failed to create artifact directory");
  }
  return storage_failed(reason::kArchiveOperationFailed, std::move(stored).error(),
                        "unable to archive artifact to storage");
}

rt::Task<StepResult> StoryTeller::look_into_storage(SourceRun& run) {
  auto& context = run.context;
  std::string_view why = "building artifact";
  if (run.artifact) {
    auto work = [store = store_, owner = run.owner(), artifact = *run.artifact, log = context.log](
                    std::stop_token stop) { return look(*store, owner, artifact, log, std::move(stop)); };
    auto task = rt::run_blocking(runtime_, context.meta.namespace_, std::move(work));
    auto found = co_await std::move(task);
    if (!found) {
      co_return storage_failed(reason::kStatOperationFailed, std::move(found).error(), "failed to look for artifact");
    }
    if (found->collected > 0) {
      context.event(controller::Severity::trace, kGarbageCollectionSucceeded,
                    fmt::format("garbage collected {} artifacts", found->collected));
    }
    if (found->condition == artifact::Condition::damaged) {
      context.event(controller::Severity::error, kArtifactVerificationFailed,
                    fmt::format("failed to verify integrity of artifact: computed digest doesn't match '{}'",
                                run.artifact->digest));
    }
    if (found->condition != artifact::Condition::whole) {
      run.artifact.reset();
      why = "building artifact: disappeared from storage";
    }
  }
  if (run.artifact) {
    run.artifact->url = store_->url_of(run.artifact->path);
  } else {
    context.progress(why);
    context.conditions.remove(condition::kArtifactInStorage);
  }
  set_artifact(context.status, run.artifact);
  co_return kContinue;
}

StepResult StoryTeller::judge(SourceRun& run, Observation observed) {
  auto& context = run.context;
  run.observed = std::move(observed);
  const std::string& revision = run.observed.revision;
  const bool is_stored = run.artifact && run.artifact->revision == revision;
  if (!is_stored) {
    const std::string message = fmt::format("new upstream revision '{}'", revision);
    if (run.artifact) {
      context.conditions.mark_true(condition::kArtifactOutdated, reason::kNewRevision, message, context.stamp());
    }
    context.progress("building artifact: " + message);
    return kContinue;
  }
  if (!run.observed.remake.empty()) {
    context.progress("building artifact: " + run.observed.remake);
    return kContinue;
  }
  mark_stored(run, revision);
  context.log.info("no changes since last reconciliation", {{"revision", revision}});
  if (run.recovering) {
    set_event_metadata(run);
    context.event(controller::Severity::info, reason::kSucceeded,
                  fmt::format("stored artifact for commit '{}'", revision));
  }
  return controller::Done{run.interval};
}

StepResult StoryTeller::publish(SourceRun& run) {
  auto& context = run.context;
  run.artifact = run.filled.artifact;
  const api::Artifact& artifact = *run.artifact;
  set_artifact(context.status, run.artifact);
  mark_stored(run, artifact.revision);
  set_event_metadata(run);
  const std::string& told = run.filled.told;
  context.log.info(told, {{"revision", artifact.revision}, {"size", artifact.size.value_or(0)}});
  const bool is_new = !run.before || run.before->digest != artifact.digest;
  if (is_new) {
    // The artifact's time tells it from the same revision, come back to.
    const auto* last = doc::find(*context.object, {"status", "artifact"});
    context.event_once(controller::Severity::info, reason::kNewArtifact, told,
                       "after " + (last != nullptr ? doc::print_json(*last) : std::string("none")));
  } else if (run.recovering) {
    context.event(controller::Severity::info, reason::kSucceeded, told);
  }
  tell_left_out(run);
  return controller::Done{run.interval};
}

// An Event where it is news; each new artifact of a tree with links is none.
void StoryTeller::tell_left_out(SourceRun& run) {
  auto& context = run.context;
  if (run.filled.left_out.empty()) {
    left_out_.erase(run.context.key());
    return;
  }
  std::string text = fmt::format("not in the artifact: {}", fmt::join(run.filled.left_out, "; "));
  context.log.info(text, {{"revision", run.artifact->revision}});
  std::string& last = left_out_[context.key()];
  if (last != text) context.event(controller::Severity::trace, kArtifactIncomplete, text);
  last = std::move(text);
}

rt::Task<Result<void>> StoryTeller::finalize(controller::RunContext& context) {
  const artifact::Owner owner{context.gvk.kind, context.key()};
  auto work = [store = store_, owner](std::stop_token) { return store->remove_all(owner); };
  auto task = rt::run_blocking(runtime_, context.meta.namespace_, std::move(work));
  auto removed = co_await std::move(task);
  if (!removed) {
    co_return base::unexpected(std::move(removed).error().with_context(
        std::string(kGarbageCollectionFailed) + ": garbage collection for deleted resource failed"));
  }
  if (*removed > 0) {
    context.event(controller::Severity::trace, kGarbageCollectionSucceeded,
                  "garbage collected artifacts for deleted resource");
  }
  co_return Result<void>();
}

// A few files; on the loop, so that an object made anew meanwhile cannot lose what it stores.
void StoryTeller::forget(const artifact::Owner& owner) {
  left_out_.erase(owner.key);
  static_cast<void>(store_->remove_all(owner));
}

controller::KindTraits source_traits(std::string_view kind, std::string plural) {
  controller::KindTraits traits;
  traits.resource = {std::string(api::group::kSource), "v1", std::string(kind), std::move(plural), true};
  traits.finalizer = api::finalizer::kFlux;
  traits.status_manager = api::field_manager::kSourceController;
  for (const auto type : {condition::kStorageOperationFailed, condition::kFetchFailed, condition::kIncludeUnavailable,
                          condition::kArtifactOutdated}) {
    traits.negative_conditions.emplace_back(type);
  }
  return traits;
}

StepFailure fetch_failed(std::string_view why, base::Error error) {
  const auto retry_after = error.retry_after;
  StepFailure failure = controller::retry(why, std::move(error), condition::kFetchFailed);
  if (retry_after) failure.retry_after = *retry_after;
  return failure;
}

}  // namespace sluice::source_controller
