// Patterns in the syntax of .gitignore, with the reading of them that Flux has
// for spec.ignore and .sourceignore. Pure; safe from any thread once built.
//
// Facts: gitignore(5); fluxcd/pkg sourceignore/gitignore (the later pattern
// wins; a pattern that matches a folder matches all below it; a later "!"
// brings back even what lies in an excluded folder, unlike Git).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace sluice::text {

class IgnoreRules {
 public:
  // Adds one pattern that holds below `folder` ("" is the root; else "a/b").
  // Nothing is malformed: what makes no sense matches nothing.
  void add(std::string_view pattern, std::string_view folder = {});
  // Adds the lines of a file, without blank lines and comments.
  void add_lines(std::string_view text, std::string_view folder = {});

  // True if the path (from the root, with '/') is left out.
  bool ignores(std::string_view path, bool is_folder) const;
  bool empty() const noexcept { return patterns_.empty(); }
  std::size_t size() const noexcept { return patterns_.size(); }
  // Adds the patterns of `later`, which win over those that are here.
  void append(IgnoreRules later);

 private:
  struct Pattern {
    std::vector<std::string> folder;
    std::vector<std::string> parts;
    bool brings_back = false;   // "!..."
    bool folders_only = false;  // ".../"
    bool anchored = false;      // holds a '/' other than at its end
  };
  using Path = std::vector<std::string_view>;
  static bool matches(const Pattern& pattern, const Path& path, bool is_folder);
  static bool matches_name(const Pattern& pattern, const Path& path, std::size_t from, bool is_folder);
  static bool matches_anchored(const Pattern& pattern, const Path& path, std::size_t from, bool is_folder);

  std::vector<Pattern> patterns_;
};

// Shell pattern against one name: * ? [a-z] [^a-z] and \ as Go's path.Match has
// them. A malformed pattern matches nothing.
bool match_name(std::string_view pattern, std::string_view name);

}  // namespace sluice::text
