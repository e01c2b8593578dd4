// Reading and printing of each kind.
#include <catch2/catch.hpp>

#include "api/alert.hpp"
#include "api/git_repository.hpp"
#include "api/kustomization.hpp"
#include "api/provider.hpp"

using namespace sluice;
using doc::Json;

namespace {

Json git_repository() {
  return Json::parse(R"({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
      "metadata": {"name": "apps", "namespace": "flux-system", "generation": 3},
      "spec": {"url": "https://example.com/apps.git", "interval": "1m"}})");
}

Json kustomization() {
  return Json::parse(R"({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
      "metadata": {"name": "apps", "namespace": "flux-system"},
      "spec": {"interval": "10m", "prune": true, "sourceRef": {"kind": "GitRepository", "name": "apps"}}})");
}

Json provider() {
  return Json::parse(R"({"apiVersion": "notification.toolkit.fluxcd.io/v1beta3", "kind": "Provider",
      "metadata": {"name": "chat"}, "spec": {"type": "slack"}})");
}

Json alert() {
  return Json::parse(R"({"apiVersion": "notification.toolkit.fluxcd.io/v1beta3", "kind": "Alert",
      "metadata": {"name": "all"}, "spec": {"providerRef": {"name": "chat"},
      "eventSources": [{"kind": "Kustomization", "name": "*"}]}})");
}

template <class T>
std::string message_of(const base::Result<T>& result) {
  return result ? "" : result.error().message;
}

}  // namespace

TEST_CASE("a small GitRepository gets the defaults of the CRD") {
  const auto read = api::parse_git_repository(git_repository());
  REQUIRE(read);
  CHECK(read->metadata.key().str() == "flux-system/apps");
  CHECK(read->metadata.generation == 3);
  CHECK(read->spec.url == "https://example.com/apps.git");
  CHECK(read->spec.interval == std::chrono::minutes(1));
  CHECK(read->spec.timeout == std::chrono::seconds(60));
  CHECK_FALSE(read->spec.ref.has_value());
  CHECK_FALSE(read->spec.ignore.has_value());
  CHECK_FALSE(read->spec.suspend);
  CHECK(read->status == api::GitRepositoryStatus{});
}

TEST_CASE("every field of a GitRepository is read") {
  auto object = git_repository();
  object["spec"].update(Json::parse(R"({
      "timeout": "90s", "ref": {"branch": "b", "tag": "t", "semver": ">=1", "name": "refs/heads/x", "commit": "c"},
      "secretRef": {"name": "s"}, "provider": "azure", "serviceAccountName": "sa", "proxySecretRef": {"name": "p"},
      "verify": {"secretRef": {"name": "keys"}}, "ignore": "", "suspend": true, "recurseSubmodules": true,
      "sparseCheckout": ["a"], "include": [{"repository": {"name": "r"}, "fromPath": "f", "toPath": "t"}]})"));
  const auto read = api::parse_git_repository(object);
  REQUIRE(read);
  const auto& spec = read->spec;
  CHECK(spec.timeout == std::chrono::seconds(90));
  CHECK(spec.ref == api::GitRepositoryRef{"b", "t", ">=1", "refs/heads/x", "c"});
  CHECK(spec.secret_ref == api::LocalObjectReference{"s"});
  CHECK(spec.provider == "azure");
  CHECK(spec.service_account_name == "sa");
  CHECK(spec.proxy_secret_ref == api::LocalObjectReference{"p"});
  CHECK(spec.verify == api::GitRepositoryVerification{"HEAD", {"keys"}});
  CHECK(spec.ignore == "");  // set and empty: nothing is excluded
  CHECK(spec.suspend);
  CHECK(spec.recurse_submodules);
  CHECK(spec.sparse_checkout == std::vector<std::string>{"a"});
  CHECK(spec.include == std::vector<api::GitRepositoryInclude>{{{"r"}, "f", "t"}});
}

TEST_CASE("a status is read back as it was printed") {
  auto object = git_repository();
  object["status"] = Json::parse(R"({
      "observedGeneration": 3, "lastHandledReconcileAt": "now", "observedIgnore": "",
      "conditions": [{"type": "Ready", "status": "True", "reason": "Succeeded", "message": "stored",
                      "observedGeneration": 3, "lastTransitionTime": "2026-01-31T10:00:00Z"}],
      "artifact": {"digest": "sha256:ab", "path": "p", "url": "u", "revision": "r", "size": 12,
                   "lastUpdateTime": "2026-01-31T10:00:00Z"},
      "observedInclude": [{"repository": {"name": "r"}}], "observedSparseCheckout": ["a"],
      "observedRecurseSubmodules": true, "sourceVerificationMode": "HEAD",
      "sourceVerificationFingerprint": "sha256:abc"})");
  const auto read = api::parse_git_repository(object);
  REQUIRE(read);
  CHECK(api::to_json(read->status) == object["status"]);
  CHECK(api::to_json(api::GitRepositoryStatus{}) == Json::object());
}

TEST_CASE("a Kustomization's status is read back as it was printed") {
  auto object = kustomization();
  object["status"] = Json::parse(R"({
      "observedGeneration": -1, "lastAppliedRevision": "a", "lastAppliedOriginRevision": "b",
      "lastAttemptedRevision": "c", "lastHandledReconcileAt": "d",
      "inventory": {"entries": [{"id": "shop_web_apps_Deployment", "v": "v1"}]},
      "history": [{"digest": "sha256:a", "firstReconciled": "2026-01-31T10:00:00Z", "totalReconciliations": 2,
                   "lastReconciled": "2026-01-31T10:00:00Z", "lastReconciledDuration": "1.5s",
                   "lastReconciledStatus": "ReconciliationSucceeded"}]})");
  const auto read = api::parse_kustomization(object);
  REQUIRE(read);
  CHECK(api::to_json(read->status) == object["status"]);
}

TEST_CASE("every field of a Kustomization is read") {
  auto object = kustomization();
  object["spec"].update(Json::parse(R"({
      "sourceRef": {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "OCIRepository", "name": "o", "namespace": "n"},
      "path": "./p", "retryInterval": "30s", "timeout": "5m", "suspend": true, "force": true, "wait": true,
      "dependsOn": [{"name": "d", "namespace": "n", "readyExpr": "true"}], "deletionPolicy": "WaitForTermination",
      "healthChecks": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "namespace": "n"}],
      "healthCheckExprs": [{"apiVersion": "a/v1", "kind": "K", "current": "c", "inProgress": "i", "failed": "f"}],
      "targetNamespace": "t", "namePrefix": "p-", "nameSuffix": "-s",
      "commonMetadata": {"labels": {"l": "1"}, "annotations": {"a": "2"}},
      "patches": [{"patch": "[]", "target": {"group": "g", "version": "v", "kind": "k", "namespace": "n", "name": "m",
                   "annotationSelector": "a", "labelSelector": "l"}}],
      "images": [{"name": "a", "newName": "b", "newTag": "c", "digest": "d"}], "components": ["../c"],
      "ignoreMissingComponents": true, "buildMetadata": ["originAnnotations"],
      "postBuild": {"substituteStrategy": "Always", "substitute": {"a": "b"},
                    "substituteFrom": [{"kind": "Secret", "name": "s", "optional": true}]},
      "decryption": {"provider": "sops", "serviceAccountName": "sa", "secretRef": {"name": "s"}},
      "ignore": [{"paths": ["/spec/replicas"], "target": {"kind": "Deployment"}}], "serviceAccountName": "sa",
      "kubeConfig": {"configMapRef": {"name": "c"}, "secretRef": {"name": "x", "key": "y"}}})"));
  const auto read = api::parse_kustomization(object);
  REQUIRE(read);
  const auto& spec = read->spec;
  CHECK(spec.source_ref.str() == "OCIRepository/n/o");
  CHECK(spec.path == "./p");
  CHECK(spec.retry_interval == std::chrono::seconds(30));
  CHECK(spec.timeout == std::chrono::minutes(5));
  CHECK((spec.suspend && spec.force && spec.wait && spec.ignore_missing_components));
  CHECK(spec.depends_on == std::vector<api::DependencyReference>{{"d", "n", "true"}});
  CHECK(spec.deletion_policy == api::DeletionPolicy::wait_for_termination);
  CHECK(spec.health_checks == std::vector<api::NamespacedObjectKindReference>{{"apps/v1", "Deployment", "web", "n"}});
  CHECK(spec.health_check_exprs == std::vector<api::CustomHealthCheck>{{"a/v1", "K", "c", "i", "f"}});
  CHECK(spec.target_namespace == "t");
  CHECK(spec.name_prefix == "p-");
  CHECK(spec.name_suffix == "-s");
  CHECK(spec.common_metadata == api::CommonMetadata{{{"a", "2"}}, {{"l", "1"}}});
  CHECK(spec.patches == std::vector<api::Patch>{{"[]", api::Selector{"g", "v", "k", "n", "m", "a", "l"}}});
  CHECK(spec.images == std::vector<api::Image>{{"a", "b", "c", "d"}});
  CHECK(spec.components == std::vector<std::string>{"../c"});
  CHECK(spec.build_metadata == std::vector<std::string>{"originAnnotations"});
  CHECK(spec.post_build == api::PostBuild{api::SubstituteStrategy::always, {{"a", "b"}}, {{"Secret", "s", true}}});
  CHECK(spec.decryption == api::Decryption{"sops", "sa", api::LocalObjectReference{"s"}});
  REQUIRE(spec.ignore.size() == 1);
  CHECK(spec.ignore[0].paths == std::vector<std::string>{"/spec/replicas"});
  CHECK(spec.ignore[0].target->kind == "Deployment");
  CHECK(spec.service_account_name == "sa");
  CHECK(spec.kube_config->secret_ref == api::SecretKeyReference{"x", "y"});
  CHECK(spec.kube_config->config_map_ref == api::LocalObjectReference{"c"});
}

TEST_CASE("a Kustomization's times follow from its interval") {
  api::KustomizationSpec spec;
  spec.interval = std::chrono::minutes(10);
  CHECK(api::effective_timeout(spec) == std::chrono::seconds(570));
  CHECK(api::effective_retry_interval(spec) == std::chrono::minutes(10));
  spec.interval = std::chrono::seconds(40);
  CHECK(api::effective_timeout(spec) == std::chrono::seconds(30));
  spec.timeout = std::chrono::seconds(1);
  CHECK(api::effective_timeout(spec) == std::chrono::seconds(30));
  spec.timeout = std::chrono::hours(1);
  spec.retry_interval = std::chrono::seconds(5);
  CHECK(api::effective_timeout(spec) == std::chrono::hours(1));
  CHECK(api::effective_retry_interval(spec) == std::chrono::seconds(5));
}

TEST_CASE("deleting a Kustomization deletes its objects as prune and the policy say") {
  api::KustomizationSpec spec;
  CHECK_FALSE(api::deletes_objects(spec));
  spec.prune = true;
  CHECK(api::deletes_objects(spec));
  spec.deletion_policy = api::DeletionPolicy::orphan;
  CHECK_FALSE(api::deletes_objects(spec));
  spec.prune = false;
  spec.deletion_policy = api::DeletionPolicy::remove;
  CHECK(api::deletes_objects(spec));
  spec.deletion_policy = api::DeletionPolicy::wait_for_termination;
  CHECK(api::deletes_objects(spec));
}

TEST_CASE("every field of a Provider is read") {
  auto object = provider();
  CHECK(api::effective_timeout(api::parse_provider(object)->spec) == std::chrono::seconds(15));
  object["spec"] = Json::parse(R"({"type": "generic-hmac", "interval": "1h", "channel": "c", "username": "u",
      "address": "https://x", "timeout": "3s", "proxy": "http://p", "proxySecretRef": {"name": "ps"},
      "secretRef": {"name": "s"}, "serviceAccountName": "sa", "certSecretRef": {"name": "cs"}, "suspend": true,
      "commitStatusExpr": "e"})");
  const auto read = api::parse_provider(object);
  REQUIRE(read);
  const auto& spec = read->spec;
  CHECK(spec.type == api::provider_type::kGenericHmac);
  CHECK(spec.interval == std::chrono::hours(1));
  CHECK(spec.channel == "c");
  CHECK(spec.username == "u");
  CHECK(spec.address == "https://x");
  CHECK(api::effective_timeout(spec) == std::chrono::seconds(3));
  CHECK(spec.proxy == "http://p");
  CHECK(spec.proxy_secret_ref == api::LocalObjectReference{"ps"});
  CHECK(spec.secret_ref == api::LocalObjectReference{"s"});
  CHECK(spec.service_account_name == "sa");
  CHECK(spec.cert_secret_ref == api::LocalObjectReference{"cs"});
  CHECK(spec.suspend);
  CHECK(spec.commit_status_expr == "e");
}

TEST_CASE("every field of an Alert is read") {
  auto object = alert();
  CHECK(api::parse_alert(object)->spec.event_severity == api::EventSeverity::info);
  object["spec"] = Json::parse(R"({"providerRef": {"name": "p"}, "eventSeverity": "error", "summary": "s",
      "suspend": true, "inclusionList": ["i"], "exclusionList": ["e"], "eventMetadata": {"k": "v"},
      "eventSources": [{"apiVersion": "a", "kind": "HelmRelease", "name": "*", "namespace": "n",
                        "matchLabels": {"l": "1"}}]})");
  const auto read = api::parse_alert(object);
  REQUIRE(read);
  const auto& spec = read->spec;
  CHECK(spec.provider_ref.name == "p");
  CHECK(spec.event_severity == api::EventSeverity::error);
  CHECK(spec.summary == "s");
  CHECK(spec.suspend);
  CHECK(spec.inclusion_list == std::vector<std::string>{"i"});
  CHECK(spec.exclusion_list == std::vector<std::string>{"e"});
  CHECK(spec.event_metadata == api::StringMap{{"k", "v"}});
  CHECK(spec.event_sources ==
        std::vector<api::CrossNamespaceObjectReference>{{"a", "HelmRelease", "*", "n", {{"l", "1"}}}});
}

TEST_CASE("an error starts with the path of the field") {
  struct Case {
    const char* pointer;
    const char* value;
    const char* message;
  };
  const std::vector<Case> cases{
      {"/spec/url", "null", "spec.url: is required"},
      {"/spec/url", "7", "spec.url: must be a string, got number"},
      {"/spec/interval", "\"soon\"", "spec.interval: must be a duration such as \"1h30m\", got \"soon\""},
      {"/spec/interval", "\"99999999h\"",
       "spec.interval: is too large, must be at most 2562047h47m16.854775807s, got \"99999999h\""},
      {"/spec/interval", "\"99999999hours\"",
       "spec.interval: must be a duration such as \"1h30m\", got \"99999999hours\""},
      {"/spec/interval", "\"-1m\"", "spec.interval: must not be negative, got \"-1m\""},
      {"/spec/provider", "\"gcp\"", "spec.provider: must be one of generic, aws, azure, github, got \"gcp\""},
      {"/spec/suspend", "\"yes\"", "spec.suspend: must be true or false, got string"},
      {"/spec/ref", "[]", "spec.ref: must be an object, got array"},
      {"/spec/include", R"([{"repository": {"name": "a"}}, {"repository": {}}])",
       "spec.include[1].repository.name: is required"},
      {"/spec/sparseCheckout", "{}", "spec.sparseCheckout: must be a list, got object"},
      {"/spec", "3", "spec: must be an object, got number"},
      {"/status", R"({"observedGeneration": 1.5})", "status.observedGeneration: must be an integer, got number"},
      {"/status", R"({"artifact": {"digest": "d", "path": "p", "url": "u", "revision": "r", "lastUpdateTime": "x"}})",
       "status.artifact.lastUpdateTime: must be a time such as \"2026-01-31T10:00:00Z\", got \"x\""},
      {"/kind", "\"Bucket\"", "kind: must be GitRepository, got \"Bucket\""},
      {"/apiVersion", "\"v1\"", "apiVersion: must be of the group source.toolkit.fluxcd.io, got \"v1\""},
  };
  for (const auto& item : cases) {
    auto object = git_repository();
    object[Json::json_pointer(item.pointer)] = Json::parse(item.value);
    const auto read = api::parse_git_repository(object);
    CHECK(message_of(read) == item.message);
    if (!read) CHECK(read.error().kind == base::ErrorKind::invalid);
  }
  CHECK(message_of(api::parse_git_repository(Json())) == "kind: is required");
  auto without_spec = git_repository();
  without_spec.erase("spec");
  CHECK(message_of(api::parse_git_repository(without_spec)) == "spec: is required");
}

TEST_CASE("values outside of an enumeration name the choices") {
  auto ks = kustomization();
  ks["spec"]["deletionPolicy"] = "Keep";
  CHECK(message_of(api::parse_kustomization(ks)) ==
        "spec.deletionPolicy: must be one of MirrorPrune, Delete, WaitForTermination, Orphan, got \"Keep\"");
  ks = kustomization();
  ks["spec"]["buildMetadata"] = {"originAnnotations", "all"};
  CHECK(message_of(api::parse_kustomization(ks)) ==
        "spec.buildMetadata[1]: must be one of originAnnotations, transformerAnnotations, got \"all\"");
  auto rule = alert();
  rule["spec"]["eventSources"][0]["kind"] = "Pod";
  CHECK(message_of(api::parse_alert(rule)).rfind("spec.eventSources[0].kind: must be one of Bucket, ", 0) == 0);
  rule["spec"].erase("eventSources");
  CHECK(message_of(api::parse_alert(rule)) == "spec.eventSources: is required");
}

TEST_CASE("unknown fields are passed over and null reads as absent") {
  auto object = git_repository();
  object["spec"]["tomorrow"] = {{"a", 1}};
  object["spec"]["ref"] = nullptr;
  object["status"] = nullptr;
  const auto read = api::parse_git_repository(object);
  REQUIRE(read);
  CHECK_FALSE(read->spec.ref.has_value());
}

TEST_CASE("a reference without a namespace stays in that of the referring object") {
  api::CrossNamespaceSourceReference ref{"", "GitRepository", "apps", ""};
  CHECK(api::resolve(ref, "here").str() == "here/apps");
  CHECK(ref.str() == "GitRepository/apps");
  ref.namespace_ = "there";
  CHECK(api::resolve(ref, "here").str() == "there/apps");
  CHECK(api::resolve(api::LocalObjectReference{"s"}, "here").str() == "here/s");
}
