// The part of the dispatcher that tells what no Event told; see state_news.hpp.
#include <algorithm>
#include <utility>
#include <vector>

#include "dispatcher.hpp"

namespace sluice::notification_controller {

namespace {

// So many Events about one object are asked whether they were sent, the newest; more are there by design only.
constexpr int kMaxAsked = 256;

}  // namespace

// Its Event had time to come. From here on the late word is an Event like any other. It
// may be refused or lost on its way, so that it is looked for again: its name is its own.
rt::Task<bool> Dispatcher::look_at(std::string kind, api::ObjectKey key) {
  const controller::Object object = sources_->object(kind, key);
  if (!object) co_return true;
  const auto state = read_state(*object);
  if (!state) co_return false;  // busy just now
  const InvolvedObject identity = Sources::identity_of(*object);
  bool all_asked = true;
  base::SteadyPoint until = services_.clock.steady() + kSlice;
  std::optional<api::ObjectKey> last;
  for (;;) {
    // Each time anew, as it changes while others have a turn.
    if (!sources_->is_in_touch(kind) || sources_->object(kind, key) != object) co_return false;
    const Audience::Alerts& alerts = audience_.of(kind, key.namespace_);
    const auto next = last ? alerts.upper_bound(*last) : alerts.begin();
    if (next == alerts.end()) break;
    last = *next;
    // What is still to be judged for it may be about to be sent.
    if (backlog_.is_behind(last->namespace_)) {
      all_asked = false;
      continue;
    }
    if (const auto news = news_for(rules_.at(*last).rule, identity, *state)) {
      services_.log.info("no Event told of an object's state; it is told now",
                         {{"object", identity.str()}, {"reason", state->reason}});
      services_.events.emit(*object, late_word(*object, *state, *news));
      co_return false;
    }
    if (services_.clock.steady() < until) continue;
    co_await rt::sleep_for(base::Duration::zero());
    until = services_.clock.steady() + kSlice;
  }
  co_return all_asked;
}

// When what was told is judged again the Alert was out of force for a while, such as for an edit. A state that was
// looked at then was looked at for others only.
void Dispatcher::look_again_if_contrary(const AlertRule& rule, const Occurrence& told) {
  const auto word = ledger_.last_word(rule.uid, told.involved);
  if (!word || word->severity != told.severity) return;
  const api::ObjectKey key{told.involved.namespace_, told.involved.name};
  const controller::Object object = sources_->object(told.involved.kind, key);
  const auto state = object ? read_state(*object) : std::nullopt;
  if (state && state->ok == (told.severity == Severity::error)) states_.look_again(told.involved.kind, key);
}

// Nothing is written that this Alert does not want to hear.
std::optional<News> Dispatcher::news_for(const AlertRule& rule, const InvolvedObject& object,
                                         const State& state) const {
  Occurrence what;
  what.involved = object;
  what.severity = state.ok ? Severity::info : Severity::error;
  what.message = cut_text(state.message, kMaxMessage);
  if (!rule.wants(what, labels_)) return std::nullopt;
  auto news = untold(state, heard_by(rule, object, state));
  if (!news) return std::nullopt;
  // History, to who does not believe the contrary.
  if (news->happened < rule.since && !is_contrary_to_last_word(rule, object, news->severity)) return std::nullopt;
  const base::TimePoint now = services_.clock.now();
  if (news->happened + kLateWordMaxAge < now || news->happened > now + kLateWordMaxAge) return std::nullopt;
  return news;
}

std::vector<Heard> Dispatcher::heard_by(const AlertRule& rule, const InvolvedObject& object, const State& state) const {
  const FailureHeard is_heard = [&](const Chronicle::Entry& failure) { return told_at(rule, object, failure); };
  return as_heard(rule, object, state, sources_->chronicle(object.kind).about_name_of(object), is_heard);
}

// Which failures were heard counts for a recovery only, and of these the newest: to ask takes a
// look at the Event, and there may be thousands.
std::vector<Heard> Dispatcher::as_heard(const AlertRule& rule, const InvolvedObject& object, const State& state,
                                        const Chronicle::Entries& entries, const FailureHeard& is_heard) const {
  const bool gets_statuses = gets_commit_statuses(rule).value_or(false);
  std::vector<Heard> tellings;
  tellings.reserve(entries.size());
  using Failure = std::pair<base::TimePoint, std::size_t>;  // when it happened, and its place in both lists
  std::vector<Failure> failures;
  for (const auto* entry : entries) {
    const Telling& telling = entry->telling;
    const bool is_failure = telling.severity == Severity::error;
    if (is_failure) failures.emplace_back(telling.last, tellings.size());
    const bool is_for_it = !is_failure && !telling.for_record && (!telling.for_commits || gets_statuses);
    tellings.push_back(Heard{telling, is_for_it, telling.last, Chronicle::is_about_another(*entry, object)});
  }
  if (!state.ok) return tellings;
  std::make_heap(failures.begin(), failures.end());
  std::optional<base::TimePoint> newest;
  for (int asked = 0; !failures.empty() && asked < kMaxAsked; ++asked) {
    std::pop_heap(failures.begin(), failures.end());
    const Failure failure = failures.back();
    failures.pop_back();
    if (newest && failure.first <= *newest) break;
    const auto told = is_heard(*entries[failure.second]);
    if (!told) continue;
    tellings[failure.second].heard = true;
    tellings[failure.second].told = *told;
    newest = std::max(newest, told);
  }
  return tellings;
}

// A late word is written as one Alert needs it. Of a recovery nobody else wants to hear but who heard
// of the failure. Judged by what the server had before the word, so that it is the same at each look.
// Nothing if it takes longer than a turn: what was found out is remembered, so that it goes on when it is asked again.
std::optional<bool> Dispatcher::is_recovery_of_others(const AlertRule& rule, const doc::Json& event,
                                                      const Occurrence& what) {
  const Telling own = read_telling(event);
  if (!own.ready_since || own.severity == Severity::error) return false;
  const controller::Object object =
      sources_->object(what.involved.kind, {what.involved.namespace_, what.involved.name});
  auto state = object ? read_state(*object) : std::nullopt;
  if (!state || !state->ok || state->since != *own.ready_since) state = state_of_word(event, *own.ready_since);
  Chronicle::Entries before;
  for (const auto* entry : sources_->chronicle(what.involved.kind).about_name_of(what.involved)) {
    const bool is_failure = entry->telling.severity == Severity::error;
    // In one second both come; which of two good ones counts then, is_outrun() says.
    const bool was_there = is_failure ? entry->telling.created <= own.created : entry->telling.created < own.created;
    if (entry->event != what.event && was_there) before.push_back(entry);
  }
  const base::SteadyPoint until = services_.clock.steady() + kTurn;
  const std::uint64_t answers = verdicts_.answers();
  bool is_known = true;
  const FailureHeard is_heard = [&](const Chronicle::Entry& failure) {
    auto told = told_at(rule, what.involved, failure);
    if (told || !is_known) return told;
    // One more is known each time, however long it takes to come to it.
    const bool has_time = verdicts_.answers() == answers || services_.clock.steady() < until;
    const auto may_be = may_yet_be_told(rule, what.involved, failure, has_time);
    is_known = may_be.has_value();
    if (may_be.value_or(false)) told = failure.telling.last;
    return told;
  };
  const std::vector<Heard> heard = as_heard(rule, what.involved, *state, before, is_heard);
  if (!is_known) return std::nullopt;
  return !untold(*state, heard);
}

// Its turn has not come yet, as after a start. Nothing if there is no time to find out.
std::optional<bool> Dispatcher::may_yet_be_told(const AlertRule& rule, const InvolvedObject& object,
                                                const Chronicle::Entry& failure, bool has_time) {
  const controller::Object event = sources_->event(object.kind, failure.event);
  if (!event || mark_of(*event, rule.uid)) return false;
  // Put off, it is told only if nothing has changed by then.
  const Owed* owed = owed_.find(rule.uid, object);
  if (owed != nullptr && owed->is_put_off && owed->event == failure.event) return false;
  Occurrence outline;
  outline.involved = object;
  outline.severity = Severity::error;
  if (!rule.hears_of(outline, labels_)) return false;
  const std::string& owner = rule.key.namespace_;
  const auto known = verdicts_.find(owner, rule.version, *event);
  if (known || !has_time) return known;
  const auto what = read_undigested(*event);
  const bool is_to_be_told = what && what->at >= rule.since && rule.passes(what->message);
  verdicts_.put(owner, rule.version, *event, is_to_be_told);
  return is_to_be_told;
}

// When that of the failure's occurrences happened that was sent last, or waits to be.
std::optional<base::TimePoint> Dispatcher::told_at(const AlertRule& rule, const InvolvedObject& object,
                                                   const Chronicle::Entry& failure) const {
  const controller::Object event = sources_->event(object.kind, failure.event);
  if (!event) return std::nullopt;
  const auto mark = mark_of(*event, rule.uid);
  const bool was_sent = mark && mark->state == DeliveryState::sent;
  if (was_sent && !failure.telling.ready_since) return mark->last;
  if (was_sent || (mark && mark->pending)) return failure.telling.last;
  return is_taken(*event, rule) ? std::optional(failure.telling.last) : std::nullopt;
}

// Its digest is asked for only where something of this Event waits, as it takes a while.
bool Dispatcher::is_taken(const doc::Json& event, const AlertRule& rule) const {
  const std::string beginning = std::string(api::uid_of(event)) + "/" + rule.uid + "/";
  const auto first = taken_.lower_bound(beginning);
  if (first == taken_.end() || !first->starts_with(beginning)) return false;
  const auto what = read_occurrence(event);
  return what && taken_.contains(taken_key(*what, rule.uid));
}

// Of a late word and an emitter's Event about one state, one is sent: that which the
// server had first. In the second that both came in it is the late word, unless the
// Event is on its way already. What a chat is not sent anyway tells it nothing.
bool Dispatcher::is_told_elsewhere(const AlertRule& rule, const doc::Json& event, const Occurrence& what) const {
  const Telling own = read_telling(event);
  const Chronicle& chronicle = sources_->chronicle(what.involved.kind);
  if (!own.ready_since) {
    const auto words = chronicle.late_words_about(what.involved);
    return std::any_of(words.begin(), words.end(),
                       [&own](const Chronicle::Entry* word) { return is_outrun(own, word->telling); });
  }
  const bool gets_statuses = gets_commit_statuses(rule).value_or(false);
  std::vector<const Telling*> tellings;
  for (const auto* entry : chronicle.about(what.involved)) tellings.push_back(&entry->telling);
  const auto failed = failed_before(own, tellings);
  int asked = 0;
  for (const auto* other : chronicle.emitters_words_about(what.involved)) {
    const Telling& telling = other->telling;
    const bool is_heard = !telling.for_record && (gets_statuses || !telling.for_commits);
    if (!is_heard || !is_forestalled(own, telling, failed)) continue;
    if (telling.created < own.created) return true;
    if (++asked <= kMaxAsked && is_sent_before(rule, what, *other)) return true;
  }
  return false;
}

bool Dispatcher::is_sent_before(const AlertRule& rule, const Occurrence& word, const Chronicle::Entry& other) const {
  const controller::Object event = sources_->event(word.involved.kind, other.event);
  if (!event) return false;
  return mark_of(*event, rule.uid) || is_taken(*event, rule);
}

}  // namespace sluice::notification_controller
