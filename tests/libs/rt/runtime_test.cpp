#include "rt/runtime.hpp"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <csignal>
#include <mutex>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

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

// Work that heeds nothing until it is let go.
struct Stuck {
  std::atomic<int> begun = 0;
  std::atomic<bool> let_go = false;
  void operator()() {
    ++begun;
    while (!let_go) std::this_thread::sleep_for(1ms);
  }
};

rt::Task<void> hold(rt::Runtime& runtime, std::string owner, std::shared_ptr<Stuck> stuck, int* ended) {
  auto work = [stuck](std::stop_token) {
    (*stuck)();
    return 0;
  };
  auto holding = rt::run_blocking(runtime, std::move(owner), std::move(work));
  const int result = co_await std::move(holding);
  *ended += 1 + result;
}

rt::Task<void> quick(rt::Runtime& runtime, std::string owner, int* ended) {
  auto working = rt::run_blocking(runtime, std::move(owner), [](std::stop_token) { return 1; });
  *ended += co_await std::move(working);
}

rt::Task<void> cancel_waiting(rt::Runtime& runtime, std::shared_ptr<Stuck> stuck, bool* dropped, bool* joined_early) {
  rt::TaskGroup group;
  int ended = 0;
  while (stuck->begun < 1) co_await rt::sleep_for(1ms);
  group.spawn(runtime.context(), quick(runtime, "hog", &ended));
  group.cancel();
  const bool gone = co_await group.join_for(5s);
  *dropped = gone && ended == 0;
  group.spawn(runtime.context(), hold(runtime, "other", stuck, &ended));
  const bool early = co_await group.join_for(20ms);
  *joined_early = early;
  stuck->let_go = true;
  co_await group.join();
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

TEST_CASE("whoever fills the pool leaves a thread to the next owner, and another one to the daemon") {
  rt::Runtime runtime(2);
  auto stuck = std::make_shared<Stuck>();
  int held = 0, ended = 0;
  for (int i = 0; i < 5; ++i) runtime.spawn("hog", hold(runtime, "hog", stuck, &held));
  const auto turn_until = [&](auto is_so) {
    runtime.context().restart();
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!is_so() && std::chrono::steady_clock::now() < deadline) runtime.context().run_one_for(10ms);
    CHECK(is_so());
  };
  turn_until([&] { return stuck->begun == 2; });
  runtime.spawn("tenant", quick(runtime, "tenant", &ended));
  turn_until([&] { return ended == 1; });
  runtime.spawn("second hog", hold(runtime, "second hog", stuck, &held));
  turn_until([&] { return stuck->begun == 3; });
  runtime.spawn("daemon", quick(runtime, "", &ended));
  turn_until([&] { return ended == 2; });
  CHECK(stuck->begun == 3);  // never more than its share, whoever else is idle
  stuck->let_go = true;
  turn_until([&] { return held == 6; });
}

TEST_CASE("a second owner that fills the pool leaves a thread to the third") {
  rt::Runtime runtime(2);
  auto stuck = std::make_shared<Stuck>();
  int held = 0, ended = 0;
  const auto turn_until = [&](auto is_so) {
    runtime.context().restart();
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!is_so() && std::chrono::steady_clock::now() < deadline) runtime.context().run_one_for(10ms);
    CHECK(is_so());
  };
  for (int i = 0; i < 5; ++i) runtime.spawn("hog", hold(runtime, "hog", stuck, &held));
  turn_until([&] { return stuck->begun == 2; });
  for (int i = 0; i < 5; ++i) runtime.spawn("second hog", hold(runtime, "second hog", stuck, &held));
  turn_until([&] { return stuck->begun == 3; });
  runtime.spawn("tenant", quick(runtime, "tenant", &ended));
  turn_until([&] { return ended == 1; });
  CHECK(stuck->begun == 3);
  stuck->let_go = true;
  turn_until([&] { return held == 10; });
}

TEST_CASE("owners that wait are served in turn, whoever came with more") {
  rt::Runtime runtime(1);
  auto stuck = std::make_shared<Stuck>();
  int held = 0;
  std::mutex mutex;
  std::string order;
  runtime.spawn("first", hold(runtime, "b", stuck, &held));
  runtime.spawn("second", hold(runtime, "c", stuck, &held));  // both threads that owners may have
  runtime.context().restart();
  while (stuck->begun < 2) runtime.context().run_one_for(10ms);
  const auto note = [&](const char* name) {
    return [&mutex, &order, name] {
      const std::lock_guard lock(mutex);
      order += name;
    };
  };
  for (int i = 0; i < 3; ++i) runtime.post_blocking("d", note("d"));
  runtime.post_blocking("e", note("e"));
  stuck->let_go = true;
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  const auto size = [&] {
    const std::lock_guard lock(mutex);
    return order.size();
  };
  while (size() < 4 && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(1ms);
  CHECK(order.find('e') <= 2);  // not behind all of d
}

TEST_CASE("work that waits for a thread is dropped when it is cancelled, and join_for ends at its limit") {
  rt::Runtime runtime(1);
  auto stuck = std::make_shared<Stuck>();
  int held = 0;
  bool dropped = false, joined_early = true;
  runtime.spawn("hog", hold(runtime, "hog", stuck, &held));
  runtime.spawn("cancel", cancel_waiting(runtime, stuck, &dropped, &joined_early));
  runtime.post([&runtime] { runtime.shutdown(20s); });
  runtime.run();
  CHECK(dropped);
  CHECK_FALSE(joined_early);
}

TEST_CASE("a process told to stop is gone soon after its grace, whatever hangs on the pool") {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(30);  // so that a failure leaves nothing behind
    rt::Runtime runtime(1);
    int held = 0;
    auto stuck = std::make_shared<Stuck>();
    runtime.spawn("stuck", hold(runtime, "hog", stuck, &held));
    runtime.post([] { std::raise(SIGTERM); });
    runtime.run_until_signal(10ms, 100ms);
    std::_Exit(0);  // not reached: what is cancelled waits for its work
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 1);
}
