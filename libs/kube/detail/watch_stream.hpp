// The events of one watch, one JSON document a line. Private to libs/kube.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "http/client.hpp"
#include "kube/client.hpp"
#include "rt/runtime.hpp"

namespace sluice::kube::detail {

// Reads one line of a watch. An ERROR event is an Error: `gone` for 410.
base::Result<WatchEvent> parse_watch_line(std::string_view line);

// Where large events are parsed, so that they do not hold up the loop.
struct ParseOnPool {
  rt::Runtime& runtime;
  std::string owner;  // whose share of the pool they take
  std::size_t from;   // bytes of a line
};

using Knows = decltype(WatchOptions::knows);

// `idle` is how long the server may be silent. `knows` is not asked about what is parsed on the pool.
std::unique_ptr<Watch> make_watch(std::unique_ptr<http::ResponseStream> stream, std::chrono::nanoseconds idle,
                                  ParseOnPool pool, Knows knows = {});

}  // namespace sluice::kube::detail
