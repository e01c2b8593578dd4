#include "notification-controller/state_news.hpp"

#include "support.hpp"

using namespace std::chrono_literals;
using namespace sluice;
using namespace sluice::test;
using namespace sluice::notification_controller;

namespace {

doc::Json make_object(const std::string& status, const std::string& reason, const std::string& message,
                      const std::string& since = "2026-01-31T10:00:00Z") {
  doc::Json object = doc::Json::object();
  object["apiVersion"] = kGroup + "/v1";
  object["kind"] = "Kustomization";
  object["metadata"] = {{"name", "shop"}, {"namespace", "apps"}, {"uid", "uid-shop"}};
  object["spec"]["suspend"] = false;
  doc::Json ready = {{"type", "Ready"}, {"status", status}, {"reason", reason}, {"message", message}};
  ready["lastTransitionTime"] = since;
  object["status"]["conditions"] = doc::Json::array({ready});
  return object;
}

doc::Json applied(const std::string& revision, const std::string& first, const std::string& since) {
  doc::Json object = make_object("True", "ReconciliationSucceeded", "Applied revision: " + revision, since);
  object["status"]["lastAppliedRevision"] = revision;
  doc::Json snapshot = {{"firstReconciled", first}, {"lastReconciledStatus", "ReconciliationSucceeded"}};
  snapshot["metadata"]["revision"] = revision;
  object["status"]["history"] = doc::Json::array({snapshot});
  return object;
}

Telling tell(Severity severity, const std::string& last, const std::string& message = "m",
             const std::string& revision = {}) {
  Telling telling;
  telling.severity = severity;
  telling.last = telling.created = at(last);
  telling.message = text_key(message);
  telling.revision = text_key(revision);
  return telling;
}

Heard heard(Severity severity, const std::string& last, const std::string& message = "m",
            const std::string& revision = {}) {
  return {tell(severity, last, message, revision), true, at(last)};
}

Heard unheard(Severity severity, const std::string& last) { return {tell(severity, last), false, at(last)}; }

Heard late_word_that(Severity severity, const std::string& since) {
  Heard word = heard(severity, since);
  word.telling.ready_since = at(since);
  return word;
}

State state_of(const doc::Json& object) {
  const auto state = read_state(object);
  REQUIRE(state);
  return *state;
}

}  // namespace

TEST_CASE("who is busy, suspended, going away or waits for another has no state to tell") {
  CHECK_FALSE(read_state(make_object("Unknown", "Progressing", "building")));
  for (const auto reason : {"ArtifactFailed", "DependencyNotReady", "SourceNotReady"}) {
    CHECK_FALSE(read_state(make_object("False", reason, "waits")));
  }
  doc::Json object = make_object("False", "BuildFailed", "no such file");
  CHECK(read_state(object));
  object["spec"]["suspend"] = true;
  CHECK_FALSE(read_state(object));
  object["spec"]["suspend"] = false;
  object["metadata"]["deletionTimestamp"] = "2026-01-31T10:00:00Z";
  CHECK_FALSE(read_state(object));
  CHECK_FALSE(read_state(doc::Json::object()));
  object = make_object("False", "BuildFailed", "no such file");
  object["status"]["conditions"] = "rubbish";
  CHECK_FALSE(read_state(object));
  object["status"] = doc::Json::array();
  CHECK_FALSE(read_state(object));
}

TEST_CASE("a failure is untold until an error Event of about its time or with its words is there") {
  const State state = state_of(make_object("False", "BuildFailed", "no such file"));
  CHECK_FALSE(state.ok);
  const auto news = untold(state, {});
  REQUIRE(news);
  CHECK(news->severity == Severity::error);
  CHECK(news->happened == at("2026-01-31T10:00:00Z"));
  CHECK_FALSE(untold(state, {heard(Severity::error, "2026-01-31T10:00:00Z")}));
  CHECK_FALSE(untold(state, {heard(Severity::error, "2026-01-31T09:59:10Z")}));  // the run went on after it
  CHECK(untold(state, {heard(Severity::error, "2026-01-31T09:58:00Z")}));
  CHECK_FALSE(untold(state, {heard(Severity::error, "2026-01-31T09:20:00Z", "no such file")}));
  CHECK(untold(state, {heard(Severity::info, "2026-01-31T10:00:00Z", "no such file")}));
}

TEST_CASE("who is well is news after a failure that was told, and of a revision that was not") {
  const State well = state_of(make_object("True", "Succeeded", "stored artifact"));
  CHECK_FALSE(untold(well, {}));
  const auto recovered =
      untold(well, {heard(Severity::info, "2026-01-31T09:00:00Z"), heard(Severity::error, "2026-01-31T09:50:00Z")});
  REQUIRE(recovered);
  CHECK(recovered->severity == Severity::info);
  CHECK_FALSE(
      untold(well, {heard(Severity::error, "2026-01-31T09:50:00Z"), heard(Severity::info, "2026-01-31T09:51:00Z")}));
  // Which came first in that second is not known, but the state stands.
  CHECK(untold(well, {heard(Severity::error, "2026-01-31T10:00:00Z")}));
  CHECK_FALSE(untold(well, {heard(Severity::error, "2026-01-31T10:00:01Z")}));

  const State moved = state_of(applied("main@sha1:b", "2026-01-31T09:30:00Z", "2026-01-31T10:00:00Z"));
  CHECK(moved.revision == "main@sha1:b");
  const auto news = untold(moved, {heard(Severity::info, "2026-01-31T09:10:00Z", "m", "main@sha1:a")});
  REQUIRE(news);
  CHECK(news->happened == at("2026-01-31T09:30:00Z"));
  CHECK_FALSE(untold(moved, {heard(Severity::info, "2026-01-31T09:10:00Z", "m", "main@sha1:b")}));
  CHECK_FALSE(untold(moved, {heard(Severity::info, "2026-01-31T09:29:59Z", "m")}));
}

TEST_CASE("a recovery is untold until this receiver has heard of it, and news only if it heard of the failure") {
  const State well = state_of(make_object("True", "Succeeded", "Applied revision"));
  const Heard failure = heard(Severity::error, "2026-01-31T09:50:00Z");
  CHECK(untold(well, {failure, unheard(Severity::info, "2026-01-31T10:00:00Z")}));  // makes a commit status only
  CHECK_FALSE(untold(well, {failure, heard(Severity::info, "2026-01-31T09:59:58Z")}));
  CHECK_FALSE(untold(well, {unheard(Severity::error, "2026-01-31T09:50:00Z")}));
  CHECK(untold(well, {failure, unheard(Severity::error, "2026-01-31T09:59:00Z")}));
  CHECK_FALSE(untold(well, {failure, unheard(Severity::error, "2026-01-31T10:00:10Z")}));  // it fails again
  // What was done while it still failed does not say that it is over.
  CHECK(untold(well, {heard(Severity::error, "2026-01-31T09:55:00Z"), heard(Severity::info, "2026-01-31T09:52:00Z")}));
  CHECK(untold(well, {failure, heard(Severity::info, "2026-01-31T09:50:00Z")}));
  CHECK(untold(well, {heard(Severity::error, "2026-01-31T09:59:59Z"), heard(Severity::info, "2026-01-31T09:59:58Z")}));
}

TEST_CASE("of one of the same name that was there before it counts that its failure is not over, and nothing else") {
  const auto of_another = [](Heard telling) {
    telling.of_another = true;
    return telling;
  };
  const Heard failure = of_another(heard(Severity::error, "2026-01-31T09:55:00Z"));
  const State well = state_of(make_object("True", "ReconciliationSucceeded", "Applied revision: b"));
  const auto news = untold(well, {failure});
  REQUIRE(news);
  CHECK(news->severity == Severity::info);
  CHECK_FALSE(untold(well, {failure, heard(Severity::info, "2026-01-31T10:00:00Z")}));
  CHECK_FALSE(untold(well, {failure, of_another(heard(Severity::info, "2026-01-31T09:58:00Z"))}));
  CHECK(untold(state_of(make_object("False", "BuildFailed", "m")), {failure}));
  const State applied_anew = state_of(applied("b", "2026-01-31T10:00:00Z", "2026-01-31T10:00:00Z"));
  CHECK(untold(applied_anew, {of_another(heard(Severity::info, "2026-01-31T09:58:00Z", "m", "b"))}));
}

TEST_CASE("who fails and recovers in turns is told to be well once for each failure that is told") {
  const State well = state_of(make_object("True", "Succeeded", "Applied revision"));
  Heard failure = heard(Severity::error, "2026-01-31T09:55:00Z");
  failure.told = at("2026-01-31T09:40:00Z");  // the same failure came again, and was not sent again
  CHECK(untold(well, {failure}));
  CHECK_FALSE(untold(well, {failure, late_word_that(Severity::info, "2026-01-31T09:45:00Z")}));
  failure.told = at("2026-01-31T09:50:00Z");
  CHECK(untold(well, {failure, late_word_that(Severity::info, "2026-01-31T09:45:00Z")}));
  CHECK_FALSE(untold(well, {failure, late_word_that(Severity::info, "2026-01-31T10:00:00Z")}));
}

TEST_CASE("the revision that was stored is told of, the one of another applied set is not") {
  doc::Json source = make_object("True", "Succeeded", "stored artifact for revision 'main@sha1:b'");
  source["apiVersion"] = "source.toolkit.fluxcd.io/v1";
  source["kind"] = "GitRepository";
  source["status"]["artifact"] = {{"revision", "main@sha1:b"}, {"lastUpdateTime", "2026-01-31T09:59:59Z"}};
  const State state = state_of(source);
  CHECK(state.revision_since == at("2026-01-31T09:59:59Z"));
  const auto word = late_word(source, state, *untold(state, {}));
  CHECK(word.annotations.at("source.toolkit.fluxcd.io/revision") == "main@sha1:b");
  CHECK(word.severity == controller::Severity::info);

  doc::Json app = applied("main@sha1:b", "2026-01-31T09:30:00Z", "2026-01-31T10:00:00Z");
  app["status"]["history"][0]["metadata"]["revision"] = "main@sha1:a";
  CHECK_FALSE(state_of(app).revision_since);
  app["status"]["history"] = doc::Json::array();
  CHECK_FALSE(state_of(app).revision_since);
}

TEST_CASE("what keep_state leaves gives the same state") {
  doc::Json object = applied("main@sha1:b", "2026-01-31T09:30:00Z", "2026-01-31T10:00:00Z");
  object["metadata"]["labels"]["team"] = "shop";
  object["metadata"]["annotations"] = {{"event.toolkit.fluxcd.io/env", "prod"}, {"other", "gone"}};
  object["status"]["inventory"]["entries"] = doc::Json::array({"many"});
  doc::Json healthy = object["status"]["conditions"][0];
  healthy["type"] = "Healthy";
  object["status"]["conditions"].push_back(healthy);
  doc::Json kept = object;
  keep_state(kept);
  CHECK(state_of(kept) == state_of(object));
  CHECK(kept["metadata"]["labels"]["team"] == "shop");
  CHECK(kept["metadata"]["annotations"] == doc::Json({{"event.toolkit.fluxcd.io/env", "prod"}}));
  CHECK_FALSE(kept["status"].contains("inventory"));
  CHECK(kept["status"]["conditions"].size() == 1);
  doc::Json rubbish = doc::Json::array({1});
  keep_state(rubbish);
  CHECK_FALSE(read_state(rubbish));
}

TEST_CASE("of a late word and an Event that come to the server in some order, the first counts") {
  Telling word = tell(Severity::error, "2026-01-31T10:00:00Z");
  word.ready_since = at("2026-01-31T10:00:00Z");
  word.created = at("2026-01-31T10:00:20Z");
  Telling event = tell(Severity::error, "2026-01-31T10:00:00Z");

  event.created = at("2026-01-31T10:05:00Z");  // held up
  CHECK(is_outrun(event, word));
  CHECK_FALSE(is_forestalled(word, event));
  event.created = at("2026-01-31T10:00:10Z");
  CHECK_FALSE(is_outrun(event, word));
  CHECK(is_forestalled(word, event));
  event.created = at("2026-01-31T10:05:00Z");
  event.last = at("2026-01-31T10:04:00Z");  // of a later state
  CHECK_FALSE(is_outrun(event, word));
  event.last = at("2026-01-31T09:59:00Z");
  event.severity = Severity::info;
  CHECK_FALSE(is_outrun(event, word));
  CHECK_FALSE(is_forestalled(word, event));
}

TEST_CASE("what was told before a failure does not tell of the failure's end, however soon it ended") {
  Telling word = tell(Severity::info, "2026-01-31T10:00:02Z");
  word.ready_since = at("2026-01-31T10:00:02Z");
  word.created = at("2026-01-31T10:00:22Z");
  const Telling before = tell(Severity::info, "2026-01-31T10:00:00Z");
  const Telling failure = tell(Severity::error, "2026-01-31T10:00:01Z");
  const Telling after = tell(Severity::info, "2026-01-31T10:00:02Z");
  const Telling later_failure = tell(Severity::error, "2026-01-31T10:00:03Z");

  const auto failed = failed_before(word, {&before, &failure, &after, &later_failure});
  CHECK(failed == at("2026-01-31T10:00:01Z"));
  CHECK_FALSE(is_forestalled(word, before, failed));
  CHECK(is_forestalled(word, after, failed));
  CHECK_FALSE(failed_before(word, {&before, &after}));
  CHECK(is_forestalled(word, before));
  CHECK_FALSE(failed_before(failure, {&failure}));

  // All in one second: a revert that is quick.
  word.revision = text_key("main@sha1:c");
  Telling finished = tell(Severity::info, "2026-01-31T10:00:01Z", "m", "main@sha1:c");
  CHECK(is_forestalled(word, finished, failed));
  finished.revision = text_key("main@sha1:a");
  CHECK_FALSE(is_forestalled(word, finished, failed));
}

TEST_CASE("a late word reads as one, whoever's clock wrote it, and others cannot pose as one") {
  doc::Json event = make_event("shop", "no such file", "2026-01-31T12:00:00Z");
  event["metadata"]["annotations"][std::string(kLateWordAnnotation)] = "2026-01-31T10:00:00Z";
  CHECK_FALSE(read_telling(event).ready_since);
  event["source"]["component"] = "notification-controller";
  CHECK(read_telling(event).ready_since == at("2026-01-31T10:00:00Z"));
  CHECK(read_telling(event).last == at("2026-01-31T10:00:00Z"));
  CHECK(read_telling(event).revision == text_key("main@sha1:abc"));
  event["metadata"]["annotations"][std::string(kLateWordAnnotation)] = "yesterday";
  CHECK_FALSE(read_telling(event).ready_since);
  event["metadata"]["annotations"][std::string(kLateWordAnnotation)] = "2026-01-31T12:31:00Z";
  CHECK_FALSE(read_telling(event).ready_since);  // it would hold back what is yet to happen
}
