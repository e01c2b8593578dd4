// The small decisions: access, dependencies, uptake.
#include <catch2/catch.hpp>

#include "sources/access.hpp"
#include "sources/dependencies.hpp"
#include "sources/sources.hpp"
#include "sources/uptake.hpp"

using namespace sluice;

TEST_CASE("a reference into another namespace, or to an external artifact, can be forbidden") {
  const api::CrossNamespaceSourceReference git{"", "GitRepository", "repo", "infra"};
  const auto refused = [](const auto& ref, sources::AccessRules rules) {
    auto checked = sources::check_access(ref, api::resolve(ref, "apps"), "apps", rules);
    return checked ? "" : checked.error().message;
  };
  CHECK(refused(git, {}).empty());
  CHECK(refused(git, {true, true}) ==
        "can't access 'GitRepository/infra/repo', cross-namespace references have been blocked");
  CHECK(refused(api::CrossNamespaceSourceReference{"", "GitRepository", "repo", "apps"}, {true, false}).empty());
  const api::CrossNamespaceSourceReference external{"", "ExternalArtifact", "x", ""};
  CHECK(refused(external, {true, true}).empty());
  CHECK(refused(external, {false, false}) ==
        "can't access 'ExternalArtifact/apps/x', ExternalArtifact feature gate is disabled");
}

TEST_CASE("what an object refers to is found for the indexes, in its own namespace unless it names one") {
  const doc::Json object = doc::Json::parse(R"({"metadata": {"name": "web", "namespace": "apps"}, "spec": {
    "sourceRef": {"kind": "GitRepository", "name": "repo"},
    "dependsOn": [{"name": "db"}, {"name": "dns", "namespace": "infra"}]}})");
  CHECK(sources::source_of(object) == std::vector<std::string>{"GitRepository/apps/repo"});
  CHECK(sources::dependencies_of(object) == std::vector<std::string>{"apps/db", "infra/dns"});
  CHECK(sources::dependencies_of(doc::Json::object()).empty());
}

TEST_CASE("a new artifact is news for who has looked, and has not seen it") {
  sources::Uptake uptake;
  const api::ObjectKey shop{"apps", "shop"};
  api::Artifact artifact;
  artifact.digest = "sha256:1";
  artifact.revision = "main@sha1:a";
  CHECK_FALSE(uptake.is_news(shop, sources::artifact_id(artifact)));
  uptake.found_none(shop);
  CHECK(uptake.is_news(shop, sources::artifact_id(artifact)));
  uptake.took(shop, artifact);
  CHECK_FALSE(uptake.is_news(shop, sources::artifact_id(artifact)));
  api::Artifact other = artifact;
  other.revision = "main@sha1:b";  // the same files
  CHECK(uptake.is_news(shop, sources::artifact_id(other)));
  uptake.forget(shop);
  CHECK_FALSE(uptake.is_news(shop, sources::artifact_id(other)));
}
