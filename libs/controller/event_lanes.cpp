#include "controller/event_lanes.hpp"

#include <utility>

namespace sluice::controller {

namespace {
constexpr std::size_t kSlack = 64;  // places of taken events that are not worth a walk
}  // namespace

void EventLanes::push(std::string name, Event event) {
  Lane& lane = lanes_[name];
  const std::uint64_t number = next_number_++;
  if (!lane.busy && lane.events.empty()) ready_.push_back({number, name});
  lane.events.push_back({number, std::move(event)});
  order_.push_back({number, std::move(name)});
  ++waiting_;
  // One that waits for long must not keep the places of all that came after it.
  if (order_.size() > 2 * waiting_ + kSlack) {
    std::erase_if(order_, [this](const Place& place) { return !is_waiting(place); });
  }
}

bool EventLanes::is_waiting(const Place& place) const {
  const auto found = lanes_.find(place.lane);
  return found != lanes_.end() && !found->second.events.empty() && found->second.events.front().number <= place.number;
}

std::optional<EventLanes::Taken> EventLanes::take() {
  while (!ready_.empty()) {
    Place place = std::move(ready_.front());
    ready_.pop_front();
    const auto found = lanes_.find(place.lane);
    // Dropped since, or another one has become the first.
    if (found == lanes_.end() || found->second.busy || found->second.events.empty() ||
        found->second.events.front().number != place.number) {
      continue;
    }
    Lane& lane = found->second;
    Taken taken{std::move(place.lane), std::move(lane.events.front().event)};
    lane.events.pop_front();
    lane.busy = true;
    --waiting_;
    return taken;
  }
  return std::nullopt;
}

void EventLanes::finish(const std::string& name) {
  const auto found = lanes_.find(name);
  if (found == lanes_.end()) return;
  found->second.busy = false;
  leave(found);
}

bool EventLanes::drop_oldest() {
  while (!order_.empty()) {
    const Place place = std::move(order_.front());
    order_.pop_front();
    if (!is_waiting(place)) continue;
    const auto found = lanes_.find(place.lane);
    Lane& lane = found->second;
    lane.events.pop_front();
    --waiting_;
    if (!lane.busy) leave(found);
    return true;
  }
  return false;
}

std::shared_ptr<rt::Notify> EventLanes::unsettled(const std::string& lane) const {
  const auto found = lanes_.find(lane);
  return found == lanes_.end() ? nullptr : found->second.settled;
}

// The lane has none on its way: its next event may go, or it ends.
void EventLanes::leave(Lanes::iterator lane) {
  if (!lane->second.events.empty()) {
    ready_.push_back({lane->second.events.front().number, lane->first});
    return;
  }
  const auto settled = lane->second.settled;
  lanes_.erase(lane);
  settled->notify_all();
}

}  // namespace sluice::controller
