// How an unquoted YAML scalar becomes a typed value; shared by reader and printer.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "doc/json.hpp"

namespace sluice::doc {

// The value of a plain scalar without a tag, by the rules of go-yaml v3
// (resolve.go): YAML 1.2 booleans and nulls, integers of base 2, 8, 10 and 16
// with '_' between digits, floats. Everything else is a string, dates too.
Json resolve_plain_scalar(std::string_view text);
// The same by the rules of go-yaml v2, where "yes", "on" and the like are booleans.
Json resolve_plain_scalar_1_1(std::string_view text);

// A date or time that go-yaml takes for one, as Go writes it in JSON (RFC 3339);
// nothing for any other text.
std::optional<std::string> timestamp_as_json(std::string_view text);

// True where a YAML 1.1 reader would take the plain text for something else
// than a string; such strings are printed in quotes.
bool is_ambiguous_string(std::string_view text);

// A floating-point number as Go's strconv.FormatFloat(v, 'g', -1, 64) prints it.
std::string format_float(double value);

}  // namespace sluice::doc
