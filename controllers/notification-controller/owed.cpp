#include "owed.hpp"

namespace sluice::notification_controller {

bool OwedWords::put(Owed owed, base::SteadyPoint at) {
  erase(owed.alert_uid, owed.object);
  const std::string& space = owed.alert.namespace_;
  if (owed.is_put_off) {
    if (!room_.has_room(space)) return false;
    room_.take(space);
  }
  Key key{owed.alert_uid, owed.object.str()};
  const auto entry = owed_.emplace(std::move(key), Entry{std::move(owed), at}).first;
  due_.emplace(at, &entry->first);
  return true;
}

Owed OwedWords::remove(Entries::iterator entry) {
  due_.erase({entry->second.at, &entry->first});
  Owed owed = std::move(entry->second.owed);
  owed_.erase(entry);
  if (owed.is_put_off) room_.give_back(owed.alert.namespace_);
  return owed;
}

void OwedWords::erase(const std::string& alert_uid, const InvolvedObject& object) {
  if (owed_.empty()) return;
  const auto entry = owed_.find({alert_uid, object.str()});
  if (entry != owed_.end()) remove(entry);
}

const Owed* OwedWords::find(const std::string& alert_uid, const InvolvedObject& object) const {
  if (owed_.empty()) return nullptr;
  const auto entry = owed_.find({alert_uid, object.str()});
  return entry == owed_.end() ? nullptr : &entry->second.owed;
}

std::optional<base::SteadyPoint> OwedWords::next() const {
  return due_.empty() ? std::nullopt : std::optional(due_.begin()->first);
}

std::optional<Owed> OwedWords::take(base::SteadyPoint now) {
  if (due_.empty() || due_.begin()->first > now) return std::nullopt;
  return remove(owed_.find(*due_.begin()->second));
}

}  // namespace sluice::notification_controller
