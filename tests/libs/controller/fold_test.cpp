#include "controller/fold.hpp"

#include <catch2/catch.hpp>

using sluice::base::TimePoint;
using sluice::doc::Json;
namespace api = sluice::api;
namespace controller = sluice::controller;

namespace {

const api::ConditionStamp kStamp{4, TimePoint(std::chrono::hours(1000))};
const controller::FoldInput kInput{{"FetchFailed", "BuildFailed"}, "Succeeded", "all well"};

sluice::base::Error error(const char* message) {
  sluice::base::Error e;
  e.message = message;
  return e;
}

std::size_t faults(const api::Conditions& conditions, std::int64_t observed) {
  return api::check_conditions(conditions, kStamp.generation, observed).size();
}

}  // namespace

TEST_CASE("each disposition leaves conditions that kstatus can read") {
  api::Conditions conditions;
  controller::fold_failure(conditions, kInput, controller::retry("A", error("a"), "FetchFailed"), kStamp);
  CHECK(faults(conditions, 0) == 0);
  controller::fold_failure(conditions, kInput, controller::stall("B", error("b")), kStamp);
  CHECK(faults(conditions, 4) == 0);
  CHECK_FALSE(conditions.has("Reconciling"));
  CHECK_FALSE(conditions.has("FetchFailed"));
  controller::fold_failure(conditions, kInput, controller::wait_for("C", error("c"), std::chrono::seconds(1)), kStamp);
  CHECK(faults(conditions, 0) == 0);
  CHECK_FALSE(conditions.has("Stalled"));
  controller::fold_done(conditions, kInput, kStamp);
  CHECK(faults(conditions, 4) == 0);
  CHECK(conditions.items().size() == 1);
}

TEST_CASE("several conditions may fail in one run, and those that did not are taken away") {
  api::Conditions conditions;
  conditions.mark_true("Healthy", "Succeeded", "was", kStamp);
  auto failure = controller::retry("FetchFailed", error("no answer"), "FetchFailed");
  failure.also = {{"Healthy", "HealthCheckFailed", "x is not ready"}};
  controller::fold_failure(conditions, kInput, failure, kStamp);
  CHECK(conditions.is_true("FetchFailed"));
  CHECK(conditions.is_false("Healthy"));
  CHECK(conditions.message("Healthy") == "x is not ready");
  CHECK(conditions.message("Ready") == "no answer");
  const std::string other = kInput.negative_conditions.back();
  failure.also = {{other, "Bad", "worse"}};
  controller::fold_failure(conditions, kInput, failure, kStamp);
  CHECK(conditions.is_true(other));
  controller::fold_failure(conditions, kInput, controller::retry("Failed", error("else")), kStamp);
  CHECK_FALSE(conditions.has(other));
  CHECK_FALSE(conditions.has("FetchFailed"));
}

TEST_CASE("a failing condition that is good news by nature turns False") {
  api::Conditions conditions;
  conditions.mark_true("Healthy", "Succeeded", "was", kStamp);
  controller::fold_failure(conditions, kInput, controller::retry("HealthCheckFailed", error("x"), "Healthy"), kStamp);
  CHECK(conditions.is_false("Healthy"));
}

TEST_CASE("observedGeneration moves only when a run has come to an end") {
  const Json draft = {{"artifact", {{"revision", "r"}}}};
  CHECK(controller::compose_status(draft, {}, {4, 3, false, ""})["observedGeneration"] == 3);
  CHECK(controller::compose_status(draft, {}, {4, 3, true, ""})["observedGeneration"] == 4);
  CHECK_FALSE(controller::compose_status(draft, {}, {4, 0, false, ""}).contains("observedGeneration"));
}

TEST_CASE("a draft holds the kind's own status and nothing of the shell's") {
  Json object = Json::object();
  object["status"] = controller::compose_status(Json{{"x", 1}}, {}, {4, 3, true, "now"});
  CHECK(object["status"]["lastHandledReconcileAt"] == "now");
  CHECK(controller::draft_of(object) == Json{{"x", 1}});
  CHECK(controller::draft_of(Json::object()) == Json::object());
}
