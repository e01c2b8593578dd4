#include "notification-controller/expressions.hpp"

#include <malloc.h>

#include "notification-controller/alert_rule.hpp"
#include "support.hpp"

using namespace sluice;
using namespace sluice::test;
using notification_controller::AlertRule;
using notification_controller::Expressions;

namespace {

// It remembers which of the last 17 characters were ones: more than there is room for, ever.
std::string forgetless(std::size_t number) { return "1[01]{17}A" + std::to_string(number); }

std::string zeros_and_ones(std::size_t length) {
  std::string text;
  unsigned state = 1;
  for (std::size_t i = 0; i < length; ++i) {
    state = state * 1103515245U + 12345U;
    text += (state >> 16U & 1U) != 0 ? '1' : '0';
  }
  return text;
}

AlertRule rule_excluding(std::size_t alert, const std::shared_ptr<Expressions>& expressions) {
  doc::Json spec = doc::Json::object();
  spec["eventSources"] = doc::Json::array({{{"kind", "Kustomization"}, {"name", "*"}}});
  std::vector<std::string> excluded;
  for (std::size_t i = 0; i < 64; ++i) excluded.push_back(forgetless(alert * 64 + i));
  spec["exclusionList"] = excluded;
  const auto parsed = api::parse_alert(make_alert("a" + std::to_string(alert), spec));
  REQUIRE(parsed);
  return AlertRule::compile(*parsed, false, expressions);
}

}  // namespace

TEST_CASE("what the expressions of all Alerts remember is bounded together, however many there are") {
  const auto expressions = std::make_shared<Expressions>();
  std::vector<AlertRule> rules;
  for (std::size_t i = 0; i < 24; ++i) rules.push_back(rule_excluding(i, expressions));
  const auto what = make_occurrence(make_event("shop", zeros_and_ones(600)));
  const auto in_use = [] { return mallinfo2().uordblks; };
  const std::size_t before = in_use();
  for (const auto& rule : rules) CHECK(rule.wants(what, [](const auto&) { return nullptr; }));
  CHECK(expressions->held() <= Expressions::kShare);
  CHECK(in_use() < before + (20U << 20U));
}

TEST_CASE("an expression takes no more room than it is reckoned to") {
  Expressions expressions;
  const auto in_use = [] { return mallinfo2().uordblks; };
  const std::size_t before = in_use();
  const std::string text = zeros_and_ones(20'000);
  for (std::size_t i = 0; i < 20; ++i) {
    const auto one = expressions.get("apps", forgetless(i));
    REQUIRE(one);
    CHECK_FALSE(one->matches(text).value());
    const auto anchored = expressions.get("apps", forgetless(i) + "$");
    REQUIRE(anchored);
    CHECK_FALSE(anchored->matches(text).value());
  }
  CHECK(expressions.compiled() == 40);
  CHECK(in_use() <= before + expressions.held());
}

TEST_CASE("expressions that there is room for are compiled once, and equal ones together") {
  const auto expressions = std::make_shared<Expressions>();
  const AlertRule one = rule_excluding(1, expressions);
  const AlertRule same = rule_excluding(1, expressions);
  CHECK(expressions->compiled() == 64);
  const auto what = make_occurrence(make_event("shop", "applied"));
  for (int i = 0; i < 3; ++i) CHECK(one.wants(what, [](const auto&) { return nullptr; }));
  CHECK(same.wants(what, [](const auto&) { return nullptr; }));
  CHECK(expressions->compiled() == 64);
}

TEST_CASE("a rule judges alike whether its expressions are compiled or not") {
  const auto expressions = std::make_shared<Expressions>(1);  // room for none
  doc::Json spec = doc::Json::object();
  spec["eventSources"] = doc::Json::array({{{"kind", "Kustomization"}, {"name", "*"}}});
  spec["inclusionList"] = {"(", "ready|appl[iy]"};
  spec["exclusionList"] = {"[", "qui.t", "^app.*quietly$"};
  const auto parsed = api::parse_alert(make_alert("a", spec));
  REQUIRE(parsed);
  const AlertRule rule = AlertRule::compile(*parsed, false, expressions);
  const auto wants = [&rule](const std::string& message) {
    return rule.wants(make_occurrence(make_event("shop", message)), [](const auto&) { return nullptr; });
  };
  CHECK(expressions->held() == 0);
  CHECK(wants("applied"));
  CHECK_FALSE(wants("failed"));
  CHECK_FALSE(wants("applied quietly"));
  CHECK(wants("quickly applied"));
}

TEST_CASE("a namespace with many expressions has its own compiled again, and nobody else's") {
  Expressions expressions(1U << 20U);
  REQUIRE(expressions.get("quiet", "a+b"));
  for (std::size_t i = 0; i < 100; ++i) REQUIRE(expressions.get("loud", forgetless(i)));
  CHECK(expressions.held("loud") <= 1U << 20U);
  const std::size_t before = expressions.compiled();
  REQUIRE(expressions.get("quiet", "a+b"));
  REQUIRE(expressions.get("loud", forgetless(99)));
  CHECK(expressions.compiled() == before);
  REQUIRE(expressions.get("loud", forgetless(0)));
  CHECK(expressions.compiled() == before + 1);
  expressions.forget("loud");
  CHECK(expressions.held("loud") == 0);
  CHECK(expressions.held() == expressions.held("quiet"));
}

TEST_CASE("what would take long to read again is left out") {
  const auto expressions = std::make_shared<Expressions>();
  doc::Json spec = doc::Json::object();
  std::string classes = "[";
  for (int i = 0; i < 200; ++i) classes += "\\pL";
  spec["exclusionList"] = std::vector<std::string>(3, classes + "]");
  const auto parsed = api::parse_alert(make_alert("a", spec));
  REQUIRE(parsed);
  const AlertRule rule = AlertRule::compile(*parsed, false, expressions);
  CHECK(rule.exclusion.size() == 2);
  CHECK(rule.wrong_expression.find("too large together") != std::string::npos);
}
