// One event loop and one bounded pool: all the threads that a daemon has.
//
//   rt::Runtime runtime(4);
//   runtime.spawn("watch", watch(client));       // runs on the loop
//   return runtime.run_until_signal(grace);       // SIGINT/SIGTERM stop it
//
// Inside a coroutine:
//   auto work = [files](std::stop_token stop) { return build(*files, stop); };
//   auto building = rt::run_blocking(runtime, "apps", std::move(work));  // for the tenant `apps`
//   auto built = co_await std::move(building);
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "rt/task.hpp"

namespace boost::asio {
class io_context;
}

namespace sluice::rt {

// What shutdown() does with a task at once, before its grace has passed.
enum class AtShutdown {
  finish,  // lets it go on until the grace is over: work in flight
  cancel,  // cancels it: listeners, watches, idle connections
};

class Runtime {
 public:
  // `pool_threads` bounds how much blocking work of one owner runs at once; others always find
  // threads beside it (fair_pool.hpp).
  explicit Runtime(std::size_t pool_threads = 2);
  ~Runtime();  // stops, cancels what was spawned, joins the pool
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  boost::asio::io_context& context() noexcept;

  // Starts a coroutine on the loop. It is cancelled by shutdown(). An exception
  // that leaves it, other than cancellation, is a broken invariant: the process
  // aborts and names the task. Safe from any thread.
  void spawn(std::string name, Task<void> task, AtShutdown at_shutdown = AtShutdown::finish);

  // Runs `work` on the pool, where owners get equal shares; "" is the daemon itself. Safe from any thread.
  void post_blocking(const std::string& owner, std::function<void()> work);
  // The same for a question to a name server, which nobody can stop: it has threads of its own, so that names that take
  // for ever hold up neither work nor the names of other owners.
  void post_lookup(const std::string& owner, std::function<void()> work);
  // Runs `work` on the loop. Safe from any thread.
  void post(std::function<void()> work);

  // Runs the loop on the calling thread until shutdown() has completed.
  void run();
  // How long after its grace a process that was told to stop may still be there.
  static constexpr std::chrono::milliseconds kHardExit = std::chrono::seconds(5);
  // As run(), with SIGINT and SIGTERM calling shutdown(grace). A second signal
  // ends the process at once. So does kHardExit after the grace, whatever hangs: work on the
  // pool that heeds no stop token, the loop itself, destructors after this.
  void run_until_signal(std::chrono::milliseconds grace, std::chrono::milliseconds hard_exit = kHardExit);

  // Asks the stop token to stop, so that loops finish what they are at; after
  // `grace` cancels every task that still runs, then lets run() return.
  // Safe from any thread; only the first call counts.
  void shutdown(std::chrono::milliseconds grace);
  std::stop_token stop_token() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Sleeps; cancellation unwinds. A negative duration returns at once.
Task<void> sleep_for(std::chrono::nanoseconds duration);

namespace detail {
// Suspends until `start` has called its completion handler, which may happen
// on any thread; the coroutine resumes on the loop. `on_cancel` is called (once,
// on the loop) when the coroutine is cancelled meanwhile: it still waits for
// the completion, so what `start` refers to stays alive, and unwinds then.
Task<void> await_completion(std::function<void(std::function<void()>)> start, std::function<void()> on_cancel);
}  // namespace detail

// Runs `work(std::stop_token)` on the pool and resumes on the loop with what it
// returned; what the work captured is destroyed by then. Cancelling the coroutine
// asks the token to stop and waits for the work to return, so captured references
// stay valid throughout; work that has not begun is dropped at once. `owner` is whose
// share of the pool it takes: the namespace of the object that it is done for.
template <class Work>
auto run_blocking(Runtime& runtime, std::string owner, Work work)
    -> Task<std::invoke_result_t<Work&, std::stop_token>> {
  using R = std::invoke_result_t<Work&, std::stop_token>;
  struct State {
    explicit State(Work w) : work(std::move(w)) {}
    std::optional<Work> work;
    std::stop_source stop;
    std::atomic<bool> taken = false;  // by a thread, or by the cancellation
    std::function<void()> done;
    std::optional<R> result;
    std::exception_ptr failure;
  };
  auto state = std::make_shared<State>(std::move(work));
  auto start = [state, &runtime, owner = std::move(owner)](std::function<void()> done) {
    state->done = std::move(done);
    runtime.post_blocking(owner, [state] {
      if (state->taken.exchange(true)) return;
      try {
        state->result.emplace((*state->work)(state->stop.get_token()));
      } catch (...) {
        state->failure = std::current_exception();
      }
      state->work.reset();
      std::exchange(state->done, nullptr)();
    });
  };
  auto on_cancel = [state] {
    state->stop.request_stop();
    if (state->taken.exchange(true)) return;
    state->work.reset();
    std::exchange(state->done, nullptr)();
  };
  co_await detail::await_completion(std::move(start), std::move(on_cancel));
  if (state->failure) std::rethrow_exception(state->failure);
  co_return std::move(*state->result);
}

// The same for the daemon itself.
template <class Work>
auto run_blocking(Runtime& runtime, Work work) -> Task<std::invoke_result_t<Work&, std::stop_token>> {
  return run_blocking(runtime, std::string(), std::move(work));
}

// Runs `task`; if it has not finished after `limit` it is cancelled and the
// answer is an Error of kind `timeout` with `what` in its message.
template <class T>
Task<base::Result<T>> with_timeout(Task<base::Result<T>> task, std::chrono::nanoseconds limit, std::string what);

// A level that coroutines wait for: notify() wakes every waiter. Lives on the loop.
class Notify {
 public:
  Notify();
  ~Notify();
  Notify(const Notify&) = delete;
  Notify& operator=(const Notify&) = delete;
  void notify_all();
  // Returns at the next notify_all(), or after `limit`; true if it was notified.
  Task<bool> wait_for(std::chrono::nanoseconds limit);
  Task<void> wait();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// Tasks that start together and end together: the owner co_awaits join(), which
// returns when all have ended; cancel() cancels those that still run. Lives on
// the loop; join() must have returned before it is destroyed.
class TaskGroup {
 public:
  TaskGroup();
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  // Must be called on the loop.
  void spawn(boost::asio::io_context& context, Task<void> task);
  void cancel();
  std::size_t running() const noexcept;
  // If the waiting coroutine is cancelled, the tasks are cancelled and still waited for.
  Task<void> join();
  // Waits for the end of all for no longer than `limit`; true if they have ended. Cancels
  // nothing, and may be called while somebody else joins.
  Task<bool> join_for(std::chrono::nanoseconds limit);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace sluice::rt

#include "rt/timeout.inl"
