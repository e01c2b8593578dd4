#include "text/envsubst.hpp"

#include <re2/re2.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "text/glob.hpp"
#include "text/utf8.hpp"

namespace sluice::text {

using base::ErrorKind;
using base::Result;

namespace {

constexpr int kMaxDepth = 64;  // of ${...} in each other
constexpr std::size_t kMaxNameShown = 100;
constexpr std::size_t kValuesPerText = 4;  // limits: bytes of all values beside those of the result
constexpr std::size_t kBytesPerStep = 16;  // of text that is copied or searched

bool is_ascii_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_ascii_name_char(char c) { return is_ascii_letter(c) || is_digit(c) || c == '_'; }

// The length of the name that `text` begins with: letters and digits of any script, and '_'.
std::size_t name_length(std::string_view text) {
  static const RE2 past_ascii("[\\p{L}\\p{Nd}]");
  std::size_t length = 0;
  while (length < text.size()) {
    if (is_ascii_name_char(text[length])) {
      ++length;
      continue;
    }
    const Character c = first_character(text.substr(length));
    if (c.code < 0x80 || (c.code == kReplacement && c.width == 1)) break;
    if (!RE2::FullMatch(re2::StringPiece(text.data() + length, c.width), past_ascii)) break;
    length += c.width;
  }
  return length;
}

std::string with_case(std::string_view value, bool upper, bool first_only) {
  std::string out;
  out.reserve(value.size());
  for (std::size_t at = 0; at < value.size();) {
    const Character c = first_character(value.substr(at));
    append_character(out, upper ? to_upper(c.code) : to_lower(c.code));
    at += c.width;
    if (first_only) return out.append(value.substr(at));
  }
  return out;
}

// By characters; bytes that are none become U+FFFD.
std::string reversed(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::vector<Character> characters;
  for (std::size_t at = 0; at < text.size(); at += characters.back().width) {
    characters.push_back(first_character(text.substr(at)));
  }
  for (auto c = characters.rbegin(); c != characters.rend(); ++c) append_character(out, c->code);
  return out;
}

std::optional<std::int64_t> number(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  std::int64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

// bash gives the whole string where a number does not parse.
std::string_view substring(std::string_view value, const std::vector<std::string>& args) {
  const auto size = static_cast<std::int64_t>(value.size());
  auto offset = number(args[0]);
  if (!offset) return value;
  if (*offset < 0) offset = std::max<std::int64_t>(size + std::max(*offset, -size), 0);
  const auto from = std::min(*offset, size);
  if (args.size() == 1) return value.substr(static_cast<std::size_t>(from));
  const auto length = number(args[1]);
  if (!length) return value;
  if (*length >= 0) return value.substr(static_cast<std::size_t>(from), static_cast<std::size_t>(*length));
  // A negative length counts back from the end.
  const std::int64_t end = size + std::max(*length, -size);
  if (end < *offset) return {};
  return value.substr(static_cast<std::size_t>(from), static_cast<std::size_t>(end - from));
}

// The functions that an expression may name, on one value.
class Functions {
 public:
  Functions(WorkBudget& budget, std::size_t max_bytes) : budget_(budget), max_bytes_(max_bytes) {}

  Result<std::string> call(std::string_view function, std::string_view value, const std::vector<std::string>& args) {
    if (function == "#" && args.empty()) return std::to_string(value.size());
    SLUICE_CHECK(budget_.spend(1 + value.size() / kBytesPerStep));
    // A mixed pair, "^,", names no function, so it is the default of nothing.
    const bool mixed = function == "^," || function == ",^";
    if (!mixed && (function.starts_with('^') || function.starts_with(','))) return casing(function, value);
    if (function.starts_with('#') || function.starts_with('%')) {
      return trim(value, args[0], function[0] == '#', function.size() == 2);
    }
    if (function == ":") return std::string(substring(value, args));
    if (function.starts_with('/')) return replacement(function, value, args);
    if (!value.empty()) return std::string(value);
    std::string fallback;
    for (const std::string& arg : args) fallback += arg;
    return fallback;
  }

 private:
  Result<std::string> casing(std::string_view function, std::string_view value) {
    SLUICE_CHECK(budget_.spend(value.size()));
    return with_case(value, function[0] == '^', function.size() == 1);
  }

  Result<std::string> trim(std::string_view value, std::string_view glob, bool at_start, bool longest) {
    if (at_start) {
      SLUICE_TRY(const auto length, matching_prefix(glob, value, longest, budget_));
      return std::string(value.substr(length.value_or(0)));
    }
    // Upstream turns both around, and so sets and escapes in the glob lose their meaning there.
    SLUICE_CHECK(budget_.spend(4 * (value.size() + glob.size())));
    const std::string turned = reversed(value);
    SLUICE_TRY(const auto length, matching_prefix(reversed(glob), turned, longest, budget_));
    return reversed(std::string_view(turned).substr(length.value_or(0)));
  }

  Result<std::string> replacement(std::string_view function, std::string_view value,
                                  const std::vector<std::string>& args) {
    const std::string& old = args[0];
    const std::string_view fresh = args.size() > 1 ? std::string_view(args[1]) : std::string_view();
    if (function == "/") return replace(value, old, fresh, false);
    if (function == "//") return replace(value, old, fresh, true);
    const bool at_start = function == "/#";
    const bool matches = args.size() == 2 && (at_start ? value.starts_with(old) : value.ends_with(old));
    if (!matches) return std::string(value);
    if (at_start) return std::string(fresh).append(value.substr(old.size()));
    return std::string(value.substr(0, value.size() - old.size())).append(fresh);
  }

  // An empty `old` is found before every character and at the end.
  Result<std::string> replace(std::string_view value, std::string_view old, std::string_view fresh, bool all) {
    SLUICE_CHECK(budget_.spend(value.size()));
    std::string out;
    std::size_t at = 0;
    for (bool first = true; first || all; first = false) {
      std::size_t hit = at;
      if (!old.empty()) {
        // glibc's and musl's memmem are linear, which std::string::find is not.
        const void* found = ::memmem(value.data() + at, value.size() - at, old.data(), old.size());
        if (found == nullptr) break;
        hit = static_cast<std::size_t>(static_cast<const char*>(found) - value.data());
      } else if (!first) {
        if (at == value.size()) break;
        hit += first_character(value.substr(at)).width;
      }
      out.append(value.substr(at, hit - at)).append(fresh);
      if (out.size() > max_bytes_) return base::unexpected(ErrorKind::too_large, "becomes too large");
      at = hit + old.size();
    }
    return out.append(value.substr(at));
  }

  WorkBudget& budget_;
  std::size_t max_bytes_;
};

class Substitution {
 public:
  Substitution(std::string_view text, const VariableLookup& lookup, const SubstitutionLimits& limits,
               WorkBudget& budget, const DerivedListener& on_derived)
      : text_(text), lookup_(lookup), limits_(limits), budget_(budget), on_derived_(on_derived) {}

  // Where the outermost expression begins that is looked at.
  std::size_t line() const {
    return 1 + static_cast<std::size_t>(
                   std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(opened_), '\n'));
  }

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
      if (out.size() > limits_.max_bytes) return wrong("the substituted text is too large", ErrorKind::too_large);
    }
    return out;
  }

 private:
  bool looking_at(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  // Names the variable that was read last, and nothing else of the text.
  base::Unexpected wrong(std::string_view what, ErrorKind kind = ErrorKind::invalid) const {
    std::string message(what);
    // At least this much may be told: it is what the author calls the value.
    if (!variable_.empty()) message += " (variable '" + variable_.substr(0, kMaxNameShown) + "')";
    return base::unexpected(kind, std::move(message));
  }

  Result<std::string> name() {
    const std::size_t start = at_;
    at_ += name_length(text_.substr(start));
    variable_ = text_.substr(start, at_ - start);
    if (variable_.empty()) return wrong("unable to parse variable name");
    return variable_;
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
    if (++expressions_ > limits_.max_expressions) return wrong("too many expressions", ErrorKind::too_large);
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
    if (static_cast<unsigned char>(second) >= 0x80) return wrong("bad substitution");
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
                            const std::vector<std::string>& args) {
    const bool has_fallback = function == "=" || (function.size() == 2 && function[0] == ':');
    const auto value = lookup_(variable);
    variable_.clear();
    if (!value && !has_fallback) return wrong("variable not set (strict mode): \"" + variable + "\"");
    variable_ = variable;
    auto result = Functions(budget_, limits_.max_bytes).call(function, value.value_or(std::string_view()), args);
    if (!result) return wrong(result.error().message, result.error().kind);
    // A short value may become a long one, and what it becomes be thrown away.
    const auto paid = budget_.spend(result->size() / kBytesPerStep);
    if (!paid) return wrong(paid.error().message, paid.error().kind);
    // All values on the way together: what is an argument of something else is held as well.
    produced_ += result->size();
    if (produced_ > kValuesPerText * limits_.max_bytes) return wrong("becomes too large", ErrorKind::too_large);
    const bool is_length = function == "#" && args.empty();
    const bool is_derived = value && !value->empty() && !is_length && *result != *value;
    if (is_derived && on_derived_) on_derived_(variable, *value, *result);
    return result;
  }

  std::string_view text_;
  const VariableLookup& lookup_;
  const SubstitutionLimits& limits_;
  WorkBudget& budget_;
  const DerivedListener& on_derived_;
  std::string variable_;  // for messages
  std::size_t expressions_ = 0;
  std::size_t produced_ = 0;  // bytes
  std::size_t at_ = 0;
  std::size_t opened_ = 0;  // of the outermost expression, for messages
};

}  // namespace

Result<std::string> substitute(std::string_view text, const VariableLookup& lookup, const SubstitutionLimits& limits,
                               std::stop_token stop, std::size_t* failed_line) {
  WorkBudget budget{.stop = std::move(stop)};
  return substitute(text, lookup, limits, budget, failed_line);
}

Result<std::string> substitute(std::string_view text, const VariableLookup& lookup, const SubstitutionLimits& limits,
                               WorkBudget& budget, std::size_t* failed_line, const DerivedListener& on_derived) {
  Substitution substitution(text, lookup, limits, budget, on_derived);
  auto result = substitution.run();
  if (!result && failed_line != nullptr) *failed_line = substitution.line();
  return result;
}

bool is_variable_name(std::string_view name) noexcept {
  if (name.empty() || is_digit(name.front())) return false;
  return std::all_of(name.begin(), name.end(), is_ascii_name_char);
}

}  // namespace sluice::text
