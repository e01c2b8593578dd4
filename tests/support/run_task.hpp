// Runs one coroutine on a Runtime and gives back what it returned. For tests.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <optional>

#include "rt/runtime.hpp"

namespace sluice::test {

template <class T>
rt::Task<void> store(rt::Task<T> task, std::optional<T>& result) {
  result.emplace(co_await std::move(task));
}

template <class T>
T run(rt::Runtime& runtime, rt::Task<T> task) {
  std::optional<T> result;
  std::exception_ptr failure;
  bool ended = false;  // by the completion handler, which refers to this frame
  boost::asio::co_spawn(runtime.context(), store(std::move(task), result), [&](std::exception_ptr error) {
    failure = error;
    ended = true;
  });
  runtime.context().restart();
  while (!ended) runtime.context().run_one();
  if (failure) std::rethrow_exception(failure);
  return std::move(*result);
}

}  // namespace sluice::test
