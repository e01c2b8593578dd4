// What each receiver was told, and when: by this process's time of the server, never by what
// an Event says of itself, as whoever's clock is off must not have the news of an hour held
// back. Made anew from the marks on the Events. Runs on the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "delivery_mark.hpp"
#include "occurrence.hpp"

namespace sluice::notification_controller {

// When each Event came to be as it is: when it was seen to become so or, where it was so
// already, when it says that it did, and never later than now.
class Receipts {
 public:
  // `live`: it has just come. What was known as it is keeps its time.
  base::TimePoint take_in(const doc::Json& event, base::TimePoint now, bool live);
  void forget(const doc::Json& event) { seen_.erase(api::key_of(event)); }
  std::size_t size() const noexcept { return seen_.size(); }

 private:
  struct Receipt {
    std::size_t what = 0;
    base::TimePoint at{};
  };
  std::unordered_map<api::ObjectKey, Receipt> seen_;
};

class Ledger {
 public:
  // The last of what an Alert's receiver was told about an object, or is about to be.
  struct Word {
    Severity severity = Severity::info;
    base::TimePoint happened{};  // see Receipts
    base::TimePoint told{};
  };

  // News of this likeness was dealt with for the Alert; it is no word where the receiver was not told.
  void note(std::string_view alert_uid, std::string_view likeness, base::TimePoint told);
  void note_word(std::string_view alert_uid, const InvolvedObject& object, const Word& word);
  // It is on its way, behind all that is already. While it is it counts as told, and as nothing from then on that
  // settle() is called: what became of it is to be noted. The answer tells it apart.
  using Ticket = std::uint64_t;
  Ticket depart(std::string_view alert_uid, const Occurrence& what, const Word& word);
  void settle(std::string_view alert_uid, const Occurrence& what, Ticket ticket);
  // Something about the object is on its way.
  bool is_on_its_way(std::string_view alert_uid, const InvolvedObject& object) const;
  // What a mark on the Event says.
  void take_in(const doc::Json& event, std::string_view alert_uid, const DeliveryMark& mark, base::TimePoint now);

  // When news of this likeness was dealt with last.
  std::optional<base::TimePoint> alike(std::string_view alert_uid, std::string_view likeness) const;
  std::optional<Word> last_word(std::string_view alert_uid, const InvolvedObject& object) const;
  // Forgets what is from before `old`, once there is much and not more often than each minute.
  void sweep(base::TimePoint old, base::SteadyPoint now);
  std::size_t size() const noexcept { return alike_.size() + words_.size(); }

 private:
  // Hashes of an Alert's uid, which the server chose, and of what its receiver was told. Texts
  // would take four times the room.
  using Key = std::pair<std::size_t, std::size_t>;
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept { return key.first ^ (key.second * 0x9e3779b97f4a7c15ULL); }
  };
  static Key key_of(std::string_view alert_uid, std::string_view what);
  using OnItsWay = std::map<std::pair<Key, Ticket>, Word>;
  static const Word* last_of(const OnItsWay& all, const Key& key);

  std::unordered_map<Key, base::TimePoint, KeyHash> alike_;
  std::unordered_map<Key, Word, KeyHash> words_;
  OnItsWay likenesses_on_their_way_;
  OnItsWay words_on_their_way_;
  Ticket tickets_ = 0;
  base::SteadyPoint swept_at_{};
};

}  // namespace sluice::notification_controller
