#include "lanes.hpp"

#include <algorithm>
#include <utility>

namespace sluice::notification_controller {

base::Duration Lanes::grown(int failures, base::Duration limit) {
  base::Duration delay = kFirstDelay;
  for (int i = 1; i < failures && delay < limit; ++i) delay *= 2;
  return std::min(delay, limit);
}

// Behind the others.
void Lanes::line_up(const std::string& name, Lane& lane) {
  lane.arrival = ++arrivals_;
  if (lane.not_before == base::SteadyPoint{}) {
    ready_.emplace(lane.arrival, name);
  } else {
    stepped_back_.emplace(lane.not_before, name);
  }
}

void Lanes::step_out(const std::string& name, const Lane& lane) {
  ready_.erase({lane.arrival, name});
  stepped_back_.erase({lane.not_before, name});
}

void Lanes::push(Delivery delivery) {
  const std::string name = delivery.occurrence->involved.str();
  Lane& lane = lanes_[name];
  const bool was_empty = lane.waiting.empty();
  lane.waiting.push_back(std::move(delivery));
  ++size_;
  if (was_empty) line_up(name, lane);
}

Lanes::Turn Lanes::next(base::SteadyPoint now) {
  // Who has waited for long enough goes where its arrival puts it.
  while (!stepped_back_.empty() && stepped_back_.begin()->first <= now) {
    const std::string name = stepped_back_.begin()->second;
    stepped_back_.erase(stepped_back_.begin());
    Lane& lane = lanes_.at(name);
    lane.not_before = {};
    ready_.emplace(lane.arrival, name);
  }
  Turn turn;
  const bool rests = rest_until_ > now;
  if (!ready_.empty() && !rests) {
    turn.lane = ready_.begin()->second;
  } else if (!ready_.empty()) {
    turn.wait = rest_until_ - now;
  } else if (!stepped_back_.empty()) {
    turn.wait = std::max(stepped_back_.begin()->first, rest_until_) - now;
  }
  return turn;
}

Delivery& Lanes::head(const std::string& lane) { return lanes_.at(lane).waiting.front(); }

void Lanes::settle(const std::string& name, bool answered) {
  Lane& lane = lanes_.at(name);
  step_out(name, lane);
  lane.waiting.pop_front();
  lane.failures = 0;
  lane.not_before = {};
  --size_;
  if (lane.waiting.empty()) {
    lanes_.erase(name);
  } else {
    line_up(name, lane);
  }
  if (!answered) return;
  failures_in_a_row_ = 0;
  rest_until_ = {};
}

void Lanes::fail(const std::string& name, base::SteadyPoint now, std::optional<base::Duration> wanted) {
  Lane& lane = lanes_.at(name);
  step_out(name, lane);
  lane.failures += 1;
  lane.not_before = now + grown(lane.failures, kLongestDelay);
  line_up(name, lane);
  failures_in_a_row_ += 1;
  base::Duration rest = grown(failures_in_a_row_, kLongestRest);
  if (wanted) rest = std::max(rest, std::min(*wanted, kLongestDelay));
  rest_until_ = now + rest;
}

std::vector<Delivery> Lanes::shed(std::size_t count, const std::optional<std::string>& busy) {
  const auto first_of = [&busy](const std::string& name) -> std::size_t { return busy == name ? 1 : 0; };
  std::vector<base::TimePoint> ages;
  ages.reserve(size_);
  for (const auto& [name, lane] : lanes_) {
    for (std::size_t i = first_of(name); i < lane.waiting.size(); ++i) ages.push_back(lane.waiting[i].happened);
  }
  std::vector<Delivery> out;
  count = std::min(count, ages.size());
  if (count == 0) return out;
  const auto newest = ages.begin() + static_cast<std::ptrdiff_t>(count - 1);
  std::nth_element(ages.begin(), newest, ages.end());
  for (auto it = lanes_.begin(); it != lanes_.end();) {
    const std::string& name = it->first;
    Lane& lane = it->second;
    const auto goes = [&](const Delivery& each) { return out.size() < count && each.happened <= *newest; };
    std::deque<Delivery> kept;
    for (std::size_t i = 0; i < lane.waiting.size(); ++i) {
      const bool is_out = i >= first_of(name) && goes(lane.waiting[i]);
      if (is_out) {
        out.push_back(std::move(lane.waiting[i]));
      } else {
        kept.push_back(std::move(lane.waiting[i]));
      }
    }
    lane.waiting = std::move(kept);
    if (lane.waiting.empty()) step_out(name, lane);
    it = lane.waiting.empty() ? lanes_.erase(it) : std::next(it);
  }
  size_ -= out.size();
  return out;
}

void Lanes::hurry() {
  rest_until_ = {};
  failures_in_a_row_ = 0;
  stepped_back_.clear();
  for (auto& [name, lane] : lanes_) {
    lane.not_before = {};
    lane.failures = 0;
    ready_.emplace(lane.arrival, name);
  }
}

}  // namespace sluice::notification_controller
