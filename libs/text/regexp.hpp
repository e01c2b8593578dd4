// Regular expressions in Go's syntax (RE2). What a match may cost is bounded before it
// begins: RE2 takes no exponential time, but where its automaton does not fit into memory it
// takes the text's length times the program's size, and nobody can stop it. Pure; a compiled
// expression is safe from any thread and cheap to copy.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "text/glob.hpp"

namespace sluice::text {

class Regexp {
 public:
  // `invalid` with the cause, quoting the expression; `too_large` for one whose
  // program, with what matching remembers, would need over `max_bytes`, and for one
  // that is over 128 KiB or names over 256 classes of Unicode (each takes 40 KiB to read).
  static base::Result<Regexp> compile(std::string_view expression, std::int64_t max_bytes = 8 << 20);

  // Steps of a match that is given no budget: a fifth of a second at the worst.
  static constexpr std::size_t kSteps = std::size_t{1} << 24U;

  // Matches anywhere in `text`, as Go's MatchString. `too_large`, before anything is done,
  // for a match that may take more than `budget` has; what it may take is spent.
  base::Result<bool> matches(std::string_view text, WorkBudget& budget) const;
  base::Result<bool> matches(std::string_view text) const;
  // Matches the whole of `text`, as "^(?:expression)$" does.
  base::Result<bool> matches_all(std::string_view text, WorkBudget& budget) const;
  base::Result<bool> matches_all(std::string_view text) const;
  // What finding it in `text` may take at the worst: a step is one instruction for one byte,
  // about 12 ns. Texts with ".*" between them take a step a byte, whatever their length.
  std::size_t steps(std::string_view text) const;
  const std::string& expression() const noexcept;
  // matches() remembers what it has seen, within the bound of compile(); it does not of texts.
  bool remembers() const noexcept;
  // Of the program alone, about.
  std::size_t program_bytes() const;

 private:
  struct Program;
  explicit Regexp(std::shared_ptr<const Program> program);
  std::shared_ptr<const Program> program_;
};

}  // namespace sluice::text
