#include "controller/event_lanes.hpp"

#include <algorithm>
#include <utility>

namespace sluice::controller {

namespace {
constexpr std::size_t kSlack = 64;  // places of taken events that are not worth a walk
}  // namespace

void EventLanes::push(const std::string& owner_name, std::string name, Event event) {
  const auto [found, is_new] = lanes_.try_emplace(name);
  Lane& lane = found->second;
  if (is_new) lane.owner = owners_.try_emplace(owner_name).first;
  Owner& owner = lane.owner->second;
  const std::uint64_t number = next_number_++;
  if (!lane.busy && lane.events.empty()) owner.ready.push_back({number, name});
  lane.events.push_back({number, std::move(event)});
  owner.order.push_back({number, std::move(name)});
  ++owner.waiting;
  ++waiting_;
  // One that waits for long must not keep the places of all that came after it.
  if (owner.order.size() > 2 * owner.waiting + kSlack) {
    std::erase_if(owner.order, [this](const Place& place) { return !is_waiting(place); });
  }
}

bool EventLanes::is_waiting(const Place& place) const {
  const auto found = lanes_.find(place.lane);
  return found != lanes_.end() && !found->second.events.empty() && found->second.events.front().number <= place.number;
}

std::optional<EventLanes::Taken> EventLanes::take() {
  auto next = owners_.upper_bound(last_served_);
  for (std::size_t i = 0; i < owners_.size(); ++i, ++next) {
    if (next == owners_.end()) next = owners_.begin();
    if (!on_their_way_.has_room(next->second.on_their_way)) continue;
    auto taken = take_of(next->second);
    if (!taken) continue;
    last_served_ = next->first;
    return taken;
  }
  return std::nullopt;
}

std::optional<EventLanes::Taken> EventLanes::take_of(Owner& owner) {
  while (!owner.ready.empty()) {
    Place place = std::move(owner.ready.front());
    owner.ready.pop_front();
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
    --owner.waiting;
    --waiting_;
    ++owner.on_their_way;
    on_their_way_.take();
    return taken;
  }
  return std::nullopt;
}

void EventLanes::finish(const std::string& name) {
  const auto found = lanes_.find(name);
  if (found == lanes_.end() || !found->second.busy) return;
  found->second.busy = false;
  --found->second.owner->second.on_their_way;
  on_their_way_.give_back();
  leave(found);
}

bool EventLanes::drop_one() {
  const auto most = std::max_element(owners_.begin(), owners_.end(), [](const auto& one, const auto& other) {
    return one.second.waiting < other.second.waiting;
  });
  if (most == owners_.end()) return false;
  std::deque<Place>& order = most->second.order;
  while (!order.empty()) {
    const Place place = std::move(order.front());
    order.pop_front();
    if (!is_waiting(place)) continue;
    const auto found = lanes_.find(place.lane);
    Lane& lane = found->second;
    lane.events.pop_front();
    --most->second.waiting;
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
  const Owners::iterator owner = lane->second.owner;
  if (!lane->second.events.empty()) {
    owner->second.ready.push_back({lane->second.events.front().number, lane->first});
    return;
  }
  const auto settled = lane->second.settled;
  lanes_.erase(lane);
  settled->notify_all();
  leave(owner);
}

void EventLanes::leave(Owners::iterator owner) {
  if (owner->second.waiting == 0 && owner->second.on_their_way == 0) owners_.erase(owner);
}

}  // namespace sluice::controller
