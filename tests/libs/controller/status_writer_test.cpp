#include "controller/status_writer.hpp"

#include "harness.hpp"
#include "support/run_task.hpp"

using namespace sluice::test;
using sluice::base::ErrorKind;
using sluice::controller::merge_patch_between;
using sluice::controller::StatusWriter;
using sluice::doc::Json;

namespace {

struct WriterHarness : Harness {
  WriterHarness() {
    kube->put(kFoos, make_foo("a"));
    writer = std::make_unique<StatusWriter>(kube, kFoos, "gotk-foo-controller", kube->object(kFoos, foo_key("a")),
                                            [this](Json) { ++written; });
  }
  ~WriterHarness() { runtime.reset(); }
  sluice::base::Result<void> write(Json status) { return run(*runtime, writer->write(std::move(status))); }
  Json stored() const { return kube->object(kFoos, foo_key("a")).value("status", Json()); }

  std::unique_ptr<StatusWriter> writer;
  int written = 0;
};

}  // namespace

TEST_CASE("a merge patch names what differs and removes what is gone") {
  const Json before = {{"a", 1}, {"b", {{"c", 1}, {"d", 2}}}, {"list", {1, 2}}, {"old", true}};
  const Json after = {{"a", 1}, {"b", {{"c", 3}, {"d", 2}}}, {"list", {1}}, {"new", true}};
  const Json patch = merge_patch_between(before, after);
  CHECK(patch == Json{{"b", {{"c", 3}}}, {"list", {1}}, {"new", true}, {"old", nullptr}});
  Json result = before;
  result.merge_patch(patch);
  CHECK(result == after);
  CHECK(merge_patch_between(after, after).empty());
}

TEST_CASE("a status is written to the subresource under the field manager, and only when it differs") {
  WriterHarness h;
  REQUIRE(h.write({{"phase", "up"}}));
  REQUIRE(h.kube->requests.size() == 1);
  CHECK(h.kube->requests[0].subresource == "status");
  CHECK(h.kube->requests[0].manager == "gotk-foo-controller");
  REQUIRE(h.write({{"phase", "up"}}));
  CHECK(h.kube->requests.size() == 1);
  CHECK(h.stored() == Json{{"phase", "up"}});
  CHECK(h.written == 1);
}

TEST_CASE("a write that meets a newer object is made again on top of it") {
  WriterHarness h;
  h.kube->put(kFoos, make_foo("a", 2));
  REQUIRE(h.write({{"phase", "up"}}));
  CHECK(h.stored() == Json{{"phase", "up"}});
  CHECK(h.kube->object(kFoos, foo_key("a"))["spec"]["size"] == 2);
}

TEST_CASE("a status that somebody else has written is not overwritten, and both inventories are kept") {
  WriterHarness h;
  REQUIRE(h.write({{"phase", "up"}, {"inventory", {{"entries", {{{"id", "a"}, {"v", "v1"}}}}}}}));
  int stale = 0;
  h.writer->on_stale([&] { ++stale; });
  Json foo = h.kube->object(kFoos, foo_key("a"));
  foo["status"] = {{"phase", "other"}, {"inventory", {{"entries", {{{"id", "x"}, {"v", "v1"}}}}}}};
  h.kube->put(kFoos, foo);
  const Json ours = {{"phase", "down"},
                     {"inventory", {{"entries", {{{"id", "a"}, {"v", "v1"}}, {{"id", "x"}, {"v", "v2"}}}}}}};
  const auto written = h.write(ours);
  REQUIRE_FALSE(written);
  CHECK(written.error().kind == ErrorKind::conflict);
  CHECK(h.writer->is_stale());
  CHECK(stale == 1);
  CHECK(h.stored() == Json::parse(R"({"phase": "other",
    "inventory": {"entries": [{"id": "x", "v": "v1"}, {"id": "a", "v": "v1"}]}})"));
  // And that is all that it says from now on.
  const auto patches = h.kube->count("patch");
  CHECK_FALSE(h.write({{"phase", "again"}}));
  CHECK(h.kube->count("patch") == patches);
  CHECK(h.stored()["phase"] == "other");
}

TEST_CASE("the union of inventories is written through another race") {
  WriterHarness h;
  Json foo = make_foo("a");
  foo["status"] = {{"inventory", {{"entries", {{{"id", "x"}, {"v", "v1"}}}}}}};
  h.kube->put(kFoos, foo);
  int races = 0;
  h.kube->before = [&](const FakeKube::Request& request) {
    if (request.verb != "patch" || ++races != 2) return;
    Json newer = foo;
    newer["status"]["inventory"]["entries"].push_back({{"id", "y"}, {"v", "v1"}});
    h.kube->put(kFoos, newer);
  };
  CHECK_FALSE(h.write({{"inventory", {{"entries", {{{"id", "a"}, {"v", "v1"}}}}}}}));
  CHECK(h.stored()["inventory"]["entries"].size() == 3);
}

TEST_CASE("a write that was cancelled or got no answer, but was done, makes nothing stale") {
  WriterHarness h;
  h.kube->before = [&](const FakeKube::Request& request) {
    if (request.verb != "patch") return;
    h.kube->before = nullptr;
    auto foo = make_foo("a");
    foo["status"] = request.body["status"];
    h.kube->put(kFoos, foo);
    h.kube->fail_next("patch", make_error(ErrorKind::unavailable, "connection reset"), 10);
  };
  REQUIRE_FALSE(h.write({{"phase", "up"}}));  // all tries are lost
  h.kube->clear_faults();
  REQUIRE(h.write({{"phase", "down"}}));
  CHECK(h.stored() == Json{{"phase", "down"}});
  CHECK_FALSE(h.writer->is_stale());
}

TEST_CASE("an object that is older than it was makes its run stale, though nobody has written its status") {
  WriterHarness h;
  int back = 0;
  h.writer->on_went_back([&](Json) { ++back; });
  h.kube->restore(50);
  CHECK(h.write({{"phase", "up"}}).error().kind == ErrorKind::conflict);
  CHECK(h.writer->is_stale());
  CHECK(back == 1);
  CHECK(h.written == 0);
  CHECK(h.stored() == Json());
}

TEST_CASE("a storm of conflicts ends as a conflict, not in a loop") {
  WriterHarness h;
  int size = 1;
  h.kube->before = [&](const FakeKube::Request& request) {
    if (request.verb == "patch") h.kube->put(kFoos, make_foo("a", ++size));
  };
  const auto written = h.write({{"phase", "up"}});
  REQUIRE_FALSE(written);
  CHECK(written.error().kind == ErrorKind::conflict);
  CHECK(h.kube->count("patch") == 9);
}

TEST_CASE("a write whose answer was lost is found done") {
  WriterHarness h;
  bool lost = false;
  h.kube->before = [&](const FakeKube::Request& request) {
    if (request.verb != "patch" || std::exchange(lost, true)) return;
    auto foo = make_foo("a");
    foo["status"] = request.body["status"];
    h.kube->put(kFoos, foo);
    h.kube->fail_next("patch", make_error(ErrorKind::unavailable, "connection reset"));
  };
  REQUIRE(h.write({{"phase", "up"}}));
  CHECK(h.stored() == Json{{"phase", "up"}});
  CHECK(h.kube->count("patch") == 2);  // the second met a conflict
  CHECK(h.kube->count("get") == 1);
}

TEST_CASE("the status of an object that has been replaced is left alone") {
  WriterHarness h;
  h.kube->erase(kFoos, foo_key("a"));
  h.kube->put(kFoos, make_foo("a"));
  const auto written = h.write({{"phase", "up"}});
  REQUIRE_FALSE(written);
  CHECK(written.error().kind == ErrorKind::not_found);
  CHECK(h.stored().is_null());
}

namespace {
sluice::rt::Task<void> write_from(StatusWriter& writer, Json status, int& finished) {
  auto writing = writer.write(std::move(status));
  const auto written = co_await std::move(writing);
  if (written) ++finished;
}
}  // namespace

TEST_CASE("writes from two tasks happen one after the other") {
  WriterHarness h;
  h.kube->latency = std::chrono::milliseconds(5);
  int finished = 0;
  h.runtime->spawn("first", write_from(*h.writer, {{"phase", "one"}}, finished));
  h.runtime->spawn("second", write_from(*h.writer, {{"phase", "two"}}, finished));
  until(*h.runtime, [&] { return finished == 2; });
  CHECK(h.kube->count("patch") == 2);
  CHECK(h.kube->count("get") == 0);  // no conflict came up
  CHECK(h.stored() == Json{{"phase", "two"}});
}
