#include <catch2/catch.hpp>

#include "api/kind.hpp"
#include "api/names.hpp"

using namespace sluice;
using doc::Json;

namespace {

std::vector<std::string> paths(const std::vector<api::UnsupportedField>& fields) {
  std::vector<std::string> out;
  for (const auto& field : fields) out.push_back(field.path);
  return out;
}

std::vector<std::string> used(const char* kind, const char* spec) {
  return paths(api::unsupported_fields_of(Json{{"kind", kind}, {"spec", Json::parse(spec)}}));
}

using Paths = std::vector<std::string>;

}  // namespace

TEST_CASE("each kind says which parts of the contract are not honoured yet") {
  CHECK(paths(api::unsupported_fields(api::kind::kGitRepository)) ==
        Paths{"spec.provider", "spec.serviceAccountName", "spec.verify", "spec.proxySecretRef",
              "spec.recurseSubmodules", "spec.include", "spec.sparseCheckout"});
  CHECK(paths(api::unsupported_fields(api::kind::kKustomization)) ==
        Paths{"spec.dependsOn[].readyExpr", "spec.decryption", "spec.kubeConfig",
              "spec.healthCheckExprs", "spec.ignore"});
  CHECK(paths(api::unsupported_fields(api::kind::kProvider)) == Paths{"spec.type", "spec.proxy", "spec.proxySecretRef",
                                                                      "spec.serviceAccountName",
                                                                      "spec.commitStatusExpr"});
  CHECK(api::unsupported_fields(api::kind::kAlert).empty());
  CHECK(api::unsupported_fields("Unknown").empty());
  for (const auto& kind : api::all_kinds()) {
    for (const auto& field : api::unsupported_fields(kind.gvk.kind)) {
      INFO(field.path);
      CHECK_FALSE(field.note.empty());
    }
  }
}

TEST_CASE("a field asks for something only when it is set to something") {
  CHECK(used("GitRepository", R"({"url": "https://x", "interval": "1m"})").empty());
  CHECK(used("GitRepository", R"({"recurseSubmodules": false, "include": [], "sparseCheckout": null,
                                  "serviceAccountName": "", "verify": {}})")
            .empty());
  CHECK(used("GitRepository", R"({"recurseSubmodules": true, "include": [{}]})") ==
        Paths{"spec.recurseSubmodules", "spec.include"});
}

TEST_CASE("a field may be honoured in some of its values") {
  CHECK(used("GitRepository", R"({"provider": "generic"})").empty());
  CHECK(used("GitRepository", R"({"provider": "azure"})") == Paths{"spec.provider"});
  for (const auto* type : {"generic", "generic-hmac", "slack"}) {
    CHECK(used("Provider", (R"({"type": ")" + std::string(type) + "\"}").c_str()).empty());
  }
  CHECK(used("Provider", R"({"type": "discord"})") == Paths{"spec.type"});
}

TEST_CASE("a field in an element of a list is named with the element") {
  CHECK(used("Kustomization", R"({"dependsOn": [{"name": "a"}, {"name": "b", "readyExpr": "true"}]})") ==
        Paths{"spec.dependsOn[1].readyExpr"});
}

TEST_CASE("the message names every field and why") {
  const auto object = Json::parse(R"({"kind": "Provider", "spec": {"type": "discord", "proxy": "http://p"}})");
  CHECK(api::unsupported_message(object) ==
        "not supported yet: spec.type (this type is not implemented (only generic, generic-hmac, slack)); "
        "spec.proxy (sending through a proxy is not implemented)");
  CHECK(api::unsupported_message(Json::parse(R"({"kind": "Alert", "spec": {"suspend": true}})")).empty());
}

TEST_CASE("values of wrong types ask for nothing that could crash") {
  CHECK(used("Kustomization", R"({"dependsOn": "x", "ignore": 3})") == Paths{"spec.ignore"});
  CHECK(api::unsupported_fields_of(Json()).empty());
  CHECK(api::unsupported_fields_of(Json{{"kind", "Provider"}, {"spec", "x"}}).empty());
}
