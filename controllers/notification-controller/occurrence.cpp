#include "occurrence.hpp"

#include <algorithm>
#include <array>

#include "api/names.hpp"
#include "base/digest.hpp"
#include "controller/event_recorder.hpp"

namespace sluice::notification {

namespace {

// client-go puts this before the text of events that it merges.
constexpr std::string_view kCombined = "(combined from similar events): ";

bool has_prefix(const api::StringMap& map, std::string_view prefix) {
  const auto it = map.lower_bound(prefix);
  return it != map.end() && it->first.starts_with(prefix);
}

std::string text_at(const doc::Json& event, std::initializer_list<std::string_view> path) {
  return std::string(doc::find_string(event, path));
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

base::TimePoint read_server_time(const doc::Json& event, base::TimePoint last) {
  const auto created = base::parse_time(doc::find_string(event, {"metadata", "creationTimestamp"}));
  if (!created) return last;
  std::string_view first_text = doc::find_string(event, {"firstTimestamp"});
  if (first_text.empty()) first_text = doc::find_string(event, {"eventTime"});
  const auto first = base::parse_time(first_text);
  if (!first || last < *first) return *created;
  return *created + (last - std::chrono::floor<std::chrono::seconds>(*first));
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

// Events for the record only, which Flux does not send. Our recorder marks them;
// upstream's writes them as Normal ones. Only source-controller has them: what it
// does send carries the revision, its traces carry no metadata of its group.
bool is_trace(const doc::Json& event, const api::StringMap& annotations, const Occurrence& what) {
  const auto marked = annotations.find(controller::kSeverityAnnotation);
  if (marked != annotations.end() && marked->second == api::event::kSeverityTrace) return true;
  if (doc::find_string(event, {"type"}) == "Trace") return true;
  return what.severity == Severity::info && what.reporting_controller == api::field_manager::kSourceController &&
         !has_prefix(annotations, what.involved.group() + "/");
}

std::string digest_of(const Occurrence& what) {
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
  for (const auto key : {api::event::kMetaOriginRevision, api::event::kMetaRevision, api::event::kMetaToken}) {
    const auto it = what.metadata.find(group + std::string(key));
    if (it != what.metadata.end()) add(key, it->second);
  }
  return base::sha256_hex(text).substr(0, 32);
}

}  // namespace

// client-go's recorder of core/v1 sets the first three, that of events/v1 the
// other two; kubectl may set none.
base::TimePoint read_event_time(const doc::Json& event) {
  const std::array<std::string_view, 5> candidates{
      doc::find_string(event, {"series", "lastObservedTime"}), doc::find_string(event, {"lastTimestamp"}),
      doc::find_string(event, {"eventTime"}), doc::find_string(event, {"firstTimestamp"}),
      doc::find_string(event, {"metadata", "creationTimestamp"})};
  for (const auto text : candidates) {
    if (text.empty()) continue;
    if (const auto time = base::parse_time(text)) return std::chrono::floor<std::chrono::seconds>(*time);
  }
  return {};
}

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

std::optional<Occurrence> read_occurrence(const doc::Json& event) {
  Occurrence what;
  what.involved = read_involved(event);
  const SourceKind* kind = find_source_kind(what.involved.kind);
  // Others have kinds of these names too (Bucket), and theirs are not Flux's.
  if (kind == nullptr || kind->group != what.involved.group() || what.involved.name.empty()) return std::nullopt;
  what.event = api::key_of(event);
  what.event_uid = api::uid_of(event);
  // Who may write Events in one namespace must not speak for another.
  if (what.involved.namespace_ != what.event.namespace_) return std::nullopt;
  what.severity = doc::find_string(event, {"type"}) == "Warning" ? Severity::error : Severity::info;
  what.reason = text_at(event, {"reason"});
  what.message = read_message(event);
  what.reporting_controller = text_at(event, {"source", "component"});
  if (what.reporting_controller.empty()) what.reporting_controller = text_at(event, {"reportingComponent"});
  what.reporting_instance = text_at(event, {"reportingInstance"});
  if (what.reporting_instance.empty()) what.reporting_instance = text_at(event, {"source", "host"});
  what.count = read_count(event);
  what.last = read_event_time(event);
  what.at = read_server_time(event, what.last);
  const api::StringMap annotations = api::read_meta(event).annotations;
  if (is_trace(event, annotations, what)) return std::nullopt;
  what.metadata = read_metadata(annotations, what.involved.group());
  what.digest = digest_of(what);
  return what;
}

}  // namespace sluice::notification
