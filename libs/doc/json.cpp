#include "doc/json.hpp"

#include <algorithm>

#include "doc/detail/plain_json.hpp"

namespace sluice::doc {
namespace {

constexpr int kMaxDepth = 512;

std::string position(std::string_view text, std::size_t byte) {
  const std::string_view before = text.substr(0, std::min(byte > 0 ? byte - 1 : 0, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t last = before.rfind('\n');
  const std::size_t column = last == std::string_view::npos ? before.size() + 1 : before.size() - last;
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

}  // namespace

base::Result<Json> parse_json(std::string_view text) {
  if (auto plain = detail::read_plain_json(text)) return *std::move(plain);
  // The length of the deepest nesting is found first, without building anything.
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) {
        return base::unexpected(base::ErrorKind::invalid,
                                "JSON is nested deeper than " + std::to_string(kMaxDepth) + " levels");
      }
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::parse_error& error) {
    std::string_view what = error.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: <cause>"
    if (const auto cut = what.find(": "); cut != std::string_view::npos) what.remove_prefix(cut + 2);
    // What follows repeats the text itself, which may be a Secret.
    what = what.substr(0, what.find("; last read"));
    return base::unexpected(base::ErrorKind::invalid,
                            "not JSON: " + position(text, error.byte) + ": " + std::string(what));
  } catch (const Json::exception& error) {
    return base::unexpected(base::ErrorKind::invalid, std::string("not JSON: ") + error.what());
  }
}

std::string print_json(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

const Json* find(const Json& value, std::initializer_list<std::string_view> path) noexcept {
  const Json* at = &value;
  for (const std::string_view key : path) {
    if (!at->is_object()) return nullptr;
    const auto found = at->find(key);
    if (found == at->end()) return nullptr;
    at = &*found;
  }
  return at;
}

std::string_view find_string(const Json& value, std::initializer_list<std::string_view> path) noexcept {
  const Json* found = find(value, path);
  if (found == nullptr || !found->is_string()) return {};
  return found->get_ref<const std::string&>();
}

}  // namespace sluice::doc
