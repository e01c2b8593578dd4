// The part of the dispatcher that tells what no Event told; see state_news.hpp.
#include <algorithm>
#include <utility>

#include "dispatcher.hpp"

namespace sluice::notification {

namespace {

std::vector<Telling> read_tellings(const std::vector<controller::Object>& events) {
  std::vector<Telling> tellings;
  for (const auto& event : events) tellings.push_back(read_telling(*event));
  return tellings;
}

}  // namespace

// Its Event had time to come. From here on the late word is an Event like any other. It
// may be refused or lost on its way, so that it is looked for again: its name is its own.
bool Dispatcher::look_at(const std::string& kind, const api::ObjectKey& key) {
  if (!sources_.is_in_touch(kind)) return false;
  const controller::Object object = sources_.object(kind, key);
  if (!object) return true;
  const auto state = read_state(*object);
  if (!state) return false;  // busy just now
  const auto news = untold(*state, read_tellings(sources_.events_about(Sources::identity_of(*object))));
  if (!news || !would_be_sent(*object, *state, *news)) return true;
  services_.log.info("no Event told of an object's state; it is told now",
                     {{"object", Sources::identity_of(*object).str()}, {"reason", state->reason}});
  services_.events.emit(*object, late_word(*object, *state, *news));
  return false;
}

// Nothing is written that nobody wants to hear.
bool Dispatcher::would_be_sent(const doc::Json& object, const State& state, const News& news) const {
  const base::TimePoint now = services_.clock.now();
  if (news.happened + kLateWordMaxAge < now || news.happened > now + kLateWordMaxAge) return false;
  Occurrence what;
  what.involved = Sources::identity_of(object);
  what.severity = news.severity;
  what.message = cut_text(state.message, kMaxMessage);
  return std::any_of(rules_.begin(), rules_.end(), [&](const auto& known) {
    return news.happened >= known.second.rule.since && known.second.rule.wants(what, labels_);
  });
}

// Of a late word and an emitter's Event about one state, one is sent: that which the
// server had first. In the second that both came in it is the late word, unless the
// Event is on its way already.
bool Dispatcher::is_told_elsewhere(const AlertRule& rule, const doc::Json& event, const Occurrence& what) const {
  const Telling own = read_telling(event);
  std::vector<controller::Object> others = sources_.events_about(what.involved);
  std::erase_if(others, [&what](const controller::Object& other) { return api::uid_of(*other) == what.event_uid; });
  if (!own.ready_since) return is_outrun(own, read_tellings(others));
  return std::any_of(others.begin(), others.end(), [&](const controller::Object& other) {
    const Telling telling = read_telling(*other);
    if (!is_forestalled(own, telling)) return false;
    if (telling.created < own.created) return true;
    const auto read = read_occurrence(*other);
    return read && (mark_of(*other, rule.uid) || taken_.contains(taken_key(*read, rule.uid)));
  });
}

}  // namespace sluice::notification
