#include "notification-controller/occurrence.hpp"

#include "support.hpp"

using namespace sluice;
using namespace sluice::test;
using notification_controller::read_occurrence;
using notification_controller::Severity;

TEST_CASE("an Event of client-go reads as what happened to which object") {
  doc::Json event = make_event("shop", "applied");
  event["type"] = "Warning";
  event["count"] = 4;
  event["lastTimestamp"] = "2026-01-31T10:05:00Z";
  event["source"]["host"] = "pod-1";
  const auto what = make_occurrence(event);
  CHECK(what.involved.str() == "Kustomization/apps/shop");
  CHECK(what.involved.group() == kGroup);
  CHECK(what.severity == Severity::error);
  CHECK(what.reason == "ReconciliationSucceeded");
  CHECK(what.message == "applied");
  CHECK(what.count == 4);
  CHECK(what.last == at("2026-01-31T10:05:00Z"));
  CHECK(what.reporting_controller == "kustomize-controller");
  CHECK(what.reporting_instance == "pod-1");
}

TEST_CASE("when it happened is told by the server's clock as well, whatever the emitter's clock says") {
  doc::Json event = make_event("shop", "applied", "2026-01-31T07:00:00Z");
  CHECK(make_occurrence(event).at == at("2026-01-31T07:00:00Z"));
  event["metadata"]["creationTimestamp"] = "2026-01-31T10:00:00Z";
  CHECK(make_occurrence(event).at == at("2026-01-31T10:00:00Z"));
  event["lastTimestamp"] = "2026-01-31T07:20:00Z";  // told again
  CHECK(make_occurrence(event).at == at("2026-01-31T10:20:00Z"));
  CHECK(make_occurrence(event).last == at("2026-01-31T07:20:00Z"));
  event["lastTimestamp"] = "2026-01-31T06:00:00Z";  // the emitter's clock was put back
  CHECK(make_occurrence(event).at == at("2026-01-31T10:00:00Z"));
}

TEST_CASE("an Event of events.k8s.io reads the same") {
  doc::Json event = make_event("shop", "applied");
  event.erase("firstTimestamp");
  event.erase("lastTimestamp");
  event.erase("source");
  event["eventTime"] = "2026-01-31T10:00:00.123456Z";
  event["reportingComponent"] = "kustomize-controller";
  event["reportingInstance"] = "pod-2";
  CHECK(make_occurrence(event).last == at("2026-01-31T10:00:00Z"));
  event["series"] = {{"count", 3}, {"lastObservedTime", "2026-01-31T10:07:00.5Z"}};
  const auto what = make_occurrence(event);
  CHECK(what.last == at("2026-01-31T10:07:00Z"));
  CHECK(what.count == 3);
  CHECK(what.reporting_controller == "kustomize-controller");
  CHECK(what.reporting_instance == "pod-2");
}

TEST_CASE("only what the object's group and people wrote is metadata, and digests are not") {
  doc::Json event = make_event("shop", "applied");
  auto& annotations = event["metadata"]["annotations"];
  annotations[kGroup + "/digest"] = "sha256:1";
  annotations[kGroup + "/checksum"] = "1";
  annotations["event.toolkit.fluxcd.io/team"] = "a";
  annotations["helm.toolkit.fluxcd.io/revision"] = "no";
  annotations["delivery.notification.toolkit.fluxcd.io/x"] = "{}";
  const api::StringMap expected{{"event.toolkit.fluxcd.io/team", "a"}, {kGroup + "/revision", "main@sha1:abc"}};
  CHECK(make_occurrence(event).metadata == expected);
}

TEST_CASE("what is never alerted does not read as an occurrence") {
  doc::Json event = make_event("shop", "applied");
  SECTION("a kind that no Alert can name") { event["involvedObject"]["kind"] = "Pod"; }
  SECTION("a kind of that name in another group") { event["involvedObject"]["apiVersion"] = "example.com/v1"; }
  SECTION("an object of another namespace than the Event's") { event["involvedObject"]["namespace"] = "other"; }
  SECTION("a trace that says so") {
    event["metadata"]["annotations"]["event.toolkit.fluxcd.io/severity"] = "trace";
  }
  SECTION("an Event about nothing") { event.erase("involvedObject"); }
  SECTION("no object at all") { event = doc::Json::array(); }
  CHECK_FALSE(read_occurrence(event));
}

TEST_CASE("upstream's source-controller leaves its traces without metadata, and its news not") {
  doc::Json event = make_event("repo", "stored artifact");
  event["involvedObject"]["kind"] = "GitRepository";
  event["involvedObject"]["apiVersion"] = "source.toolkit.fluxcd.io/v1";
  event["source"]["component"] = "source-controller";
  CHECK_FALSE(read_occurrence(event));  // the revision is of another group
  event["type"] = "Warning";
  CHECK(read_occurrence(event));
  event["type"] = "Normal";
  event["metadata"]["annotations"]["source.toolkit.fluxcd.io/revision"] = "main@sha1:abc";
  CHECK(read_occurrence(event));
}

TEST_CASE("the digest tells news apart by object, message and revision, not by Event, count or severity") {
  const doc::Json event = make_event("shop", "applied");
  const auto digest = make_occurrence(event).digest;
  doc::Json other = make_event("shop", "applied", "2026-01-31T10:04:00Z");
  other["count"] = 9;
  other["type"] = "Warning";
  CHECK(make_occurrence(other).digest == digest);
  CHECK(make_occurrence(make_event("shop", "applied.")).digest != digest);
  CHECK(make_occurrence(make_event("shop2", "applied")).digest != digest);
  other = event;
  other["metadata"]["annotations"][kGroup + "/revision"] = "main@sha1:def";
  CHECK(make_occurrence(other).digest != digest);
  other = event;
  other["metadata"]["annotations"][kGroup + "/token"] = "t";
  CHECK(make_occurrence(other).digest != digest);
}

TEST_CASE("events that client-go merged are the last of them again") {
  const auto what = make_occurrence(make_event("shop", "(combined from similar events): applied"));
  CHECK(what.message == "applied");
  CHECK(what.digest == make_occurrence(make_event("shop", "applied")).digest);
}

TEST_CASE("a huge message is cut at a character") {
  std::string huge;
  while (huge.size() < 3'000'000) huge += "\u00e9\u20ac";
  const auto what = make_occurrence(make_event("shop", huge));
  CHECK(what.message.size() <= notification_controller::kMaxMessage);
  CHECK(what.message.size() > notification_controller::kMaxMessage - 8);
  CHECK(what.message.substr(what.message.size() - 3) == "...");
  CHECK(doc::parse_json(doc::print_json(doc::Json(what.message))));
  CHECK(notification_controller::cut_text("\u20ac\u20ac", 5) == "...");
  CHECK(notification_controller::cut_text("abc", 3) == "abc");
  CHECK(notification_controller::cut_text("abcd", 0) == "...");
}

TEST_CASE("fields of wrong types are as if they were not there") {
  doc::Json event = make_event("shop", "applied");
  event["count"] = "many";
  event["lastTimestamp"] = 7;
  event["firstTimestamp"] = "yesterday";
  event["metadata"]["annotations"] = 3;
  event["message"] = nullptr;
  const auto what = make_occurrence(event);
  CHECK(what.count == 1);
  CHECK(what.last == base::TimePoint{});
  CHECK(what.message.empty());
  CHECK(what.metadata.empty());
}

TEST_CASE("what is kept of an Event reads the same, and is bounded, also when it is cut again") {
  doc::Json event = make_event("shop", "applied");
  event["metadata"]["annotations"]["event.toolkit.fluxcd.io/team"] = "a";
  event["metadata"]["annotations"]["delivery.notification.toolkit.fluxcd.io/uid-a"] = R"({"pending":true})";
  event["metadata"]["annotations"]["other.example.com/x"] = std::string(200'000, 'x');
  event["metadata"]["creationTimestamp"] = "2026-01-31T10:00:02Z";
  event["series"] = {{"count", 7}, {"lastObservedTime", "2026-01-31T10:00:03Z"}};
  event["source"]["host"] = "pod-1";
  event["related"] = {{"name", std::string(100'000, 'x')}};
  doc::Json kept = event;
  notification_controller::keep_event(kept);
  const auto before = make_occurrence(event);
  const auto after = make_occurrence(kept);
  CHECK(after.digest == before.digest);
  CHECK(after.metadata == before.metadata);
  CHECK(after.involved == before.involved);
  CHECK(after.at == before.at);
  CHECK(after.count == 7);
  CHECK(after.reporting_instance == "pod-1");
  CHECK(api::annotation_of(kept, "delivery.notification.toolkit.fluxcd.io/uid-a") == R"({"pending":true})");
  CHECK(doc::print_json(kept).size() < 1'500);
  doc::Json again = kept;
  notification_controller::keep_event(again);
  CHECK(again == kept);
}

TEST_CASE("metadata past its limit is left out, and receivers are told how much") {
  doc::Json event = make_event("shop", std::string(1'000'000, 'm'));
  auto& annotations = event["metadata"]["annotations"];
  for (int i = 0; i < 10; ++i) annotations["event.toolkit.fluxcd.io/k" + std::to_string(i)] = std::string(24'000, 'x');
  annotations["event.toolkit.fluxcd.io/team"] = "a";
  for (int i = 0; i < 1000; ++i) {
    annotations["delivery.notification.toolkit.fluxcd.io/" + std::to_string(i)] = std::string(200, 'x');
  }
  event["involvedObject"]["resourceVersion"] = std::string(100'000, '1');
  notification_controller::keep_event(event);
  CHECK(doc::print_json(event).size() < 100'000);
  const auto what = make_occurrence(event);
  CHECK(what.metadata.at(kGroup + "/revision") == "main@sha1:abc");
  CHECK(what.metadata.at("event.toolkit.fluxcd.io/team") == "a");
  CHECK(what.metadata.at("event.toolkit.fluxcd.io/metadataLeftOut") == "10 annotations with 240260 bytes");
  CHECK(what.message.size() == notification_controller::kMaxMessage);
  doc::Json again = event;
  notification_controller::keep_event(again);
  CHECK(again == event);
}

TEST_CASE("a trace stays one when it is cut") {
  doc::Json event = make_event("shop", "nothing changed");
  auto& annotations = event["metadata"]["annotations"];
  annotations["event.toolkit.fluxcd.io/severity"] = "trace";
  for (int i = 0; i < 10; ++i) annotations["event.toolkit.fluxcd.io/a" + std::to_string(i)] = std::string(9'000, 'x');
  notification_controller::keep_event(event);
  CHECK(notification_controller::is_trace(event));
  CHECK_FALSE(read_occurrence(event));
}

TEST_CASE("late words about two states are two pieces of news, though they say the same") {
  doc::Json word = make_event("shop", "Applied revision: a");
  word["source"]["component"] = "notification-controller";
  word["metadata"]["annotations"]["notification.toolkit.fluxcd.io/ready-since"] = "2026-01-31T10:00:00Z";
  doc::Json later = word;
  later["metadata"]["annotations"]["notification.toolkit.fluxcd.io/ready-since"] = "2026-01-31T10:02:00Z";
  CHECK(make_occurrence(word).digest != make_occurrence(later).digest);
  // What an emitter writes is not told apart by it.
  word["source"]["component"] = later["source"]["component"] = "kustomize-controller";
  CHECK(make_occurrence(word).digest == make_occurrence(later).digest);
}

TEST_CASE("times that lie centuries apart are brought near the server's") {
  doc::Json event = make_event("shop", "applied", "1678-01-01T00:00:00Z");
  event["lastTimestamp"] = "2261-12-31T00:00:00Z";
  const auto years = [](int count) { return std::chrono::hours(24 * 365 * count); };
  const base::TimePoint created = at("2026-01-31T10:00:00Z");
  event["metadata"]["creationTimestamp"] = "2026-01-31T10:00:00Z";
  const auto what = make_occurrence(event);
  CHECK(what.last == created + years(70));
  CHECK(what.at == created + years(140));
  event["lastTimestamp"] = "2026-02-20T10:00:00Z";  // told again for three weeks: nothing of that is lost
  CHECK(make_occurrence(event).last == at("2026-02-20T10:00:00Z"));
  event["firstTimestamp"] = event["lastTimestamp"] = "1970-01-01T00:05:00Z";
  CHECK(make_occurrence(event).last == at("1970-01-01T00:05:00Z"));
  CHECK(make_occurrence(event).at == created);
}
