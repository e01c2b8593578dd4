#include "rt/runtime.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <thread>

using namespace std::chrono_literals;
using sluice::base::ErrorKind;
using sluice::base::Result;
namespace rt = sluice::rt;

namespace {

rt::Task<void> add_on_pool(rt::Runtime& runtime, std::thread::id loop, int* sum) {
  const int value = co_await rt::run_blocking(
      runtime, [loop](std::stop_token) { return std::this_thread::get_id() == loop ? -1 : 7; });
  *sum += std::this_thread::get_id() == loop ? value : -1;
  runtime.shutdown(1s);
}

rt::Task<void> block_until_stopped(rt::Runtime& runtime, std::atomic<bool>* finished) {
  co_await rt::run_blocking(runtime, [finished](std::stop_token stop) {
    while (!stop.stop_requested()) std::this_thread::sleep_for(1ms);
    *finished = true;
    return 0;
  });
}

rt::Task<void> sleep_long(bool* returned) {
  co_await rt::sleep_for(1h);
  *returned = true;
}

rt::Task<Result<int>> slow_answer() {
  co_await rt::sleep_for(1h);
  co_return 1;
}

rt::Task<Result<int>> quick_answer() { co_return 2; }

rt::Task<void> time_out(rt::Runtime& runtime, Result<int>* slow, Result<int>* quick) {
  *slow = co_await rt::with_timeout(slow_answer(), 5ms, "the answer");
  *quick = co_await rt::with_timeout(quick_answer(), 1h, "the answer");
  runtime.shutdown(1s);
}

rt::Task<void> time_out_much_later(bool* returned, bool* unwound) {
  struct Mark {
    bool* flag;
    ~Mark() { *flag = true; }
  } mark{unwound};
  auto waiting = rt::with_timeout(slow_answer(), 1h, "the answer");
  const auto answer = co_await std::move(waiting);
  *returned = true;
  static_cast<void>(answer);
}

rt::Task<void> wait_for_notify(rt::Notify& notify, int* woken) {
  co_await notify.wait();
  ++*woken;
}

rt::Task<void> wake_all(rt::Runtime& runtime, rt::Notify& notify, bool* timed_out) {
  co_await rt::sleep_for(2ms);
  notify.notify_all();
  const bool notified = co_await notify.wait_for(1ms);
  *timed_out = !notified;
  runtime.shutdown(1s);
}

rt::Task<void> count_after(int* count) {
  co_await rt::sleep_for(1ms);
  ++*count;
}

rt::Task<void> join_group(rt::Runtime& runtime, int* count, int* seen) {
  rt::TaskGroup group;
  for (int i = 0; i < 5; ++i) group.spawn(runtime.context(), count_after(count));
  co_await group.join();
  *seen = *count;
  runtime.shutdown(1s);
}

rt::Task<void> join_sleepers(rt::Runtime& runtime, bool* returned, bool* unwound) {
  struct Mark {
    bool* flag;
    ~Mark() { *flag = true; }
  } mark{unwound};
  rt::TaskGroup group;
  group.spawn(runtime.context(), sleep_long(returned));
  co_await group.join();
  *returned = true;
}

rt::Task<void> cancel_own(rt::TaskGroup& group, bool sleeps_first, bool* returned) {
  if (sleeps_first) co_await rt::sleep_for(1ms);
  group.cancel();
  co_await rt::sleep_for(1h);
  *returned = true;
}

rt::Task<void> join_self_cancelling(rt::Runtime& runtime, bool sleeps_first, bool* returned, bool* joined) {
  rt::TaskGroup group;
  group.spawn(runtime.context(), sleep_long(returned));
  group.spawn(runtime.context(), cancel_own(group, sleeps_first, returned));
  co_await group.join();
  *joined = true;
  runtime.shutdown(1s);
}

}  // namespace

TEST_CASE("blocking work runs on the pool and its coroutine resumes on the loop") {
  rt::Runtime runtime(2);
  int sum = 0;
  runtime.spawn("add", add_on_pool(runtime, std::this_thread::get_id(), &sum));
  runtime.run();
  CHECK(sum == 7);
}

TEST_CASE("shutdown cancels tasks that outlast the grace and returns") {
  rt::Runtime runtime;
  bool returned = false;
  runtime.spawn("sleep", sleep_long(&returned));
  runtime.post([&runtime] { runtime.shutdown(2ms); });
  runtime.run();
  CHECK_FALSE(returned);
}

TEST_CASE("cancelling a coroutine stops its blocking work and waits for it") {
  rt::Runtime runtime;
  std::atomic<bool> finished = false;
  runtime.spawn("block", block_until_stopped(runtime, &finished));
  runtime.post([&runtime] { runtime.shutdown(2ms); });
  runtime.run();
  CHECK(finished);
}

TEST_CASE("a runtime that is destroyed with tasks on it unwinds them") {
  bool returned = false;
  {
    rt::Runtime runtime;
    runtime.spawn("sleep", sleep_long(&returned));
  }
  CHECK_FALSE(returned);
}

TEST_CASE("with_timeout gives the answer, or an error that says what took too long") {
  rt::Runtime runtime;
  Result<int> slow = 0;
  Result<int> quick = 0;
  runtime.spawn("time", time_out(runtime, &slow, &quick));
  runtime.run();
  REQUIRE_FALSE(slow);
  CHECK(slow.error().kind == ErrorKind::timeout);
  CHECK(slow.error().message == "the answer did not finish within 5ms");
  REQUIRE(quick);
  CHECK(*quick == 2);
}

TEST_CASE("cancelling the one who waits with a timeout unwinds it") {
  rt::Runtime runtime;
  bool returned = false;
  bool unwound = false;
  runtime.spawn("wait", time_out_much_later(&returned, &unwound));
  runtime.post([&runtime] { runtime.shutdown(2ms); });
  runtime.run();
  CHECK(unwound);
  CHECK_FALSE(returned);
}

TEST_CASE("notify_all wakes every waiter once, and wait_for ends at its limit") {
  rt::Runtime runtime;
  rt::Notify notify;
  int woken = 0;
  bool timed_out = false;
  for (int i = 0; i < 3; ++i) runtime.spawn("wait", wait_for_notify(notify, &woken));
  runtime.spawn("wake", wake_all(runtime, notify, &timed_out));
  runtime.run();
  CHECK(woken == 3);
  CHECK(timed_out);
}

TEST_CASE("join returns when every task of a group has ended") {
  rt::Runtime runtime;
  int count = 0;
  int seen = 0;
  runtime.spawn("join", join_group(runtime, &count, &seen));
  runtime.run();
  CHECK(seen == 5);
}

TEST_CASE("cancelling the one who joins cancels the group and unwinds") {
  rt::Runtime runtime;
  bool returned = false;
  bool unwound = false;
  runtime.spawn("join", join_sleepers(runtime, &returned, &unwound));
  runtime.post([&runtime] { runtime.shutdown(2ms); });
  runtime.run();
  CHECK(unwound);
  CHECK_FALSE(returned);
}

TEST_CASE("SIGTERM ends run_until_signal after its grace") {
  rt::Runtime runtime;
  bool returned = false;
  runtime.spawn("sleep", sleep_long(&returned));
  runtime.post([] { std::raise(SIGTERM); });
  runtime.run_until_signal(2ms);
  CHECK_FALSE(returned);
  CHECK(runtime.stop_token().stop_requested());
}

TEST_CASE("a service is cancelled at once when shutdown begins, without waiting for the grace") {
  rt::Runtime runtime;
  bool returned = false;
  const auto started = std::chrono::steady_clock::now();
  runtime.spawn("listen", sleep_long(&returned), rt::AtShutdown::cancel);
  runtime.post([&runtime] { runtime.shutdown(1h); });
  runtime.run();
  CHECK_FALSE(returned);
  CHECK(std::chrono::steady_clock::now() - started < 30min);
}

TEST_CASE("a task may cancel its own group, before it has ever waited as well") {
  for (const bool sleeps_first : {true, false}) {
    rt::Runtime runtime;
    bool returned = false, joined = false;
    runtime.spawn("join", join_self_cancelling(runtime, sleeps_first, &returned, &joined));
    runtime.run();
    CHECK(joined);
    CHECK_FALSE(returned);
  }
}
