// Implementation of rt::with_timeout; included by runtime.hpp only.
#pragma once

#include <boost/asio/experimental/awaitable_operators.hpp>

namespace sluice::rt {

template <class T>
Task<base::Result<T>> with_timeout(Task<base::Result<T>> task, std::chrono::nanoseconds limit, std::string what) {
  using boost::asio::experimental::awaitable_operators::operator||;
  auto race = std::move(task) || sleep_for(limit);
  try {
    auto finished = co_await std::move(race);
    if (finished.index() == 0) co_return std::move(std::get<0>(finished));
  } catch (const boost::asio::multiple_exceptions& both) {
    // Who waits was cancelled, and both sides of the race with it. Nobody above
    // takes this type for a cancellation, so what the task threw goes on.
    std::rethrow_exception(both.first_exception());
  }
  co_return base::unexpected(base::ErrorKind::timeout,
                             what + " did not finish within " + base::format_duration(limit));
}

}  // namespace sluice::rt
