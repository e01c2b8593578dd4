// What values and notes of them cost while text is read. Pure; private to libs/doc.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "doc/json.hpp"
#include "doc/yaml_scalar.hpp"

namespace sluice::doc {

// What one expanded copy of an anchored value costs against max_nodes. Text
// counts too, or an alias of a megabyte would cost as much as one of a byte.
constexpr std::size_t kBytesPerNode = 256;

inline std::size_t weight(const Json& value) {
  std::size_t total = 1;
  if (value.is_string()) return total + value.get_ref<const std::string&>().size() / kBytesPerNode;
  if (value.is_array()) {
    for (const auto& child : value) total += weight(child);
  }
  if (value.is_object()) {
    for (const auto& [key, child] : value.get_ref<const Json::object_t&>()) {
      total += key.size() / kBytesPerNode + weight(child);
    }
  }
  return total;
}

inline std::string key_text(const Json& key) {
  if (key.is_string()) return key.get<std::string>();
  if (key.is_null()) return "null";
  if (key.is_number_float()) return format_float(key.get<double>());
  return key.dump();
}

// Notes that nobody reads to the end.
constexpr std::size_t kMaxRepeated = 100;

// What places of notes may take: each holds the keys of all maps around it, so
// that a few long keys around many values would take gigabytes. So much, and a
// share for each value of the text, which is more than objects need.
class NoteBudget {
 public:
  bool spend(std::size_t bytes, std::size_t nodes) {
    spent_ += bytes;
    return spent_ <= kFree + kPerNode * nodes;
  }

 private:
  static constexpr std::size_t kFree = std::size_t{16} << 20U;
  static constexpr std::size_t kPerNode = 1024;
  std::size_t spent_ = 0;
};

}  // namespace sluice::doc
