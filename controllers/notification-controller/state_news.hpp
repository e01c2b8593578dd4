// What an object's status says that no Event has told. Pure.
//
// A daemon tells of a run twice: in the object's status and in an Event. The second
// may be missing: the daemon was killed in between, client-go's recorder gave up or
// held it back (25 events per object, then one in five minutes), an Event was refused.
// Then people hear it from the status: a "late word", an Event that this controller writes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "controller/event_recorder.hpp"
#include "doc/json.hpp"
#include "occurrence.hpp"

namespace sluice::notification_controller {

// On a late word kLateWordAnnotation (occurrence.hpp) is the lastTransitionTime of the Ready that it repeats.
// News older than this is left alone, and a late word about a time that is further ahead
// than this is none. Events live an hour: what was told is known for
// longer than that, even where a clock is off by the difference.
inline constexpr base::Duration kLateWordMaxAge = std::chrono::minutes(30);

// Ready, as it stands.
struct State {
  bool ok = false;
  std::string reason;
  std::string message;
  base::TimePoint since{};  // by the emitter's clock, as are Events
  // What was applied, stored or tried; "" where the kind does not say.
  std::string revision;
  // When the revision came to be it; only while `ok`.
  std::optional<base::TimePoint> revision_since;

  bool operator==(const State&) const = default;
};

// Nothing for an object that is busy, suspended, going away, or that waits for another one,
// which has its own news. Reads what keep_state() leaves.
std::optional<State> read_state(const doc::Json& object);
// Ready is Unknown: what it was before may come again.
bool is_busy(const doc::Json& object);
// Cuts an object down to its identity, labels, annotations for events and state.
void keep_state(doc::Json& object);

// Stands for a text where only its likeness counts.
using TextKey = std::size_t;
TextKey text_key(std::string_view text) noexcept;

// What is known of an Event about the object.
struct Telling {
  Severity severity = Severity::info;
  base::TimePoint last{};     // when it happened, by the emitter's clock
  base::TimePoint created{};  // by the server's
  TextKey message = 0;
  TextKey revision = 0;
  // Of a late word: Ready was so since. Nothing for what emitters write.
  std::optional<base::TimePoint> ready_since;
  bool for_record = false;   // a trace, which is sent to nobody
  bool for_commits = false;  // becomes a commit status; chats do not get it
};
Telling read_telling(const doc::Json& event);

// A telling as one Alert's receiver knows it. Severity info: it gets such Events. Error: it was
// sent this one, or is being sent it; `told` is when what was sent had happened.
struct Heard {
  Telling telling;
  bool heard = false;
  base::TimePoint told{};
  // About one of the same name that was there before. Of that only counts whether its failure is over.
  bool of_another = false;
};

// Nothing where the Events tell it already, or where there is nothing to tell: an
// object that is well is news only after a failure that this receiver heard of, or with a
// new revision. A new revision is told by an Event that only makes a commit status, as nothing
// but the revision has changed; the end of a failure is not.
struct News {
  Severity severity = Severity::info;
  base::TimePoint happened{};
};
std::optional<News> untold(const State& state, const std::vector<Heard>& tellings);

// The late word about it. The same state gives the same Event.
controller::EventRecord late_word(const doc::Json& object, const State& state, const News& news);

// The state that a late word was written of, as far as the word tells. It takes a revision for as new as the state.
State state_of_word(const doc::Json& event, base::TimePoint ready_since);

// An emitter's Event about the state was there before the late word, but was not seen in time.
// `failed` is when the newest failure of the object had happened that the state came after: an
// Event that is no newer than that does not tell of the failure's end, but for one of that
// second about the state's own revision.
bool is_forestalled(const Telling& word, const Telling& event, std::optional<base::TimePoint> failed = std::nullopt);
// When the newest failure among `tellings` had happened that the state of this word came after.
std::optional<base::TimePoint> failed_before(const Telling& word, const std::vector<const Telling*>& tellings);

// The emitter's Event came after the late word, and is about a state at most as new: it is too
// late, as that word was in its place.
bool is_outrun(const Telling& event, const Telling& word);

}  // namespace sluice::notification_controller
