// Variables in text, as Flux's postBuild substitutes them: ${name}, with the
// functions of a shell that do not need one. Pure.
//
//   ${name}                       the value
//   ${name:-text} := :+ :? =      the value, or the text if it is empty (all five alike, as upstream)
//   ${name:offset} ${name:offset:length}
//   ${#name}                      its length in bytes
//   ${name^} ^^ , ,,              first or every letter in upper or lower case
//   ${name#glob} ## % %%          without the shortest or longest match at the start or end
//   ${name/old/new} // /# /%      the first, every, leading or trailing `old` replaced
//   $$                            a dollar sign, so $${name} stays ${name}
//
// Texts of default values, globs and replacements may hold ${...} themselves.
// Facts: fluxcd/pkg envsubst (a fork of drone/envsubst).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sluice::text {

// The value of a variable; nothing where it is not set and may not be missing
// (strict mode): then only a default value helps. Who is not strict answers "".
using VariableLookup = std::function<std::optional<std::string>(std::string_view name)>;

// `invalid` with line and what is wrong; `too_large` past `max_bytes` of result.
base::Result<std::string> substitute(std::string_view text, const VariableLookup& lookup,
                                     std::size_t max_bytes = 64U << 20U);

// True for what a variable may be called: ^[_[:alpha:]][_[:alpha:][:digit:]]*$
bool is_variable_name(std::string_view name) noexcept;

}  // namespace sluice::text
