#include "source-controller/remote_listings.hpp"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <thread>

#include "harness.hpp"
#include "support/run_task.hpp"

using namespace sluice;
using namespace sluice::test;
using namespace std::chrono_literals;

namespace {

struct Fixture {
  Upstream up;
  rt::Runtime runtime{4};
  base::ManualClock clock{base::TimePoint{}};
  source_controller::RemoteListings listings{runtime, clock};

  Fixture() { up.repository.commit("main", {{"a", "1"}}); }

  source_controller::ListingRequest request(const std::string& asker, base::Duration max_age = 0s) const {
    source_controller::ListingRequest made;
    made.endpoint = endpoint(up.url());
    made.auth = git::HttpAuth{};
    made.timeout = kTimeout;
    made.asker = key_of(asker);
    made.max_age = max_age;
    return made;
  }
  source_controller::Listing list(source_controller::ListingRequest wanted) {
    auto listing = test::run(runtime, listings.list(std::move(wanted)));
    if (!listing) FAIL(listing.error().message);
    return *listing;
  }
};

rt::Task<void> ask(source_controller::RemoteListings& listings, source_controller::ListingRequest request,
                   std::vector<base::Result<source_controller::Listing>>& answers) {
  auto task = listings.list(std::move(request));
  auto answer = co_await std::move(task);
  answers.push_back(std::move(answer));
}

rt::Task<bool> joined(rt::TaskGroup& group) {
  co_await group.join();
  co_return true;
}

}  // namespace

TEST_CASE_METHOD(Fixture, "those who ask at the same time share one listing, and one of them the conversation") {
  std::vector<base::Result<source_controller::Listing>> answers;
  rt::TaskGroup group;
  for (int i = 0; i < 20; ++i) {
    group.spawn(runtime.context(), ask(listings, request("r" + std::to_string(i)), answers));
  }
  test::run(runtime, joined(group));
  REQUIRE(answers.size() == 20);
  int conversations = 0;
  for (const auto& answer : answers) {
    REQUIRE(answer);
    CHECK(answer->refs->find("refs/heads/main") != nullptr);
    conversations += answer->remote ? 1 : 0;
  }
  CHECK(conversations == 1);
  CHECK(up.listings() == 1);
}

TEST_CASE_METHOD(Fixture, "other credentials are another listing, and so is another asker without patience") {
  list(request("one"));
  auto other = request("two", 1h);
  other.auth = git::HttpAuth{.username = "ann", .password = "x", .bearer_token = {}, .tls = {}};
  CHECK(list(other).remote);
  CHECK(list(request("two")).remote);
  CHECK(up.listings() == 3);
}

TEST_CASE_METHOD(Fixture, "a listing serves later askers while it is young, and nobody who wants a fresh one") {
  list(request("one", 10s));
  CHECK(list(request("two", 10s)).remote);  // until now it was nobody else's business
  clock.advance(5s);
  CHECK_FALSE(list(request("one", 10s)).remote);
  CHECK(list(request("one", 2s)).remote);
  auto fresh = request("two", 10s);
  fresh.fresh = true;
  CHECK(list(fresh).remote);
  clock.advance(11s);
  CHECK(list(request("one", 10s)).remote);
}

TEST_CASE_METHOD(Fixture, "a failure is everybody's who waited for it, and nobody's afterwards") {
  auto failing = request("one");
  failing.endpoint = endpoint(up.url("/status/503"));
  std::vector<base::Result<source_controller::Listing>> answers;
  rt::TaskGroup group;
  for (int i = 0; i < 3; ++i) group.spawn(runtime.context(), ask(listings, failing, answers));
  test::run(runtime, joined(group));
  REQUIRE(answers.size() == 3);
  for (const auto& answer : answers) {
    REQUIRE_FALSE(answer);
    CHECK(answer.error().kind == base::ErrorKind::unavailable);
  }
  const auto again = test::run(runtime, listings.list(failing));
  CHECK_FALSE(again);
  CHECK(up.listings() == 2);
}

TEST_CASE_METHOD(Fixture, "when the one who lists is cancelled, another takes over") {
  auto stalling = request("one");
  stalling.endpoint = endpoint(up.url("/stall-refs"));
  stalling.timeout = 400ms;
  std::vector<base::Result<source_controller::Listing>> answers;
  rt::TaskGroup first;
  rt::TaskGroup second;
  first.spawn(runtime.context(), ask(listings, stalling, answers));
  second.spawn(runtime.context(), ask(listings, stalling, answers));
  runtime.context().restart();
  runtime.context().run_for(50ms);
  first.cancel();
  test::run(runtime, joined(first));
  CHECK(answers.empty());
  test::run(runtime, joined(second));
  REQUIRE(answers.size() == 1);
  REQUIRE_FALSE(answers.front());
  CHECK(answers.front().error().kind == base::ErrorKind::timeout);
}

TEST_CASE_METHOD(Fixture, "no namespace waits for a listing that waits for a thread of another's share") {
  std::atomic<bool> let_go = false;
  std::atomic<int> begun = 0;
  for (int i = 0; i < 4; ++i) {
    runtime.post_blocking("slow", [&] {
      ++begun;
      while (!let_go) std::this_thread::sleep_for(1ms);
    });
  }
  while (begun < 4) std::this_thread::sleep_for(1ms);
  auto slow = request("one");
  slow.asker.namespace_ = "slow";
  std::vector<base::Result<source_controller::Listing>> answers;
  rt::TaskGroup group;
  group.spawn(runtime.context(), ask(listings, slow, answers));
  auto quick = request("one");
  quick.asker.namespace_ = "quick";
  const auto listing = list(quick);
  CHECK(listing.remote);
  CHECK(answers.empty());
  let_go = true;
  test::run(runtime, joined(group));
  REQUIRE(answers.size() == 1);
  CHECK(answers.front());
}

TEST_CASE("GitRepositories of one URL that poll at once cost the host one listing and one pack") {
  SourceHarness h;
  h.options.concurrency = 16;
  Upstream up;
  up.repository.commit("main", {{"a", "1"}});
  for (int i = 0; i < 8; ++i) h.put(up.url(), doc::Json{{"interval", "500ms"}}, "app" + std::to_string(i));
  h.start();
  for (int i = 0; i < 8; ++i) h.until_ready("app" + std::to_string(i));
  CHECK(up.packs() == 1);
  const auto before = up.listings();
  CHECK(before <= 8);
  for (int i = 0; i < 8; ++i) CHECK(h.artifact("app" + std::to_string(i))->digest == h.artifact("app0")->digest);
  const auto second = up.repository.commit("main", {{"a", "2"}});
  for (int i = 0; i < 8; ++i) {
    h.until([&] { return h.artifact("app" + std::to_string(i))->revision == "main@sha1:" + second; });
  }
  CHECK(up.packs() == 2);
}
