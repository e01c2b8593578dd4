#include "rt/runtime.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <mutex>
#include <thread>

#include "rt/fair_pool.hpp"

namespace sluice::rt {

namespace asio = boost::asio;

namespace {

// Cancellation may leave a task; anything else is a broken invariant.
void abort_unless_cancelled(const std::exception_ptr& failure, const std::string& task) {
  if (!failure) return;
  try {
    std::rethrow_exception(failure);
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) return;
    std::fprintf(stderr, "task '%s' ended with %s\n", task.c_str(), error.what());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "task '%s' ended with %s\n", task.c_str(), error.what());
  } catch (...) {
    std::fprintf(stderr, "task '%s' ended with an unknown exception\n", task.c_str());
  }
  std::abort();
}

[[noreturn]] void throw_cancelled() { throw boost::system::system_error(asio::error::operation_aborted); }

// Throws if the calling coroutine has been cancelled.
Task<void> check_cancelled() {
  const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) throw_cancelled();
}

// Ends the process when its time is up, from a thread of its own: nothing that hangs can keep it.
class HardExit {
 public:
  HardExit() = default;
  ~HardExit() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      called_off_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  HardExit(const HardExit&) = delete;
  HardExit& operator=(const HardExit&) = delete;

  void arm(std::chrono::milliseconds limit) {
    if (thread_.joinable()) return;
    thread_ = std::thread([this, limit] {
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, limit, [this] { return called_off_; })) return;
      std::fputs("the process did not end within its grace; leaving what hangs behind\n", stderr);
      std::_Exit(1);
    });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool called_off_ = false;
  std::thread thread_;
};

}  // namespace

struct Runtime::Impl {
  struct Running {
    std::string name;
    AtShutdown at_shutdown = AtShutdown::finish;
    asio::cancellation_signal cancel;
  };

  static constexpr std::size_t kLookups = 4;  // of one owner at once

  explicit Impl(std::size_t threads) : pool(threads) {}

  // Ended tasks leave the list in a later turn of the loop, so it is stable meanwhile.
  void cancel_services() {
    for (Running& task : running) {
      if (task.at_shutdown == AtShutdown::cancel) task.cancel.emit(asio::cancellation_type::terminal);
    }
  }
  void cancel_all() {
    for (Running& task : running) task.cancel.emit(asio::cancellation_type::terminal);
  }

  void begin_shutdown(std::chrono::milliseconds grace) {
    if (stopping) return;
    stopping = true;
    stop.request_stop();
    if (running.empty()) return context.stop();
    cancel_services();
    grace_timer.expires_after(grace);
    grace_timer.async_wait([this](boost::system::error_code ec) {
      if (!ec) cancel_all();
    });
  }

  HardExit hard_exit;  // the last to go, as the pool's end may hang
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard{context.get_executor()};
  FairPool pool;
  FairPool lookups{kLookups};
  asio::steady_timer grace_timer{context};
  std::list<Running> running;
  std::stop_source stop;
  bool stopping = false;
};

Runtime::Runtime(std::size_t pool_threads) : impl_(std::make_unique<Impl>(pool_threads)) {}

Runtime::~Runtime() {
  impl_->context.restart();
  impl_->stop.request_stop();
  impl_->stopping = true;
  asio::post(impl_->context, [this] {
    impl_->cancel_all();
    if (impl_->running.empty()) impl_->context.stop();
  });
  impl_->context.run();
}

asio::io_context& Runtime::context() noexcept { return impl_->context; }
std::stop_token Runtime::stop_token() const noexcept { return impl_->stop.get_token(); }

void Runtime::spawn(std::string name, Task<void> task, AtShutdown at_shutdown) {
  // Shared, as a posted handler must be copyable and a Task is not.
  auto held = std::make_shared<Task<void>>(std::move(task));
  asio::dispatch(impl_->context, [impl = impl_.get(), name = std::move(name), held, at_shutdown] {
    auto& entry = impl->running.emplace_back();
    entry.name = name;
    entry.at_shutdown = at_shutdown;
    const auto position = std::prev(impl->running.end());
    asio::co_spawn(impl->context, std::move(*held),
                   asio::bind_cancellation_slot(entry.cancel.slot(), [impl, position](std::exception_ptr failure) {
                     abort_unless_cancelled(failure, position->name);
                     // Erased from a fresh handler: the signal that lives in it may be emitting right now.
                     asio::post(impl->context, [impl, position] {
                       impl->running.erase(position);
                       if (impl->stopping && impl->running.empty()) impl->context.stop();
                     });
                   }));
    if (impl->stopping) entry.cancel.emit(asio::cancellation_type::terminal);
  });
}

void Runtime::post_blocking(const std::string& owner, std::function<void()> work) {
  impl_->pool.post(owner, std::move(work));
}
void Runtime::post_lookup(const std::string& owner, std::function<void()> work) {
  impl_->lookups.post(owner, std::move(work));
}
void Runtime::post(std::function<void()> work) { asio::post(impl_->context, std::move(work)); }

void Runtime::run() { impl_->context.run(); }

void Runtime::run_until_signal(std::chrono::milliseconds grace, std::chrono::milliseconds hard_exit) {
  asio::signal_set signals(impl_->context, SIGINT, SIGTERM);
  signals.async_wait([this, grace, hard_exit, &signals](boost::system::error_code ec, int) {
    if (ec) return;
    impl_->hard_exit.arm(grace + hard_exit);
    signals.async_wait([](boost::system::error_code again, int number) {
      if (!again) std::_Exit(128 + number);
    });
    impl_->begin_shutdown(grace);
  });
  impl_->context.run();
}

void Runtime::shutdown(std::chrono::milliseconds grace) {
  asio::post(impl_->context, [impl = impl_.get(), grace] { impl->begin_shutdown(grace); });
}

Task<void> sleep_for(std::chrono::nanoseconds duration) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor);
  timer.expires_after(duration);
  co_await timer.async_wait(asio::use_awaitable);
}

namespace detail {

Task<void> await_completion(std::function<void(std::function<void()>)> start, std::function<void()> on_cancel) {
  co_await check_cancelled();
  const auto executor = co_await asio::this_coro::executor;
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
      [&start, &on_cancel, executor](auto handler) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        auto held = std::make_shared<decltype(handler)>(std::move(handler));
        if (slot.is_connected()) {
          slot.assign([on_cancel](asio::cancellation_type) { on_cancel(); });
        }
        start([held, executor] {
          asio::post(executor, [held] {
            auto connected = asio::get_associated_cancellation_slot(*held);
            if (connected.is_connected()) connected.clear();
            std::move (*held)();
          });
        });
      },
      asio::use_awaitable);
  co_await check_cancelled();
}

}  // namespace detail

struct Notify::Impl {
  std::list<asio::steady_timer*> waiting;
};

Notify::Notify() : impl_(std::make_shared<Impl>()) {}
Notify::~Notify() = default;

void Notify::notify_all() {
  auto waiting = std::move(impl_->waiting);
  impl_->waiting.clear();
  for (asio::steady_timer* timer : waiting) timer->cancel();
}

Task<bool> Notify::wait_for(std::chrono::nanoseconds limit) {
  // A waiter takes itself off the list by value: notify_all() may have taken
  // the whole list meanwhile, and the Notify itself may be gone.
  struct Waiter {
    std::shared_ptr<Impl> impl;
    asio::steady_timer timer;
    Waiter(std::shared_ptr<Impl> i, const asio::any_io_executor& executor) : impl(std::move(i)), timer(executor) {
      impl->waiting.push_back(&timer);
    }
    ~Waiter() { impl->waiting.remove(&timer); }
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
  };
  const auto executor = co_await asio::this_coro::executor;
  Waiter waiter(impl_, executor);
  if (limit == std::chrono::nanoseconds::max()) {
    waiter.timer.expires_at(std::chrono::steady_clock::time_point::max());
  } else {
    waiter.timer.expires_after(limit);
  }
  const auto waited = co_await waiter.timer.async_wait(asio::as_tuple(asio::use_awaitable));
  const boost::system::error_code ec = std::get<0>(waited);
  co_await check_cancelled();
  co_return ec == asio::error::operation_aborted;
}

Task<void> Notify::wait() {
  const bool notified = co_await wait_for(std::chrono::nanoseconds::max());
  static_cast<void>(notified);
}

struct TaskGroup::Impl {
  // Asio loses a coroutine that is cancelled before it was ever suspended, as one can be that
  // cancels its own group: such a one is cancelled when it first waits.
  struct Running {
    asio::cancellation_signal signal;
    bool suspended_once = false;
    bool cancelled = false;
    void cancel() {
      if (suspended_once) signal.emit(asio::cancellation_type::terminal);
      cancelled = true;
    }
  };
  std::list<Running> running;
  std::function<void()> on_empty;
  Notify emptied;
};

TaskGroup::TaskGroup() : impl_(std::make_shared<Impl>()) {}
TaskGroup::~TaskGroup() = default;

void TaskGroup::spawn(asio::io_context& context, Task<void> task) {
  auto impl = impl_;
  impl->running.emplace_back();
  const auto position = std::prev(impl->running.end());
  asio::co_spawn(
      context, std::move(task),
      asio::bind_cancellation_slot(position->signal.slot(), [impl, position, &context](std::exception_ptr failure) {
        abort_unless_cancelled(failure, "of a group");
        asio::post(context, [impl, position] {
          impl->running.erase(position);
          if (!impl->running.empty()) return;
          impl->emptied.notify_all();
          if (impl->on_empty) std::exchange(impl->on_empty, nullptr)();
        });
      }));
  position->suspended_once = true;
  if (position->cancelled) position->cancel();
}

void TaskGroup::cancel() {
  for (auto it = impl_->running.begin(); it != impl_->running.end();) {
    Impl::Running& task = *it++;
    task.cancel();
  }
}

std::size_t TaskGroup::running() const noexcept { return impl_->running.size(); }

Task<bool> TaskGroup::join_for(std::chrono::nanoseconds limit) {
  auto impl = impl_;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!impl->running.empty()) {
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left <= std::chrono::nanoseconds::zero()) co_return false;
    const bool notified = co_await impl->emptied.wait_for(left);
    static_cast<void>(notified);
  }
  co_return true;
}

Task<void> TaskGroup::join() {
  auto impl = impl_;
  if (impl->running.empty()) co_return;
  auto start = [impl](std::function<void()> done) { impl->on_empty = std::move(done); };
  auto on_cancel = [this] { cancel(); };
  co_await detail::await_completion(start, on_cancel);
}

}  // namespace sluice::rt
