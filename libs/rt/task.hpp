// The coroutine type of everything that runs on the loop.
//
// A Task<Result<T>> is lazy, runs on the daemon's single event loop thread and
// must not block it: work that blocks, or takes over a millisecond of CPU,
// goes through run_blocking (runtime.hpp). Cancellation unwinds the coroutine
// as boost::system::system_error(operation_aborted), the only exception that
// may pass through; never catch it to go on.
#pragma once

#include <boost/asio/awaitable.hpp>

namespace sluice::rt {

template <class T = void>
using Task = boost::asio::awaitable<T>;

}  // namespace sluice::rt
