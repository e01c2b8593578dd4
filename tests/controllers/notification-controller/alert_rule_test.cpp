#include "notification-controller/alert_rule.hpp"

#include "support.hpp"

using namespace sluice;
using namespace sluice::test;
using notification_controller::AlertRule;

namespace {

AlertRule rule_of(const doc::Json& spec, bool own_namespace_only = false) {
  const auto alert = api::parse_alert(make_alert("a", spec));
  REQUIRE(alert);
  return AlertRule::compile(*alert, own_namespace_only);
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

std::shared_ptr<const api::StringMap> no_labels(const notification_controller::InvolvedObject&) { return nullptr; }

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

TEST_CASE("the API version of a source changes nothing, as upstream") {
  doc::Json wanted = source("Kustomization", "*");
  for (const auto version : {"kustomize.toolkit.fluxcd.io/v1beta2", "v1", "source.toolkit.fluxcd.io/v1"}) {
    wanted["apiVersion"] = version;
    CHECK(wants(spec_with(wanted), make_event("shop", "applied")));
  }
}

TEST_CASE("sources that no object can match are told with their place") {
  const auto told = [](const doc::Json& wanted) { return rule_of(spec_with(wanted)).hopeless_source(); };
  CHECK(told(source("Kustomization", "*")).empty());
  CHECK(told(source("Kustomization", "app.v2-x", "team-1")).empty());
  for (const auto name : {"app-*", "*-app", "**", "App", "-app", "app.", "a_b"}) {
    INFO(name);
    CHECK(told(source("Kustomization", name)).find("spec.eventSources[0].name: ") == 0);
    CHECK_FALSE(wants(spec_with(source("Kustomization", name)), make_event("app-1", "applied")));
  }
  for (const auto space : {"*", "team-*", "a.b", "Apps"}) {
    INFO(space);
    CHECK(told(source("Kustomization", "*", space)).find("spec.eventSources[0].namespace: ") == 0);
    CHECK_FALSE(wants(spec_with(source("Kustomization", "*", space)), make_event("shop", "applied")));
  }
  doc::Json labelled = source("Kustomization", "*");
  labelled["matchLabels"] = {{"example.com/team", "a"}, {"x", ""}};
  CHECK(told(labelled).empty());
  labelled["matchLabels"]["team"] = "a b";
  CHECK(told(labelled).find("spec.eventSources[0].matchLabels: ") == 0);
  doc::Json none = doc::Json::object();
  none["eventSources"] = doc::Json::array();
  CHECK(rule_of(none).hopeless_source().find("spec.eventSources: ") == 0);
  doc::Json second = spec_with(source("Kustomization", "*"));
  second["eventSources"].push_back(source("Kustomization", "*", "*"));
  CHECK(rule_of(second).hopeless_source().find("spec.eventSources[1].namespace: ") == 0);
  CHECK(wants(second, make_event("shop", "applied")));  // the others are listened to
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
    return rule.wants(what, [&labels](const notification_controller::InvolvedObject& object) {
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

TEST_CASE("an expression that does not parse is told with its place, and the others count") {
  doc::Json spec = doc::Json::object();
  spec["exclusionList"] = {"fine", "bro(ken"};
  const AlertRule rule = rule_of(spec);
  CHECK(rule.wrong_expression.find("spec.exclusionList[1]") == 0);
  CHECK(rule.wrong_expression.find("bro(ken") != std::string::npos);
  CHECK_FALSE(wants(spec, make_event("shop", "all is fine")));
  CHECK(wants(spec, make_event("shop", "bro(ken")));
  spec = doc::Json::object();
  spec["inclusionList"] = {"bro(ken"};
  CHECK_FALSE(wants(spec, make_event("shop", "bro(ken")));  // a list of none takes none in
  spec["inclusionList"] = {"bro(ken", "fine"};
  CHECK(wants(spec, make_event("shop", "all is fine")));
  CHECK(rule_of(doc::Json::object()).wrong_expression.empty());
}

TEST_CASE("expressions that are too many, too long or too large are left out, and told") {
  const auto rule_with = [](const std::vector<std::string>& excluded) {
    doc::Json spec = spec_with(source("Kustomization", "*"));
    spec["exclusionList"] = excluded;
    return rule_of(spec);
  };
  std::vector<std::string> many(64, "calm");
  CHECK(rule_with(many).wrong_expression.empty());
  many.push_back("applied");
  const AlertRule too_many = rule_with(many);
  CHECK(too_many.exclusion.size() == 64);
  CHECK(too_many.wrong_expression.find("spec.exclusionList: has over 64") == 0);
  CHECK(too_many.wants(make_occurrence(make_event("shop", "applied")), no_labels));

  CHECK(rule_with({std::string(1024, 'a')}).wrong_expression.empty());
  CHECK(rule_with({"calm", std::string(1025, 'a')}).wrong_expression.find("spec.exclusionList[1]: is longer") == 0);

  const AlertRule large = rule_with({"(\\pL{100}){10}", "calm"});
  CHECK(large.wrong_expression.find("spec.exclusionList[0]: ") == 0);
  CHECK(large.exclusion.size() == 1);
  CHECK(rule_with({"\\pL+@\\pL+", "(?i)progress(ing|ed)? of .* is \\d+%"}).wrong_expression.empty());
}

TEST_CASE("expressions that are large together are left out from where they are too large") {
  doc::Json spec = spec_with(source("Kustomization", "*"));
  spec["inclusionList"] = std::vector<std::string>(64, "a{1000}");
  spec["exclusionList"] = std::vector<std::string>(64, "b{1000}");
  const AlertRule rule = rule_of(spec);
  CHECK(rule.inclusion.size() > 16);
  CHECK(rule.inclusion.size() < 64);
  CHECK(rule.exclusion.empty());
  CHECK(rule.wrong_expression.find("spec.inclusionList[") == 0);
  CHECK(rule.wrong_expression.find("too large together") != std::string::npos);
}

TEST_CASE("what would take too long to judge is sent, and what is simple is judged however long it is") {
  const std::string costly = "[ab]*a[ab]{1000}[ab]{1000}[ab]{500}c";
  const std::string message(39'000, 'a');
  doc::Json spec = doc::Json::object();
  spec["exclusionList"] = std::vector<std::string>(10, costly);
  CHECK(rule_of(spec).wrong_expression.empty());
  CHECK(wants(spec, make_event("shop", message)));
  spec["exclusionList"].push_back("aaa.*aaa");  // is judged behind those that are not
  CHECK_FALSE(wants(spec, make_event("shop", message)));

  spec = doc::Json::object();
  spec["inclusionList"] = {costly};
  CHECK(wants(spec, make_event("shop", message)));
  CHECK_FALSE(wants(spec, make_event("shop", "applied")));  // is short enough to be judged
  spec["inclusionList"] = {"bbb.*bbb"};
  CHECK_FALSE(wants(spec, make_event("shop", message)));

  // The budget is that of all expressions of the Alert.
  const std::string small = "[ab]{20}c";
  spec["inclusionList"] = std::vector<std::string>{small};
  CHECK_FALSE(wants(spec, make_event("shop", message)));
  spec["inclusionList"] = std::vector<std::string>(10, small);
  CHECK(wants(spec, make_event("shop", message)));
}
