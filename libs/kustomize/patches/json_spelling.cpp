#include "kustomize/patches/json_spelling.hpp"

#include <algorithm>

#include "kustomize/objects/go_json.hpp"

namespace sluice::kustomize {
namespace {

using base::Result;
using doc::Json;

// Reads text that is known to be JSON.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Result<Json> value() {
    skip_space();
    if (at() == '{') return map();
    if (at() == '[') return list();
    const std::string_view text = scalar();
    return text == "null" ? Json() : Json(text);
  }

 private:
  char at() const { return place_ < text_.size() ? text_[place_] : '\0'; }

  void skip_space() {
    while (at() == ' ' || at() == '\t' || at() == '\r' || at() == '\n') ++place_;
  }

  // Steps over `mark` if it is next.
  bool take(char mark) {
    skip_space();
    if (at() != mark) return false;
    ++place_;
    return true;
  }

  std::string_view scalar() {
    const std::size_t start = place_;
    if (at() == '"') {
      for (++place_; at() != '"'; ++place_) place_ += at() == '\\';
      ++place_;
    } else {
      place_ = std::min(text_.find_first_of(",]} \t\r\n", place_), text_.size());
    }
    return text_.substr(start, place_ - start);
  }

  Result<Json> map() {
    Json made = Json::object();
    for (++place_; !take('}'); take(',')) {
      skip_space();
      SLUICE_TRY(const Json key, doc::parse_json(scalar()));
      take(':');
      SLUICE_TRY(made[key.get<std::string>()], value());
    }
    return made;
  }

  Result<Json> list() {
    Json made = Json::array();
    for (++place_; !take(']'); take(',')) {
      SLUICE_TRY(Json element, value());
      made.push_back(std::move(element));
    }
    return made;
  }

  std::string_view text_;
  std::size_t place_ = 0;
};

}  // namespace

Result<Json> spelled_text(std::string_view json) {
  SLUICE_CHECK(doc::parse_json(json));
  return Reader(json).value();
}

Json spelled(const Json& value) {
  if (value.is_null()) return value;
  if (!value.is_structured()) return go_json(value);
  Json made = value;
  for (Json& child : made) child = spelled(child);
  return made;
}

Result<Json> unspelled(const Json& spelling) {
  if (spelling.is_string()) return doc::parse_json(spelling.get_ref<const std::string&>());
  Json made = spelling;
  if (!made.is_structured()) return made;
  for (Json& child : made) {
    SLUICE_TRY(child, unspelled(child));
  }
  return made;
}

}  // namespace sluice::kustomize
