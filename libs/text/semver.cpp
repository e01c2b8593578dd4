#include "text/semver.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace sluice::text {

using base::ErrorKind;
using base::Result;
using base::unexpected;

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_identifier_char(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-'; }

std::optional<std::uint64_t> to_number(std::string_view digits) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

bool is_number(std::string_view text) { return text.find_first_not_of("0123456789") == text.npos && !text.empty(); }
bool has_leading_zero(std::string_view text) { return text.size() > 1 && text.front() == '0'; }

// Calls `each` with every part between dots; stops at the first false.
template <class Each>
bool for_each_part(std::string_view text, Each each) {
  for (;;) {
    const auto dot = text.find('.');
    if (!each(text.substr(0, dot))) return false;
    if (dot == text.npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool are_identifiers(std::string_view text, bool leading_zeros) {
  return for_each_part(text, [&](std::string_view part) {
    if (part.empty() || (!leading_zeros && is_number(part) && has_leading_zero(part))) return false;
    for (const char c : part) {
      if (!is_identifier_char(c)) return false;
    }
    return true;
  });
}

// Cuts "-prerelease" and "+metadata" off the end of `text`; false if malformed.
bool take_suffixes(std::string_view& text, Semver& into, bool leading_zeros) {
  if (const auto plus = text.find('+'); plus != text.npos) {
    into.metadata = text.substr(plus + 1);
    text = text.substr(0, plus);
    if (!are_identifiers(into.metadata, true)) return false;
  }
  if (const auto dash = text.find('-'); dash != text.npos) {
    into.prerelease = text.substr(dash + 1);
    text = text.substr(0, dash);
    if (!are_identifiers(into.prerelease, leading_zeros)) return false;
  }
  return true;
}

std::weak_ordering compare_identifiers(std::string_view a, std::string_view b) {
  const bool a_number = is_number(a);
  const bool b_number = is_number(b);
  if (a_number != b_number) return a_number ? std::weak_ordering::less : std::weak_ordering::greater;
  // Without leading zeros the longer number is the larger one.
  if (a_number && a.size() != b.size()) return a.size() <=> b.size();
  return a.compare(b) <=> 0;
}

std::weak_ordering compare_prereleases(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty())
    return b.size() == 0 && a.size() == 0 ? std::weak_ordering::equivalent : a.empty() <=> b.empty();
  while (!a.empty() && !b.empty()) {
    const auto a_part = a.substr(0, a.find('.'));
    const auto b_part = b.substr(0, b.find('.'));
    if (const auto order = compare_identifiers(a_part, b_part); order != 0) return order;
    a.remove_prefix(std::min(a.size(), a_part.size() + 1));
    b.remove_prefix(std::min(b.size(), b_part.size() + 1));
  }
  return b.empty() <=> a.empty();
}

}  // namespace

Result<Semver> Semver::parse(std::string_view text) {
  const auto wrong = [&] { return unexpected(ErrorKind::invalid, fmt::format("'{}' is no semantic version", text)); };
  std::string_view rest = text;
  if (rest.starts_with('v')) rest.remove_prefix(1);
  Semver version;
  if (!take_suffixes(rest, version, false)) return wrong();
  std::vector<std::uint64_t> numbers;
  const bool numeric = for_each_part(rest, [&](std::string_view part) {
    const auto number = to_number(part);
    if (!number || has_leading_zero(part)) return false;
    numbers.push_back(*number);
    return true;
  });
  if (!numeric || numbers.size() != 3) return wrong();
  version.major = numbers[0];
  version.minor = numbers[1];
  version.patch = numbers[2];
  return version;
}

std::string Semver::str() const {
  return fmt::format("{}.{}.{}{}{}{}{}", major, minor, patch, prerelease.empty() ? "" : "-", prerelease,
                     metadata.empty() ? "" : "+", metadata);
}

std::weak_ordering Semver::operator<=>(const Semver& other) const {
  if (const auto order = major <=> other.major; order != 0) return order;
  if (const auto order = minor <=> other.minor; order != 0) return order;
  if (const auto order = patch <=> other.patch; order != 0) return order;
  return compare_prereleases(prerelease, other.prerelease);
}

// One alternative of a range, read from left to right.
class SemverRange::Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  std::optional<Alternative> parse() {
    Alternative out;
    do {
      auto comparator = take_comparator();
      if (!comparator) return std::nullopt;
      const bool hyphen = take_hyphen();
      if (hyphen) {
        if (comparator->op != Operator::equal) return std::nullopt;
        comparator->op = Operator::greater_equal;
      }
      out.all_of.push_back(*std::move(comparator));
      if (!hyphen) continue;
      auto upper = take_version();
      if (!upper) return std::nullopt;
      upper->op = Operator::less_equal;
      out.all_of.push_back(*std::move(upper));
    } while (take_separator());
    if (!rest_.empty()) return std::nullopt;
    for (const auto& comparator : out.all_of) {
      out.with_prereleases = out.with_prereleases || !comparator.version.prerelease.empty();
    }
    return out;
  }

 private:
  void skip_blanks() {
    const auto next = rest_.find_first_not_of(" \t\n\r\f\v");
    rest_.remove_prefix(next == rest_.npos ? rest_.size() : next);
  }

  bool take(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  std::optional<Comparator> take_comparator() {
    // Longer spellings first. "=>", "=<" and "~>" are upstream's too.
    static constexpr std::pair<std::string_view, Operator> kOperators[] = {
        {"!=", Operator::not_equal},  {">=", Operator::greater_equal}, {"=>", Operator::greater_equal},
        {"<=", Operator::less_equal}, {"=<", Operator::less_equal},    {"~>", Operator::tilde},
        {"=", Operator::equal},       {">", Operator::greater},        {"<", Operator::less},
        {"~", Operator::tilde},       {"^", Operator::caret}};
    skip_blanks();
    Operator op = Operator::equal;
    for (const auto& [spelling, meaning] : kOperators) {
      if (!take(spelling)) continue;
      op = meaning;
      break;
    }
    auto comparator = take_version();
    if (comparator) comparator->op = op;
    return comparator;
  }

  std::optional<Comparator> take_version() {
    skip_blanks();
    auto word = rest_.substr(0, rest_.find_first_of(" \t\n\r\f\v,"));
    rest_.remove_prefix(word.size());
    if (word.starts_with('v')) word.remove_prefix(1);
    Comparator out;
    if (!take_suffixes(word, out.version, true)) return std::nullopt;
    std::uint64_t* const places[] = {&out.version.major, &out.version.minor, &out.version.patch};
    static constexpr Given kGiven[] = {Given::nothing, Given::major, Given::minor, Given::all};
    std::size_t given = 0;
    std::size_t parts = 0;
    const bool fine = for_each_part(word, [&](std::string_view part) {
      if (parts++ == 3) return false;
      if (part == "x" || part == "X" || part == "*") return true;
      const auto number = to_number(part);
      if (!number) return false;
      // What stands behind a wildcard counts for nothing: "1.x.3" is "1.x".
      if (given + 1 == parts) *places[given++] = *number;
      return true;
    });
    if (!fine) return std::nullopt;
    out.given = kGiven[given];
    return out;
  }

  // " - ", with blanks on both sides.
  bool take_hyphen() {
    const auto dash = rest_.find_first_not_of(" \t");
    if (dash == rest_.npos || dash == 0 || rest_[dash] != '-' || dash + 1 >= rest_.size()) return false;
    if (rest_[dash + 1] != ' ' && rest_[dash + 1] != '\t') return false;
    rest_.remove_prefix(dash + 1);
    return true;
  }

  bool take_separator() {
    skip_blanks();
    if (rest_.empty()) return false;
    take(",");
    return true;
  }

  std::string_view rest_;
};

Result<SemverRange> SemverRange::parse(std::string_view text) {
  SemverRange range;
  std::string_view rest = text;
  for (;;) {
    const auto bars = rest.find("||");
    auto alternative = Parser(rest.substr(0, bars)).parse();
    if (!alternative) return unexpected(ErrorKind::invalid, fmt::format("'{}' is no range of versions", text));
    range.any_of_.push_back(*std::move(alternative));
    if (bars == rest.npos) return range;
    rest.remove_prefix(bars + 2);
  }
}

bool SemverRange::matches(const Semver& version) const {
  for (const auto& alternative : any_of_) {
    if (!version.prerelease.empty() && !alternative.with_prereleases) continue;
    bool all = true;
    for (const auto& comparator : alternative.all_of) all = all && matches(comparator, version);
    if (all) return true;
  }
  return false;
}

bool SemverRange::matches(const Comparator& comparator, const Semver& version) {
  const Semver& bound = comparator.version;
  const Given given = comparator.given;
  const bool same_major = version.major == bound.major;
  const bool same_minor = same_major && version.minor == bound.minor;
  switch (comparator.op) {
    case Operator::equal: return given == Given::all ? version == bound : matches_tilde(comparator, version);
    case Operator::not_equal:
      if (given == Given::all || given == Given::nothing) return version != bound;
      if (given == Given::minor) return !same_minor || version.prerelease != bound.prerelease;
      return !same_major;
    case Operator::greater:
      if (given == Given::all) return version > bound;
      if (given == Given::minor) return version.major > bound.major || (same_major && version.minor > bound.minor);
      return version.major > bound.major || (given == Given::nothing && version > bound);
    case Operator::greater_equal: return version >= bound;
    case Operator::less: return version < bound;
    case Operator::less_equal:
      if (given == Given::all) return version <= bound;
      return version.major < bound.major || (same_major && (given == Given::major || version.minor <= bound.minor));
    case Operator::tilde: return matches_tilde(comparator, version);
    case Operator::caret: return matches_caret(comparator, version);
  }
  return false;
}

// ~1.2.3: from there, below 1.3.0. ~1.2: 1.2.x. ~1: 1.x. ~0.0.0 and ~*: from there on.
bool SemverRange::matches_tilde(const Comparator& comparator, const Semver& version) {
  const Semver& bound = comparator.version;
  if (version < bound) return false;
  const bool zero = bound.major == 0 && bound.minor == 0 && bound.patch == 0;
  if (zero && (comparator.given == Given::nothing || comparator.given == Given::all)) return true;
  if (version.major != bound.major) return false;
  return comparator.given == Given::major || version.minor == bound.minor;
}

// ^1.2.3: up to the next change of the leftmost number that is not zero. So
// "^*", which is ^0.0.0, matches 0.0.0 alone, as it does upstream.
bool SemverRange::matches_caret(const Comparator& comparator, const Semver& version) {
  const Semver& bound = comparator.version;
  if (version < bound) return false;
  if (version.major != bound.major) return false;
  if (bound.major > 0 || comparator.given == Given::major) return true;
  if (version.minor != bound.minor) return false;
  return bound.minor > 0 || comparator.given == Given::minor || version.patch == bound.patch;
}

}  // namespace sluice::text
