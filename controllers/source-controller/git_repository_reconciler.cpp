#include "git_repository_reconciler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "api/names.hpp"
#include "artifact_builder.hpp"
#include "ignore_rules.hpp"
#include "kube/secret_view.hpp"

namespace sluice::source_controller {

namespace condition = api::condition;
namespace reason = api::reason;
using base::ErrorKind;
using base::Result;
using controller::StepFailure;

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
// Keys of a Secret with the data of a GitHub App; Flux 2.10 brought the second.
constexpr std::string_view kGitHubAppKeys[] = {"githubAppID", "githubAppClientID"};

base::Error make_error(ErrorKind kind, std::string message) {
  base::Error error;
  error.kind = kind;
  error.message = std::move(message);
  return error;
}

// What a Git server, or the way to it, said no to.
StepFailure fetch_failure(base::Error error) {
  if (error.reason == kEmptyRepository) return fetch_failed(kEmptyRepository, std::move(error));
  const bool refused = error.kind == ErrorKind::unauthorized || error.kind == ErrorKind::forbidden;
  base::Error told = std::move(error).with_context("failed to checkout and determine revision");
  return fetch_failed(refused ? reason::kAuthenticationFailed : reason::kGitOperationFailed, std::move(told));
}

git::RefSpec ref_spec(const api::GitRepositorySpec& spec) {
  if (!spec.ref) return {};
  return {spec.ref->branch, spec.ref->tag, spec.ref->semver, spec.ref->name, spec.ref->commit};
}

// What filling takes, by value: it goes on in the pool while the loop turns.
struct FillJob {
  Shelf shelf;
  git::RepositoryCache cache;
  git::Endpoint endpoint;
  git::Auth auth;
  std::chrono::milliseconds timeout{};
  git::RefSpec ref;
  std::shared_ptr<git::Remote> remote;
  git::Target target;
  std::optional<std::string> ignore;
};

Result<git::Snapshot> obtain(FillJob& job, const std::stop_token& stop) {
  if (job.target.must_be_found_from.empty()) {
    SLUICE_TRY(auto here, job.cache.find(job.endpoint, job.target.commit, stop));
    if (here) return *std::move(here);
  }
  if (job.remote) {
    job.remote->continue_with(stop);
    return job.cache.fetch(*job.remote, job.target);
  }
  SLUICE_TRY(git::Remote remote, git::Remote::connect(job.endpoint, job.auth, job.timeout, stop));
  // The references may have moved since they were listed by somebody else.
  SLUICE_TRY(job.target, git::resolve(job.ref, remote.refs()));
  return job.cache.fetch(remote, job.target);
}

Filled fill_from(FillJob job, std::stop_token stop) {
  auto snapshot = obtain(job, stop);
  if (!snapshot) return fetch_failure(std::move(snapshot).error());
  auto rules = ignore_rules(*snapshot, job.ignore, stop);
  if (!rules) {
    auto error = std::move(rules).error().with_context("failed to load source ignore patterns from repository");
    return controller::retry(kSourceIgnoreError, std::move(error));
  }
  LeftOut left_out;
  const auto write = [&](archive::ByteSink& out) -> Result<void> {
    SLUICE_TRY(left_out, pack(*snapshot, *rules, out, stop));
    return {};
  };
  std::string told = fmt::format("stored artifact for commit '{}'", snapshot->commit().short_message());
  Filled filled = job.shelf.put(job.target.commit + ".tar.gz", std::move(told), write);
  if (auto* filling = std::get_if<Filling>(&filled)) {
    filling->artifact.revision = job.target.revision;
    filling->left_out = left_out.texts();
  }
  return filled;
}

}  // namespace

GitRepositoryReconciler::GitRepositoryReconciler(rt::Runtime& runtime, const base::Clock& clock,
                                                 std::shared_ptr<artifact::Store> store, git::RepositoryCache cache)
    : ArtifactStory(source_traits(api::kind::kGitRepository, "gitrepositories"), runtime, std::move(store)),
      cache_(std::move(cache)),
      listings_(runtime, clock) {}

Result<std::unique_ptr<GitRepositoryRun>> GitRepositoryReconciler::begin(controller::RunContext& context) {
  // A status that somebody has broken is no fault of the spec, and is written anew.
  doc::Json object = *context.object;
  object.erase("status");
  SLUICE_TRY(api::GitRepository repository, api::parse_git_repository(object));
  return std::make_unique<Run>(context, std::move(repository));
}

std::optional<base::Duration> GitRepositoryReconciler::deadline_of(const doc::Json& object) const {
  constexpr base::Duration kLongest = std::chrono::hours(24 * 365);
  constexpr base::Duration kStorage = std::chrono::minutes(2);
  const auto parsed = api::parse_git_repository(object);
  if (!parsed) return ArtifactStory::deadline_of(object);
  return std::min<base::Duration>(parsed->spec.timeout, kLongest) * 2 + kStorage;
}

rt::Task<std::optional<StepFailure>> GitRepositoryReconciler::read_credentials(Run& run) {
  const auto& spec = run.repository.spec;
  auto endpoint = git::parse_endpoint(spec.url);
  if (!endpoint) {
    co_return controller::stall(reason::kUrlInvalid, std::move(endpoint).error(), condition::kFetchFailed);
  }
  run.endpoint = *std::move(endpoint);
  git::SecretData data;
  std::string name;
  if (spec.secret_ref) name = fmt::format("{}/{}", run.context.meta.namespace_, spec.secret_ref->name);
  if (spec.secret_ref) {
    const api::ObjectKey key{run.context.meta.namespace_, spec.secret_ref->name};
    auto task = run.context.client->get(kSecrets, key);
    const auto secret = co_await std::move(task);
    if (!secret) {
      auto error = base::Error(secret.error()).with_context(fmt::format("failed to get secret '{}'", name));
      co_return fetch_failed(reason::kAuthenticationFailed, std::move(error));
    }
    const kube::SecretView view(*secret, name, run.context.masks);
    auto decoded = view.all({"username", "ca.crt", "caFile", "tls.crt", "known_hosts", "identity.pub"});
    if (!decoded) co_return fetch_failed(reason::kAuthenticationFailed, std::move(decoded).error());
    data = *std::move(decoded);
  }
  for (const std::string_view key : kGitHubAppKeys) {
    if (!data.contains(key)) continue;
    co_return fetch_failed(
        kInvalidProviderConfiguration,
        make_error(ErrorKind::invalid,
                   fmt::format("secretRef '{}' has github app data but provider is not set to github", name)));
  }
  auto auth = git::auth_from_secret(run.endpoint, data);
  if (!auth) {
    const std::string where = name.empty() ? std::string() : fmt::format(": secret '{}'", name);
    auto error = std::move(auth).error().with_context("failed to configure authentication options" + where);
    co_return fetch_failed(reason::kAuthenticationFailed, std::move(error));
  }
  run.auth = *std::move(auth);
  co_return std::nullopt;
}

rt::Task<Observed> GitRepositoryReconciler::observe(Run& run) {
  auto& context = run.context;
  const auto& spec = run.repository.spec;
  auto reading = read_credentials(run);
  auto refused = co_await std::move(reading);
  if (refused) co_return *std::move(refused);
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
  auto resolve_task = rt::run_blocking(runtime(), run.context.meta.namespace_, std::move(work));
  auto target = co_await std::move(resolve_task);
  if (!target) co_return fetch_failure(std::move(target).error());
  run.target = *std::move(target);
  std::optional<std::string> observed_ignore;
  if (const auto* ignore = doc::find(*context.object, {"status", "observedIgnore"}); ignore && ignore->is_string()) {
    observed_ignore = ignore->get<std::string>();
  }
  Observation observation{.revision = run.target.revision};
  if (observed_ignore != spec.ignore) observation.remake = "spec.ignore has changed";
  co_return observation;
}

rt::Task<Filled> GitRepositoryReconciler::fill(Run& run) {
  const auto& spec = run.repository.spec;
  FillJob job{.shelf = shelf_of(run),
              .cache = cache_,
              .endpoint = run.endpoint,
              .auth = run.auth,
              .timeout = std::chrono::duration_cast<std::chrono::milliseconds>(spec.timeout),
              .ref = ref_spec(spec),
              .remote = std::move(run.remote),
              .target = run.target,
              .ignore = spec.ignore};
  auto work = [job = std::move(job)](std::stop_token stop) mutable {
    return fill_from(std::move(job), std::move(stop));
  };
  auto task = rt::run_blocking(runtime(), run.context.meta.namespace_, std::move(work));
  auto filled = co_await std::move(task);
  co_return filled;
}

void GitRepositoryReconciler::note(const Run& run, doc::Json& status) {
  if (const auto& ignore = run.repository.spec.ignore) {
    status["observedIgnore"] = *ignore;
  } else {
    status.erase("observedIgnore");
  }
}

}  // namespace sluice::source_controller
