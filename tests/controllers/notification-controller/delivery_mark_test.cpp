#include "notification-controller/delivery_mark.hpp"

#include "support.hpp"

using namespace sluice;
using namespace sluice::test;
using notification_controller::DeliveryMark;
using notification_controller::DeliveryState;
using notification_controller::judge;
using notification_controller::JudgeInput;
using notification_controller::Occurrence;
using notification_controller::Verdict;
using namespace std::chrono_literals;

namespace {

Occurrence occurrence_at(const std::string& time, std::int64_t count = 1) {
  doc::Json event = make_event("shop", "it broke", time);
  event["metadata"]["uid"] = "event-uid";
  event["count"] = count;
  return make_occurrence(event);
}

DeliveryMark mark_of(const Occurrence& what, DeliveryState state = DeliveryState::sent) {
  DeliveryMark mark;
  mark.state = state;
  mark.count = what.count;
  mark.last = what.last;
  mark.digest = what.digest;
  return mark;
}

JudgeInput input_at(const std::string& now) {
  JudgeInput input;
  input.since = at("2026-01-31T09:00:00Z");
  input.now = at(now);
  input.window = 5min;
  return input;
}

}  // namespace

TEST_CASE("a mark survives being written to an Event and read back") {
  DeliveryMark mark = mark_of(occurrence_at("2026-01-31T10:00:00Z", 3), DeliveryState::rejected);
  mark.pending = true;
  mark.told = at("2026-01-31T10:00:01.25Z");
  doc::Json event = make_event("shop", "it broke");
  event["metadata"]["annotations"][notification_controller::mark_key("u-1")] = print_mark(mark);
  CHECK(notification_controller::read_mark(event, "u-1") == mark);
  CHECK_FALSE(notification_controller::read_mark(event, "u-2"));
  DeliveryMark only_pending;
  only_pending.pending = true;
  event["metadata"]["annotations"][notification_controller::mark_key("u-1")] = print_mark(only_pending);
  CHECK(notification_controller::read_mark(event, "u-1") == only_pending);
}

TEST_CASE("a mark that does not read is none") {
  doc::Json event = make_event("shop", "it broke");
  for (const auto* text : {"", "sent", "[]", "{}", R"({"state":"sent"})", R"({"state":"sent","count":1,"last":"x"})",
                           R"({"state":"lost","count":1,"last":"2026-01-31T10:00:00Z"})",
                           R"({"state":"sent","count":"1","last":"2026-01-31T10:00:00Z"})"}) {
    INFO(text);
    event["metadata"]["annotations"][notification_controller::mark_key("u")] = text;
    CHECK_FALSE(notification_controller::read_mark(event, "u"));
  }
}

TEST_CASE("the key of a mark is an annotation that the API server accepts") {
  const auto key = notification_controller::mark_key("7d0cdc51-ddcf-4743-b223-83ca5c699632");
  CHECK(key == "delivery.notification.toolkit.fluxcd.io/7d0cdc51-ddcf-4743-b223-83ca5c699632");
  CHECK(key.size() - key.find('/') - 1 <= 63);
}

TEST_CASE("what has no mark is due, from the second on in which the Alert is in force") {
  JudgeInput input = input_at("2026-01-31T10:00:00Z");
  CHECK(judge(occurrence_at("2026-01-31T10:00:00Z"), input) == Verdict::due);
  CHECK(judge(occurrence_at("2026-01-31T09:30:00Z"), input) == Verdict::due);
  input.since = at("2026-01-31T09:30:00Z");
  CHECK(judge(occurrence_at("2026-01-31T09:30:00Z"), input) == Verdict::due);
  CHECK(judge(occurrence_at("2026-01-31T09:29:59Z"), input) == Verdict::history);
}

TEST_CASE("an Event of an emitter whose clock is hours off is neither history nor too old") {
  const JudgeInput input = input_at("2026-01-31T10:00:00Z");
  doc::Json event = make_event("shop", "applied", "2026-01-31T06:00:00Z");
  CHECK(judge(make_occurrence(event), input) != Verdict::due);
  event["metadata"]["creationTimestamp"] = "2026-01-31T10:00:00Z";
  CHECK(judge(make_occurrence(event), input) == Verdict::due);
  event["metadata"]["creationTimestamp"] = "2026-01-31T09:00:00Z";
  CHECK(judge(make_occurrence(event), input) == Verdict::too_old);
}

TEST_CASE("what was sent, refused for good or skipped is not due again, whoever edits the Alert") {
  const auto what = occurrence_at("2026-01-31T10:00:00Z");
  for (const auto state : {DeliveryState::sent, DeliveryState::rejected, DeliveryState::skipped}) {
    JudgeInput input = input_at("2026-01-31T10:00:00Z");
    input.mark = mark_of(what, state);
    CHECK(judge(what, input) == Verdict::covered);
    input.since = at("2026-01-31T09:59:00Z");
    CHECK(judge(what, input) == Verdict::covered);
  }
}

TEST_CASE("a count that grows is due when the interval has passed since it was last sent") {
  const auto first = occurrence_at("2026-01-31T10:00:00Z");
  JudgeInput input = input_at("2026-01-31T10:20:00Z");
  input.mark = mark_of(first);
  input.last_alike = first.last;
  CHECK(judge(occurrence_at("2026-01-31T10:04:59Z", 2), input) == Verdict::repeated);
  CHECK(judge(occurrence_at("2026-01-31T10:05:00Z", 2), input) == Verdict::due);
  input.window = 0s;
  CHECK(judge(occurrence_at("2026-01-31T10:00:01Z", 2), input) == Verdict::due);
  CHECK(judge(first, input) == Verdict::covered);
}

TEST_CASE("the same news in another Event is a repetition, before or after") {
  JudgeInput input = input_at("2026-01-31T10:20:00Z");
  input.last_alike = at("2026-01-31T10:10:00Z");
  CHECK(judge(occurrence_at("2026-01-31T10:12:00Z"), input) == Verdict::repeated);
  CHECK(judge(occurrence_at("2026-01-31T10:08:00Z"), input) == Verdict::repeated);
  CHECK(judge(occurrence_at("2026-01-31T10:15:00Z"), input) == Verdict::due);
  CHECK(judge(occurrence_at("2026-01-31T10:04:00Z"), input) == Verdict::due);
}

TEST_CASE("what an Event says of itself does not count where it was seen to come") {
  JudgeInput input = input_at("2026-01-31T10:20:00Z");
  input.last_alike = at("2026-01-31T10:10:00Z");
  input.received = at("2026-01-31T10:20:00Z");
  CHECK(judge(occurrence_at("2026-01-31T10:10:01Z", 2), input) == Verdict::due);
  input.last_alike = at("2026-01-31T10:19:00Z");
  CHECK(judge(occurrence_at("2026-01-31T11:20:00Z", 2), input) == Verdict::repeated);
  input.received.reset();
  CHECK(judge(occurrence_at("2026-01-31T11:20:00Z", 2), input) == Verdict::repeated);
}

TEST_CASE("other news in the same Event is due at once") {
  const auto first = occurrence_at("2026-01-31T10:00:00Z");
  doc::Json event = make_event("shop", "something else", "2026-01-31T10:00:01Z");
  event["count"] = 2;
  JudgeInput input = input_at("2026-01-31T10:00:02Z");
  input.mark = mark_of(first);
  CHECK(judge(make_occurrence(event), input) == Verdict::due);
}

TEST_CASE("what was tried in vain stays due, however old it is and whoever edits the Alert") {
  JudgeInput input = input_at("2026-01-31T12:00:00Z");
  input.since = at("2026-01-31T11:00:00Z");
  DeliveryMark mark;
  mark.pending = true;
  const auto what = occurrence_at("2026-01-31T10:00:00Z");
  CHECK(judge(what, input) == Verdict::history);
  input.mark = mark;
  CHECK(judge(what, input) == Verdict::due);
  input.mark = mark_of(what);
  input.mark->pending = true;  // a newer occurrence was, and this one is not it
  CHECK(judge(what, input) == Verdict::covered);
}

TEST_CASE("what is nearly as old as Events get is not sent any more") {
  CHECK(judge(occurrence_at("2026-01-31T10:00:00Z"), input_at("2026-01-31T10:55:00Z")) == Verdict::due);
  CHECK(judge(occurrence_at("2026-01-31T10:00:00Z"), input_at("2026-01-31T10:55:01Z")) == Verdict::too_old);
}

TEST_CASE("the id of a delivery stays while it is in doubt, and changes with the next one") {
  const auto first = occurrence_at("2026-01-31T10:00:00Z");
  const auto bumped = occurrence_at("2026-01-31T10:00:05Z", 2);
  const auto id = delivery_id(first, "a", std::nullopt);
  CHECK(id.size() == 32);
  // Killed before the mark was written, and the count grew meanwhile.
  CHECK(delivery_id(bumped, "a", std::nullopt) == id);
  DeliveryMark pending;
  pending.pending = true;
  CHECK(delivery_id(first, "a", pending) == id);
  CHECK(delivery_id(bumped, "a", mark_of(first)) != id);
  CHECK(delivery_id(first, "b", std::nullopt) != id);
}
