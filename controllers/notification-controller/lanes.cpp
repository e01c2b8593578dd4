#include "lanes.hpp"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <utility>

namespace sluice::notification_controller {

namespace {

// How many each of these gives, so that `count` go in all, or all that there are, and the most that one keeps is as
// little as can be.
std::vector<std::size_t> from_the_tallest(const std::vector<std::size_t>& heights, std::size_t count) {
  const auto over = [&heights](std::size_t level) {
    std::size_t sum = 0;
    for (const std::size_t height : heights) sum += height > level ? height - level : 0;
    return sum;
  };
  // The highest level that is low enough; 0 where all must go.
  std::size_t level = 0;
  std::size_t too_high = heights.empty() ? 0 : *std::max_element(heights.begin(), heights.end());
  while (level + 1 < too_high) {
    const std::size_t middle = level + (too_high - level) / 2;
    (over(middle) >= count ? level : too_high) = middle;
  }
  std::size_t surplus = over(level);
  surplus -= std::min(surplus, count);
  std::vector<std::size_t> gives;
  for (const std::size_t height : heights) {
    std::size_t give = height > level ? height - level : 0;
    if (give > 0 && surplus > 0) {
      --give;
      --surplus;
    }
    gives.push_back(give);
  }
  return gives;
}

}  // namespace

base::Duration Lanes::grown(int failures, base::Duration limit) {
  base::Duration delay = kFirstDelay;
  for (int i = 1; i < failures && delay < limit; ++i) delay *= 2;
  return std::min(delay, limit);
}

// A namespace that had nothing ready comes behind those that had.
void Lanes::stand_ready(const std::string& name, const Lane& lane) {
  const auto [space, is_new] = spaces_.try_emplace(lane.space);
  space->second.ready.emplace(lane.arrival, name);
  if (!is_new) return;
  space->second.turn = ++last_turn_;
  turns_.emplace(space->second.turn, lane.space);
}

// It has had its turn.
void Lanes::pass_turn(const std::string& space) {
  const auto known = spaces_.find(space);
  if (known == spaces_.end()) return;
  turns_.erase({known->second.turn, space});
  known->second.turn = ++last_turn_;
  turns_.emplace(known->second.turn, space);
}

// Behind the others.
void Lanes::line_up(const std::string& name, Lane& lane) {
  lane.arrival = ++arrivals_;
  if (lane.not_before == base::SteadyPoint{}) {
    stand_ready(name, lane);
  } else {
    stepped_back_.emplace(lane.not_before, name);
  }
}

void Lanes::step_out(const std::string& name, const Lane& lane) {
  stepped_back_.erase({lane.not_before, name});
  const auto space = spaces_.find(lane.space);
  if (space == spaces_.end()) return;
  space->second.ready.erase({lane.arrival, name});
  if (!space->second.ready.empty()) return;
  turns_.erase({space->second.turn, lane.space});
  spaces_.erase(space);
}

void Lanes::push(Delivery delivery) {
  const std::string name = delivery.occurrence->involved.str();
  Lane& lane = lanes_[name];
  const bool was_empty = lane.waiting.empty();
  if (was_empty) lane.space = delivery.occurrence->involved.namespace_;
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
    stand_ready(name, lane);
  }
  Turn turn;
  const bool rests = rest_until_ > now;
  if (!turns_.empty() && !rests) {
    turn.lane = spaces_.at(turns_.begin()->second).ready.begin()->second;
  } else if (!turns_.empty()) {
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
  pass_turn(lane.space);
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
  pass_turn(lane.space);
  lane.failures += 1;
  lane.not_before = now + grown(lane.failures, kLongestDelay);
  line_up(name, lane);
  failures_in_a_row_ += 1;
  base::Duration rest = grown(failures_in_a_row_, kLongestRest);
  if (wanted) rest = std::max(rest, std::min(*wanted, kLongestDelay));
  rest_until_ = now + rest;
}

void Lanes::places_of(const std::string& name, const Lane& lane, std::size_t first, Places& places) {
  if (first + 1 == lane.waiting.size()) {
    places.last_words.push_back({lane.waiting[first].happened, &name, first});
    return;
  }
  std::unordered_set<std::string_view> newer;  // the Alerts for which a newer one waits
  for (std::size_t at = lane.waiting.size(); at-- > first;) {
    const Delivery& each = lane.waiting[at];
    const bool is_last = newer.insert(each.alert_uid).second;
    (is_last ? places.last_words : places.superseded).push_back({each.happened, &name, at});
  }
}

void Lanes::take_oldest(Places& places, std::size_t count, std::vector<Place>& taken) {
  for (std::vector<Place>* all : {&places.superseded, &places.last_words}) {
    if (all->size() > count) {
      const auto end = all->begin() + static_cast<std::ptrdiff_t>(count);
      std::nth_element(all->begin(), end, all->end(),
                       [](const Place& one, const Place& other) { return one.happened < other.happened; });
      all->erase(end, all->end());
    }
    count -= all->size();
    taken.insert(taken.end(), all->begin(), all->end());
  }
}

std::vector<Delivery> Lanes::shed(std::size_t count, const std::optional<std::string>& busy) {
  std::map<std::string_view, Places> spaces;
  for (const auto& [name, lane] : lanes_) places_of(name, lane, busy == name ? 1 : 0, spaces[lane.space]);
  std::vector<std::size_t> sizes;
  for (const auto& [space, places] : spaces) sizes.push_back(places.size());
  const std::vector<std::size_t> gives = from_the_tallest(sizes, count);
  std::vector<Place> taken;
  auto give = gives.begin();
  for (auto& [space, places] : spaces) take_oldest(places, *give++, taken);
  return take_out(std::move(taken));
}

std::vector<Delivery> Lanes::take_out(std::vector<Place> places) {
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
    stand_ready(name, lane);
  }
}

}  // namespace sluice::notification_controller
