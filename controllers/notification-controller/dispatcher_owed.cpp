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

}  // namespace

// Of news that was sent within the interval. While the receiver's last word is of that kind, it
// has missed nothing.
void Dispatcher::hold_back(const AlertRule& rule, const Occurrence& what, const JudgeInput& input) {
  const Ledger::Word* word = ledger_.last_word(rule.uid, what.involved);
  if (word == nullptr || *input.received < word->happened || what.at < rule.since) return;
  if (word->severity == what.severity && !owed_.contains({rule.uid, what.involved.str()})) return;
  if (!rule.wants(what, labels_) || is_for_others(rule, what)) return;
  if (word->severity == what.severity) {
    owed_.erase({rule.uid, what.involved.str()});
    return;
  }
  const base::Duration left = *input.last_alike + options_.rate_limit_interval - input.now;
  owe({rule.key, rule.uid, what.involved, what.event, what.severity,
       services_.clock.steady() + std::max<base::Duration>(left, base::Duration::zero())});
}

void Dispatcher::owe(Owed owed) {
  OwedKey key{owed.alert_uid, owed.object.str()};
  owed_due_.emplace(owed.due, key);
  owed_.insert_or_assign(std::move(key), std::move(owed));
  owed_changed_.notify_all();
}

void Dispatcher::tell_if_still_so(Owed owed) {
  const auto known = rules_.find(owed.alert);
  if (known == rules_.end() || known->second.rule.uid != owed.alert_uid) return;
  const controller::Object object = sources_->object(owed.object.kind, {owed.object.namespace_, owed.object.name});
  if (object) {
    if (is_busy(*object) && services_.clock.steady() < owed.due + kLongestWork) {
      const OwedKey key{owed.alert_uid, owed.object.str()};
      owed_due_.emplace(services_.clock.steady() + kAskAgain, key);
      owed_.insert_or_assign(key, std::move(owed));
      return;
    }
    const auto state = read_state(*object);
    if (state && state->ok == (owed.severity == Severity::error)) return;  // it has changed back
  }
  const controller::Object event = sources_->event(owed.object.kind, owed.event);
  auto what = event ? read_occurrence(*event) : std::nullopt;
  if (!what) {
    services_.log.info("what was held back is not told, as its Event has expired",
                       {{"alert", owed.alert.str()}, {"object", owed.object.str()}});
    return;
  }
  consider(known->second.rule, *event, std::make_shared<const Occurrence>(*std::move(what)), true);
}

rt::Task<void> Dispatcher::tell_owed() {
  for (;;) {
    if (owed_due_.empty()) {
      co_await owed_changed_.wait();
      continue;
    }
    const base::SteadyPoint now = services_.clock.steady();
    if (owed_due_.begin()->first > now) {
      const bool notified = co_await owed_changed_.wait_for(owed_due_.begin()->first - now);
      static_cast<void>(notified);
      continue;
    }
    OwedKey key = owed_due_.begin()->second;
    owed_due_.erase(owed_due_.begin());
    const auto it = owed_.find(key);
    if (it == owed_.end() || it->second.due > now) continue;  // settled, or owed anew
    if (backlog_.is_behind(it->second.alert.namespace_)) {
      // What is still to be judged for it may be newer.
      owed_due_.emplace(now + kAskOwner, std::move(key));
      continue;
    }
    Owed owed = std::move(it->second);
    owed_.erase(it);
    tell_if_still_so(std::move(owed));
    co_await rt::sleep_for(base::Duration::zero());
  }
}

}  // namespace sluice::notification_controller
