// How far the server's clock is ahead of ours, told by the Date of its answers
// (RFC 9110, 6.6.1). Private to this library.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace sluice::kube::detail {

class ClockSkew {
 public:
  // `date` is the header's value; one that does not read as a date is ignored.
  void observe(std::string_view date, base::TimePoint now);
  // Zero while no answer came, or while the clocks agree as far as a date to the second can tell.
  base::Duration value() const noexcept { return skew_; }

 private:
  base::Duration skew_{};
  std::string last_;  // of the dates seen
};

}  // namespace sluice::kube::detail
