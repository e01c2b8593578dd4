// What receivers are still to be told: for each Alert and object the last word, and when to see to it.
// Runs on the loop.
//
// Three reasons make it wait here: it repeats what was told within the rate limit's interval, it had to
// make room among the messages that wait for their receiver (put off), or it is history for the Alert as it was
// edited, while what the receiver was told last is the contrary. How much is put off is bounded for each
// namespace by shares (rt::FairShares).
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "occurrence.hpp"
#include "room.hpp"

namespace sluice::notification_controller {

struct Owed {
  api::ObjectKey alert;
  std::string alert_uid;
  InvolvedObject object;
  api::ObjectKey event;
  Severity severity = Severity::info;
  base::SteadyPoint due{};
  bool is_put_off = false;  // it was not told at all, for want of room
  // Of before the Alert was in force as it is: told only if the object's state says the same.
  bool is_history = false;
};

class OwedWords {
 public:
  // `put_off`: the most that may be put off for one namespace.
  explicit OwedWords(std::size_t put_off) : room_(put_off) {}

  // To be seen to at `at`, in place of what was owed to that Alert about that object. False if it is not kept, as
  // too much is put off for that namespace.
  bool put(Owed owed, base::SteadyPoint at);
  void erase(const std::string& alert_uid, const InvolvedObject& object);
  // Null where nothing is owed.
  const Owed* find(const std::string& alert_uid, const InvolvedObject& object) const;
  std::optional<base::SteadyPoint> next() const;
  // The first that is to be seen to by now; nothing if none is.
  std::optional<Owed> take(base::SteadyPoint now);
  std::size_t size() const noexcept { return owed_.size(); }

 private:
  using Key = std::pair<std::string, std::string>;  // the Alert's uid and the object
  struct Entry {
    Owed owed;
    base::SteadyPoint at{};
  };
  using Entries = std::map<Key, Entry>;
  Owed remove(Entries::iterator entry);

  Entries owed_;
  std::set<std::pair<base::SteadyPoint, const Key*>> due_;  // each of owed_
  Room room_;
};

}  // namespace sluice::notification_controller
