#include "lanes.hpp"

#include <algorithm>
#include <utility>

namespace sluice::notification {

base::Duration Lanes::grown(int failures, base::Duration limit) {
  base::Duration delay = kFirstDelay;
  for (int i = 1; i < failures && delay < limit; ++i) delay *= 2;
  return std::min(delay, limit);
}

void Lanes::push(Delivery delivery) {
  Lane& lane = lanes_[delivery.occurrence.involved.str()];
  if (lane.waiting.empty()) lane.arrival = ++arrivals_;
  lane.waiting.push_back(std::move(delivery));
  ++size_;
}

Lanes::Turn Lanes::next(base::SteadyPoint now) const {
  Turn turn;
  std::uint64_t first = 0;
  for (const auto& [name, lane] : lanes_) {
    const base::SteadyPoint due = std::max(lane.not_before, rest_until_);
    if (due > now) {
      turn.wait = turn.wait ? std::min<base::Duration>(*turn.wait, due - now) : due - now;
    } else if (!turn.lane || lane.arrival < first) {
      turn.lane = name;
      first = lane.arrival;
    }
  }
  return turn;
}

Delivery& Lanes::head(const std::string& lane) { return lanes_.at(lane).waiting.front(); }

void Lanes::settle(const std::string& name, bool answered) {
  Lane& lane = lanes_.at(name);
  lane.waiting.pop_front();
  lane.failures = 0;
  lane.not_before = {};
  lane.arrival = ++arrivals_;  // behind the others
  --size_;
  if (lane.waiting.empty()) lanes_.erase(name);
  if (!answered) return;
  failures_in_a_row_ = 0;
  rest_until_ = {};
}

void Lanes::fail(const std::string& name, base::SteadyPoint now, std::optional<base::Duration> wanted) {
  Lane& lane = lanes_.at(name);
  lane.failures += 1;
  lane.arrival = ++arrivals_;
  failures_in_a_row_ += 1;
  base::Duration rest = grown(failures_in_a_row_, kLongestRest);
  if (wanted) rest = std::max(rest, std::min(*wanted, kLongestDelay));
  rest_until_ = now + rest;
  lane.not_before = now + grown(lane.failures, kLongestDelay);
}

void Lanes::hurry() {
  rest_until_ = {};
  failures_in_a_row_ = 0;
  for (auto& [name, lane] : lanes_) {
    lane.not_before = {};
    lane.failures = 0;
  }
}

}  // namespace sluice::notification
