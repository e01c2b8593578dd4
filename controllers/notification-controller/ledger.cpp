#include "ledger.hpp"

#include <algorithm>
#include <limits>

#include "api/kind.hpp"

namespace sluice::notification_controller {

namespace {

constexpr std::size_t kMuch = 16'384;
// What may lie between two clocks that are in order.
constexpr base::Duration kAhead = std::chrono::minutes(1);
constexpr base::Duration kSweepEvery = std::chrono::minutes(1);

std::size_t hash_of(const doc::Json& event) {
  std::string text(api::uid_of(event));
  for (const auto field : {"type", "lastTimestamp", "eventTime", "message"}) {
    text += '\n';
    text += doc::find_string(event, {field});
  }
  text += '\n';
  text += doc::find_string(event, {"series", "lastObservedTime"});
  for (const auto* count : {doc::find(event, {"count"}), doc::find(event, {"series", "count"})}) {
    text += '\n';
    if (count != nullptr && count->is_number_integer()) text += std::to_string(count->get<std::int64_t>());
  }
  return std::hash<std::string>()(text);
}

}  // namespace

base::TimePoint Receipts::take_in(const doc::Json& event, base::TimePoint now, bool live) {
  const std::size_t what = hash_of(event);
  const auto [it, is_new] = seen_.try_emplace(api::key_of(event));
  if (!is_new && it->second.what == what) return it->second.at;
  it->second = {what, live ? now : std::chrono::floor<std::chrono::seconds>(std::min(server_time_of(event), now))};
  return it->second.at;
}

Ledger::Key Ledger::key_of(std::string_view alert_uid, std::string_view what) {
  return {std::hash<std::string_view>()(alert_uid), std::hash<std::string_view>()(what)};
}

void Ledger::note(std::string_view alert_uid, std::string_view likeness, base::TimePoint told) {
  base::TimePoint& last = alike_[key_of(alert_uid, likeness)];
  last = std::max(last, told);
}

void Ledger::note_word(std::string_view alert_uid, const InvolvedObject& object, const Word& word) {
  Word& last = words_[key_of(alert_uid, object.str())];
  if (std::pair(word.told, word.happened) >= std::pair(last.told, last.happened)) last = word;
}

void Ledger::take_in(const doc::Json& event, std::string_view alert_uid, const DeliveryMark& mark,
                     base::TimePoint now) {
  if (mark.state == DeliveryState::none) return;
  // Of when the marked occurrence happened; marks of older processes do not say when it was told.
  const base::TimePoint said = server_time_of(event, std::min(mark.last, now + std::chrono::hours(24)));
  const base::TimePoint happened = std::chrono::floor<std::chrono::seconds>(std::min(said, now));
  const base::TimePoint told = mark.told.value_or(said);
  if (told > now + kAhead) return;  // nobody was told then
  const auto what = read_occurrence(event);
  // Another text stands there now.
  const bool is_it = what && what->digest == mark.digest;
  note(alert_uid, is_it ? what->likeness : mark.digest, told);
  if (what && mark.state == DeliveryState::sent) note_word(alert_uid, what->involved, {what->severity, happened, told});
}

Ledger::Ticket Ledger::depart(std::string_view alert_uid, const Occurrence& what, const Word& word) {
  const Ticket ticket = ++tickets_;
  likenesses_on_their_way_.emplace(std::pair(key_of(alert_uid, what.likeness), ticket), word);
  words_on_their_way_.emplace(std::pair(key_of(alert_uid, what.involved.str()), ticket), word);
  return ticket;
}

void Ledger::settle(std::string_view alert_uid, const Occurrence& what, Ticket ticket) {
  likenesses_on_their_way_.erase({key_of(alert_uid, what.likeness), ticket});
  words_on_their_way_.erase({key_of(alert_uid, what.involved.str()), ticket});
}

const Ledger::Word* Ledger::last_of(const OnItsWay& all, const Key& key) {
  const auto behind = all.upper_bound({key, std::numeric_limits<Ticket>::max()});
  if (behind == all.begin()) return nullptr;
  const auto last = std::prev(behind);
  return last->first.first == key ? &last->second : nullptr;
}

bool Ledger::is_on_its_way(std::string_view alert_uid, const InvolvedObject& object) const {
  return last_of(words_on_their_way_, key_of(alert_uid, object.str())) != nullptr;
}

std::optional<base::TimePoint> Ledger::alike(std::string_view alert_uid, std::string_view likeness) const {
  const Key key = key_of(alert_uid, likeness);
  std::optional<base::TimePoint> last;
  if (const auto told = alike_.find(key); told != alike_.end()) last = told->second;
  if (const Word* coming = last_of(likenesses_on_their_way_, key)) last = std::max(last, std::optional(coming->told));
  return last;
}

std::optional<Ledger::Word> Ledger::last_word(std::string_view alert_uid, const InvolvedObject& object) const {
  const Key key = key_of(alert_uid, object.str());
  if (const Word* coming = last_of(words_on_their_way_, key)) return *coming;
  const auto told = words_.find(key);
  return told == words_.end() ? std::nullopt : std::optional(told->second);
}

void Ledger::sweep(base::TimePoint old, base::SteadyPoint now) {
  if (size() < kMuch || now - swept_at_ < kSweepEvery) return;
  swept_at_ = now;
  std::erase_if(alike_, [old](const auto& item) { return item.second < old; });
  std::erase_if(words_, [old](const auto& item) { return item.second.told < old; });
}

}  // namespace sluice::notification_controller
