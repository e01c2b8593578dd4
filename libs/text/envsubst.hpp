// Variables in text, as Flux's postBuild substitutes them: ${name}, with the
// functions of a shell that do not need one. Pure.
//
//   ${name}                       the value
//   ${name:-text} := :+ :? =      the value, or the text if it is empty (all five alike, as upstream)
//   ${name:offset} ${name:offset:length}
//   ${#name}                      its length in bytes; offsets count bytes too, a negative length from the end
//   ${name^} ^^ , ,,              first or every letter in upper or lower case
//   ${name#glob} ## % %%          without the shortest or longest match at the start or end
//   ${name/old/new} // /# /%      the first, every, leading or trailing `old` replaced
//   $$                            a dollar sign, so $${name} stays ${name}
//
// Texts of default values, globs and replacements may hold ${...} themselves.
// Facts: fluxcd/pkg envsubst (a fork of drone/envsubst).
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sluice::text {

struct WorkBudget;  // glob.hpp

// The value of a variable; nothing where it is not set and may not be missing
// (strict mode): then only a default value helps. Who is not strict answers "".
// The text that is answered outlives the call of substitute().
using VariableLookup = std::function<std::optional<std::string_view>(std::string_view name)>;

struct SubstitutionLimits {
  std::size_t max_bytes = std::size_t{16} << 20U;  // of the result; all values on the way may have four times that
  std::size_t max_expressions = 1'000'000;
};

// `invalid` says what is wrong with which variable; `too_large` past a limit or
// where functions take too much work; `cancelled` soon after `stop` was asked
// for. The message holds the name of a variable, never text around it or a value:
// either may be a secret. `failed_line` is set to the line, from 1, in which the
// outermost expression begins. Linear in the text, in the values that it uses,
// and in what comes out.
base::Result<std::string> substitute(std::string_view text, const VariableLookup& lookup,
                                     const SubstitutionLimits& limits = {}, std::stop_token stop = {},
                                     std::size_t* failed_line = nullptr);

// Told what a function has made of the value of a variable that is not empty, where it made another
// text of it: that is as secret as the value.
using DerivedListener = std::function<void(std::string_view name, std::string_view value, std::string_view made)>;

// The same for one of several texts that share a budget of work, and its stop.
base::Result<std::string> substitute(std::string_view text, const VariableLookup& lookup,
                                     const SubstitutionLimits& limits, WorkBudget& budget,
                                     std::size_t* failed_line = nullptr, const DerivedListener& on_derived = {});

// True for what a variable may be called: ^[_[:alpha:]][_[:alpha:][:digit:]]*$
bool is_variable_name(std::string_view name) noexcept;

}  // namespace sluice::text
