#include "text/gitignore.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <tuple>
#include <utility>

#include "text/utf8.hpp"

namespace sluice::text {

namespace {

template <class String>
std::vector<String> split_path(std::string_view text) {
  std::vector<String> parts;
  for (;;) {
    const auto slash = text.find('/');
    parts.emplace_back(text.substr(0, slash));
    if (slash == text.npos) return parts;
    text.remove_prefix(slash + 1);
  }
}

// One character of a bracket expression; nothing at its malformed end.
std::optional<char32_t> take_char(std::string_view& pattern) {
  if (pattern.empty() || pattern.front() == '-' || pattern.front() == ']') return std::nullopt;
  if (pattern.front() == '\\') pattern.remove_prefix(1);
  const Character c = first_character(pattern);
  if (c.width == 0 || (c.code == kReplacement && c.width == 1)) return std::nullopt;
  pattern.remove_prefix(c.width);
  return c.code;
}

// Reads "[...]" off the pattern and says whether `c` is in it; nothing if malformed.
std::optional<bool> take_brackets(std::string_view& pattern, char32_t c) {
  pattern.remove_prefix(1);
  const bool negated = pattern.starts_with('^');
  if (negated) pattern.remove_prefix(1);
  bool in = false;
  bool first = true;
  while (first || !pattern.starts_with(']')) {
    first = false;
    const auto low = take_char(pattern);
    if (!low) return std::nullopt;
    auto high = low;
    if (pattern.starts_with('-')) {
      pattern.remove_prefix(1);
      high = take_char(pattern);
      if (!high) return std::nullopt;
    }
    in = in || (*low <= c && c <= *high);
  }
  pattern.remove_prefix(1);
  return in != negated;
}

// Consumes one element of the pattern, other than '*', and what it stands for:
// a character for ? and brackets, else a byte.
bool step(std::string_view& pattern, std::string_view& name) {
  const Character c = first_character(name);
  if (pattern.front() == '[') {
    name.remove_prefix(c.width);
    return take_brackets(pattern, c.code).value_or(false);
  }
  if (pattern.front() == '?') {
    pattern.remove_prefix(1);
    name.remove_prefix(c.width);
    return true;
  }
  if (pattern.front() == '\\') pattern.remove_prefix(1);
  if (pattern.empty()) return false;
  const bool same = pattern.front() == name.front();
  pattern.remove_prefix(1);
  name.remove_prefix(1);
  return same;
}

bool is_blank(std::string_view line) {
  while (!line.empty()) {
    const Character c = first_character(line);
    if (!is_space(c.code)) return false;
    line.remove_prefix(c.width);
  }
  return true;
}

}  // namespace

bool match_name(std::string_view pattern, std::string_view name) {
  // On a mismatch behind a star the star takes one more byte: linear in memory,
  // and at worst the product of both lengths in time.
  std::optional<std::pair<std::string_view, std::string_view>> retry;
  while (!pattern.empty() || !name.empty()) {
    if (pattern.starts_with('*')) {
      pattern.remove_prefix(1);
      retry = {pattern, name};
      continue;
    }
    if (!pattern.empty() && !name.empty()) {
      if (step(pattern, name)) continue;
    }
    if (!retry || retry->second.empty()) return false;
    retry->second.remove_prefix(1);
    std::tie(pattern, name) = *retry;
  }
  return true;
}

void IgnoreRules::add(std::string_view text, std::string_view folder) {
  Pattern pattern;
  if (!folder.empty()) pattern.folder = split_path<std::string>(folder);
  if (text.starts_with('!')) {
    pattern.brings_back = true;
    text.remove_prefix(1);
  }
  if (!text.ends_with("\\ ")) {
    while (text.ends_with(' ')) text.remove_suffix(1);
  }
  if (text.ends_with('/')) {
    pattern.folders_only = true;
    text.remove_suffix(1);
  }
  pattern.anchored = text.find('/') != text.npos;
  pattern.parts = split_path<std::string>(text);
  patterns_.push_back(std::move(pattern));
}

void IgnoreRules::add_lines(std::string_view text, std::string_view folder) {
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with('#') || is_blank(line)) continue;
    add(line, folder);
  }
}

void IgnoreRules::append(IgnoreRules later) {
  patterns_.insert(patterns_.end(), std::make_move_iterator(later.patterns_.begin()),
                   std::make_move_iterator(later.patterns_.end()));
}

bool IgnoreRules::ignores(std::string_view path, bool is_folder) const {
  const Path parts = split_path<std::string_view>(path);
  for (auto pattern = patterns_.rbegin(); pattern != patterns_.rend(); ++pattern) {
    if (matches(*pattern, parts, is_folder)) return !pattern->brings_back;
  }
  return false;
}

bool IgnoreRules::matches(const Pattern& pattern, const Path& path, bool is_folder) {
  const std::size_t depth = pattern.folder.size();
  if (path.size() <= depth || !std::equal(pattern.folder.begin(), pattern.folder.end(), path.begin())) return false;
  return pattern.anchored ? matches_anchored(pattern, path, depth, is_folder)
                          : matches_name(pattern, path, depth, is_folder);
}

// A pattern without '/' matches any name on the way down.
bool IgnoreRules::matches_name(const Pattern& pattern, const Path& path, std::size_t from, bool is_folder) {
  for (std::size_t i = from; i < path.size(); ++i) {
    if (!match_name(pattern.parts.front(), path[i])) continue;
    const bool is_last = i + 1 == path.size();
    return !(pattern.folders_only && is_last && !is_folder);
  }
  return false;
}

// A pattern with '/' matches from its folder on; "**" stands for any number of
// folders. What it matches may be a folder above the path.
bool IgnoreRules::matches_anchored(const Pattern& pattern, const Path& path, std::size_t from, bool is_folder) {
  std::size_t at = from;
  bool matched = false;
  bool any_depth = false;
  for (std::size_t i = 0; i < pattern.parts.size(); ++i) {
    const std::string& part = pattern.parts[i];
    if (part.empty()) {
      any_depth = false;
    } else if (part == "**") {
      if (i + 1 == pattern.parts.size()) break;
      any_depth = true;
    } else if (part.find("**") != part.npos || at == path.size()) {
      return false;
    } else if (any_depth) {
      any_depth = false;
      matched = false;
      while (at < path.size() && !matched) matched = match_name(part, path[at++]);
      if (!matched) return false;
    } else {
      if (!match_name(part, path[at])) return false;
      matched = true;
      ++at;
    }
  }
  return matched && !(pattern.folders_only && !is_folder && at == path.size());
}

}  // namespace sluice::text
