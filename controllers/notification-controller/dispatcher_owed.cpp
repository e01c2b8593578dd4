// The part of the dispatcher that sees to it that the last word of each receiver is true,
// at the latest when the rate limit's interval is over.
#include <algorithm>
#include <utility>

#include "dispatcher.hpp"

namespace sluice::notification_controller {

namespace {

// An object that is at work when it would be told says soon how it is.
constexpr base::Duration kAskAgain = std::chrono::seconds(5);
constexpr base::Duration kAskOwner = std::chrono::milliseconds(50);
constexpr base::Duration kLongestWork = std::chrono::minutes(1);
// What is told only if the state says the same waits for that as long as anybody wants to hear it.
constexpr base::Duration kLongestAsked = kMaxAge;

}  // namespace

// The receiver believes that it is well of what is not, or the other way round.
bool Dispatcher::is_contrary_to_last_word(const AlertRule& rule, const InvolvedObject& object,
                                          Severity severity) const {
  const auto word = ledger_.last_word(rule.uid, object);
  return word && word->severity != severity;
}

// Of news that was sent within the interval, or that is history for the Alert as it is now. While the
// receiver's last word is of that kind, it has missed nothing. However the Alert is edited, what it has
// told is not to become a lie: whoever heard of a failure hears of its end.
void Dispatcher::hold_back(const AlertRule& rule, const Occurrence& what, const JudgeInput& input, Verdict verdict) {
  const bool is_history = verdict == Verdict::history;
  const auto word = ledger_.last_word(rule.uid, what.involved);
  if (!word || *input.received < word->happened) return;
  const Owed* owed = owed_.find(rule.uid, what.involved);
  if (word->severity == what.severity && owed == nullptr) return;
  if (is_history && owed != nullptr && owed->event == what.event) return;  // as it was owed before
  if (!rule.wants(what, labels_) || is_for_others(rule, what)) return;
  if (word->severity == what.severity) {
    owed_.erase(rule.uid, what.involved);
    return;
  }
  base::Duration left{};
  if (input.last_alike) left = *input.last_alike + options_.rate_limit_interval - input.now;
  const base::SteadyPoint due = services_.clock.steady() + std::max<base::Duration>(left, base::Duration::zero());
  owe({rule.key, rule.uid, what.involved, what.event, what.severity, due, false, is_history}, due);
}

bool Dispatcher::owe(Owed owed, base::SteadyPoint at) {
  const bool is_kept = owed_.put(std::move(owed), at);
  owed_changed_.notify_all();
  return is_kept;
}

void Dispatcher::tell_if_still_so(Owed owed) {
  const auto known = rules_.find(owed.alert);
  const base::SteadyPoint now = services_.clock.steady();
  if (known == rules_.end() || known->second.rule.uid != owed.alert_uid) {
    Delivery asked;
    asked.alert = owed.alert;
    asked.alert_uid = owed.alert_uid;
    // An edit that is being taken in.
    if (fate_without_rule(asked) == Fate::wait) owe(std::move(owed), now + kAskAgain);
    return;
  }
  if (owed.is_put_off && !room_.has_room(owed.alert.namespace_)) {
    owed.due = now + options_.try_again_after;
    const base::SteadyPoint due = owed.due;
    owe(std::move(owed), due);
    return;
  }
  const controller::Object object = sources_->object(owed.object.kind, {owed.object.namespace_, owed.object.name});
  if (object) {
    if (is_busy(*object) && now < owed.due + (owed.is_history ? kLongestAsked : kLongestWork)) {
      owe(std::move(owed), now + kAskAgain);
      return;
    }
  }
  if (!is_still_so(owed)) return;
  const controller::Object event = sources_->event(owed.object.kind, owed.event);
  auto what = event ? read_occurrence(*event) : std::nullopt;
  if (!what) {
    services_.log.info("what was held back is not told, as its Event has expired",
                       {{"alert", owed.alert.str()}, {"object", owed.object.str()}});
    return;
  }
  if (consider(known->second.rule, *event, std::make_shared<const Occurrence>(*std::move(what)), true)) return;
  owe(std::move(owed), now);  // it goes on after others had a turn
}

// As far as can be told it has not changed back. What is history is told for nothing but that it is so.
bool Dispatcher::is_still_so(const Owed& owed) const {
  const controller::Object object = sources_->object(owed.object.kind, {owed.object.namespace_, owed.object.name});
  const auto state = object ? read_state(*object) : std::nullopt;
  return state ? state->ok == (owed.severity == Severity::info) : !owed.is_history;
}

rt::Task<void> Dispatcher::tell_owed() {
  for (;;) {
    const auto next = owed_.next();
    if (!next) {
      co_await owed_changed_.wait();
      continue;
    }
    const base::SteadyPoint now = services_.clock.steady();
    if (*next > now) {
      const bool notified = co_await owed_changed_.wait_for(*next - now);
      static_cast<void>(notified);
      continue;
    }
    Owed owed = *owed_.take(now);
    if (backlog_.is_behind(owed.alert.namespace_)) {
      // What is still to be judged for it may be newer. Of what is put off there may be much.
      const base::SteadyPoint at = now + (owed.is_put_off ? kAskAgain : kAskOwner);
      owe(std::move(owed), at);
    } else {
      tell_if_still_so(std::move(owed));
    }
    co_await rt::sleep_for(base::Duration::zero());
  }
}

}  // namespace sluice::notification_controller
