// The reader: yaml-cpp's events, with our own scalar rules, anchors and bounds.
#include <fmt/format.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <istream>
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

class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(const YamlLimits& limits) : limits_(limits) {}

  bool has_document() const { return seen_; }
  Json take_document() { return std::move(root_); }
  int line() const { return line_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    root_ = Json();
    seen_ = false;
    line_ = mark.line + 1;
    anchors_.clear();
    frames_.clear();
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { add(mark, anchor, Json()); }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw Stop{ErrorKind::invalid, at(mark, "anchor contains itself")};
    count(mark, found->second.weight);
    place(mark, Json(found->second.value));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    count(mark, value.size() / kBytesPerNode);
    add(mark, anchor, scalar(mark, tag, value));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, anchor, Json::array());
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, anchor, Json::object());
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

  static Json scalar(const YAML::Mark& mark, const std::string& tag, const std::string& value) {
    static constexpr std::string_view kPrefix = "tag:yaml.org,2002:";
    if (tag == "?") return resolve_plain_scalar(value);
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
    if (anchor != 0) anchors_[anchor] = Anchored{value, weight(value)};
    place(mark, std::move(value));
  }

  void open(const YAML::Mark& mark, YAML::anchor_t anchor, Json value) {
    if (frames_.size() >= limits_.max_depth) {
      throw Stop{ErrorKind::too_large, at(mark, fmt::format("nested deeper than {}", limits_.max_depth))};
    }
    count(mark, 1);
    frames_.push_back(Frame{std::move(value), mark, anchor, {}, false, {}});
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

  static void take_key(const YAML::Mark& mark, Frame& map, const Json& key) {
    if (key.is_structured()) throw Stop{ErrorKind::invalid, at(mark, "a map or list as a key")};
    map.key = key_text(key);
    map.has_key = true;
    if (map.value.contains(map.key)) {
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

  const YamlLimits& limits_;
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

base::Result<std::vector<YamlDocument>> read_stream(std::string_view text, const YamlLimits& limits) {
  ViewBuffer buffer(text);
  std::istream input(&buffer);
  std::vector<YamlDocument> documents;
  try {
    YAML::Parser parser(input);
    Builder builder(limits);
    while (parser.HandleNextDocument(builder)) {
      if (!builder.has_document()) continue;
      Json value = builder.take_document();
      if (value.is_null()) continue;
      if (documents.size() >= limits.max_documents) {
        return base::unexpected(ErrorKind::too_large, fmt::format("line {}, column 1: more than {} documents",
                                                                  builder.line(), limits.max_documents));
      }
      documents.push_back({std::move(value), builder.line()});
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

base::Result<std::vector<YamlDocument>> parse_yaml_stream(std::string_view text, const YamlLimits& limits) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  SLUICE_CHECK(check_characters(text));
  if (text.find('\r') != std::string_view::npos) return read_stream(without_carriage_returns(text), limits);
  return read_stream(text, limits);
}

base::Result<Json> parse_yaml(std::string_view text, const YamlLimits& limits) {
  SLUICE_TRY(auto documents, parse_yaml_stream(text, limits));
  if (documents.empty()) return Json();
  if (documents.size() > 1) {
    return base::unexpected(
        ErrorKind::invalid,
        fmt::format("line {}, column 1: a second document, where one is expected", documents[1].line));
  }
  return std::move(documents.front().value);
}

}  // namespace sluice::doc
