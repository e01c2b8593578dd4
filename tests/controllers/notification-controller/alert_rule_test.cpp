#include "notification-controller/alert_rule.hpp"

#include "support.hpp"

using namespace sluice;
using namespace sluice::test;
using notification::AlertRule;

namespace {

AlertRule rule_of(const doc::Json& spec, bool own_namespace_only = false) {
  const auto alert = api::parse_alert(make_alert("a", spec));
  REQUIRE(alert);
  auto rule = AlertRule::compile(*alert, own_namespace_only);
  REQUIRE(rule);
  return *std::move(rule);
}

doc::Json source(const std::string& kind, const std::string& name, const std::string& space = {}) {
  doc::Json out = doc::Json::object();
  out["kind"] = kind;
  out["name"] = name;
  if (!space.empty()) out["namespace"] = space;
  return out;
}

doc::Json spec_with(doc::Json one_source) {
  doc::Json spec = doc::Json::object();
  spec["eventSources"] = doc::Json::array({std::move(one_source)});
  return spec;
}

std::shared_ptr<const api::StringMap> no_labels(const notification::InvolvedObject&) { return nullptr; }

bool wants(const doc::Json& spec, const doc::Json& event, bool own_namespace_only = false) {
  return rule_of(spec, own_namespace_only).wants(make_occurrence(event), no_labels);
}

}  // namespace

TEST_CASE("an Alert listens to objects by kind, name and namespace") {
  const doc::Json event = make_event("shop", "applied");
  CHECK(wants(spec_with(source("Kustomization", "*")), event));
  CHECK(wants(spec_with(source("Kustomization", "shop")), event));
  CHECK(wants(spec_with(source("Kustomization", "*", "apps")), event));
  CHECK_FALSE(wants(spec_with(source("Kustomization", "sho")), event));
  CHECK_FALSE(wants(spec_with(source("HelmRelease", "*")), event));
  CHECK_FALSE(wants(spec_with(source("Kustomization", "*", "other")), event));
}

TEST_CASE("an API version in a source narrows it to the group, of any version") {
  doc::Json wanted = source("Kustomization", "*");
  wanted["apiVersion"] = "kustomize.toolkit.fluxcd.io/v1beta2";
  CHECK(wants(spec_with(wanted), make_event("shop", "applied")));
  wanted["apiVersion"] = "example.com/v1";
  CHECK_FALSE(wants(spec_with(wanted), make_event("shop", "applied")));
}

TEST_CASE("other namespaces are heard unless cross-namespace references are forbidden") {
  doc::Json event = make_event("shop", "applied");
  event["metadata"]["namespace"] = "other";
  event["involvedObject"]["namespace"] = "other";
  const doc::Json spec = spec_with(source("Kustomization", "shop", "other"));
  CHECK(wants(spec, event));
  CHECK_FALSE(wants(spec, event, true));
  CHECK(rule_of(spec).forbidden_source().empty());
  CHECK(rule_of(spec, true).forbidden_source() ==
        "spec.eventSources[0]: Kustomization/other/shop is in another namespace, and cross-namespace references are "
        "blocked");
  CHECK(rule_of(spec_with(source("Kustomization", "shop", "apps")), true).forbidden_source().empty());
}

TEST_CASE("error lets failures through, info everything") {
  doc::Json spec = doc::Json::object();
  doc::Json event = make_event("shop", "applied");
  CHECK(wants(spec, event));
  spec["eventSeverity"] = "error";
  CHECK_FALSE(wants(spec, event));
  event["type"] = "Warning";
  CHECK(wants(spec, event));
  spec["eventSeverity"] = "info";
  CHECK(wants(spec, event));
}

TEST_CASE("labels are those of the live object, and one that is not there has none") {
  doc::Json wanted = source("Kustomization", "*");
  wanted["matchLabels"] = {{"team", "shop"}, {"tier", "web"}};
  const AlertRule rule = rule_of(spec_with(wanted));
  const auto what = make_occurrence(make_event("shop", "applied"));
  const auto with = [&](api::StringMap labels) {
    return rule.wants(what, [&labels](const notification::InvolvedObject& object) {
      CHECK(object.name == "shop");
      return std::make_shared<const api::StringMap>(labels);
    });
  };
  CHECK(with({{"team", "shop"}, {"tier", "web"}, {"more", "x"}}));
  CHECK_FALSE(with({{"team", "shop"}}));
  CHECK_FALSE(with({{"team", "bank"}, {"tier", "web"}}));
  CHECK_FALSE(rule.wants(what, no_labels));
}

TEST_CASE("one inclusion must match, and an exclusion is stronger") {
  doc::Json spec = doc::Json::object();
  spec["inclusionList"] = {"created$", "^deleted"};
  CHECK(wants(spec, make_event("shop", "x created")));
  CHECK(wants(spec, make_event("shop", "deleted x")));
  CHECK_FALSE(wants(spec, make_event("shop", "created x")));
  spec["exclusionList"] = {"secret/"};
  CHECK_FALSE(wants(spec, make_event("shop", "secret/x created")));
  CHECK(wants(spec, make_event("shop", "x created")));
}

TEST_CASE("an expression that does not parse is told with its place") {
  doc::Json spec = doc::Json::object();
  spec["exclusionList"] = {"fine", "bro(ken"};
  const auto alert = api::parse_alert(make_alert("a", spec));
  REQUIRE(alert);
  const auto rule = AlertRule::compile(*alert, false);
  REQUIRE_FALSE(rule);
  CHECK(rule.error().kind == base::ErrorKind::invalid);
  CHECK(rule.error().message.find("spec.exclusionList[1]") == 0);
  CHECK(rule.error().message.find("bro(ken") != std::string::npos);
}
