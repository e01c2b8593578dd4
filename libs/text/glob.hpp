// Globs against the beginnings of a text: * ? [a-z] [^a-z] and \, as Go's
// path.Match has them, without a meaning for '/'. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <stop_token>
#include <string_view>

#include "base/result.hpp"

namespace sluice::text {

// What a piece of work may still cost, and who may end it: shared by all that is
// done for one text.
struct WorkBudget {
  std::size_t steps = std::size_t{1} << 28U;  // a step is a few instructions; a whole budget is seconds
  std::stop_token stop{};

  // `too_large` past the steps, `cancelled` once asked to stop.
  base::Result<void> spend(std::size_t count);
};

// The length of the shortest (or longest) beginning of `text`, not the empty one,
// that `glob` matches; nothing if none does or the glob is malformed. Linear in
// the text: its length times an eighth of the glob's. A length may fall between
// the bytes of a character, each of which then counts as a character, as
// upstream has it. `too_large` for a glob of over 4096 elements with * ? or [.
base::Result<std::optional<std::size_t>> matching_prefix(std::string_view glob, std::string_view text, bool longest,
                                                         WorkBudget& budget);

}  // namespace sluice::text
