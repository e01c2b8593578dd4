// A reader of the JSON that nearly all is: what servers print. Pure; private to this library.
//
// It takes what can be read in one glance at each byte: objects without a key twice, texts of ASCII, integers
// of up to 18 digits. At anything else (a fraction, a letter past ASCII, a fault) it gives up, and the full
// reader begins anew: that one alone decides what is JSON and says what is wrong with it.
#pragma once

#include <optional>
#include <string_view>

#include "doc/json.hpp"

namespace sluice::doc::detail {

// Nothing where the text is not that plain.
std::optional<Json> read_plain_json(std::string_view text);

}  // namespace sluice::doc::detail
