// The order of map keys in printed YAML. Pure.
#pragma once

#include <string>

namespace sluice::doc {

// go-yaml's: numbers in a text by their value, and letters behind all else.
bool yaml_key_less(const std::string& a, const std::string& b);

}  // namespace sluice::doc
