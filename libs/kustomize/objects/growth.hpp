// A bound on what transformers copy. A few lines can double an object with each
// (a JSON patch that copies a map into itself), or put a long text into each of
// many objects; the files that are read are bounded elsewhere.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/result.hpp"
#include "doc/json.hpp"

namespace sluice::kustomize {

class Growth {
 public:
  static constexpr std::size_t kMaxDepth = 512;

  void limit(std::size_t max_values) { max_values_ = max_values; }
  // `value` goes to a place `level` steps below the top. `too_large` past a bound.
  base::Result<void> add(const doc::Json& value, std::size_t level);
  // Long text counts as several values, short text as none.
  base::Result<void> add_text(std::size_t size) { return spend(size / kBytesPerValue); }
  base::Result<void> spend(std::size_t values);
  // What another part of the build copied.
  void merge(const Growth& other) { values_ += other.values_; }

  // A text that replaces one of `before` bytes.
  base::Result<void> change_text(std::size_t before, std::size_t after) {
    return after > before ? add_text(after - before) : base::Result<void>{};
  }

  // Bytes of a string; 0 for what is none.
  static std::size_t text_size(const doc::Json& value) {
    return value.is_string() ? value.get_ref<const std::string&>().size() : 0;
  }
  // Values in it, long text counted as several.
  static std::size_t weight(const doc::Json& value);

 private:
  static constexpr std::size_t kBytesPerValue = 32;
  std::size_t values_ = 0;
  std::size_t max_values_ = 10'000'000;
};

}  // namespace sluice::kustomize
