#include "state_news.hpp"

#include <algorithm>
#include <array>

#include "api/conditions.hpp"
#include "api/names.hpp"
#include "api/object_meta.hpp"

namespace sluice::notification_controller {

namespace {

// Both stamps are whole seconds, taken one after the other.
constexpr base::Duration kSlack = std::chrono::seconds(2);
// A failed run may go on after its Event, with a rollback for instance, before Ready says so.
constexpr base::Duration kFailureSlack = std::chrono::minutes(1);

constexpr std::array<std::string_view, 3> kWaitsForAnother{
    api::reason::kArtifactFailed, api::reason::kDependencyNotReady, "SourceNotReady"};  // Flux: HelmRelease

bool waits_for_another(std::string_view reason) {
  return std::find(kWaitsForAnother.begin(), kWaitsForAnother.end(), reason) != kWaitsForAnother.end();
}

std::optional<base::TimePoint> time_at(const doc::Json& object, std::initializer_list<std::string_view> path) {
  const auto time = base::parse_time(doc::find_string(object, path));
  if (!time) return std::nullopt;
  return std::chrono::floor<std::chrono::seconds>(*time);
}

const doc::Json* newest_snapshot(const doc::Json& object) {
  const doc::Json* history = doc::find(object, {"status", "history"});
  return history != nullptr && history->is_array() && !history->empty() ? &history->front() : nullptr;
}

// Kinds differ in where they say what they have; a Kustomization's history says when
// its set of objects was first applied, an artifact when it was stored.
void read_revision(const doc::Json& object, State& state) {
  state.revision = doc::find_string(object, {"status", "artifact", "revision"});
  if (!state.revision.empty()) {
    if (state.ok) {
      state.revision_since = time_at(object, {"status", "artifact", "lastUpdateTime"});
    } else {
      state.revision.clear();  // it failed to get another one
    }
    return;
  }
  if (!state.ok) {
    state.revision = doc::find_string(object, {"status", "lastAttemptedRevision"});
    return;
  }
  state.revision = doc::find_string(object, {"status", "lastAppliedRevision"});
  const doc::Json* newest = newest_snapshot(object);
  if (newest == nullptr || doc::find_string(*newest, {"metadata", "revision"}) != state.revision) return;
  if (doc::find_string(*newest, {"lastReconciledStatus"}) != api::reason::kReconciliationSucceeded) return;
  state.revision_since = time_at(*newest, {"firstReconciled"});
}

// Of metadata that the object's controller writes.
std::string own_key(const doc::Json& object, std::string_view key) {
  const std::string_view api_version = doc::find_string(object, {"apiVersion"});
  return controller::event_key(api_version.substr(0, api_version.find('/')), key);
}

bool failed(const Telling& telling) { return telling.severity == Severity::error; }

// A failure was told, and nothing since tells that it is over.
bool is_untold_recovery(const State& state, const std::vector<Heard>& tellings) {
  std::optional<base::TimePoint> told;       // the newest failure that was heard of
  std::optional<base::TimePoint> failed_at;  // the newest of all
  std::optional<base::TimePoint> well_at;    // the newest other Event that was heard
  std::optional<base::TimePoint> said_well;  // the newest late word that says so
  for (const auto& [telling, heard, told_at, of_another] : tellings) {
    if (failed(telling)) {
      failed_at = std::max(failed_at, std::optional(telling.last));
      if (heard) told = std::max(told, std::optional(told_at));
    } else if (heard) {
      well_at = std::max(well_at, std::optional(telling.last));
      if (telling.ready_since) said_well = std::max(said_well, telling.ready_since);
    }
  }
  // Within a second nobody knows which came first; but the state has stood since.
  if (!told || *failed_at > state.since) return false;
  if (well_at && *well_at > *failed_at) return false;
  // One that fails and recovers again and again is told once, as its failures are.
  return !(said_well && *said_well >= *told);
}

// When the receiver heard last, before it failed, that all is well: what was told of failures
// before does not tell of this one. A rollback says well what Ready says ill, in the same words.
base::TimePoint heard_well_before(const State& state, const std::vector<Heard>& tellings) {
  const TextKey message = text_key(state.message);
  base::TimePoint well_at{};
  for (const auto& [telling, heard, told_at, of_another] : tellings) {
    const bool is_well = !failed(telling) && heard && !of_another && telling.message != message;
    if (is_well && telling.last <= state.since) well_at = std::max(well_at, telling.last);
  }
  return well_at;
}

void copy_at(const doc::Json& from, doc::Json& to, std::initializer_list<std::string_view> path) {
  const doc::Json* value = doc::find(from, path);
  if (value == nullptr) return;
  doc::Json* place = &to;
  for (const auto key : path) place = &(*place)[std::string(key)];
  *place = *value;
}

}  // namespace

std::optional<State> read_state(const doc::Json& object) {
  if (!doc::find_string(object, {"metadata", "deletionTimestamp"}).empty()) return std::nullopt;
  const doc::Json* suspend = doc::find(object, {"spec", "suspend"});
  if (suspend != nullptr && suspend->is_boolean() && suspend->get<bool>()) return std::nullopt;
  const api::Conditions conditions = api::conditions_of(object);
  const api::Condition* ready = conditions.find(api::condition::kReady);
  if (ready == nullptr || ready->status == api::ConditionStatus::unknown || waits_for_another(ready->reason)) {
    return std::nullopt;
  }
  State state;
  state.ok = ready->status == api::ConditionStatus::is_true;
  state.reason = ready->reason;
  state.message = ready->message;
  state.since = std::chrono::floor<std::chrono::seconds>(ready->last_transition_time);
  read_revision(object, state);
  return state;
}

bool is_busy(const doc::Json& object) { return api::conditions_of(object).is_unknown(api::condition::kReady); }

void keep_state(doc::Json& object) {
  doc::Json kept = doc::Json::object();
  for (const auto key : {"apiVersion", "kind"}) copy_at(object, kept, {key});
  for (const auto key : {"name", "namespace", "uid", "resourceVersion", "generation", "deletionTimestamp", "labels"}) {
    copy_at(object, kept, {"metadata", key});
  }
  const api::ObjectMeta meta = api::read_meta(object);
  for (const auto& [key, value] : meta.annotations) {
    if (key.starts_with(api::annotation::kEventPrefix)) kept["metadata"]["annotations"][key] = value;
  }
  copy_at(object, kept, {"spec", "suspend"});
  if (const doc::Json* conditions = doc::find(object, {"status", "conditions"}); conditions && conditions->is_array()) {
    for (const auto& condition : *conditions) {
      if (doc::find_string(condition, {"type"}) != api::condition::kReady) continue;
      kept["status"]["conditions"] = doc::Json::array({condition});
    }
  }
  copy_at(object, kept, {"status", "artifact", "revision"});
  copy_at(object, kept, {"status", "artifact", "lastUpdateTime"});
  copy_at(object, kept, {"status", "lastAppliedRevision"});
  copy_at(object, kept, {"status", "lastAttemptedRevision"});
  if (const doc::Json* newest = newest_snapshot(object)) {
    kept["status"]["history"] = doc::Json::array({*newest});
  }
  object = std::move(kept);
}

TextKey text_key(std::string_view text) noexcept { return std::hash<std::string_view>()(text); }

Telling read_telling(const doc::Json& event) {
  Telling telling;
  telling.severity = doc::find_string(event, {"type"}) == "Warning" ? Severity::error : Severity::info;
  telling.last = read_event_time(event);
  telling.created = time_at(event, {"metadata", "creationTimestamp"}).value_or(telling.last);
  telling.message = text_key(doc::find_string(event, {"message"}));
  if (const doc::Json* involved = doc::find(event, {"involvedObject"})) {
    telling.revision = text_key(api::annotation_of(event, own_key(*involved, api::event::kMetaRevision)));
    telling.for_commits = api::annotation_of(event, own_key(*involved, api::event::kMetaCommitStatus)) ==
                          api::event::kMetaCommitStatusUpdate;
  }
  telling.for_record = is_trace(event);
  const auto since = base::parse_time(late_word_of(event));
  if (since && *since <= telling.created + kLateWordMaxAge) {
    telling.ready_since = *since;
    telling.last = *since;  // this controller's clock is not the emitter's
  }
  return telling;
}

std::optional<News> untold(const State& state, const std::vector<Heard>& tellings) {
  const auto told = [&tellings](const auto& tells) {
    return std::any_of(tellings.begin(), tellings.end(),
                       [&tells](const Heard& each) { return !each.of_another && tells(each.telling); });
  };
  if (!state.ok) {
    const TextKey message = text_key(state.message);
    const base::TimePoint well_at = heard_well_before(state, tellings);
    const bool is_told = told([&](const Telling& telling) {
      return failed(telling) && telling.last >= well_at &&
             (telling.last + kFailureSlack >= state.since || telling.message == message);
    });
    if (is_told) return std::nullopt;
    return News{Severity::error, state.since};
  }
  if (state.revision_since) {
    const base::TimePoint since = *state.revision_since;
    const TextKey revision = text_key(state.revision);
    const bool is_told = told([revision, since](const Telling& telling) {
      return telling.last + kSlack >= since || telling.revision == revision;
    });
    if (!is_told) return News{Severity::info, since};
  }
  if (is_untold_recovery(state, tellings)) return News{Severity::info, state.since};
  return std::nullopt;
}

controller::EventRecord late_word(const doc::Json& object, const State& state, const News& news) {
  controller::EventRecord record;
  record.severity = news.severity == Severity::error ? controller::Severity::error : controller::Severity::info;
  record.reason = state.reason;
  record.message = state.message;
  const std::string since = base::format_time(state.since);
  record.annotations[std::string(kLateWordAnnotation)] = since;
  if (!state.revision.empty()) record.annotations[own_key(object, api::event::kMetaRevision)] = state.revision;
  record.occurrence = "ready since " + since + ": " + state.message;
  return record;
}

State state_of_word(const doc::Json& event, base::TimePoint ready_since) {
  State state;
  state.ok = doc::find_string(event, {"type"}) != "Warning";
  state.reason = doc::find_string(event, {"reason"});
  state.message = doc::find_string(event, {"message"});
  state.since = ready_since;
  if (const doc::Json* involved = doc::find(event, {"involvedObject"})) {
    state.revision = api::annotation_of(event, own_key(*involved, api::event::kMetaRevision));
  }
  if (state.ok && !state.revision.empty()) state.revision_since = ready_since;
  return state;
}

std::optional<base::TimePoint> failed_before(const Telling& word, const std::vector<const Telling*>& tellings) {
  std::optional<base::TimePoint> failed_at;
  if (!word.ready_since || failed(word)) return failed_at;
  for (const auto* telling : tellings) {
    if (!failed(*telling) || telling->last > *word.ready_since) continue;
    failed_at = std::max(failed_at, std::optional(telling->last));
  }
  return failed_at;
}

bool is_forestalled(const Telling& word, const Telling& event, std::optional<base::TimePoint> failed_at) {
  if (!word.ready_since || event.ready_since || event.severity != word.severity) return false;
  // Of one second's the revision tells which came after the failure.
  const bool is_of_state = event.revision == word.revision && word.revision != text_key("");
  if (failed_at && (event.last < *failed_at || (event.last == *failed_at && !is_of_state))) return false;
  const base::Duration slack = failed(word) ? kFailureSlack : kSlack;
  return event.created <= word.created && event.last + slack >= *word.ready_since;
}

bool is_outrun(const Telling& event, const Telling& word) {
  return !event.ready_since && word.ready_since && word.severity == event.severity && word.created <= event.created &&
         event.last <= *word.ready_since + kSlack;
}

}  // namespace sluice::notification_controller
