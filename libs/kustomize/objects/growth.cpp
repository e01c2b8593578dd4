#include "kustomize/objects/growth.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "kustomize/objects/steps.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using doc::Json;

std::size_t depth_of(const Json& value) {
  std::size_t deepest = 0;
  if (value.is_structured()) {
    for (const Json& child : value) deepest = std::max(deepest, depth_of(child));
  }
  return value.is_structured() ? deepest + 1 : 0;
}

}  // namespace

std::size_t Growth::weight(const Json& value) {
  std::size_t total = 1;
  if (value.is_structured()) {
    for (const Json& child : value) total += weight(child);
  }
  return total + text_size(value) / kBytesPerValue;
}

base::Result<void> Growth::add(const Json& value, std::size_t level) {
  if (level > kMaxDepth || level + depth_of(value) > kMaxDepth) {
    return base::unexpected(ErrorKind::too_large, fmt::format("nested deeper than {}", kMaxDepth));
  }
  return spend(weight(value));
}

base::Result<void> Growth::spend(std::size_t values) {
  SLUICE_CHECK(take_step());
  values_ += values;
  if (values_ <= max_values_) return {};
  return base::unexpected(ErrorKind::too_large,
                          fmt::format("more than {} values are copied in this build", max_values_));
}

}  // namespace sluice::kustomize
