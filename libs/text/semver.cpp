#include "text/semver.hpp"

#include <fmt/core.h>
#include <re2/re2.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace sluice::text {

using base::ErrorKind;
using base::Result;
using base::unexpected;

namespace {

// Longer versions and ranges are refused, as upstream does: 256 and 512 bytes.
constexpr std::size_t kMaxVersion = 256;
constexpr std::size_t kMaxRange = 512;
constexpr std::size_t kMaxAlternatives = 32;

// The grammar. Numbers of a range may be wildcards, and a '|' among them.
const std::string kSuffixes = R"((-(?:[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?)";
const std::string kNumber = "[0-9xX*|]+";
const std::string kPartial = "v?(" + kNumber + ")(\\." + kNumber + ")?(\\." + kNumber + ")?" + kSuffixes;
const std::string kOperator = "(!=|>=|=>|<=|=<|~>|=|>|<|~|\\^|)";

const RE2& version_syntax() {
  static const RE2 syntax("v?([0-9]+)(\\.[0-9]+)?(\\.[0-9]+)?" + kSuffixes);
  return syntax;
}

std::optional<std::uint64_t> to_number(std::string_view digits) {
  if (digits.starts_with('.')) digits.remove_prefix(1);
  if (digits.empty()) return 0;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

bool is_number(std::string_view text) { return text.find_first_not_of("0123456789") == text.npos && !text.empty(); }

// No number in it begins with a zero.
bool is_prerelease(std::string_view text) {
  while (!text.empty()) {
    const auto part = text.substr(0, text.find('.'));
    if (is_number(part) && part.size() > 1 && part.front() == '0') return false;
    text.remove_prefix(std::min(text.size(), part.size() + 1));
  }
  return true;
}

// Any number of numbers from one to three; leading zeros count for nothing.
std::optional<Semver> parse_loosely(std::string_view text) {
  re2::StringPiece major, minor, patch, prerelease, metadata;
  const re2::StringPiece piece(text.data(), text.size());
  if (text.size() > kMaxVersion ||
      !RE2::FullMatch(piece, version_syntax(), &major, &minor, &patch, &prerelease, &metadata)) {
    return std::nullopt;
  }
  const auto view = [](re2::StringPiece part) { return std::string_view(part.data(), part.size()); };
  const auto numbers = {to_number(view(major)), to_number(view(minor)), to_number(view(patch))};
  if (std::any_of(numbers.begin(), numbers.end(), [](const auto& number) { return !number; })) return std::nullopt;
  Semver version{.major = **numbers.begin(), .minor = **(numbers.begin() + 1), .patch = **(numbers.begin() + 2)};
  if (!prerelease.empty()) version.prerelease = view(prerelease).substr(1);
  version.metadata = view(metadata);
  if (!is_prerelease(version.prerelease)) return std::nullopt;
  return version;
}

// Numbers come before words and by their value; one past 64 bits is a word.
std::weak_ordering compare_identifiers(std::string_view a, std::string_view b) {
  if (a == b) return std::weak_ordering::equivalent;
  const auto number_in = [](std::string_view text) { return is_number(text) ? to_number(text) : std::nullopt; };
  const auto a_number = number_in(a);
  const auto b_number = number_in(b);
  if (a_number && b_number) return *a_number <=> *b_number;
  if (a_number || b_number) return a_number ? std::weak_ordering::less : std::weak_ordering::greater;
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
  const auto dot = text.find('.');
  auto version = dot == text.npos || text.find('.', dot + 1) == text.npos ? std::nullopt : parse_loosely(text);
  if (!version) {
    return unexpected(ErrorKind::invalid, fmt::format("'{}' is no semantic version", text.substr(0, kMaxVersion)));
  }
  return *std::move(version);
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

// Reads a range as upstream does, habits included: what looks like "1 - 2" is
// replaced by two comparisons first, wherever it stands.
class SemverRange::Parser {
 public:
  static std::optional<std::vector<Alternative>> parse(std::string_view text) {
    if (text.size() > kMaxRange) return std::nullopt;
    static const RE2 hyphen("\\s*(" + kPartial + ")\\s+-\\s+(" + kPartial + ")\\s*");
    std::string range(text);
    RE2::GlobalReplace(&range, hyphen, ">= \\1, <= \\7 ");
    std::vector<Alternative> any_of;
    for (std::string_view rest = range;;) {
      const auto bars = rest.find("||");
      auto alternative = any_of.size() < kMaxAlternatives ? parse_alternative(rest.substr(0, bars)) : std::nullopt;
      if (!alternative) return std::nullopt;
      any_of.push_back(*std::move(alternative));
      if (bars == rest.npos) return any_of;
      rest.remove_prefix(bars + 2);
    }
  }

 private:
  static std::optional<Alternative> parse_alternative(std::string_view text) {
    static const std::string one = kOperator + "\\s*" + kPartial;
    static const RE2 all("\\s*" + one + "\\s*(?:(?:\\s+|,\\s*)" + one + "\\s*)*");
    static const RE2 next(one);
    re2::StringPiece rest(text.data(), text.size());
    if (!RE2::FullMatch(rest, all)) return std::nullopt;
    Alternative out;
    std::string op, major, minor, patch, prerelease, metadata;
    while (RE2::FindAndConsume(&rest, next, &op, &major, &minor, &patch, &prerelease, &metadata)) {
      auto comparator = make_comparator(major, minor, patch, prerelease, metadata);
      if (!comparator) return std::nullopt;
      comparator->op = operator_of(op);
      out.with_prereleases = out.with_prereleases || !comparator->version.prerelease.empty();
      out.all_of.push_back(*std::move(comparator));
    }
    return out;
  }

  static Operator operator_of(std::string_view spelling) {
    static constexpr std::pair<std::string_view, Operator> kOperators[] = {
        {"!=", Operator::not_equal},  {">=", Operator::greater_equal}, {"=>", Operator::greater_equal},
        {"<=", Operator::less_equal}, {"=<", Operator::less_equal},    {"~>", Operator::tilde},
        {">", Operator::greater},     {"<", Operator::less},           {"~", Operator::tilde},
        {"^", Operator::caret}};
    for (const auto& [known, meaning] : kOperators) {
      if (known == spelling) return meaning;
    }
    return Operator::equal;
  }

  // What stands behind a wildcard counts for nothing: "1.x.3" is "1.x".
  static std::optional<Comparator> make_comparator(const std::string& major, const std::string& minor,
                                                   const std::string& patch, const std::string& prerelease,
                                                   const std::string& metadata) {
    const auto is_open = [](std::string_view part) {
      if (part.starts_with('.')) part.remove_prefix(1);
      return part.empty() || part == "x" || part == "X" || part == "*";
    };
    Given given = Given::all;
    std::string numbers = major + minor + patch;
    if (is_open(major)) {
      given = Given::nothing;
      numbers = "0";
    } else if (is_open(minor)) {
      given = Given::major;
      numbers = major;
    } else if (is_open(patch)) {
      given = Given::minor;
      numbers = major + minor;
    }
    auto version = parse_loosely(numbers + prerelease);
    if (!version) return std::nullopt;
    version->metadata = metadata;
    return Comparator{Operator::equal, *std::move(version), given};
  }
};

Result<SemverRange> SemverRange::parse(std::string_view text) {
  auto any_of = Parser::parse(text);
  if (!any_of) {
    return unexpected(ErrorKind::invalid, fmt::format("'{}' is no range of versions", text.substr(0, kMaxRange)));
  }
  SemverRange range;
  range.any_of_ = *std::move(any_of);
  return range;
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
