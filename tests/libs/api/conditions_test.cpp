#include "api/conditions.hpp"

#include <catch2/catch.hpp>

#include "api/git_repository.hpp"
#include "api/names.hpp"

using namespace sluice;
namespace condition = api::condition;
namespace reason = api::reason;

namespace {

api::ConditionStamp stamp(int seconds, std::int64_t generation = 1) {
  return {generation, base::TimePoint(std::chrono::seconds(1'000'000 + seconds))};
}

std::vector<std::string> types_of(const api::Conditions& conditions) {
  std::vector<std::string> out;
  for (const auto& item : conditions) out.push_back(item.type);
  return out;
}

}  // namespace

TEST_CASE("lastTransitionTime moves only with the status") {
  api::Conditions conditions;
  conditions.mark_true(condition::kReady, reason::kSucceeded, "one", stamp(0));
  const auto first = conditions.find(condition::kReady)->last_transition_time;
  conditions.mark_true(condition::kReady, reason::kReconciliationSucceeded, "two", stamp(60, 2));
  const auto* ready = conditions.find(condition::kReady);
  CHECK(ready->last_transition_time == first);
  CHECK(ready->message == "two");
  CHECK(ready->observed_generation == 2);
  conditions.mark_false(condition::kReady, reason::kFailed, "three", stamp(120, 2));
  CHECK(conditions.find(condition::kReady)->last_transition_time == first + std::chrono::seconds(120));
}

TEST_CASE("lastTransitionTime holds whole seconds, so that it survives the wire") {
  api::Conditions conditions;
  auto when = stamp(0);
  when.now += std::chrono::milliseconds(750);
  conditions.mark_true(condition::kReady, reason::kSucceeded, "", when);
  const auto read = api::parse_conditions(api::to_json(conditions));
  REQUIRE(read);
  CHECK(*read == conditions);
}

TEST_CASE("Stalled, Reconciling and Ready lead, then the newest generation, then the name") {
  api::Conditions conditions;
  conditions.mark_true("Zeta", reason::kSucceeded, "", stamp(0, 2));
  conditions.mark_true("Beta", reason::kSucceeded, "", stamp(0, 1));
  conditions.mark_true("Alpha", reason::kSucceeded, "", stamp(0, 1));
  conditions.mark_true(condition::kReady, reason::kSucceeded, "", stamp(0, 2));
  conditions.mark_reconciling(reason::kProgressing, "", stamp(0, 2));
  CHECK(types_of(conditions) == std::vector<std::string>{"Reconciling", "Ready", "Zeta", "Alpha", "Beta"});
}

TEST_CASE("Reconciling and Stalled exclude each other") {
  api::Conditions conditions;
  conditions.mark_reconciling(reason::kProgressing, "working", stamp(0));
  conditions.mark_stalled(reason::kInvalidUrl, "bad address", stamp(1));
  CHECK_FALSE(conditions.has(condition::kReconciling));
  CHECK(conditions.is_true(condition::kStalled));
  CHECK(conditions.is_false(condition::kReady));
  CHECK(conditions.reason(condition::kReady) == reason::kInvalidUrl);
  CHECK(conditions.message(condition::kReady) == "bad address");
  conditions.mark_reconciling(reason::kProgressing, "again", stamp(2));
  CHECK_FALSE(conditions.has(condition::kStalled));
}

TEST_CASE("a condition that is not there is neither true nor false nor unknown") {
  const api::Conditions none;
  CHECK_FALSE(none.is_true(condition::kReady));
  CHECK_FALSE(none.is_false(condition::kReady));
  CHECK_FALSE(none.is_unknown(condition::kReady));
  CHECK(none.find(condition::kReady) == nullptr);
  CHECK(none.reason(condition::kReady).empty());
}

TEST_CASE("a message that is too long is cut at a character's start") {
  api::Conditions conditions;
  std::string message(api::kMaxConditionMessage - 4, 'x');
  message += "\xC3\xA4\xC3\xA4\xC3\xA4";  // the limit falls into an umlaut
  conditions.mark_false(condition::kReady, std::string(api::kMaxConditionReason + 9, 'R'), message, stamp(0));
  const auto* ready = conditions.find(condition::kReady);
  CHECK(ready->message == std::string(api::kMaxConditionMessage - 4, 'x') + "...");
  CHECK(ready->reason.size() == api::kMaxConditionReason);

  conditions.mark_false(condition::kReady, reason::kFailed, std::string(api::kMaxConditionMessage, 'y'), stamp(0));
  CHECK(conditions.message(condition::kReady) == std::string(api::kMaxConditionMessage, 'y'));
}

TEST_CASE("removing a condition leaves the others") {
  api::Conditions conditions;
  conditions.mark_unknown("A", reason::kProgressing, "", stamp(0));
  conditions.mark_unknown("B", reason::kProgressing, "", stamp(0));
  conditions.remove("A");
  conditions.remove("absent");
  CHECK(types_of(conditions) == std::vector<std::string>{"B"});
  CHECK(conditions.is_unknown("B"));
}

TEST_CASE("conditions of one type given twice become one") {
  const auto read = api::parse_conditions(doc::Json::parse(R"([
    {"type": "Ready", "status": "True", "reason": "A", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"},
    {"type": "Ready", "status": "False", "reason": "B", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}])"));
  REQUIRE(read);
  REQUIRE(read->items().size() == 1);
  CHECK(read->reason(condition::kReady) == "B");
}

TEST_CASE("conditions that do not parse name the element and the field") {
  const auto read = api::parse_conditions(doc::Json::parse(R"([
    {"type": "Ready", "status": "Maybe", "reason": "A", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}])"));
  REQUIRE_FALSE(read);
  CHECK(read.error().message == "status.conditions[0].status: must be one of True, False, Unknown, got \"Maybe\"");
  CHECK(api::conditions_of(doc::Json::parse(R"({"status": {"conditions": [{"type": 1}]}})")).empty());
  CHECK(api::conditions_of(doc::Json()).empty());
}

TEST_CASE("conditions print with every required field, also when it is empty") {
  api::Conditions conditions;
  conditions.mark_true(condition::kReady, reason::kSucceeded, "", stamp(0, 3));
  CHECK(api::to_json(conditions) == doc::Json::parse(R"([{"type": "Ready", "status": "True", "reason": "Succeeded",
      "message": "", "observedGeneration": 3, "lastTransitionTime": "1970-01-12T13:46:40Z"}])"));
}

TEST_CASE("Ready follows the worst of the summarized conditions") {
  const auto& rules = api::git_repository_ready_summary();
  api::Conditions conditions;
  conditions.mark_true(condition::kArtifactInStorage, reason::kSucceeded, "stored artifact", stamp(0));

  SECTION("all is well") {
    api::summarize_ready(conditions, rules, stamp(1));
    CHECK(conditions.is_true(condition::kReady));
    CHECK(conditions.message(condition::kReady) == "stored artifact");
  }
  SECTION("a failed fetch outweighs the stored artifact") {
    conditions.mark_true(condition::kFetchFailed, reason::kGitOperationFailed, "refused", stamp(0));
    conditions.mark_true(condition::kArtifactOutdated, reason::kNewRevision, "new", stamp(0));
    api::summarize_ready(conditions, rules, stamp(1));
    CHECK(conditions.is_false(condition::kReady));
    CHECK(conditions.reason(condition::kReady) == reason::kGitOperationFailed);
  }
  SECTION("a False of the good kind is bad news") {
    conditions.mark_false(condition::kSourceVerified, reason::kVerificationError, "unsigned", stamp(0));
    api::summarize_ready(conditions, rules, stamp(1));
    CHECK(conditions.is_false(condition::kReady));
    CHECK(conditions.message(condition::kReady) == "unsigned");
  }
  SECTION("what the rules do not name has no say") {
    conditions.mark_true("Weather", "Rain", "wet", stamp(0));
    api::summarize_ready(conditions, rules, stamp(1));
    CHECK(conditions.is_true(condition::kReady));
  }
}

TEST_CASE("without any condition in scope Ready stays as it is") {
  api::Conditions conditions;
  conditions.mark_unknown(condition::kReady, reason::kProgressing, "", stamp(0));
  const auto before = conditions;
  api::summarize_ready(conditions, api::git_repository_ready_summary(), stamp(9));
  CHECK(conditions == before);
}

TEST_CASE("sane conditions have no faults, each broken rule has one") {
  api::Conditions conditions;
  conditions.mark_true(condition::kReady, reason::kSucceeded, "", stamp(0, 2));
  CHECK(api::check_conditions(conditions, 2, 2).empty());

  SECTION("an older generation") {
    CHECK(api::check_conditions(conditions, 3, 3) == std::vector<std::string>{"Ready is about an older generation"});
    CHECK(api::check_conditions(conditions, 3, 3, /*settled=*/false).empty());
  }
  SECTION("a generation that is yet to come") {
    CHECK(api::check_conditions(conditions, 1, 1).front() == "Ready is about a generation that does not exist");
  }
  SECTION("observedGeneration left behind") { CHECK(api::check_conditions(conditions, 2, 1).size() == 1); }
  SECTION("Ready though work goes on") {
    conditions.mark_reconciling(reason::kProgressing, "", stamp(1, 2));
    CHECK(api::check_conditions(conditions, 2, 2) == std::vector<std::string>{"Ready is True though Reconciling"});
  }
  SECTION("Stalled that is False") {
    conditions.mark_false(condition::kStalled, reason::kFailed, "", stamp(1, 2));
    CHECK(api::check_conditions(conditions, 2, 2) == std::vector<std::string>{"Stalled is there without being True"});
  }
  SECTION("Stalled and Reconciling at once") {
    conditions.mark_stalled(reason::kFailed, "", stamp(1, 2));
    conditions.mark_true(condition::kReconciling, reason::kProgressing, "", stamp(1, 2));
    CHECK(api::check_conditions(conditions, 2, 2) ==
          std::vector<std::string>{"Stalled is True together with Reconciling"});
  }
  SECTION("a reason that is a sentence") {
    conditions.mark_true(condition::kReady, "not a reason", "", stamp(1, 2));
    CHECK(api::check_conditions(conditions, 2, 2) ==
          std::vector<std::string>{"Ready has no valid reason: \"not a reason\""});
  }
  SECTION("no Ready at all") { CHECK(api::check_conditions({}, 2, 2) == std::vector<std::string>{"Ready is missing"}); }
}
