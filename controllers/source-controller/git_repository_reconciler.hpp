// Reconciles GitRepository (docs/spec/gitrepository.md): the story of a source
// (artifact_story.hpp) with its two holes filled by Git.
//
//   observe   spec.url is parsed, the Secret is read, the references are listed, and spec.ref is resolved to a commit.
//             Stalled, FetchFailed=URLInvalid: the URL is malformed or of a scheme that is not offered
//             FetchFailed=AuthenticationFailed: the Secret is missing or incomplete, or the server refused it
//             FetchFailed=InvalidProviderConfiguration: the Secret is for another provider
//             FetchFailed=GitOperationFailed: unreachable, not trusted, reference missing
//             FetchFailed=EmptyGitRepository
//   fill      The commit is fetched into the local copy, and its files, less the ignored ones, are packed.
//             FetchFailed as above, SourceIgnoreError
#pragma once

#include <memory>
#include <optional>

#include "api/git_repository.hpp"
#include "artifact_story.hpp"
#include "git/repository_cache.hpp"
#include "remote_listings.hpp"

namespace sluice::source_controller {

struct GitRepositoryRun : SourceRun {
  GitRepositoryRun(controller::RunContext& run_context, api::GitRepository parsed)
      : SourceRun(run_context, parsed.spec.interval), repository(std::move(parsed)) {}

  api::GitRepository repository;  // without its status
  git::Endpoint endpoint;
  git::Auth auth;
  std::shared_ptr<git::Remote> remote;  // null where the listing was another's; shared, as jobs of the pool hold it
  git::Target target;
};

class GitRepositoryReconciler final : public ArtifactStory<GitRepositoryRun> {
 public:
  // Runtime and clock outlive the reconciler.
  GitRepositoryReconciler(rt::Runtime& runtime, const base::Clock& clock, std::shared_ptr<artifact::Store> store,
                          git::RepositoryCache cache);

  base::Result<std::unique_ptr<GitRepositoryRun>> begin(controller::RunContext& context) override;
  // spec.timeout bounds each conversation with the Git server, of which there are two at most;
  // the rest is work on the storage.
  std::optional<base::Duration> deadline_of(const doc::Json& object) const override;

 private:
  using Run = GitRepositoryRun;
  rt::Task<Observed> observe(Run& run) override;
  rt::Task<Filled> fill(Run& run) override;
  void note(const Run& run, doc::Json& status) override;

  // Endpoint and credentials of the run; a failure if there are none.
  rt::Task<std::optional<controller::StepFailure>> read_credentials(Run& run);

  git::RepositoryCache cache_;
  RemoteListings listings_;
};

}  // namespace sluice::source_controller
