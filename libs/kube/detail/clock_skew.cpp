#include "kube/detail/clock_skew.hpp"

#include <ctime>
#include <string>

namespace sluice::kube::detail {

namespace {

// A date is cut to the second, and the answer has been on its way for a while.
constexpr base::Duration kTolerance = std::chrono::seconds(2);

}  // namespace

void ClockSkew::observe(std::string_view date, base::TimePoint now) {
  // Hundreds of answers bear the date of one second, and reading one takes as long as many a header.
  if (date == last_) return;
  last_ = date;
  std::tm parts{};
  const std::string& text = last_;
  // IMF-fixdate (RFC 9110, 5.6.7); Go's servers send no other form. The daemons keep the C locale.
  const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') return;
  const base::Duration seen = std::chrono::system_clock::from_time_t(::timegm(&parts)) - now;
  const base::Duration change = seen > skew_ ? seen - skew_ : skew_ - seen;
  if (change <= kTolerance) return;
  skew_ = seen > kTolerance || seen < -kTolerance ? seen : base::Duration::zero();
}

}  // namespace sluice::kube::detail
