// Reconciles GitRepository (docs/spec/gitrepository.md).
//
// The story of a run:
//   1. look_into_storage  Old artifacts are collected. The artifact in the status is there as the status says, or it
//                         is forgotten and built anew. Its URL follows --storage-adv-addr.
//                         StorageOperationFailed=StatOperationFailed
//   2. read_credentials   spec.url is parsed and the Secret read.
//                         Stalled, FetchFailed=URLInvalid: the URL is malformed or of a scheme that is not offered
//                         FetchFailed=AuthenticationFailed: the Secret is missing or incomplete
//                         FetchFailed=InvalidProviderConfiguration: the Secret is for another provider
//   3. observe_remote     The references are listed and spec.ref is resolved to a revision. If that is the
//                         revision stored, made with the same `ignore`, the run ends here: nothing is fetched.
//                         FetchFailed=GitOperationFailed: unreachable, not trusted, reference missing
//                         FetchFailed=AuthenticationFailed: the server refused the credentials
//                         FetchFailed=EmptyGitRepository
//   4. build_artifact     The commit is fetched into the local copy, and its files, less the ignored ones, are
//                         packed into the storage. ArtifactOutdated=NewRevision while that lasts.
//                         FetchFailed as above, SourceIgnoreError,
//                         StorageOperationFailed=DirectoryCreationFailed, ArchiveOperationFailed
//   5. publish            The status names the artifact, and an event says NewArtifact.
//                         ArtifactInStorage=True
//
// A failure leaves the artifact that is served in place. A newer spec, a
// requestedAt annotation or a deletion cancels any step where it waits.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "api/git_repository.hpp"
#include "artifact/store.hpp"
#include "controller/reconciler.hpp"
#include "git/repository_cache.hpp"
#include "remote_listings.hpp"

namespace sluice::source {

// The baton of a run.
struct GitRepositoryRun {
  controller::RunContext& context;
  api::GitRepository repository;
  std::optional<api::Artifact> artifact;  // what the status names: stored and whole, as far as we know
  bool recovering = false;                // the last run had failed
  git::Endpoint endpoint;
  git::Auth auth;
  std::shared_ptr<git::Remote> remote;  // null where the listing was another's; shared, as jobs of the pool hold it
  git::Target target;
  git::Commit commit;

  artifact::Owner owner() const { return {context.gvk.kind, context.key()}; }
};

class GitRepositoryReconciler final : public controller::StepReconciler<GitRepositoryRun> {
 public:
  // The runtime outlives the reconciler.
  GitRepositoryReconciler(rt::Runtime& runtime, const base::Clock& clock, std::shared_ptr<artifact::Store> store,
                          git::RepositoryCache cache);

  const controller::KindTraits& traits() const override { return traits_; }
  base::Result<std::unique_ptr<GitRepositoryRun>> begin(controller::RunContext& context) override;
  controller::Steps<GitRepositoryRun> steps() override;
  rt::Task<base::Result<void>> finalize(controller::RunContext& context) override;
  void forget(const api::ObjectKey& key) override;

 private:
  using Run = GitRepositoryRun;
  rt::Task<controller::StepResult> look_into_storage(Run& run);
  rt::Task<controller::StepResult> read_credentials(Run& run);
  rt::Task<controller::StepResult> observe_remote(Run& run);
  rt::Task<controller::StepResult> build_artifact(Run& run);
  rt::Task<controller::StepResult> publish(Run& run);

  const controller::KindTraits traits_;
  rt::Runtime& runtime_;
  std::shared_ptr<artifact::Store> store_;
  git::RepositoryCache cache_;
  RemoteListings listings_;
};

}  // namespace sluice::source
