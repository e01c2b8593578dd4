#include "late_marks.hpp"

#include <algorithm>

namespace sluice::notification_controller {

namespace {

constexpr base::Duration kLook = std::chrono::milliseconds(250);  // whether the process has to end

}  // namespace

LateMarks::LateMarks(rt::Runtime& runtime, std::size_t share, Handlers handlers)
    : runtime_(runtime), handlers_(std::move(handlers)), room_(share) {}

const DeliveryMark* LateMarks::find(std::string_view event_uid, std::string_view alert_uid) const {
  if (known_.empty()) return nullptr;
  const auto found = known_.find({std::string(event_uid), std::string(alert_uid)});
  return found == known_.end() ? nullptr : &found->second.mark.mark;
}

bool LateMarks::is_waiting(std::string_view event_uid, std::string_view alert_uid) const {
  const auto found = known_.find({std::string(event_uid), std::string(alert_uid)});
  return found != known_.end() && found->second.waits;
}

// Who has too many gives up its own.
bool LateMarks::make_room(const std::string& space) {
  const auto own = waiting_.find(space);
  while (!room_.has_room(space) && own != waiting_.end() && !own->second.empty()) {
    const Key oldest = std::move(own->second.front());
    own->second.pop_front();
    room_.give_back(space);
    const auto entry = known_.find(oldest);
    if (entry == known_.end() || !entry->second.waits) continue;
    entry->second.waits = false;
    handlers_.given_up(entry->second.mark);
  }
  return room_.has_room(space);
}

void LateMarks::put(EventMark mark) {
  Key key(mark.event_uid, mark.alert_uid);
  const std::string space = mark.event.namespace_;
  Entry& entry = known_[key];
  entry.mark = std::move(mark);
  entry.version = ++versions_;
  if (entry.waits) return;
  if (!make_room(space)) {
    handlers_.given_up(entry.mark);
    return;
  }
  room_.take(space);
  entry.waits = true;
  const auto [queue, is_new] = waiting_.try_emplace(space);
  queue->second.push_back(std::move(key));
  if (is_new) runtime_.spawn("late marks", write_those_of(space));
}

void LateMarks::give_up(EventMark mark) {
  Entry& entry = known_[{mark.event_uid, mark.alert_uid}];
  entry.mark = std::move(mark);
  entry.version = ++versions_;
  handlers_.given_up(entry.mark);
}

std::vector<std::string> LateMarks::forget(std::string_view event_uid) {
  std::vector<std::string> alerts;
  auto entry = known_.lower_bound({std::string(event_uid), std::string()});
  while (entry != known_.end() && entry->first.first == event_uid) {
    alerts.push_back(entry->first.second);
    entry = known_.erase(entry);
  }
  return alerts;
}

rt::Task<void> LateMarks::write_those_of(std::string space) {
  base::Duration rest = kFirstRest;
  while (!waiting_.at(space).empty()) {
    std::deque<Key>& queue = waiting_.at(space);
    const Key key = std::move(queue.front());
    queue.pop_front();
    const auto entry = known_.find(key);
    if (entry == known_.end() || !entry->second.waits) {
      room_.give_back(space);  // its Event is gone
      continue;
    }
    const std::uint64_t version = entry->second.version;
    rt::Task<Noting> writing = handlers_.write(entry->second.mark);
    const Noting noting = co_await std::move(writing);
    conclude(space, key, version, noting);
    if (noting != Noting::later) {
      rest = kFirstRest;
      continue;
    }
    if (runtime_.stop_token().stop_requested()) co_return;  // the next process makes up for it
    rt::Task<void> resting = rest_for(rest);
    co_await std::move(resting);
    rest = std::min(rest * 2, kLongestRest);
  }
  waiting_.erase(space);
}

// Meanwhile it may have become newer, or its Event may be gone.
void LateMarks::conclude(const std::string& space, const Key& key, std::uint64_t version, Noting noting) {
  const auto entry = known_.find(key);
  const bool is_there = entry != known_.end() && entry->second.waits;
  if (is_there && (noting == Noting::later || entry->second.version != version)) {
    waiting_.at(space).push_back(key);
    return;
  }
  room_.give_back(space);
  if (!is_there) return;
  if (noting == Noting::never) {
    entry->second.waits = false;
    handlers_.given_up(entry->second.mark);
    return;
  }
  const EventMark written = std::move(entry->second.mark);
  known_.erase(entry);
  handlers_.written(written);
}

rt::Task<void> LateMarks::rest_for(base::Duration rest) {
  while (rest > base::Duration::zero() && !runtime_.stop_token().stop_requested()) {
    const base::Duration look = std::min(rest, kLook);
    co_await rt::sleep_for(look);
    rest -= look;
  }
}

}  // namespace sluice::notification_controller
