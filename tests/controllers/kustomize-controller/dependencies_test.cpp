#include "kustomize-controller/dependencies.hpp"

#include <catch2/catch.hpp>

using namespace sluice;
using kustomize_controller::matters_to_dependents;
using kustomize_controller::why_not_ready;

namespace {

doc::Json dependency() {
  return doc::Json::parse(R"({"metadata": {"name": "db", "namespace": "apps", "generation": 3},
    "spec": {"sourceRef": {"kind": "GitRepository", "name": "repo"}},
    "status": {"observedGeneration": 3, "lastAppliedRevision": "main@sha1:a",
               "conditions": [{"type": "Ready", "status": "True", "reason": "ReconciliationSucceeded", "message": "",
                               "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 3}]}})");
}

api::Kustomization dependent() {
  api::Kustomization kustomization;
  kustomization.metadata.name = "web";
  kustomization.metadata.namespace_ = "apps";
  kustomization.spec.source_ref = {"", "GitRepository", "repo", ""};
  return kustomization;
}

api::Artifact artifact(const char* revision) {
  api::Artifact made;
  made.revision = revision;
  return made;
}

std::string why(const doc::Json& object, const char* revision = "main@sha1:a") {
  return why_not_ready(&object, {"apps", "db"}, dependent(), artifact(revision));
}

}  // namespace

TEST_CASE("a dependency is ready for its newest generation with the revision of the shared source") {
  CHECK(why(dependency()).empty());
  CHECK(why_not_ready(nullptr, {"apps", "db"}, dependent(), artifact("x")) == "dependency 'apps/db' not found");
  CHECK(why(dependency(), "main@sha1:b") == "dependency 'apps/db' revision is not up to date");
  doc::Json changed = dependency();
  changed["metadata"]["generation"] = 4;
  CHECK(why(changed) == "dependency 'apps/db' is not ready");
  doc::Json failed = dependency();
  failed["status"]["conditions"][0]["status"] = "False";
  CHECK(why(failed) == "dependency 'apps/db' is not ready");
  doc::Json fresh = dependency();
  fresh.erase("status");
  CHECK(why(fresh) == "dependency 'apps/db' is not ready");
}

TEST_CASE("the revision of another source says nothing") {
  doc::Json other = dependency();
  other["spec"]["sourceRef"]["namespace"] = "infra";
  CHECK(why(other, "main@sha1:b").empty());
  other["spec"]["sourceRef"] = {{"kind", "OCIRepository"}, {"name", "repo"}};
  CHECK(why(other, "main@sha1:b").empty());
}

TEST_CASE("only readiness and revision matter to those who wait") {
  doc::Json now = dependency();
  now["status"]["history"] = doc::Json::array();
  CHECK_FALSE(matters_to_dependents(dependency(), now));
  now["status"]["lastAppliedRevision"] = "main@sha1:b";
  CHECK(matters_to_dependents(dependency(), now));
  doc::Json unready = dependency();
  unready["status"]["conditions"][0]["status"] = "Unknown";
  CHECK(matters_to_dependents(unready, dependency()));
}
