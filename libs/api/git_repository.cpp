#include "api/git_repository.hpp"

#include "api/detail/common_tables.hpp"
#include "api/detail/describe.hpp"
#include "api/detail/kinds.hpp"
#include "api/detail/read.hpp"
#include "api/detail/write.hpp"
#include "api/names.hpp"

namespace sluice::api {

namespace detail {

constexpr std::array kGitProviders{"generic"sv, "aws"sv, "azure"sv, "github"sv};
constexpr std::array kHonouredGitProviders{"generic"sv};
// "head" is an old spelling of "HEAD".
constexpr std::array kVerificationModes{"head"sv, "HEAD"sv, "Tag"sv, "TagAndHEAD"sv};

template <>
struct Table<GitRepositoryRef> {
  static constexpr auto fields = std::tuple{
      field("branch", &GitRepositoryRef::branch), field("tag", &GitRepositoryRef::tag),
      field("semver", &GitRepositoryRef::semver), field("name", &GitRepositoryRef::name),
      field("commit", &GitRepositoryRef::commit),
  };
};

template <>
struct Table<GitRepositoryVerification> {
  static constexpr auto fields = std::tuple{
      field("mode", &GitRepositoryVerification::mode).defaulted().one_of(kVerificationModes),
      field("secretRef", &GitRepositoryVerification::secret_ref).required(),
  };
};

template <>
struct Table<GitRepositoryInclude> {
  static constexpr auto fields = std::tuple{
      field("repository", &GitRepositoryInclude::repository).required(),
      field("fromPath", &GitRepositoryInclude::from_path),
      field("toPath", &GitRepositoryInclude::to_path),
  };
};

template <>
struct Table<GitRepositorySpec> {
  using Spec = GitRepositorySpec;
  static constexpr auto fields = std::tuple{
      field("url", &Spec::url).required(),
      field("secretRef", &Spec::secret_ref),
      field("provider", &Spec::provider)
          .one_of(kGitProviders)
          .only(kHonouredGitProviders, "credentials from a cloud or a GitHub App are not implemented"),
      field("serviceAccountName", &Spec::service_account_name)
          .unsupported("credentials from a service account are not implemented"),
      field("interval", &Spec::interval).required(),
      field("timeout", &Spec::timeout).defaulted(),
      field("ref", &Spec::ref),
      field("verify", &Spec::verify).unsupported("signatures of commits and tags are not verified"),
      field("proxySecretRef", &Spec::proxy_secret_ref).unsupported("Git through a proxy is not implemented"),
      field("ignore", &Spec::ignore),
      field("suspend", &Spec::suspend),
      field("recurseSubmodules", &Spec::recurse_submodules).unsupported("submodules are not fetched"),
      field("include", &Spec::include).unsupported("artifacts of other repositories are not included"),
      field("sparseCheckout", &Spec::sparse_checkout).unsupported("the artifact always holds the whole tree"),
  };
};

template <>
struct Table<GitRepositoryStatus> {
  using Status = GitRepositoryStatus;
  static constexpr auto fields = std::tuple{
      field("observedGeneration", &Status::observed_generation),
      field("conditions", &Status::conditions),
      field("artifact", &Status::artifact),
      field("includedArtifacts", &Status::included_artifacts),
      field("observedIgnore", &Status::observed_ignore),
      field("observedRecurseSubmodules", &Status::observed_recurse_submodules),
      field("observedInclude", &Status::observed_include),
      field("observedSparseCheckout", &Status::observed_sparse_checkout),
      field("sourceVerificationMode", &Status::source_verification_mode),
      field("sourceVerificationFingerprint", &Status::source_verification_fingerprint),
      field("lastHandledReconcileAt", &Status::last_handled_reconcile_at),
  };
};

KindInfo describe_git_repository() {
  return {.gvk = {std::string(group::kSource), "v1", std::string(kind::kGitRepository)},
          .plural = "gitrepositories",
          .short_names = {"gitrepo"},
          .categories = {"all", "fluxcd", "fluxcd-sources"},
          .spec = describe<GitRepositorySpec>(),
          .status = describe<GitRepositoryStatus>()};
}

}  // namespace detail

base::Result<GitRepository> parse_git_repository(const doc::Json& object) {
  return detail::read_object<GitRepository>(object, group::kSource, kind::kGitRepository);
}

doc::Json to_json(const GitRepositoryStatus& status) { return detail::write(status); }

const ReadySummary& git_repository_ready_summary() {
  // Flux: source-controller internal/controller/gitrepository_controller.go.
  static const ReadySummary rules{
      .order = {condition::kStorageOperationFailed, condition::kFetchFailed, condition::kIncludeUnavailable,
                condition::kArtifactOutdated, condition::kArtifactInStorage, condition::kSourceVerified,
                condition::kStalled, condition::kReconciling},
      .negative = {condition::kStorageOperationFailed, condition::kFetchFailed, condition::kIncludeUnavailable,
                   condition::kArtifactOutdated, condition::kStalled, condition::kReconciling}};
  return rules;
}

}  // namespace sluice::api
