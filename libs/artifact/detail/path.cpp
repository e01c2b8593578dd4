#include "artifact/detail/path.hpp"

#include <algorithm>

namespace sluice::artifact::detail {

namespace {

constexpr std::size_t kParts = 4;
constexpr std::size_t kMaxPart = 255;  // NAME_MAX

bool is_part_char(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == '.' || c == '+' || c == '~';
}

}  // namespace

bool is_path_part(std::string_view part) noexcept {
  return !part.empty() && part.size() <= kMaxPart && part.front() != '.' &&
         std::all_of(part.begin(), part.end(), is_part_char);
}

bool is_artifact_path(std::string_view path) noexcept {
  for (std::size_t i = 0; i < kParts; ++i) {
    const auto slash = path.find('/');
    const bool is_last = i + 1 == kParts;
    if (is_last != (slash == std::string_view::npos) || !is_path_part(path.substr(0, slash))) return false;
    if (!is_last) path.remove_prefix(slash + 1);
  }
  return true;
}

}  // namespace sluice::artifact::detail
