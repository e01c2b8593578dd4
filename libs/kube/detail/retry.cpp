#include "kube/detail/retry.hpp"

#include <algorithm>
#include <random>

namespace sluice::kube::detail {
namespace {

constexpr int kMaxAttempts = 10;
constexpr std::chrono::seconds kMaxRetryTime{30};
constexpr std::chrono::milliseconds kDefaultRetryAfter{1000};
constexpr std::chrono::milliseconds kFirstFloor{100};
constexpr std::chrono::milliseconds kLastFloor{1600};

bool is_for_now(const http::Response& response) {
  // 503 without Retry-After is an outage, which callers back off from by their own rules.
  return response.status == 429 || (response.status == 503 && response.headers.contains("Retry-After"));
}

// Up to a quarter more, so that those who were turned away together do not come back together.
std::chrono::milliseconds with_jitter(std::chrono::milliseconds wait) {
  thread_local std::minstd_rand random{std::random_device{}()};
  std::uniform_int_distribution<std::int64_t> extra(0, wait.count() / 4);
  return wait + std::chrono::milliseconds(extra(random));
}

}  // namespace

std::optional<std::chrono::milliseconds> Retries::wait_after(const http::Response& response, const base::Error& error,
                                                             base::SteadyPoint now) {
  if (!is_for_now(response) || ++attempts_ >= kMaxAttempts) return std::nullopt;
  const auto floor = std::min(kFirstFloor * (1 << std::min(attempts_ - 1, 4)), kLastFloor);
  const auto wait = std::max(error.retry_after.value_or(kDefaultRetryAfter), floor);
  if (now - started_ + wait >= kMaxRetryTime) return std::nullopt;
  return with_jitter(wait);
}

}  // namespace sluice::kube::detail
