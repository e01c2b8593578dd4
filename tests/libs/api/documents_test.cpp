// What people read and apply besides the CRDs (docs/spec, charts/rbac) knows the
// same kinds and fields as the code.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cctype>
#include <fstream>
#include <iterator>

#include "api/kind.hpp"
#include "api/object_meta.hpp"
#include "doc/yaml.hpp"

using namespace sluice;
using doc::Json;

namespace {

std::string read_file(const std::string& name) {
  std::ifstream file(name);
  INFO(name);
  REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::string page_of(const api::KindInfo& kind) { return read_file("docs/spec/" + lower(kind.gvk.kind) + ".md"); }

std::string section(const std::string& page, const std::string& heading) {
  const auto start = page.find("\n## " + heading + "\n");
  REQUIRE(start != std::string::npos);
  return page.substr(start, page.find("\n## ", start + 1) - start);
}

bool names(const std::string& text, const std::string& field) {
  return text.find("`" + field + "`") != std::string::npos;
}

// "spec.dependsOn[].readyExpr" -> "readyExpr"
std::string last_part(const std::string& path) { return path.substr(path.rfind('.') + 1); }

// True if a rule of the daemon's own ClusterRole allows the verb on the resource.
bool allows(const std::vector<doc::YamlDocument>& manifest, const std::string& group, const std::string& resource,
            const std::string& verb) {
  const auto has = [](const Json& list, const std::string& item) {
    return std::find(list.begin(), list.end(), item) != list.end();
  };
  for (const auto& document : manifest) {
    if (api::kind_of(document.value) != "ClusterRole") continue;
    for (const auto& rule : document.value.at("rules")) {
      if (has(rule.at("apiGroups"), group) && has(rule.at("resources"), resource) && has(rule.at("verbs"), verb)) {
        return true;
      }
    }
  }
  return false;
}

std::string daemon_of(const api::KindInfo& kind) {
  return kind.gvk.group.substr(0, kind.gvk.group.find('.')) + "-controller";
}

}  // namespace

TEST_CASE("the page of a kind names every field of its spec and status") {
  for (const auto& kind : api::all_kinds()) {
    const auto page = page_of(kind);
    const auto spec = section(page, "Spec");
    const auto status = section(page, "Status");
    for (const auto& field : kind.spec) {
      INFO(kind.gvk.kind << " spec." << field.name);
      CHECK(names(spec, field.name));
    }
    for (const auto& field : kind.status) {
      INFO(kind.gvk.kind << " status." << field.name);
      CHECK(names(status, field.name));
    }
  }
}

TEST_CASE("the page of a kind lists what is not honoured yet, and no more") {
  for (const auto& kind : api::all_kinds()) {
    const auto text = section(page_of(kind), "Not honoured yet");
    const auto unsupported = api::unsupported_fields(kind.gvk.kind);
    for (const auto& field : unsupported) {
      INFO(field.path);
      CHECK(names(text, last_part(field.path)));
    }
    for (const auto& field : kind.spec) {
      const auto is_listed = [&](const auto& item) {
        return item.path == "spec." + field.name || item.path.rfind("spec." + field.name + "[]", 0) == 0;
      };
      INFO(kind.gvk.kind << " spec." << field.name);
      CHECK(names(text, field.name) == std::any_of(unsupported.begin(), unsupported.end(), is_listed));
    }
  }
}

TEST_CASE("each daemon may do with its own kinds what reconciling them takes") {
  for (const auto& kind : api::all_kinds()) {
    const auto manifest = doc::parse_yaml_stream(read_file("charts/rbac/" + daemon_of(kind) + ".yaml"));
    REQUIRE(manifest);
    for (const auto* verb : {"get", "list", "watch", "patch"}) {
      INFO(kind.plural << " " << verb);
      CHECK(allows(*manifest, kind.gvk.group, kind.plural, verb));
    }
    CHECK(allows(*manifest, kind.gvk.group, kind.plural + "/status", "patch"));
    CHECK(allows(*manifest, "", "events", "create"));
    CHECK(allows(*manifest, "", "secrets", "get"));
  }
}

TEST_CASE("no daemon has a right that reaches everything") {
  for (const auto* daemon : {"source-controller", "kustomize-controller", "notification-controller"}) {
    const auto manifest = doc::parse_yaml_stream(read_file("charts/rbac/" + std::string(daemon) + ".yaml"));
    REQUIRE(manifest);
    for (const auto& document : *manifest) {
      INFO(daemon << ": " << document.value.dump());
      CHECK(document.value.dump().find("\"*\"") == std::string::npos);
      CHECK(doc::find_string(document.value, {"roleRef", "name"}) != "cluster-admin");
    }
  }
}

TEST_CASE("of the daemons only kustomize-controller may list Secrets") {
  for (const auto* daemon : {"source-controller", "notification-controller"}) {
    const auto manifest = doc::parse_yaml_stream(read_file("charts/rbac/" + std::string(daemon) + ".yaml"));
    REQUIRE(manifest);
    CHECK_FALSE(allows(*manifest, "", "secrets", "list"));
    CHECK_FALSE(allows(*manifest, "", "secrets", "watch"));
  }
}
