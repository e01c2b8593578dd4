// Places as numbers; ways to them are found by the reader, in yaml_read.cpp.
#include "doc/yaml_place.hpp"

#include "doc/yaml.hpp"

namespace sluice::doc {

std::uint64_t place_of(std::uint64_t parent, std::string_view key) {
  std::uint64_t hash = (parent ^ 0x9E3779B97F4A7C15U) * 0x100000001B3U;
  for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  return hash ^ (hash >> 29U);
}

std::uint64_t place_of(std::uint64_t parent, std::size_t index) {
  const std::uint64_t hash = (parent + index + 1) * 0x9E3779B97F4A7C15U;
  return hash ^ (hash >> 31U);
}

}  // namespace sluice::doc
