// The reader: yaml-cpp's events, with our own scalar rules, anchors and bounds.
#include <fmt/format.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <array>
#include <charconv>
#include <istream>
#include <optional>
#include <streambuf>
#include <unordered_map>

#include "doc/yaml.hpp"
#include "doc/yaml_scalar.hpp"

namespace sluice::doc {
namespace {

using base::ErrorKind;

// Thrown from event handlers only, and caught in this file: yaml-cpp knows no
// other way to stop early.
struct Stop {
  ErrorKind kind;
  std::string message;
};

std::string at(const YAML::Mark& mark, std::string_view what) {
  return fmt::format("line {}, column {}: {}", mark.line + 1, mark.column + 1, what);
}

// What one expanded copy of an anchored value costs against max_nodes. Text
// counts too, or an alias of a megabyte would cost as much as one of a byte.
constexpr std::size_t kBytesPerNode = 256;

std::size_t weight(const Json& value) {
  std::size_t total = 1;
  if (value.is_string()) return total + value.get_ref<const std::string&>().size() / kBytesPerNode;
  if (value.is_structured()) {
    for (const auto& child : value) total += weight(child);
  }
  return total;
}

std::string key_text(const Json& key) {
  if (key.is_string()) return key.get<std::string>();
  if (key.is_null()) return "null";
  if (key.is_number_float()) return format_float(key.get<double>());
  return key.dump();
}

void append_utf8(std::string& out, std::uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0U | (c >> 6U));
    out += static_cast<char>(0x80U | (c & 0x3FU));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0U | (c >> 12U));
    out += static_cast<char>(0x80U | ((c >> 6U) & 0x3FU));
    out += static_cast<char>(0x80U | (c & 0x3FU));
  } else {
    out += static_cast<char>(0xF0U | (c >> 18U));
    out += static_cast<char>(0x80U | ((c >> 12U) & 0x3FU));
    out += static_cast<char>(0x80U | ((c >> 6U) & 0x3FU));
    out += static_cast<char>(0x80U | (c & 0x3FU));
  }
}

// Reads a quoted scalar of several lines or with escapes anew: yaml-cpp folds
// line breaks at its ends in another way than the specification has it, and
// makes single bytes of some escapes. Nothing if `text` does not start with
// such a scalar.
class QuotedLines {
 public:
  explicit QuotedLines(std::string_view text) : text_(text) {}

  std::optional<std::string> read() {
    if (text_.empty() || (text_[0] != '"' && text_[0] != '\'')) return std::nullopt;
    const char quote = text_[0];
    bool own_way = false;
    for (at_ = 1; at_ < text_.size();) {
      const char c = text_[at_];
      if (c == quote && quote == '\'' && next() == '\'') {
        take_white();
        out_ += '\'';
        at_ += 2;
      } else if (c == quote) {
        take_white();
        return own_way ? std::optional(std::move(out_)) : std::nullopt;
      } else if (c == '\n') {
        own_way = true;
        fold();
      } else if (c == ' ' || c == '\t') {
        white_ += c;
        ++at_;
      } else if (c == '\\' && quote == '"') {
        own_way = true;
        take_white();
        if (!escape()) return std::nullopt;
      } else {
        take_white();
        out_ += c;
        ++at_;
      }
    }
    return std::nullopt;
  }

 private:
  char next() const { return at_ + 1 < text_.size() ? text_[at_ + 1] : '\0'; }
  void take_white() {
    out_ += white_;
    white_.clear();
  }
  void skip_white() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  // Blank lines are line breaks; a single break is a space.
  void fold(bool escaped = false) {
    white_.clear();
    ++at_;
    std::size_t blank_lines = 0;
    for (skip_white(); at_ < text_.size() && text_[at_] == '\n'; skip_white()) {
      ++blank_lines;
      ++at_;
    }
    if (blank_lines > 0) {
      out_.append(blank_lines, '\n');
    } else if (!escaped) {
      out_ += ' ';
    }
  }
  bool escape() {
    const char c = next();
    if (c == '\n') {
      ++at_;
      fold(true);
      return true;
    }
    static constexpr std::string_view kNames = "0abt\tnvfre \"/\\N_LP";
    static constexpr std::array<std::uint32_t, 18> kValues{0,  7,  8,   9,   9,    10,   11,    12,    13,
                                                           27, 32, '"', '/', '\\', 0x85, 0xA0, 0x2028, 0x2029};
    at_ += 2;
    if (const std::size_t name = kNames.find(c); name != std::string_view::npos) {
      append_utf8(out_, kValues[name]);
      return true;
    }
    const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0 || at_ + digits > text_.size()) return false;
    std::uint32_t value = 0;
    const auto [stop, error] = std::from_chars(text_.data() + at_, text_.data() + at_ + digits, value, 16);
    if (error != std::errc() || stop != text_.data() + at_ + digits) return false;
    if ((value >= 0xD800 && value <= 0xDFFF) || value > 0x10FFFF) return false;
    append_utf8(out_, value);
    at_ += digits;
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string out_;
  std::string white_;  // behind what was taken; dropped at the end of a line
};

class Builder final : public YAML::EventHandler {
 public:
  Builder(const YamlReading& reading, std::string_view text)
      : reading_(reading), limits_(reading.limits), text_(text) {}

  bool has_document() const { return seen_; }
  Json take_document() { return std::move(root_); }
  std::vector<EmptyNull> take_empty_nulls() { return std::move(empty_nulls_); }
  std::map<std::string, int> take_lines() { return std::move(lines_); }
  int line() const { return line_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    root_ = Json();
    seen_ = false;
    line_ = mark.line + 1;
    anchors_.clear();
    frames_.clear();
    empty_nulls_.clear();
    lines_.clear();
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (!reading_.as_kustomize) return add(mark, anchor, Json());
    const std::string_view text = null_text(mark);
    if (annotation_next() && !text.empty() && !reading_.keep_annotation_nulls) return add(mark, anchor, Json(text));
    if (text.empty()) note_empty_null();
    add(mark, anchor, Json());
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw Stop{ErrorKind::invalid, at(mark, "anchor contains itself")};
    count(mark, found->second.weight);
    place(mark, Json(found->second.value));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    count(mark, value.size() / kBytesPerNode);
    if (tag == "!" && mark.pos >= 0 && static_cast<std::size_t>(mark.pos) < text_.size()) {
      if (auto text = QuotedLines(text_.substr(static_cast<std::size_t>(mark.pos))).read()) {
        return add(mark, anchor, Json(*std::move(text)));
      }
    }
    const bool as_text = tag == "?" && reading_.as_kustomize && annotation_next();
    add(mark, anchor, as_text ? Json(value) : scalar(mark, tag, value));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    open(mark, anchor, Json::array(), style);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    open(mark, anchor, Json::object(), style);
  }
  void OnMapEnd() override {
    Frame& frame = frames_.back();
    if (!frame.merges.empty()) merge(frame);
    close();
  }

 private:
  struct Frame {
    Json value;
    YAML::Mark mark;
    YAML::anchor_t anchor;
    std::string key;
    bool has_key = false;
    bool in_flow = false;
    std::vector<Json> merges;  // values of "<<", which fill in what the map itself doesn't say
  };
  struct Anchored {
    Json value;
    std::size_t weight;
  };

  void count(const YAML::Mark& mark, std::size_t nodes) {
    nodes_ += nodes;
    if (nodes_ > limits_.max_nodes) {
      throw Stop{ErrorKind::too_large, at(mark, fmt::format("more than {} values", limits_.max_nodes))};
    }
  }

  // True if what comes next is the value of an annotation of the document.
  bool annotation_next() const {
    return frames_.size() == 3 && frames_[2].has_key && frames_[1].key == "annotations" && frames_[0].key == "metadata";
  }

  // How a null is written; yaml-cpp tells only that it is one.
  std::string_view null_text(const YAML::Mark& mark) const {
    const auto at = static_cast<std::size_t>(std::max(mark.pos, 0));
    if (at >= text_.size()) return {};
    for (const std::string_view word : {"~", "null", "Null", "NULL"}) {
      if (!text_.substr(at).starts_with(word)) continue;
      const char next = at + word.size() < text_.size() ? text_[at + word.size()] : '\n';
      if (std::string_view(" \t\n,]}").find(next) != std::string_view::npos) return text_.substr(at, word.size());
    }
    return {};
  }

  void note_empty_null() {
    if (frames_.empty() || (frames_.back().value.is_object() && !frames_.back().has_key)) return;
    empty_nulls_.push_back({here(), frames_.back().in_flow});
  }

  // The place of the value that comes next.
  Json::json_pointer here() const {
    Json::json_pointer place;
    for (const Frame& frame : frames_) {
      if (frame.value.is_array()) {
        place /= frame.value.size();
      } else {
        place /= frame.key;
      }
    }
    return place;
  }

  void note_line(const YAML::Mark& mark) {
    const bool key_next = !frames_.empty() && frames_.back().value.is_object() && !frames_.back().has_key;
    if (reading_.note_lines && !key_next) lines_.emplace(here().to_string(), mark.line + 1);
  }

  Json plain_scalar(const std::string& value) const {
    if (reading_.version_1_1) return resolve_plain_scalar_1_1(value);
    // kustomize writes a time in flow style in quotes, and so keeps it as it is.
    const bool in_flow = !frames_.empty() && frames_.back().in_flow;
    if (reading_.as_kustomize && !(in_flow && value.find(':') != std::string::npos)) {
      if (auto time = timestamp_as_json(value)) return Json(*std::move(time));
    }
    return resolve_plain_scalar(value);
  }

  Json scalar(const YAML::Mark& mark, const std::string& tag, const std::string& value) const {
    static constexpr std::string_view kPrefix = "tag:yaml.org,2002:";
    if (tag == "?") return plain_scalar(value);
    if (!tag.starts_with(kPrefix)) return Json(value);
    const std::string_view type = std::string_view(tag).substr(kPrefix.size());
    if (type == "str" || type == "binary") return Json(value);
    Json resolved = resolve_plain_scalar(value);
    const bool fits = (type == "int" && resolved.is_number_integer()) || (type == "bool" && resolved.is_boolean()) ||
                      (type == "null" && resolved.is_null()) || (type == "float" && resolved.is_number()) ||
                      type == "timestamp";
    if (!fits && (type == "int" || type == "bool" || type == "null" || type == "float")) {
      throw Stop{ErrorKind::invalid, at(mark, fmt::format("cannot read `{}` as !!{}", value, type))};
    }
    return type == "float" ? Json(resolved.get<double>()) : resolved;
  }

  void add(const YAML::Mark& mark, YAML::anchor_t anchor, Json value) {
    count(mark, 1);
    note_line(mark);
    if (anchor != 0) anchors_[anchor] = Anchored{value, weight(value)};
    place(mark, std::move(value));
  }

  void open(const YAML::Mark& mark, YAML::anchor_t anchor, Json value, YAML::EmitterStyle::value style) {
    if (frames_.size() >= limits_.max_depth) {
      throw Stop{ErrorKind::too_large, at(mark, fmt::format("nested deeper than {}", limits_.max_depth))};
    }
    count(mark, 1);
    note_line(mark);
    const bool in_flow = style == YAML::EmitterStyle::Flow || (!frames_.empty() && frames_.back().in_flow);
    frames_.push_back(Frame{std::move(value), mark, anchor, {}, false, in_flow, {}});
  }

  void close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    if (frame.anchor != 0) anchors_[frame.anchor] = Anchored{frame.value, weight(frame.value)};
    place(frame.mark, std::move(frame.value));
  }

  void place(const YAML::Mark& mark, Json value) {
    if (frames_.empty()) {
      if (!seen_) line_ = mark.line + 1;
      seen_ = true;
      root_ = std::move(value);
      return;
    }
    Frame& parent = frames_.back();
    if (parent.value.is_array()) {
      parent.value.push_back(std::move(value));
    } else if (!parent.has_key) {
      take_key(mark, parent, value);
    } else {
      parent.has_key = false;
      if (parent.key == "<<" && value.is_structured()) {
        parent.merges.push_back(std::move(value));
      } else {
        parent.value[parent.key] = std::move(value);
      }
    }
  }

  void take_key(const YAML::Mark& mark, Frame& map, const Json& key) const {
    if (key.is_structured()) throw Stop{ErrorKind::invalid, at(mark, "a map or list as a key")};
    if (reading_.as_kustomize && !key.is_string() && frames_.size() > 1) {
      throw Stop{ErrorKind::invalid, at(mark, fmt::format("key {} is no string; put it in quotes", key_text(key)))};
    }
    map.key = key_text(key);
    map.has_key = true;
    if (!reading_.version_1_1 && map.value.contains(map.key)) {
      throw Stop{ErrorKind::invalid, at(mark, fmt::format("key \"{}\" is there twice", map.key))};
    }
  }

  // YAML 1.1 merge keys: the map's own keys win, then the first one merged.
  static void merge(Frame& frame) {
    for (Json& merged : frame.merges) {
      if (merged.is_object()) {
        fill_in(frame.value, merged);
        continue;
      }
      for (Json& each : merged) {
        if (!each.is_object()) throw Stop{ErrorKind::invalid, at(frame.mark, "map merge needs maps")};
        fill_in(frame.value, each);
      }
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
  std::string_view text_;
  std::vector<EmptyNull> empty_nulls_;
  std::map<std::string, int> lines_;
  std::size_t nodes_ = 0;
  bool seen_ = false;
  int line_ = 1;
  Json root_;
  std::vector<Frame> frames_;
  std::unordered_map<YAML::anchor_t, Anchored> anchors_;
};

// Reads from memory that it does not own.
class ViewBuffer final : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* start = const_cast<char*>(text.data());
    setg(start, start, start + text.size());
  }
};

std::size_t sequence_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned lead = byte(at);
  const std::size_t length = lead < 0x80   ? 1
                             : lead < 0xC2 ? 0
                             : lead < 0xE0 ? 2
                             : lead < 0xF0 ? 3
                             : lead < 0xF5 ? 4
                                           : 0;
  for (std::size_t k = 1; k < length; ++k) {
    if ((byte(at + k) & 0xC0U) != 0x80U) return 0;
  }
  if ((lead == 0xE0 && byte(at + 1) < 0xA0) || (lead == 0xED && byte(at + 1) >= 0xA0) ||
      (lead == 0xF0 && byte(at + 1) < 0x90) || (lead == 0xF4 && byte(at + 1) >= 0x90)) {
    return 0;
  }
  return length;
}

// What YAML forbids in a stream and yaml-cpp would let pass.
base::Result<void> check_characters(std::string_view text) {
  int line = 1;
  std::size_t line_start = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const std::size_t length = c < 0x80 ? 1 : sequence_length(text, i);
    const bool control = (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F;
    if (length == 0 || control) {
      return base::unexpected(ErrorKind::invalid,
                              fmt::format("line {}, column {}: {}", line, i - line_start + 1,
                                          control ? "control characters are not allowed" : "invalid UTF-8"));
    }
    i += length;
    if (c == '\n') {
      ++line;
      line_start = i;
    }
  }
  return {};
}

std::string without_carriage_returns(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      out += text[i];
    } else if (i + 1 >= text.size() || text[i + 1] != '\n') {
      out += '\n';
    }
  }
  return out;
}

base::Result<std::vector<YamlDocument>> read_stream(std::string_view text, const YamlReading& reading) {
  ViewBuffer buffer(text);
  std::istream input(&buffer);
  std::vector<YamlDocument> documents;
  try {
    YAML::Parser parser(input);
    Builder builder(reading, text);
    while ((!reading.first_document_only || documents.empty()) && parser.HandleNextDocument(builder)) {
      if (!builder.has_document()) continue;
      Json value = builder.take_document();
      if (value.is_null()) continue;
      if (documents.size() >= reading.limits.max_documents) {
        return base::unexpected(ErrorKind::too_large, fmt::format("line {}, column 1: more than {} documents",
                                                                  builder.line(), reading.limits.max_documents));
      }
      documents.push_back({std::move(value), builder.line(), builder.take_empty_nulls(), builder.take_lines()});
    }
  } catch (const Stop& stop) {
    return base::unexpected(stop.kind, stop.message);
  } catch (const YAML::DeepRecursion& error) {
    return base::unexpected(ErrorKind::too_large, at(error.mark, "nested too deep"));
  } catch (const YAML::Exception& error) {
    return base::unexpected(ErrorKind::invalid, at(error.mark, error.msg));
  } catch (const std::exception& error) {
    return base::unexpected(ErrorKind::invalid, std::string("line 1, column 1: ") + error.what());
  }
  return documents;
}

}  // namespace

base::Result<std::vector<YamlDocument>> parse_yaml_stream(std::string_view text, const YamlReading& reading) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  SLUICE_CHECK(check_characters(text));
  if (text.find('\r') != std::string_view::npos) return read_stream(without_carriage_returns(text), reading);
  return read_stream(text, reading);
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
