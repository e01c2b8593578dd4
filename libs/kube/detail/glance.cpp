#include "kube/detail/glance.hpp"

#include <cstddef>

namespace sluice::kube::detail {

namespace {

class Walker {
 public:
  explicit Walker(std::string_view text) : text_(text) {}

  bool take(char wanted) noexcept {
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  // A text without escapes, as names and versions are.
  std::optional<std::string_view> take_text() noexcept {
    if (!take('"')) return std::nullopt;
    const std::size_t end = text_.find_first_of("\"\\", at_);
    if (end == std::string_view::npos || text_[end] == '\\') return std::nullopt;
    const std::string_view found = text_.substr(at_, end - at_);
    at_ = end + 1;
    return found;
  }

  bool skip_text() noexcept {
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') {
        ++at_;
        return true;
      }
      if (text_[at_] == '\\') ++at_;
    }
    return false;
  }

  bool skip_value() noexcept {
    int depth = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        if (!skip_text()) return false;
        continue;
      }
      if (depth == 0 && (c == ',' || c == '}' || c == ']')) return true;
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      ++at_;
    }
    return false;
  }

  // Calls `member` with each key, at its value, which it takes; until it says that this is enough, or at the end.
  template <class Member>
  bool walk_object(Member member) {
    if (!take('{')) return false;
    do {
      const auto key = take_text();
      if (!key || !take(':')) return false;
      bool enough = false;
      if (!member(*key, enough)) return false;
      if (enough) return true;
    } while (take(','));
    return take('}');
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

std::string_view* field_of(Glance& glance, std::string_view key) noexcept {
  if (key == "name") return &glance.name;
  if (key == "namespace") return &glance.namespace_;
  if (key == "uid") return &glance.uid;
  if (key == "resourceVersion") return &glance.resource_version;
  return nullptr;
}

}  // namespace

// {"type":"ADDED","object":{..., "metadata":{..., "name":"web", ...}, ...}}, without blanks, as Go prints it.
std::optional<Glance> glance_at(std::string_view line) {
  Glance glance;
  Walker walker(line);
  const auto of_metadata = [&](std::string_view key, bool&) {
    std::string_view* field = field_of(glance, key);
    if (field == nullptr) return walker.skip_value();
    const auto text = walker.take_text();
    if (text) *field = *text;
    return text.has_value();
  };
  bool is_whole = false;
  const auto of_object = [&](std::string_view key, bool& enough) {
    if (key != "metadata") return walker.skip_value();
    is_whole = enough = walker.walk_object(of_metadata);
    return is_whole;
  };
  const auto of_event = [&](std::string_view key, bool& enough) {
    if (key == "object" && !glance.type.empty()) {
      enough = walker.walk_object(of_object);
      return enough;
    }
    if (key != "type") return false;
    const auto text = walker.take_text();
    if (text) glance.type = *text;
    return text.has_value();
  };
  if (!walker.walk_object(of_event) || !is_whole) return std::nullopt;
  if (glance.name.empty() || glance.uid.empty() || glance.resource_version.empty()) return std::nullopt;
  return glance;
}

}  // namespace sluice::kube::detail
