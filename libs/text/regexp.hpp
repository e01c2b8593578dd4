// Regular expressions in Go's syntax, matched in linear time (RE2), so that what
// others wrote can cost no more than its length. Pure; a compiled expression is
// safe from any thread and cheap to copy.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sluice::text {

class Regexp {
 public:
  // `invalid` with the cause, quoting the expression; `too_large` for one whose
  // program, with what matching remembers, would need over `max_bytes`.
  static base::Result<Regexp> compile(std::string_view expression, std::int64_t max_bytes = 8 << 20);

  // Matches anywhere in `text`, as Go's MatchString.
  bool matches(std::string_view text) const;
  // Matches the whole of `text`, as "^(?:expression)$" does.
  bool matches_all(std::string_view text) const;
  const std::string& expression() const noexcept;
  // Of the program alone, about.
  std::size_t program_bytes() const;

 private:
  struct Program;
  explicit Regexp(std::shared_ptr<const Program> program);
  std::shared_ptr<const Program> program_;
};

}  // namespace sluice::text
