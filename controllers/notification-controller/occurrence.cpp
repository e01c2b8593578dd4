#include "occurrence.hpp"

#include <algorithm>
#include <array>

#include "api/names.hpp"
#include "base/digest.hpp"
#include "controller/event_news.hpp"
#include "controller/event_recorder.hpp"

namespace sluice::notification_controller {

namespace {

// client-go puts this before the text of events that it merges.
constexpr std::string_view kCombined = "(combined from similar events): ";

std::string text_at(const doc::Json& event, std::initializer_list<std::string_view> path) {
  return std::string(doc::find_string(event, path));
}

// client-go sets both.
std::string_view controller_of(const doc::Json& event) {
  const std::string_view component = doc::find_string(event, {"source", "component"});
  return component.empty() ? doc::find_string(event, {"reportingComponent"}) : component;
}

std::string_view group_of(const doc::Json& event) {
  const std::string_view version = doc::find_string(event, {"involvedObject", "apiVersion"});
  return version.substr(0, version.find('/') == std::string_view::npos ? 0 : version.find('/'));
}

InvolvedObject read_involved(const doc::Json& event) {
  InvolvedObject involved;
  involved.api_version = text_at(event, {"involvedObject", "apiVersion"});
  involved.kind = text_at(event, {"involvedObject", "kind"});
  involved.namespace_ = text_at(event, {"involvedObject", "namespace"});
  involved.name = text_at(event, {"involvedObject", "name"});
  involved.uid = text_at(event, {"involvedObject", "uid"});
  involved.resource_version = text_at(event, {"involvedObject", "resourceVersion"});
  involved.field_path = text_at(event, {"involvedObject", "fieldPath"});
  return involved;
}

// What others wrote may be of any year that can be said at all, and the time between two such
// cannot. Nothing narrower: an Event lives, and moves on, for as long as it is told again, and
// there are machines whose clock begins in 1970.
base::TimePoint plausible(base::TimePoint time, std::optional<base::TimePoint> created) {
  constexpr base::Duration kFar = std::chrono::hours(24 * 365 * 70);
  const base::TimePoint about = created.value_or(base::TimePoint(std::chrono::hours(24 * 365 * 56)));
  return std::clamp(time, about - kFar, about + kFar);
}

std::optional<base::TimePoint> read_created(const doc::Json& event) {
  constexpr base::Duration kSane = std::chrono::hours(24 * 365 * 140);  // since 1970
  const auto created = base::parse_time(doc::find_string(event, {"metadata", "creationTimestamp"}));
  if (!created || *created < base::TimePoint() || *created > base::TimePoint(kSane)) return std::nullopt;
  return *created;
}

std::int64_t read_count(const doc::Json& event) {
  std::int64_t count = 1;
  const std::array<const doc::Json*, 2> fields{doc::find(event, {"count"}), doc::find(event, {"series", "count"})};
  for (const auto* field : fields) {
    if (field != nullptr && field->is_number_integer()) count = std::max(count, field->get<std::int64_t>());
  }
  return count;
}

std::string read_message(const doc::Json& event) {
  std::string_view message = doc::find_string(event, {"message"});
  if (message.starts_with(kCombined)) message.remove_prefix(kCombined.size());
  return cut_text(message, kMaxMessage);
}

// Flux: only keys of the event group and of the object's group are metadata, and
// digests are not for people (event_server.go, cleanupMetadata).
api::StringMap read_metadata(const api::StringMap& annotations, const std::string& group) {
  const std::string own = group + "/";
  api::StringMap kept;
  for (const auto& [key, value] : annotations) {
    if (key == own + std::string(api::event::kMetaChecksum) || key == own + std::string(api::event::kMetaDigest)) {
      continue;
    }
    if (key.starts_with(api::annotation::kEventPrefix) || key.starts_with(own)) kept.emplace(key, value);
  }
  return kept;
}

std::string digest_of(const Occurrence& what, std::string_view ready_since) {
  const std::string group = what.involved.group() + "/";
  // Lengths keep "a" + "bc" from reading as "ab" + "c".
  std::string text;
  const auto add = [&text](std::string_view name, std::string_view value) {
    text += std::string(name) + "=" + std::to_string(value.size()) + ":" + std::string(value) + "/";
  };
  add("name", what.involved.name);
  add("namespace", what.involved.namespace_);
  add("kind", what.involved.kind);
  add("message", what.message);
  for (const auto key : controller::kNewsAnnotations) {
    const auto it = what.metadata.find(group + std::string(key));
    if (it != what.metadata.end()) add(key, it->second);
  }
  if (!ready_since.empty()) add("since", ready_since);
  return base::sha256_hex(text).substr(0, 32);
}

// --- what is kept ---

// Longest of the short fields. The server lets Events through that name things longer than
// any object can be named.
constexpr std::size_t kMaxField = 512;

void keep_text(const doc::Json& from, doc::Json& to, std::initializer_list<std::string_view> path, std::size_t limit) {
  const doc::Json* value = doc::find(from, path);
  if (value == nullptr || !value->is_string()) return;
  doc::Json* place = &to;
  for (const auto key : path) place = &(*place)[std::string(key)];
  *place = cut_text(value->get_ref<const std::string&>(), limit);
}

void keep_number(const doc::Json& from, doc::Json& to, std::initializer_list<std::string_view> path) {
  const doc::Json* value = doc::find(from, path);
  if (value == nullptr || !value->is_number_integer()) return;
  doc::Json* place = &to;
  for (const auto key : path) place = &(*place)[std::string(key)];
  *place = *value;
}

// What is kept of a set of annotations, as long as there is room for it.
struct Room {
  std::size_t left;
  bool take(const std::string& key, const std::string& value) {
    const std::size_t size = key.size() + value.size();
    if (size > left) return false;
    left -= size;
    return true;
  }
};

doc::Json keep_annotations(const doc::Json& event) {
  doc::Json kept = doc::Json::object();
  const doc::Json* all = doc::find(event, {"metadata", "annotations"});
  if (all == nullptr || !all->is_object()) return kept;
  const std::string own = std::string(group_of(event)) + "/";
  Room metadata{kMaxMetadata};
  Room marks{kMaxMarks};
  std::size_t count = 0;
  std::size_t bytes = 0;
  // What the controller says first: it tells one occurrence from another.
  for (const std::string_view prefix : {std::string_view(own), api::annotation::kEventPrefix}) {
    for (const auto& [key, value] : all->items()) {
      if (!key.starts_with(prefix) || !value.is_string() || key == kLeftOutAnnotation) continue;
      const auto& text = value.get_ref<const std::string&>();
      if (metadata.take(key, text)) {
        kept[key] = text;
      } else {
        ++count;
        bytes += key.size() + text.size();
      }
    }
  }
  for (const auto& [key, value] : all->items()) {
    const bool is_kept =
        key.starts_with(kMarkPrefix) || key == kLateWordAnnotation || key == controller::kSeverityAnnotation;
    if (is_kept && value.is_string() && marks.take(key, value.get_ref<const std::string&>())) kept[key] = value;
  }
  if (count > 0) {
    kept[std::string(kLeftOutAnnotation)] =
        std::to_string(count) + " annotations with " + std::to_string(bytes) + " bytes";
  } else {
    const doc::Json* said = doc::find(event, {"metadata", "annotations", kLeftOutAnnotation});
    if (said != nullptr && said->is_string() && said->get_ref<const std::string&>().size() < kMaxField) {
      kept[std::string(kLeftOutAnnotation)] = *said;
    }
  }
  return kept;
}

}  // namespace

void keep_event(doc::Json& event) {
  doc::Json kept = doc::Json::object();
  for (const auto key : {"apiVersion", "kind", "type", "reason", "firstTimestamp", "lastTimestamp", "eventTime",
                         "reportingComponent", "reportingInstance"}) {
    keep_text(event, kept, {key}, kMaxField);
  }
  for (const auto key : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}) {
    keep_text(event, kept, {"metadata", key}, kMaxField);
  }
  for (const auto key : {"apiVersion", "kind", "namespace", "name", "uid", "resourceVersion", "fieldPath"}) {
    keep_text(event, kept, {"involvedObject", key}, kMaxField);
  }
  for (const auto key : {"component", "host"}) keep_text(event, kept, {"source", key}, kMaxField);
  keep_text(event, kept, {"series", "lastObservedTime"}, kMaxField);
  keep_number(event, kept, {"series", "count"});
  keep_number(event, kept, {"count"});
  keep_text(event, kept, {"message"}, kMaxMessage + kCombined.size());
  doc::Json annotations = keep_annotations(event);
  if (!annotations.empty()) kept["metadata"]["annotations"] = std::move(annotations);
  event = std::move(kept);
}

bool is_trace(const doc::Json& event) {
  const std::string_view type = doc::find_string(event, {"type"});
  if (type == "Trace") return true;
  if (api::annotation_of(event, controller::kSeverityAnnotation) == api::event::kSeverityTrace) return true;
  if (type == "Warning" || controller_of(event) != api::field_manager::kSourceController) return false;
  const doc::Json* annotations = doc::find(event, {"metadata", "annotations"});
  if (annotations == nullptr || !annotations->is_object()) return true;
  const std::string own = std::string(group_of(event)) + "/";
  for (const auto& [key, value] : annotations->items()) {
    if (key.starts_with(own)) return false;
  }
  return true;
}

std::string_view late_word_of(const doc::Json& event) {
  if (doc::find_string(event, {"source", "component"}) != api::field_manager::kNotificationController) return {};
  return api::annotation_of(event, kLateWordAnnotation);
}

// client-go's recorder of core/v1 sets the first three, that of events/v1 the
// other two; kubectl may set none.
base::TimePoint read_event_time(const doc::Json& event) {
  const std::array<std::string_view, 5> candidates{
      doc::find_string(event, {"series", "lastObservedTime"}), doc::find_string(event, {"lastTimestamp"}),
      doc::find_string(event, {"eventTime"}), doc::find_string(event, {"firstTimestamp"}),
      doc::find_string(event, {"metadata", "creationTimestamp"})};
  for (const auto text : candidates) {
    if (text.empty()) continue;
    const auto time = base::parse_time(text);
    if (time) return plausible(std::chrono::floor<std::chrono::seconds>(*time), read_created(event));
  }
  return {};
}

base::TimePoint server_time_of(const doc::Json& event, base::TimePoint last) {
  const auto created = read_created(event);
  if (!created) return last;
  std::string_view first_text = doc::find_string(event, {"firstTimestamp"});
  if (first_text.empty()) first_text = doc::find_string(event, {"eventTime"});
  const auto said = base::parse_time(first_text);
  if (!said) return *created;
  const base::TimePoint first = plausible(std::chrono::floor<std::chrono::seconds>(*said), created);
  return last < first ? *created : *created + (last - first);
}

base::TimePoint server_time_of(const doc::Json& event) { return server_time_of(event, read_event_time(event)); }

std::string_view to_string(Severity severity) noexcept {
  return severity == Severity::error ? api::event::kSeverityError : api::event::kSeverityInfo;
}

std::string InvolvedObject::group() const {
  const auto slash = api_version.find('/');
  return slash == std::string::npos ? std::string() : api_version.substr(0, slash);
}

std::string InvolvedObject::str() const { return kind + "/" + namespace_ + "/" + name; }

const std::vector<SourceKind>& source_kinds() {
  using namespace api;
  static const std::vector<SourceKind> kinds{
      {group::kSource, "v1", kind::kBucket, "buckets"},
      {group::kSource, "v1", kind::kGitRepository, "gitrepositories"},
      {group::kSource, "v1", kind::kOciRepository, "ocirepositories"},
      {group::kSource, "v1", kind::kHelmRepository, "helmrepositories"},
      {group::kSource, "v1", kind::kHelmChart, "helmcharts"},
      {group::kSource, "v1", kind::kExternalArtifact, "externalartifacts"},
      {group::kSourceExtensions, "v1beta1", kind::kArtifactGenerator, "artifactgenerators"},
      {group::kKustomize, "v1", kind::kKustomization, "kustomizations"},
      {group::kHelm, "v2", kind::kHelmRelease, "helmreleases"},
      {group::kImage, "v1", kind::kImageRepository, "imagerepositories"},
      {group::kImage, "v1", kind::kImagePolicy, "imagepolicies"},
      {group::kImage, "v1", kind::kImageUpdateAutomation, "imageupdateautomations"},
  };
  return kinds;
}

const SourceKind* find_source_kind(std::string_view kind) {
  const auto& kinds = source_kinds();
  const auto it = std::find_if(kinds.begin(), kinds.end(), [kind](const auto& item) { return item.kind == kind; });
  return it == kinds.end() ? nullptr : &*it;
}

std::string cut_text(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return std::string(text);
  std::size_t end = limit > 3 ? limit - 3 : 0;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
  return std::string(text.substr(0, end)) + "...";
}

std::optional<Occurrence> read_undigested(const doc::Json& event) {
  Occurrence what;
  what.involved = read_involved(event);
  const SourceKind* kind = find_source_kind(what.involved.kind);
  // Others have kinds of these names too (Bucket), and theirs are not Flux's.
  if (kind == nullptr || kind->group != what.involved.group() || what.involved.name.empty()) return std::nullopt;
  what.event = api::key_of(event);
  what.event_uid = api::uid_of(event);
  // Who may write Events in one namespace must not speak for another.
  if (what.involved.namespace_ != what.event.namespace_) return std::nullopt;
  if (is_trace(event)) return std::nullopt;
  what.severity = doc::find_string(event, {"type"}) == "Warning" ? Severity::error : Severity::info;
  what.reason = text_at(event, {"reason"});
  what.message = read_message(event);
  what.reporting_controller = controller_of(event);
  what.reporting_instance = text_at(event, {"reportingInstance"});
  if (what.reporting_instance.empty()) what.reporting_instance = text_at(event, {"source", "host"});
  what.count = read_count(event);
  what.last = read_event_time(event);
  what.at = server_time_of(event, what.last);
  const api::StringMap annotations = api::read_meta(event).annotations;
  what.metadata = read_metadata(annotations, what.involved.group());
  return what;
}

std::optional<Occurrence> read_occurrence(const doc::Json& event) {
  auto what = read_undigested(event);
  if (!what) return what;
  what->digest = digest_of(*what, late_word_of(event));
  const bool is_failure_told_late = what->severity == Severity::error && !late_word_of(event).empty();
  what->likeness = is_failure_told_late ? digest_of(*what, {}) : what->digest;
  return what;
}

}  // namespace sluice::notification_controller
