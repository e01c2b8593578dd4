#include "http/detail/response_parser.hpp"

#include <algorithm>

namespace sluice::http::detail {
namespace {

constexpr std::uint32_t kMaxHeader = 64U << 10U;
// A body is not trusted to be as long as it says before it has come.
constexpr std::uint64_t kMaxReserve = 4U << 20U;

}  // namespace

ResponseParser::ResponseParser(std::uint64_t max_body, bool skip_body) : whole_(max_body != kNoLimit) {
  header_limit(kMaxHeader);
  if (whole_) {
    body_limit(max_body);
  } else {
    body_limit(boost::none);
  }
  skip(skip_body);
  eager(true);
}

void ResponseParser::on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code&) {
  if (whole_ && length) response_.body.reserve(static_cast<std::size_t>(std::min(*length, kMaxReserve)));
}

}  // namespace sluice::http::detail
