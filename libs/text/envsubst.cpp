#include "text/envsubst.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <vector>

namespace sluice::text {

using base::ErrorKind;
using base::Result;

namespace {

constexpr int kMaxDepth = 64;  // of ${...} in each other

bool is_ascii_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
// Bytes above ASCII are letters of some script, for all that matters here.
bool is_name_char(char c) {
  return is_ascii_letter(c) || is_digit(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// One character class at the start of `pattern` ("[a-z]"); moves past it.
// Nothing if the pattern is broken.
std::optional<bool> match_class(std::string_view& pattern, char c) {
  pattern.remove_prefix(1);
  const bool negated = !pattern.empty() && pattern.front() == '^';
  if (negated) pattern.remove_prefix(1);
  const auto next = [&pattern]() -> std::optional<char> {
    if (pattern.empty() || pattern.front() == '-') return std::nullopt;
    if (pattern.front() == '\\') pattern.remove_prefix(1);
    if (pattern.empty()) return std::nullopt;
    const char found = pattern.front();
    pattern.remove_prefix(1);
    return found;
  };
  bool matched = false;
  for (bool first = true;; first = false) {
    if (!first && !pattern.empty() && pattern.front() == ']') break;
    if (first && !pattern.empty() && pattern.front() == ']') return std::nullopt;
    const auto low = next();
    if (!low) return std::nullopt;
    char high = *low;
    if (!pattern.empty() && pattern.front() == '-') {
      pattern.remove_prefix(1);
      const auto found = next();
      if (!found) return std::nullopt;
      high = *found;
    }
    matched = matched || (*low <= c && c <= high);
  }
  pattern.remove_prefix(1);
  return matched != negated;
}

// Whether `pattern` matches all of `text`: *, ?, classes, backslash.
bool glob_matches(std::string_view pattern, std::string_view text) {
  std::string_view retry_pattern;
  std::string_view retry_text;
  bool has_retry = false;
  for (;;) {
    bool matched = false;
    if (!pattern.empty() && pattern.front() == '*') {
      pattern.remove_prefix(1);
      retry_pattern = pattern;
      retry_text = text;
      has_retry = true;
      continue;
    }
    if (pattern.empty() && text.empty()) return true;
    if (!pattern.empty() && !text.empty()) {
      const char c = text.front();
      if (pattern.front() == '?') {
        pattern.remove_prefix(1);
        matched = true;
      } else if (pattern.front() == '[') {
        const auto in_class = match_class(pattern, c);
        if (!in_class) return false;
        matched = *in_class;
      } else {
        if (pattern.front() == '\\' && pattern.size() > 1) pattern.remove_prefix(1);
        matched = pattern.front() == c;
        pattern.remove_prefix(1);
      }
    }
    if (matched) {
      text.remove_prefix(1);
      continue;
    }
    if (!has_retry || retry_text.empty()) return false;
    retry_text.remove_prefix(1);
    text = retry_text;
    pattern = retry_pattern;
  }
}

std::string trim(const std::string& value, const std::string& glob, bool at_start, bool longest) {
  std::optional<std::size_t> best;
  for (std::size_t length = 1; length <= value.size(); ++length) {
    const std::string_view part = at_start ? std::string_view(value).substr(0, length)
                                           : std::string_view(value).substr(value.size() - length);
    if (!glob_matches(glob, part)) continue;
    best = length;
    if (!longest) break;
  }
  if (!best) return value;
  return at_start ? value.substr(*best) : value.substr(0, value.size() - *best);
}

std::string replace(const std::string& value, const std::string& old, const std::string& fresh, bool all) {
  std::string out;
  std::size_t at = 0;
  if (old.empty()) return fresh + value;  // as Go's strings.Replace does once
  for (auto hit = value.find(old); hit != std::string::npos; hit = value.find(old, at)) {
    out.append(value, at, hit - at).append(fresh);
    at = hit + old.size();
    if (!all) break;
  }
  return out.append(value, at);
}

std::optional<std::int64_t> number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  std::int64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

// bash gives the whole string where a number does not parse.
std::string substring(const std::string& value, const std::vector<std::string>& args) {
  const auto size = static_cast<std::int64_t>(value.size());
  auto offset = number(args[0]);
  if (!offset) return value;
  if (*offset < 0) offset = std::max<std::int64_t>(size + std::max(*offset, -size), 0);
  if (*offset >= size) return {};
  if (args.size() == 1) return value.substr(static_cast<std::size_t>(*offset));
  const auto length = number(args[1]);
  if (!length) return value;
  if (*length < 0) return {};
  return value.substr(static_cast<std::size_t>(*offset), static_cast<std::size_t>(*length));
}

std::string call(std::string_view function, std::string value, const std::vector<std::string>& args) {
  if (function == "#" && args.empty()) return std::to_string(value.size());
  if (function == "^" && !value.empty()) value[0] = upper(value[0]);
  if (function == "," && !value.empty()) value[0] = lower(value[0]);
  if (function == "^^") std::transform(value.begin(), value.end(), value.begin(), upper);
  if (function == ",,") std::transform(value.begin(), value.end(), value.begin(), lower);
  if (function.starts_with('^') || function.starts_with(',')) return value;
  if (function == "#") return trim(value, args[0], true, false);
  if (function == "##") return trim(value, args[0], true, true);
  if (function == "%") return trim(value, args[0], false, false);
  if (function == "%%") return trim(value, args[0], false, true);
  if (function == ":") return substring(value, args);
  const std::string fresh = args.size() > 1 ? args[1] : std::string();
  if (function == "/") return replace(value, args[0], fresh, false);
  if (function == "//") return replace(value, args[0], fresh, true);
  if (function == "/#") {
    return args.size() == 2 && value.starts_with(args[0]) ? fresh + value.substr(args[0].size()) : value;
  }
  if (function == "/%") {
    const bool matches = args.size() == 2 && value.ends_with(args[0]);
    return matches ? value.substr(0, value.size() - args[0].size()) + fresh : value;
  }
  if (!value.empty()) return value;
  std::string fallback;
  for (const std::string& arg : args) fallback += arg;
  return fallback;
}

class Substitution {
 public:
  Substitution(std::string_view text, const VariableLookup& lookup, std::size_t max_bytes)
      : text_(text), lookup_(lookup), max_bytes_(max_bytes) {}

  Result<std::string> run() {
    std::string out;
    while (at_ < text_.size()) {
      if (looking_at("$$")) {
        out += '$';
        at_ += 2;
      } else if (looking_at("${")) {
        SLUICE_TRY(const std::string value, expression(0));
        out += value;
      } else {
        const std::size_t dollar = std::min(text_.find('$', at_ + 1), text_.size());
        out += text_.substr(at_, dollar - at_);
        at_ = dollar;
      }
      if (out.size() > max_bytes_) return base::unexpected(ErrorKind::too_large, "the substituted text is too large");
    }
    return out;
  }

 private:
  bool looking_at(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  base::Unexpected wrong(std::string_view what) const {
    const auto line = 1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(opened_), '\n');
    const std::string_view rest = text_.substr(opened_);
    const std::size_t length = std::min({rest.find('\n'), rest.size(), std::size_t{60}});
    return base::unexpected(ErrorKind::invalid, "line " + std::to_string(line) + ": " + std::string(what) + " in " +
                                                    std::string(rest.substr(0, length)));
  }

  Result<std::string> name() {
    const std::size_t start = at_;
    while (at_ < text_.size() && is_name_char(text_[at_])) ++at_;
    if (at_ == start) return wrong("unable to parse variable name");
    return std::string(text_.substr(start, at_ - start));
  }
  Result<void> close() {
    if (peek() != '}') return wrong("missing closing brace");
    ++at_;
    return {};
  }

  // From "${" to its brace.
  Result<std::string> expression(int depth) {
    if (depth == 0) opened_ = at_;
    if (depth > kMaxDepth) return wrong("too many expressions inside of each other");
    at_ += 2;
    if (peek() == '#') {
      ++at_;
      SLUICE_TRY(const std::string variable, name());
      SLUICE_CHECK(close());
      return apply(variable, "#", {});
    }
    SLUICE_TRY(const std::string variable, name());
    switch (peek()) {
      case '}': ++at_; return apply(variable, "", {});
      case ':': return colon(variable, depth);
      case '=': return fallback(variable, 1, depth);
      case ',':
      case '^': return casing(variable);
      case '/': return replacement(variable, depth);
      case '#':
      case '%': return removal(variable, depth);
      default: return wrong("missing closing brace");
    }
  }

  Result<std::string> colon(const std::string& variable, int depth) {
    const char second = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    if (second == '=' || second == '-' || second == '?' || second == '+') return fallback(variable, 2, depth);
    ++at_;
    std::vector<std::string> args;
    SLUICE_TRY(std::string offset, part(":}", false, depth));
    args.push_back(std::move(offset));
    if (peek() == ':') {
      while (peek() == ':') ++at_;
      SLUICE_TRY(std::string length, part("}", false, depth));
      args.push_back(std::move(length));
    }
    SLUICE_CHECK(close());
    return apply(variable, ":", args);
  }

  Result<std::string> fallback(const std::string& variable, std::size_t operator_size, int depth) {
    const std::string function(text_.substr(at_, operator_size));
    at_ += operator_size;
    std::vector<std::string> args;
    while (peek() != '}') {
      SLUICE_TRY(std::string arg, part("}", false, depth));
      args.push_back(std::move(arg));
    }
    SLUICE_CHECK(close());
    return apply(variable, function, args);
  }

  Result<std::string> casing(const std::string& variable) {
    const std::size_t start = at_;
    while (at_ < start + 2 && (peek() == ',' || peek() == '^')) ++at_;
    const std::string function(text_.substr(start, at_ - start));
    SLUICE_CHECK(close());
    return apply(variable, function, {});
  }

  Result<std::string> removal(const std::string& variable, int depth) {
    const std::size_t start = at_;
    const char sign = peek();
    while (at_ < start + 2 && peek() == sign) ++at_;
    const std::string function(text_.substr(start, at_ - start));
    SLUICE_TRY(std::string glob, part("}", false, depth));
    SLUICE_CHECK(close());
    return apply(variable, function, {std::move(glob)});
  }

  Result<std::string> replacement(const std::string& variable, int depth) {
    const std::size_t start = at_++;
    if (peek() == '/' || peek() == '#' || peek() == '%') ++at_;
    const std::string function(text_.substr(start, at_ - start));
    SLUICE_TRY(std::string old, part("/", true, depth));
    if (peek() != '/') return wrong("bad substitution");
    while (peek() == '/') ++at_;
    std::vector<std::string> args{std::move(old)};
    if (peek() != '}') {
      SLUICE_TRY(std::string fresh, part("}", true, depth));
      args.push_back(std::move(fresh));
    }
    SLUICE_CHECK(close());
    return apply(variable, function, args);
  }

  // One parameter: an expression, or text up to one of `ends` or the next expression.
  Result<std::string> part(std::string_view ends, bool with_escapes, int depth) {
    if (looking_at("${")) return expression(depth + 1);
    std::string out;
    const std::size_t start = at_;
    while (at_ < text_.size() && !looking_at("${")) {
      if (with_escapes && (looking_at("\\/") || looking_at("\\\\") || looking_at("$$"))) {
        out += text_[at_ + 1];
        at_ += 2;
        continue;
      }
      if (ends.find(text_[at_]) != std::string_view::npos) break;
      out += text_[at_++];
    }
    if (at_ == start) return wrong("unable to parse substitution within function");
    return out;
  }

  Result<std::string> apply(const std::string& variable, std::string_view function,
                            const std::vector<std::string>& args) const {
    const bool has_fallback = function == "=" || (function.size() == 2 && function[0] == ':');
    auto value = lookup_(variable);
    if (!value && !has_fallback) return wrong("variable not set (strict mode): \"" + variable + "\"");
    return call(function, std::move(value).value_or(std::string()), args);
  }

  std::string_view text_;
  const VariableLookup& lookup_;
  std::size_t max_bytes_;
  std::size_t at_ = 0;
  std::size_t opened_ = 0;  // of the outermost expression, for messages
};

}  // namespace

Result<std::string> substitute(std::string_view text, const VariableLookup& lookup, std::size_t max_bytes) {
  return Substitution(text, lookup, max_bytes).run();
}

bool is_variable_name(std::string_view name) noexcept {
  if (name.empty() || is_digit(name.front())) return false;
  return std::all_of(name.begin(), name.end(), [](char c) { return is_ascii_letter(c) || is_digit(c) || c == '_'; });
}

}  // namespace sluice::text
