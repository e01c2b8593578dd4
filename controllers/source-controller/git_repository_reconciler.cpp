#include "git_repository_reconciler.hpp"

#include <fmt/format.h>

#include <utility>
#include <variant>

#include "api/names.hpp"
#include "artifact_builder.hpp"
#include "base/digest.hpp"
#include "ignore_rules.hpp"

namespace sluice::source {

namespace condition = api::condition;
namespace reason = api::reason;
using base::ErrorKind;
using base::Result;
using controller::kContinue;
using controller::StepFailure;
using controller::StepResult;

namespace {

const kube::Resource kSecrets{"", "v1", "Secret", "secrets", true};

// A poll may use what another poll of the same repository has just seen, if
// that is young against the interval.
constexpr int kMaxAgeOfInterval = 10;
constexpr auto kMaxAge = std::chrono::seconds(10);

// Reasons that only this kind has.
constexpr std::string_view kEmptyRepository = "EmptyGitRepository";
constexpr std::string_view kInvalidProviderConfiguration = "InvalidProviderConfiguration";
constexpr std::string_view kSourceIgnoreError = "SourceIgnoreError";
constexpr std::string_view kArtifactVerificationFailed = "ArtifactVerificationFailed";
constexpr std::string_view kGarbageCollectionSucceeded = "GarbageCollectionSucceeded";
constexpr std::string_view kGarbageCollectionFailed = "GarbageCollectionFailed";
// Key of a Secret with the data of a GitHub App.
constexpr std::string_view kGitHubAppId = "githubAppID";

controller::KindTraits make_traits() {
  controller::KindTraits traits;
  traits.resource = {std::string(api::group::kSource), "v1", std::string(api::kind::kGitRepository), "gitrepositories",
                     true};
  traits.finalizer = api::finalizer::kFlux;
  traits.status_manager = api::field_manager::kSourceController;
  for (const auto type : {condition::kStorageOperationFailed, condition::kFetchFailed, condition::kIncludeUnavailable,
                          condition::kArtifactOutdated}) {
    traits.negative_conditions.emplace_back(type);
  }
  return traits;
}

base::Error make_error(ErrorKind kind, std::string message) {
  base::Error error;
  error.kind = kind;
  error.message = std::move(message);
  return error;
}

// What a Git server, or the way to it, said no to.
StepFailure fetch_failure(base::Error error) {
  const auto retry_after = error.retry_after;
  std::string_view why = reason::kGitOperationFailed;
  if (error.reason == kEmptyRepository) why = kEmptyRepository;
  if (error.kind == ErrorKind::unauthorized || error.kind == ErrorKind::forbidden) why = reason::kAuthenticationFailed;
  base::Error told = why == kEmptyRepository
                         ? std::move(error)
                         : base::Error(std::move(error).with_context("failed to checkout and determine revision"));
  StepFailure failure = controller::retry(why, std::move(told), condition::kFetchFailed);
  if (retry_after) failure.retry_after = *retry_after;
  return failure;
}

StepFailure storage_failure(std::string_view why, base::Error error, std::string_view doing) {
  return controller::retry(why, std::move(error).with_context(doing), condition::kStorageOperationFailed);
}

git::RefSpec ref_spec(const api::GitRepositorySpec& spec) {
  if (!spec.ref) return {};
  return {spec.ref->branch, spec.ref->tag, spec.ref->semver, spec.ref->name, spec.ref->commit};
}

Result<git::SecretData> secret_data(const doc::Json& secret) {
  git::SecretData data;
  const auto* encoded = doc::find(secret, {"data"});
  if (encoded == nullptr || !encoded->is_object()) return data;
  for (const auto& [key, value] : encoded->items()) {
    if (!value.is_string()) continue;
    auto bytes = base::base64_decode(value.get_ref<const std::string&>());
    if (!bytes) return base::unexpected(ErrorKind::invalid, fmt::format("'{}' is not base64", key));
    data.emplace(key, *std::move(bytes));
  }
  return data;
}

struct Built {
  api::Artifact artifact;
  git::Commit commit;
};
using BuildResult = std::variant<Built, StepFailure>;

// What building takes, by value: it goes on in the pool while the loop turns.
struct BuildJob {
  std::shared_ptr<artifact::Store> store;
  git::RepositoryCache cache;
  git::Endpoint endpoint;
  git::Auth auth;
  std::chrono::milliseconds timeout{};
  git::RefSpec ref;
  std::shared_ptr<git::Remote> remote;
  git::Target target;
  std::optional<std::string> ignore;
  artifact::Owner owner;
};

Result<git::Snapshot> obtain(BuildJob& job, const std::stop_token& stop) {
  SLUICE_TRY(auto here, job.cache.find(job.endpoint, job.target.commit, stop));
  if (here) return *std::move(here);
  if (job.remote) {
    job.remote->continue_with(stop);
    return job.cache.fetch(*job.remote, job.target);
  }
  SLUICE_TRY(git::Remote remote, git::Remote::connect(job.endpoint, job.auth, job.timeout, stop));
  // The references may have moved since they were listed by somebody else.
  SLUICE_TRY(job.target, git::resolve(job.ref, remote.refs()));
  return job.cache.fetch(remote, job.target);
}

BuildResult build(BuildJob job, std::stop_token stop) {
  auto snapshot = obtain(job, stop);
  if (!snapshot) return fetch_failure(std::move(snapshot).error());
  auto rules = ignore_rules(*snapshot, job.ignore, stop);
  if (!rules) {
    auto error = std::move(rules).error().with_context("failed to load source ignore patterns from repository");
    return controller::retry(kSourceIgnoreError, std::move(error));
  }
  const auto fill = [&](archive::ByteSink& out) { return pack(*snapshot, *rules, out, stop); };
  auto stored = job.store->publish(job.owner, job.target.commit + ".tar.gz", job.target.revision, fill);
  if (stored) return Built{*std::move(stored), snapshot->commit()};
  if (stored.error().reason == artifact::Store::kFolderFailed) {
    return storage_failure(reason::kDirectoryCreationFailed, std::move(stored).error(),
                           "failed to create artifact directory");
  }
  return storage_failure(reason::kArchiveOperationFailed, std::move(stored).error(),
                         "unable to archive artifact to storage");
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

void set_observed_ignore(doc::Json& status, const std::optional<std::string>& ignore) {
  if (ignore) {
    status["observedIgnore"] = *ignore;
  } else {
    status.erase("observedIgnore");
  }
}

}  // namespace

GitRepositoryReconciler::GitRepositoryReconciler(rt::Runtime& runtime, const base::Clock& clock,
                                                 std::shared_ptr<artifact::Store> store, git::RepositoryCache cache)
    : traits_(make_traits()),
      runtime_(runtime),
      store_(std::move(store)),
      cache_(std::move(cache)),
      listings_(runtime, clock) {}

controller::Steps<GitRepositoryRun> GitRepositoryReconciler::steps() {
  return {{"look_into_storage", [this](Run& run) { return look_into_storage(run); }},
          {"read_credentials", [this](Run& run) { return read_credentials(run); }},
          {"observe_remote", [this](Run& run) { return observe_remote(run); }},
          {"build_artifact", [this](Run& run) { return build_artifact(run); }},
          {"publish", [this](Run& run) { return publish(run); }}};
}

Result<std::unique_ptr<GitRepositoryRun>> GitRepositoryReconciler::begin(controller::RunContext& context) {
  SLUICE_TRY(api::GitRepository repository, api::parse_git_repository(*context.object));
  auto artifact = repository.status.artifact;
  const bool recovering = has_failed(context.conditions);
  context.ready_reason = reason::kSucceeded;
  return std::unique_ptr<Run>(
      new Run{context, std::move(repository), std::move(artifact), recovering, {}, {}, {}, {}, {}});
}

rt::Task<StepResult> GitRepositoryReconciler::look_into_storage(Run& run) {
  auto& context = run.context;
  std::string_view why = "building artifact";
  if (run.artifact) {
    auto work = [store = store_, owner = run.owner(), artifact = *run.artifact, log = context.log](
                    std::stop_token stop) { return look(*store, owner, artifact, log, std::move(stop)); };
    auto task = rt::run_blocking(runtime_, std::move(work));
    auto found = co_await std::move(task);
    if (!found) {
      co_return storage_failure(reason::kStatOperationFailed, std::move(found).error(), "failed to look for artifact");
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

rt::Task<StepResult> GitRepositoryReconciler::read_credentials(Run& run) {
  const auto& spec = run.repository.spec;
  auto endpoint = git::parse_endpoint(spec.url);
  if (!endpoint) {
    co_return controller::stall(reason::kUrlInvalid, std::move(endpoint).error().with_context("spec.url"),
                                condition::kFetchFailed);
  }
  run.endpoint = *std::move(endpoint);
  git::SecretData data;
  std::string name;
  if (spec.secret_ref) name = fmt::format("{}/{}", run.context.meta.namespace_, spec.secret_ref->name);
  const auto refused = [](std::string_view why, base::Error error) {
    return controller::retry(why, std::move(error), condition::kFetchFailed);
  };
  if (spec.secret_ref) {
    const api::ObjectKey key{run.context.meta.namespace_, spec.secret_ref->name};
    auto task = run.context.client->get(kSecrets, key);
    const auto secret = co_await std::move(task);
    if (!secret) {
      auto error = base::Error(secret.error()).with_context(fmt::format("failed to get secret '{}'", name));
      co_return refused(reason::kAuthenticationFailed, std::move(error));
    }
    auto decoded = secret_data(*secret);
    if (!decoded) {
      auto error = std::move(decoded).error().with_context(fmt::format("secret '{}'", name));
      co_return refused(reason::kAuthenticationFailed, std::move(error));
    }
    data = *std::move(decoded);
  }
  if (data.contains(kGitHubAppId)) {
    co_return refused(kInvalidProviderConfiguration,
                      make_error(ErrorKind::invalid,
                                 fmt::format("secretRef '{}' has github app data but provider is not set to github",
                                             name)));
  }
  auto auth = git::auth_from_secret(run.endpoint, data);
  if (!auth) {
    const std::string where = name.empty() ? std::string() : fmt::format(": secret '{}'", name);
    auto error = std::move(auth).error().with_context("failed to configure authentication options" + where);
    co_return refused(reason::kAuthenticationFailed, std::move(error));
  }
  run.auth = *std::move(auth);
  co_return kContinue;
}

rt::Task<StepResult> GitRepositoryReconciler::observe_remote(Run& run) {
  auto& context = run.context;
  const auto& spec = run.repository.spec;
  ListingRequest request;
  request.endpoint = run.endpoint;
  request.auth = run.auth;
  request.timeout = std::chrono::duration_cast<std::chrono::milliseconds>(spec.timeout);
  request.asker = context.key();
  request.max_age = std::min<base::Duration>(spec.interval / kMaxAgeOfInterval, kMaxAge);
  // Whoever asks, edits or retries does so because something has changed.
  const auto* ready = context.conditions.find(condition::kReady);
  request.fresh = context.is_requested() || !run.artifact || ready == nullptr ||
                  ready->status != api::ConditionStatus::is_true ||
                  ready->observed_generation != context.meta.generation;
  auto listing_task = listings_.list(std::move(request));
  auto listed = co_await std::move(listing_task);
  if (!listed) co_return fetch_failure(std::move(listed).error());
  run.remote = listed->remote;
  // On the pool, as a repository may have a hundred thousand tags.
  auto work = [refs = listed->refs, ref = ref_spec(spec)](std::stop_token) { return git::resolve(ref, *refs); };
  auto resolve_task = rt::run_blocking(runtime_, std::move(work));
  auto target = co_await std::move(resolve_task);
  if (!target) co_return fetch_failure(std::move(target).error());
  run.target = *std::move(target);
  const bool same_rules = run.repository.status.observed_ignore == spec.ignore;
  if (!run.artifact || run.artifact->revision != run.target.revision || !same_rules) co_return kContinue;

  const std::string message = fmt::format("stored artifact for revision '{}'", run.target.revision);
  context.conditions.mark_true(condition::kArtifactInStorage, reason::kSucceeded, message, context.stamp());
  context.ready_message = message;
  context.log.info("no changes since last reconciliation", {{"revision", run.target.revision}});
  if (run.recovering) {
    context.event_metadata[std::string(api::event::kMetaRevision)] = run.artifact->revision;
    context.event_metadata[std::string(api::event::kMetaDigest)] = run.artifact->digest;
    context.event(controller::Severity::info, reason::kSucceeded,
                  fmt::format("stored artifact for commit '{}'", run.target.revision));
  }
  co_return controller::Done{spec.interval};
}

rt::Task<StepResult> GitRepositoryReconciler::build_artifact(Run& run) {
  auto& context = run.context;
  const auto& spec = run.repository.spec;
  if (!run.artifact || run.artifact->revision != run.target.revision) {
    const std::string message = fmt::format("new upstream revision '{}'", run.target.revision);
    if (run.artifact) {
      context.conditions.mark_true(condition::kArtifactOutdated, reason::kNewRevision, message, context.stamp());
    }
    context.progress("building artifact: " + message);
  } else {
    context.progress("building artifact: spec.ignore has changed");
  }
  BuildJob job{.store = store_,
               .cache = cache_,
               .endpoint = run.endpoint,
               .auth = run.auth,
               .timeout = std::chrono::duration_cast<std::chrono::milliseconds>(spec.timeout),
               .ref = ref_spec(spec),
               .remote = std::move(run.remote),
               .target = run.target,
               .ignore = spec.ignore,
               .owner = run.owner()};
  auto work = [job = std::move(job)](std::stop_token stop) mutable { return build(std::move(job), std::move(stop)); };
  auto task = rt::run_blocking(runtime_, std::move(work));
  auto result = co_await std::move(task);
  if (auto* failure = std::get_if<StepFailure>(&result)) co_return std::move(*failure);
  auto& built = std::get<Built>(result);
  run.commit = std::move(built.commit);
  run.artifact = std::move(built.artifact);
  co_return kContinue;
}

rt::Task<StepResult> GitRepositoryReconciler::publish(Run& run) {
  auto& context = run.context;
  const auto& before = run.repository.status.artifact;
  const api::Artifact& artifact = *run.artifact;
  set_artifact(context.status, run.artifact);
  set_observed_ignore(context.status, run.repository.spec.ignore);
  const std::string message = fmt::format("stored artifact for revision '{}'", artifact.revision);
  context.conditions.mark_true(condition::kArtifactInStorage, reason::kSucceeded, message, context.stamp());
  context.ready_message = message;
  context.event_metadata[std::string(api::event::kMetaRevision)] = artifact.revision;
  context.event_metadata[std::string(api::event::kMetaDigest)] = artifact.digest;
  const std::string told = fmt::format("stored artifact for commit '{}'", run.commit.short_message());
  context.log.info(told, {{"revision", artifact.revision}, {"size", artifact.size.value_or(0)}});
  if (!before || before->digest != artifact.digest) {
    // The artifact's time tells it from the same revision, come back to.
    const auto* last = doc::find(*context.object, {"status", "artifact"});
    context.event_once(controller::Severity::info, reason::kNewArtifact, told,
                       "after " + (last != nullptr ? doc::print_json(*last) : std::string("none")));
  } else if (run.recovering) {
    context.event(controller::Severity::info, reason::kSucceeded, told);
  }
  co_return controller::Done{run.repository.spec.interval};
}

rt::Task<Result<void>> GitRepositoryReconciler::finalize(controller::RunContext& context) {
  const artifact::Owner owner{context.gvk.kind, context.key()};
  auto work = [store = store_, owner](std::stop_token) { return store->remove_all(owner); };
  auto task = rt::run_blocking(runtime_, std::move(work));
  auto removed = co_await std::move(task);
  if (!removed) {
    co_return base::unexpected(
        std::move(removed).error().with_context(std::string(kGarbageCollectionFailed) +
                                                ": garbage collection for deleted resource failed"));
  }
  if (*removed > 0) {
    context.event(controller::Severity::trace, kGarbageCollectionSucceeded,
                  "garbage collected artifacts for deleted resource");
  }
  co_return Result<void>();
}

// For objects whose finalizer was taken off by somebody else. A few files; on
// the loop, so that an object made anew meanwhile cannot lose what it stores.
void GitRepositoryReconciler::forget(const api::ObjectKey& key) {
  static_cast<void>(store_->remove_all({traits_.resource.kind, key}));
}

}  // namespace sluice::source
