// What a Kubernetes Event tells: that something happened to a Flux object. Pure.
//
// Flux's daemons write each event twice, to Kubernetes and to the event server
// of notification-controller, with the same text and metadata (fluxcd/pkg
// runtime/events/recorder.go). Reading the first copy is enough, and it is still
// there after a crash.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "doc/json.hpp"

namespace sluice::notification_controller {

enum class Severity { info, error };
std::string_view to_string(Severity severity) noexcept;

// core/v1 ObjectReference.
struct InvolvedObject {
  std::string api_version;
  std::string kind;
  std::string namespace_;
  std::string name;
  std::string uid;
  std::string resource_version;
  std::string field_path;

  std::string group() const;
  // "Kustomization/flux-system/apps"
  std::string str() const;
  bool operator==(const InvolvedObject&) const = default;
};

// One state of one Event: a count bump or another message is another occurrence.
struct Occurrence {
  api::ObjectKey event;
  std::string event_uid;
  InvolvedObject involved;
  Severity severity = Severity::info;
  std::string reason;
  std::string message;
  api::StringMap metadata;  // keys as on the wire, with their groups
  std::string reporting_controller;
  std::string reporting_instance;
  std::int64_t count = 1;
  base::TimePoint last{};  // when it happened (the last time), to the second, by the emitter's clock
  // The same by the server's clock, as far as can be told: when the Event was made there,
  // and the time from its first to its last telling on top.
  base::TimePoint at{};
  // Same news, same digest, in whichever Event it stands. Flux: the key of the
  // rate limit (notification-controller internal/server/event_server.go). A late word is
  // about one state at one time.
  std::string digest;
  // What counts as the same news within the rate limit's interval: the digest, but for a late
  // word of a failure, which is as good as the Event that it stands for.
  std::string likeness;
};

// Longest message that is sent, in bytes. Flux: 39,000 (apis/event Event.message).
inline constexpr std::size_t kMaxMessage = 39'000;
// Most metadata of an Event that is kept and sent, keys and values, in bytes. An Event holds up
// to 256 KiB, and whoever may write Events in one namespace must not fill this process.
inline constexpr std::size_t kMaxMetadata = 16 * 1024;
// The same of the marks of deliveries: some two hundred Alerts that are sent one Event.
inline constexpr std::size_t kMaxMarks = 32 * 1024;
// Metadata of an Event of which something was left out; says how much. Receivers see it.
inline constexpr std::string_view kLeftOutAnnotation = "event.toolkit.fluxcd.io/metadataLeftOut";

// Cuts an Event down to what is read of it, all of it bounded. Twice is as once.
void keep_event(doc::Json& event);

// Events for the record only, which Flux does not send. Our recorder marks them;
// upstream's writes them as Normal ones. Only source-controller has them: what it
// does send carries the revision, its traces carry no metadata of its group.
bool is_trace(const doc::Json& event);

// Of an Event that this controller wrote about a state: since when that was so, as it is
// written there. "" for others. See state_news.hpp.
std::string_view late_word_of(const doc::Json& event);
// Annotations that begin so are the marks of delivery_mark.hpp.
inline constexpr std::string_view kMarkPrefix = "delivery.notification.toolkit.fluxcd.io/";
inline constexpr std::string_view kLateWordAnnotation = "notification.toolkit.fluxcd.io/ready-since";

// Nothing for what is never alerted: traces, objects of kinds that no Alert can
// name, and what does not read as an Event.
std::optional<Occurrence> read_occurrence(const doc::Json& event);
// The same, but for digest and likeness, which take a while.
std::optional<Occurrence> read_undigested(const doc::Json& event);

// When an Event says that it happened, the last time; to the second, by the emitter's clock.
base::TimePoint read_event_time(const doc::Json& event);
// The same by the server's clock (see Occurrence::at), of the telling that was at `last` by the emitter's.
base::TimePoint server_time_of(const doc::Json& event, base::TimePoint last);
base::TimePoint server_time_of(const doc::Json& event);

// A kind that an Alert can name.
struct SourceKind {
  std::string_view group;
  std::string_view version;
  std::string_view kind;
  std::string_view plural;
};
const std::vector<SourceKind>& source_kinds();
const SourceKind* find_source_kind(std::string_view kind);

// At most `limit` bytes, never half a character; "..." where something is missing.
std::string cut_text(std::string_view text, std::size_t limit);

}  // namespace sluice::notification_controller
