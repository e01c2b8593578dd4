// The reader: libyaml's events, with our own scalar rules, anchors and bounds.
#include <fmt/format.h>
#include <yaml.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/digest.hpp"
#include "doc/detail/yaml_events.hpp"
#include "doc/detail/yaml_text.hpp"
#include "doc/detail/yaml_weight.hpp"
#include "doc/yaml.hpp"
#include "doc/yaml_place.hpp"
#include "doc/yaml_scalar.hpp"

namespace sluice::doc {
namespace {

using base::ErrorKind;

constexpr std::uint64_t kMaxInt64 = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t kMaxQuoted = 200;

// Makes documents of the parser's events, each handed to take().
class Builder {
 public:
  explicit Builder(const YamlReading& reading, std::size_t find_line = 0)
      : reading_(reading), limits_(reading.limits), find_line_(find_line) {}

  void take(const yaml_event_t& event) {
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT: return start_document(event.start_mark);
      case YAML_ALIAS_EVENT: return alias(event.start_mark, text_of(event.data.alias.anchor));
      case YAML_SCALAR_EVENT: return scalar(event);
      case YAML_SEQUENCE_START_EVENT: {
        const auto& start = event.data.sequence_start;
        return open(event.start_mark, text_of(start.anchor), Json::array(), start.style == YAML_FLOW_SEQUENCE_STYLE);
      }
      case YAML_MAPPING_START_EVENT: {
        const auto& start = event.data.mapping_start;
        return open(event.start_mark, text_of(start.anchor), Json::object(), start.style == YAML_FLOW_MAPPING_STYLE);
      }
      case YAML_MAPPING_END_EVENT:
        if (!frames_.back().merges.empty()) merge(frames_.back());
        return close();
      case YAML_SEQUENCE_END_EVENT: return close();
      default: return;
    }
  }

  YamlDocument take_document() {
    return {std::move(root_),   static_cast<int>(line_), std::move(empty_nulls_), std::move(plain_texts_),
            std::move(quoted_), std::move(lines_),       std::move(flow_),        std::move(repeated_)};
  }
  std::vector<PlaceStep> take_found() { return std::move(found_); }

 private:
  struct Frame {
    Json value;
    Mark mark;
    std::string anchor;
    bool in_flow = false;
    std::uint64_t place = 0;
    Json* member = nullptr;                 // of a map: where the value goes whose key has been read
    bool is_new = false;                    // ... the map did not have that key before
    bool merge_next = false;                // ... the value is merged into the map
    const std::string* last_key = nullptr;  // ... and the key, as the map holds it
    std::vector<Json> merges{};  // values of "<<", which fill in what the map itself doesn't say

    std::string_view key() const { return last_key != nullptr ? std::string_view(*last_key) : std::string_view(); }
  };
  struct Anchored {
    Json value;
    std::size_t weight;
  };

  void count(const Mark& mark, std::size_t nodes) {
    nodes_ += nodes;
    if (reading_.stop.stop_requested()) throw Stop{ErrorKind::cancelled, "reading was stopped"};
    if (nodes_ > limits_.max_nodes) {
      throw Stop{ErrorKind::too_large, at(mark, fmt::format("more than {} values", limits_.max_nodes))};
    }
  }

  // Before a copy of an anchored value is made: a few hundred bytes of aliases in
  // aliases would else be as large as max_nodes allows, and all of it in memory.
  void count_copy(const Mark& mark, std::size_t nodes) {
    count(mark, nodes);
    copies_ += nodes;
    if (copies_ > limits_.max_copies + 4 * (nodes_ - copies_)) {
      throw Stop{ErrorKind::too_large, at(mark, fmt::format("aliases make more than {} values", limits_.max_copies))};
    }
  }

  std::string quoted(std::string_view text) const {
    return reading_.quote_nothing ? std::string("a text") : fmt::format("`{}`", text.substr(0, kMaxQuoted));
  }

  // True if what comes next is the value of an annotation of the document.
  bool annotation_next() const {
    const std::size_t top = reading_.items_are_objects ? 2 : 0;
    return frames_.size() == top + 3 && frames_[top + 2].member != nullptr &&
           frames_[top + 1].key() == "annotations" &&
           frames_[top].key() == "metadata" && (top == 0 || frames_[0].key() == "items");
  }

  // True of a value that comes next; of a null if it is a label.
  bool text_counts(const Json& value) const {
    if (key_next()) return false;
    if (!value.is_null() || reading_.keep_annotation_nulls) return !value.is_null();
    const std::size_t top = reading_.items_are_objects ? 2 : 0;
    if (frames_.size() < top + 2 || frames_.back().member == nullptr) return false;
    if (top > 0 && frames_[0].key() != "items") return false;
    return frames_.size() == top + 3 && frames_[top].key() == "metadata" && frames_[top + 1].key() == "labels";
  }

  Json note_text(const Mark& mark, Json value, std::string_view text) {
    const bool known = value.is_string() ? value == text : !value.is_null() && key_text(value) == text;
    if (!known && text_counts(value)) plain_texts_.push_back({here(mark), value, std::string(text)});
    return value;
  }

  // With a tag it stays a null in flow style, too.
  void note_empty_null(const Mark& mark, bool tagged) {
    if (frames_.empty() || key_next()) return;
    empty_nulls_.push_back({here(mark), frames_.back().in_flow && !tagged});
  }

  // The place of the value that comes next, for a note that is kept.
  Json::json_pointer here(const Mark& mark) {
    std::size_t bytes = 0;
    for (const Frame& frame : frames_) bytes += sizeof(std::string) + frame.key().size();
    if (!notes_.spend(bytes, nodes_)) {
      throw Stop{ErrorKind::too_large, at(mark, "too many values below long keys")};
    }
    Json::json_pointer place;
    for (const Frame& frame : frames_) {
      if (frame.value.is_array()) {
        place /= frame.value.size();
      } else {
        place /= std::string(frame.key());
      }
    }
    return place;
  }

  bool key_next() const {
    return !frames_.empty() && frames_.back().value.is_object() && frames_.back().member == nullptr;
  }

  std::uint64_t next_place() const {
    if (frames_.empty()) return 0;
    const Frame& frame = frames_.back();
    return frame.value.is_array() ? place_of(frame.place, frame.value.size()) : place_of(frame.place, frame.key());
  }

  void note_line(const Mark& mark) {
    if (key_next()) return;
    if (reading_.note_lines) lines_.emplace(here(mark).to_string(), static_cast<int>(mark.line));
    if (mark.line <= find_line_) find_here();
  }

  // Values before the line are passed one by one: of the last one's place only what is new is written.
  void find_here() {
    found_.resize(std::min({found_.size(), unmoved_, frames_.size()}));
    for (std::size_t i = found_.size(); i < frames_.size(); ++i) {
      const Frame& frame = frames_[i];
      const bool is_list = frame.value.is_array();
      found_.push_back({is_list ? std::string() : std::string(frame.key()), is_list ? frame.value.size() : 0, is_list});
    }
    unmoved_ = frames_.empty() ? 0 : frames_.size() - 1;
  }

  void start_document(const Mark& mark) {
    root_ = Json();
    seen_ = false;
    line_ = mark.line;
    anchors_.clear();
    frames_.clear();
    empty_nulls_.clear();
    plain_texts_.clear();
    quoted_.clear();
    lines_.clear();
    flow_.clear();
    repeated_.clear();
  }

  void alias(const Mark& mark, std::string_view anchor) {
    const auto found = anchors_.find(std::string(anchor));
    if (found == anchors_.end()) {
      const bool open = std::any_of(frames_.begin(), frames_.end(), [&](const Frame& f) { return f.anchor == anchor; });
      throw Stop{ErrorKind::invalid,
                 at(mark, open                     ? "anchor contains itself"
                          : reading_.quote_nothing ? "an alias has no anchor"
                                                   : fmt::format("the alias *{} has no anchor", anchor))};
    }
    count_copy(mark, found->second.weight);
    place(mark, Json(found->second.value));
  }

  void scalar(const yaml_event_t& event) {
    const auto& scalar = event.data.scalar;
    const Mark mark(event.start_mark);
    const std::string_view value(reinterpret_cast<const char*>(scalar.value), scalar.length);
    count(mark, 1 + value.size() / kBytesPerNode);
    note_line(mark);
    quoted_key_ = scalar.style != YAML_PLAIN_SCALAR_STYLE;
    Json result = value_of(mark, scalar.plain_implicit != 0, text_of(scalar.tag), value);
    if (!scalar.anchor) return place(mark, std::move(result));
    const std::size_t size = weight(result);
    count_copy(mark, size);
    anchors_[std::string(text_of(scalar.anchor))] = Anchored{result, size};
    place(mark, std::move(result));
  }

  // `plain`: without quotes and without a tag.
  Json value_of(const Mark& mark, bool plain, std::string_view tag, std::string_view value) {
    if (!plain && tag.empty()) {
      if (reading_.as_kustomize && !key_next()) quoted_.push_back(next_place());
      return Json(value);
    }
    if (!plain) {
      if (reading_.as_kustomize && annotation_next()) return Json(value);
      Json tagged = tagged_scalar(mark, tag, value);
      if (reading_.as_kustomize && value.empty() && tagged.is_null()) note_empty_null(mark, true);
      return tagged;
    }
    if (!reading_.as_kustomize) return in_json(mark, plain_scalar(value));
    if (value.empty()) {
      note_empty_null(mark, false);
      return Json();
    }
    if (!annotation_next()) return note_text(mark, plain_scalar(value), value);
    Json resolved = plain_scalar(value);
    if (reading_.keep_annotation_nulls) return resolved.is_null() ? Json() : Json(value);
    if (resolved != value) plain_texts_.push_back({here(mark), std::move(resolved), std::string(value)});
    return Json(value);
  }

  Json plain_scalar(std::string_view value) const {
    if (reading_.version_1_1) return resolve_plain_scalar_1_1(value);
    // kustomize writes a time in flow style in quotes, and so keeps it as it is.
    const bool in_flow = !frames_.empty() && frames_.back().in_flow;
    if (reading_.as_kustomize && !(in_flow && value.find(':') != std::string_view::npos)) {
      if (auto time = timestamp_as_json(value)) return Json(*std::move(time));
    }
    return resolve_plain_scalar(value);
  }

  // What JSON cannot hold is an error where the reader is one of JSON.
  Json in_json(const Mark& mark, Json value) const {
    if (!reading_.version_1_1 || key_next()) return value;
    if (!value.is_number_float() || std::isfinite(value.get<double>())) return value;
    throw Stop{ErrorKind::invalid,
               at(mark, "an infinite number, or none (.inf, .nan): put it in quotes if it is text")};
  }

  Json tagged_scalar(const Mark& mark, std::string_view tag, std::string_view value) const {
    static constexpr std::string_view kPrefix = "tag:yaml.org,2002:";
    if (tag == "!" && value.empty()) return Json();
    if (!tag.starts_with(kPrefix)) return Json(value);
    const std::string_view type = tag.substr(kPrefix.size());
    if (type == "str") return Json(value);
    if (type == "binary") return binary(mark, value);
    if (type == "timestamp") {
      auto time = timestamp_as_json(value);
      if (!time) throw Stop{ErrorKind::invalid, at(mark, fmt::format("cannot read {} as !!timestamp", quoted(value)))};
      return Json(reading_.version_1_1 ? std::string(value) : *std::move(time));
    }
    if (type != "int" && type != "bool" && type != "null" && type != "float") return Json(value);
    Json resolved = in_json(mark, reading_.version_1_1 ? resolve_plain_scalar_1_1(value) : resolve_plain_scalar(value));
    const bool fits = (type == "int" && resolved.is_number_integer()) || (type == "bool" && resolved.is_boolean()) ||
                      (type == "null" && resolved.is_null()) || (type == "float" && resolved.is_number());
    if (!fits) throw Stop{ErrorKind::invalid, at(mark, fmt::format("cannot read {} as !!{}", quoted(value), type))};
    return type == "float" ? Json(resolved.get<double>()) : resolved;
  }

  // The text that the bytes are; what is no UTF-8 is replaced, as Go does where it writes JSON.
  static Json binary(const Mark& mark, std::string_view value) {
    const auto bytes = base::base64_decode(value);
    if (!bytes) throw Stop{ErrorKind::invalid, at(mark, "!!binary without valid base64")};
    return Json::parse(Json(*bytes).dump(-1, ' ', false, Json::error_handler_t::replace));
  }

  void open(const Mark& mark, std::string_view anchor, Json value, bool flow) {
    if (frames_.size() >= limits_.max_depth) {
      throw Stop{ErrorKind::too_large, at(mark, fmt::format("nested deeper than {}", limits_.max_depth))};
    }
    count(mark, 1);
    note_line(mark);
    const bool in_flow = flow || (!frames_.empty() && frames_.back().in_flow);
    const std::uint64_t place = next_place();
    if (flow && reading_.as_kustomize) flow_.push_back(place);
    frames_.push_back(Frame{std::move(value), mark, std::string(anchor), in_flow, place});
  }

  void close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    unmoved_ = std::min(unmoved_, frames_.empty() ? 0 : frames_.size() - 1);
    if (!frame.anchor.empty()) {
      const std::size_t size = weight(frame.value);
      count_copy(frame.mark, size);
      anchors_[frame.anchor] = Anchored{frame.value, size};
    }
    place(frame.mark, std::move(frame.value));
  }

  void place(const Mark& mark, Json value) {
    if (frames_.empty()) {
      if (!seen_) line_ = mark.line;
      seen_ = true;
      root_ = std::move(value);
      return;
    }
    Frame& parent = frames_.back();
    if (parent.value.is_array()) {
      parent.value.push_back(std::move(value));
    } else if (parent.member == nullptr) {
      take_key(mark, parent, std::move(value));
    } else if (parent.merge_next) {
      place_merge(mark, parent, std::move(value));
    } else {
      *std::exchange(parent.member, nullptr) = std::move(value);
    }
  }

  // Maps that are merged into `map`: go-yaml v2 takes them as if they stood there
  // themselves, other readers fill in with them what the map does not say.
  void place_merge(const Mark& mark, Frame& map, Json value) const {
    check_merge(mark, value);
    map.member = nullptr;
    if (map.is_new) map.value.erase(*std::exchange(map.last_key, nullptr));
    if (!reading_.version_1_1) {
      if (!map.merges.empty()) throw Stop{ErrorKind::invalid, at(mark, "the merge key << is there twice")};
      map.merges.push_back(std::move(value));
    } else if (value.is_object()) {
      map.value.update(value);
    } else {
      for (auto each = value.rbegin(); each != value.rend(); ++each) map.value.update(*each);
    }
  }

  static void check_merge(const Mark& mark, const Json& value) {
    const auto is_map = [](const Json& each) { return each.is_object(); };
    if (value.is_object() || (value.is_array() && std::all_of(value.begin(), value.end(), is_map))) return;
    throw Stop{ErrorKind::invalid, at(mark, "a merge (<<) needs a map or a list of maps")};
  }

  void check_key(const Mark& mark, const Json& key) const {
    if (!reading_.version_1_1) return;
    if (key.is_null()) throw Stop{ErrorKind::invalid, at(mark, "a key that is null")};
    const bool large = key.is_number_unsigned() && key.get<std::uint64_t>() > kMaxInt64;
    if (large) throw Stop{ErrorKind::invalid, at(mark, "a number past 63 bits as a key")};
  }

  void take_key(const Mark& mark, Frame& map, Json key) {
    check_key(mark, key);
    if (key.is_structured()) throw Stop{ErrorKind::invalid, at(mark, "a map or list as a key")};
    if (reading_.as_kustomize && !key.is_string() && frames_.size() > 1) {
      throw Stop{ErrorKind::invalid, at(mark, fmt::format("key {} is no string; put it in quotes",
                                                          reading_.quote_nothing ? "" : key_text(key)))};
    }
    map.merge_next = key == "<<" && !quoted_key_;
    std::string text = key.is_string() ? std::move(key.get_ref<std::string&>()) : key_text(key);
    const auto [member, is_new] = map.value.get_ref<Json::object_t&>().try_emplace(std::move(text));
    map.member = &member->second;
    map.last_key = &member->first;
    map.is_new = is_new;
    if (!is_new && !reading_.version_1_1) {
      throw Stop{ErrorKind::invalid,
                 at(mark, reading_.quote_nothing ? "a key is there twice"
                                                 : fmt::format("key \"{}\" is there twice", member->first))};
    }
    if (!is_new && repeated_.size() < kMaxRepeated) {
      repeated_.push_back({here(mark).to_string(), static_cast<int>(mark.line)});
    }
  }

  // Merge keys: the map's own keys win, then the first one merged.
  static void merge(Frame& frame) {
    for (Json& merged : frame.merges) {
      if (merged.is_object()) {
        fill_in(frame.value, merged);
        continue;
      }
      for (Json& each : merged) fill_in(frame.value, each);
    }
    frame.merges.clear();
  }

  static void fill_in(Json& into, Json& from) {
    for (auto& [key, value] : from.items()) {
      if (!into.contains(key)) into[key] = std::move(value);
    }
  }

  const YamlReading& reading_;
  const YamlLimits& limits_;
  std::vector<EmptyNull> empty_nulls_;
  std::vector<PlainText> plain_texts_;
  std::vector<std::uint64_t> quoted_;
  std::map<std::string, int> lines_;
  std::size_t find_line_;
  std::vector<PlaceStep> found_;
  std::size_t unmoved_ = 0;  // so many steps of found_ are those of the value that comes next
  NoteBudget notes_;
  std::vector<std::uint64_t> flow_;
  std::vector<RepeatedKey> repeated_;
  std::size_t nodes_ = 0;
  std::size_t copies_ = 0;   // of nodes_
  bool quoted_key_ = false;  // the last scalar was in quotes
  bool seen_ = false;
  std::size_t line_ = 1;
  Json root_;
  std::vector<Frame> frames_;
  std::unordered_map<std::string, Anchored> anchors_;
};

std::vector<YamlDocument> read_stream(std::string_view text, const YamlReading& reading) {
  std::vector<YamlDocument> documents;
  Events events(text);
  Builder builder(reading);
  while (!reading.first_document_only || documents.empty()) {
    const yaml_event_t& event = events.next();
    if (event.type == YAML_STREAM_END_EVENT) break;
    builder.take(event);
    if (event.type != YAML_DOCUMENT_END_EVENT) continue;
    YamlDocument document = builder.take_document();
    if (document.value.is_null() && reading.first_document_only) break;
    if (document.value.is_null()) continue;
    if (documents.size() >= reading.limits.max_documents) {
      throw Stop{ErrorKind::too_large, fmt::format("line {}, column 1: more than {} documents", document.line,
                                                   reading.limits.max_documents)};
    }
    documents.push_back(std::move(document));
  }
  return documents;
}

}  // namespace

std::vector<PlaceStep> place_at_line(std::string_view text, std::size_t line) try {
  const YamlReading reading;
  Events events(text);
  Builder builder(reading, line);
  for (const yaml_event_t* event = &events.next();; event = &events.next()) {
    if (event->type == YAML_DOCUMENT_END_EVENT || event->type == YAML_STREAM_END_EVENT) return builder.take_found();
    builder.take(*event);
  }
} catch (const Stop&) {
  return {};
} catch (const std::bad_alloc&) {
  return {};
}

base::Result<std::vector<YamlDocument>> parse_yaml_stream(std::string_view text, const YamlReading& reading) {
  std::string unicode, separated;
  if (auto other = utf16_as_utf8(text)) text = unicode = *std::move(other);
  if (text.starts_with(kBom)) text.remove_prefix(kBom.size());
  if (reading.as_kustomize) {
    if (auto other = with_plain_separators(text)) text = separated = *std::move(other);
  }
  try {
    return read_stream(text, reading);
  } catch (const Stop& stop) {
    return base::unexpected(stop.kind, stop.message);
  } catch (const std::bad_alloc&) {
    return base::unexpected(ErrorKind::too_large, "line 1, column 1: not enough memory to read it");
  }
}

base::Result<std::vector<YamlDocument>> parse_yaml_stream(std::string_view text, const YamlLimits& limits) {
  YamlReading reading;
  reading.limits = limits;
  return parse_yaml_stream(text, reading);
}

base::Result<Json> parse_yaml(std::string_view text, const YamlReading& reading) {
  SLUICE_TRY(auto documents, parse_yaml_stream(text, reading));
  if (documents.empty()) return Json();
  if (documents.size() > 1) {
    return base::unexpected(
        ErrorKind::invalid,
        fmt::format("line {}, column 1: a second document, where one is expected", documents[1].line));
  }
  return std::move(documents.front().value);
}

base::Result<Json> parse_yaml(std::string_view text, const YamlLimits& limits) {
  YamlReading reading;
  reading.limits = limits;
  return parse_yaml(text, reading);
}

}  // namespace sluice::doc
