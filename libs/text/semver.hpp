// Semantic versions (semver.org, 2.0.0) and the ranges that Flux's fields take.
//
// Versions are read as loosely as Flux reads tags since 2025 (fluxcd/pkg version);
// ranges follow github.com/Masterminds/semver v3, which Flux names as its
// reference: partial versions, wildcards, ~ ^ = != > >= < <=, "1.2 - 2.3", comma or blank for
// "and", || for "or". Pure; safe from any thread.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace sluice::text {

struct Semver {
  std::uint64_t major = 0;
  std::uint64_t minor = 0;
  std::uint64_t patch = 0;
  std::string prerelease{};  // "rc.1"
  std::string metadata{};    // "build.7"; no part of the order

  // "1.2.3-rc.1+build.7", also with a leading "v". Numbers may have leading zeros
  // ("2025.02.03", as calendar versions do), and two of them are enough where a
  // pre-release has the second dot ("1.2-rc.1"). `invalid` for anything else.
  static base::Result<Semver> parse(std::string_view text);
  std::string str() const;

  // Precedence (semver.org, item 11): equal but for metadata is equivalent.
  std::weak_ordering operator<=>(const Semver& other) const;
  bool operator==(const Semver& other) const { return (*this <=> other) == 0; }
};

class SemverRange {
 public:
  // `invalid`, quoting the range.
  static base::Result<SemverRange> parse(std::string_view text);

  // Pre-releases match only where the alternative (between two "||") names one.
  bool matches(const Semver& version) const;

 private:
  enum class Operator { equal, not_equal, greater, greater_equal, less, less_equal, tilde, caret };
  // How much of a version was given: "1.x" is major.
  enum class Given { nothing, major, minor, all };
  struct Comparator {
    Operator op = Operator::equal;
    Semver version;
    Given given = Given::all;
  };
  struct Alternative {
    std::vector<Comparator> all_of;
    bool with_prereleases = false;
  };
  class Parser;

  static bool matches(const Comparator& comparator, const Semver& version);
  static bool matches_tilde(const Comparator& comparator, const Semver& version);
  static bool matches_caret(const Comparator& comparator, const Semver& version);

  std::vector<Alternative> any_of_;
};

}  // namespace sluice::text
