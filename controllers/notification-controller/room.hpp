// Places that namespaces share (rt::FairShares), and how many each of them holds. Nobody waits for one.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "rt/fair_shares.hpp"

namespace sluice::notification_controller {

class Room {
 public:
  // `share`: the most that one owner may hold.
  explicit Room(std::size_t share) : shares_(share) {}

  std::size_t held(const std::string& owner) const {
    const auto found = held_.find(owner);
    return found == held_.end() ? 0 : found->second;
  }
  bool has_room(const std::string& owner) const { return shares_.has_room(held(owner)); }
  void take(const std::string& owner) {
    shares_.take();
    ++held_[owner];
  }
  void give_back(const std::string& owner) {
    shares_.give_back();
    const auto found = held_.find(owner);
    if (--found->second == 0) held_.erase(found);
  }

 private:
  rt::FairShares shares_;
  std::map<std::string, std::size_t> held_;
};

}  // namespace sluice::notification_controller
