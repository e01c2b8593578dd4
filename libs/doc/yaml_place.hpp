// Where in a YAML document a line is, for messages.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::doc {

// One step of a place: a key of a map, or an index of a list.
struct PlaceStep {
  std::string key;
  std::size_t index = 0;
  bool in_list = false;
};

// The way to the last value of the first document that begins in that line, from 1,
// or before it; none if the text cannot be read. Takes no more memory than the
// longest way, however many values there are.
std::vector<PlaceStep> place_at_line(std::string_view text, std::size_t line);

}  // namespace sluice::doc
