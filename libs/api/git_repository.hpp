// GitRepository (source.toolkit.fluxcd.io/v1): a Git repository that becomes an
// artifact. Plain data, with the defaults that the CRD declares; docs/spec/
// gitrepository.md says what each field means.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/artifact.hpp"
#include "api/conditions.hpp"
#include "api/object_meta.hpp"
#include "api/references.hpp"

namespace sluice::api {

// What to check out. commit beats name, name beats semver, semver beats tag,
// tag beats branch; with none of them it is the branch "master".
struct GitRepositoryRef {
  std::string branch;
  std::string tag;
  std::string semver;
  std::string name;  // a full ref name, e.g. refs/pull/420/head
  std::string commit;
  bool operator==(const GitRepositoryRef&) const = default;
};

struct GitRepositoryVerification {
  std::string mode = "HEAD";
  LocalObjectReference secret_ref;
  bool operator==(const GitRepositoryVerification&) const = default;
};

struct GitRepositoryInclude {
  LocalObjectReference repository;
  std::string from_path;
  std::string to_path;  // "" is the name of the repository
  bool operator==(const GitRepositoryInclude&) const = default;
};

struct GitRepositorySpec {
  std::string url;
  std::optional<LocalObjectReference> secret_ref;
  std::string provider;  // "" is "generic"
  std::string service_account_name;
  base::Duration interval{};
  base::Duration timeout = std::chrono::seconds(60);
  std::optional<GitRepositoryRef> ref;
  std::optional<GitRepositoryVerification> verify;
  std::optional<LocalObjectReference> proxy_secret_ref;
  std::optional<std::string> ignore;  // replaces the default exclusions, also when ""
  bool suspend = false;
  bool recurse_submodules = false;
  std::vector<GitRepositoryInclude> include;
  std::vector<std::string> sparse_checkout;
  bool operator==(const GitRepositorySpec&) const = default;
};

struct GitRepositoryStatus {
  std::int64_t observed_generation = 0;
  Conditions conditions;
  std::optional<Artifact> artifact;
  std::vector<Artifact> included_artifacts;
  std::optional<std::string> observed_ignore;
  bool observed_recurse_submodules = false;
  std::vector<GitRepositoryInclude> observed_include;
  std::vector<std::string> observed_sparse_checkout;
  std::optional<std::string> source_verification_mode;
  std::optional<std::string> source_verification_fingerprint;  // of the keys that were trusted then; Flux 2.10
  std::string last_handled_reconcile_at;
  bool operator==(const GitRepositoryStatus&) const = default;
};

struct GitRepository {
  ObjectMeta metadata;
  GitRepositorySpec spec;
  GitRepositoryStatus status;
};

// `invalid`, with a message that starts with the field ("spec.interval: ...").
base::Result<GitRepository> parse_git_repository(const doc::Json& object);
// Go's `omitempty`: what is empty is left out.
doc::Json to_json(const GitRepositoryStatus& status);

// How its Ready follows from its other conditions.
const ReadySummary& git_repository_ready_summary();

}  // namespace sluice::api
