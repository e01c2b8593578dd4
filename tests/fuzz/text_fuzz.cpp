// The small languages: the first line is a text with variables, the rest their
// value; both are also taken for patterns, ranges and versions.
#include <cstdint>
#include <string>

#include "fuzz/fuzz.hpp"
#include "text/envsubst.hpp"
#include "text/gitignore.hpp"
#include "text/glob.hpp"
#include "text/regexp.hpp"
#include "text/semver.hpp"

namespace {

using namespace sluice::text;

// By trying every length, as upstream does.
std::optional<std::size_t> slow_prefix(std::string_view glob, std::string_view text, bool longest, WorkBudget& budget) {
  std::optional<std::size_t> best;
  for (std::size_t length = 1; length <= text.size(); ++length) {
    const auto whole = matching_prefix(glob, text.substr(0, length), true, budget);
    if (!whole || *whole != length) continue;
    best = length;
    if (!longest) break;
  }
  return best;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t line = std::min(input.find('\n'), input.size());
  const std::string_view text = input.substr(0, line);
  const std::string_view value = input.substr(std::min(line + 1, input.size()));
  SubstitutionLimits limits{.max_bytes = 1U << 16U, .max_expressions = 100};
  const auto done = substitute(
      text, [value](std::string_view) { return std::optional(value); }, limits);
  if (done && done->size() > limits.max_bytes + value.size() + text.size()) sluice::fuzz::fail("past its limit", input);
  if (text.size() < 64 && value.size() < 64) {
    WorkBudget budget;
    for (const bool longest : {false, true}) {
      const auto fast = matching_prefix(text, value, longest, budget);
      if (fast && *fast != slow_prefix(text, value, longest, budget)) sluice::fuzz::fail("prefixes differ", input);
    }
  }
  (void)match_name(text, value.substr(0, 255));
  (void)Semver::parse(text);
  (void)SemverRange::parse(text);
  if (const auto expression = Regexp::compile(text)) (void)expression->matches(value);
  IgnoreRules rules;
  rules.add_lines(value, "a");
  (void)rules.ignores("a/b", false);
  return 0;
}
