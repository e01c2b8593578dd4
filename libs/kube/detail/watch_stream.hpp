// The events of one watch, one JSON document a line. Private to libs/kube.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "http/client.hpp"
#include "kube/client.hpp"

namespace sluice::kube::detail {

// Reads one line of a watch. An ERROR event is an Error: `gone` for 410.
base::Result<WatchEvent> parse_watch_line(std::string_view line);

// `idle` is how long the server may be silent.
std::unique_ptr<Watch> make_watch(std::unique_ptr<http::ResponseStream> stream, std::chrono::nanoseconds idle);

}  // namespace sluice::kube::detail
