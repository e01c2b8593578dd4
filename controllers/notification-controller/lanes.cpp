#include "lanes.hpp"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <unordered_set>
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

void Lanes::places_of(const std::string& name, const Lane& lane, std::size_t first, std::vector<Place>& superseded,
                      std::vector<Place>& last_words) {
  if (first + 1 == lane.waiting.size()) {
    last_words.push_back({lane.waiting[first].happened, &name, first});
    return;
  }
  std::unordered_set<std::string_view> newer;  // the Alerts for which a newer one waits
  for (std::size_t at = lane.waiting.size(); at-- > first;) {
    const Delivery& each = lane.waiting[at];
    const bool is_last = newer.insert(each.alert_uid).second;
    (is_last ? last_words : superseded).push_back({each.happened, &name, at});
  }
}

std::vector<Delivery> Lanes::shed(std::size_t count, const std::optional<std::string>& busy) {
  std::vector<Place> places;
  std::vector<Place> last_words;
  for (const auto& [name, lane] : lanes_) places_of(name, lane, busy == name ? 1 : 0, places, last_words);
  const auto keep_oldest = [](std::vector<Place>& all, std::size_t most) {
    if (all.size() <= most) return;
    const auto end = all.begin() + static_cast<std::ptrdiff_t>(most);
    std::nth_element(all.begin(), end, all.end(),
                     [](const Place& one, const Place& other) { return one.happened < other.happened; });
    all.erase(end, all.end());
  };
  keep_oldest(places, count);
  keep_oldest(last_words, count - places.size());
  places.insert(places.end(), last_words.begin(), last_words.end());
  std::sort(places.begin(), places.end(), [](const Place& one, const Place& other) {
    return std::tie(*one.name, one.at) < std::tie(*other.name, other.at);
  });
  std::vector<Delivery> out;
  out.reserve(places.size());
  for (auto place = places.begin(); place != places.end();) {
    const auto it = lanes_.find(*place->name);
    std::deque<Delivery>& waiting = it->second.waiting;
    std::size_t kept = place->at;
    for (std::size_t at = kept; at < waiting.size(); ++at) {
      if (place != places.end() && place->name == &it->first && place->at == at) {
        out.push_back(std::move(waiting[at]));
        ++place;
      } else {
        waiting[kept++] = std::move(waiting[at]);
      }
    }
    waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(kept), waiting.end());
    if (!waiting.empty()) continue;
    step_out(it->first, it->second);
    lanes_.erase(it);
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
