#include "spec_metadata.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace sluice::kustomize_controller {

using base::Result;

namespace {

constexpr std::size_t kLongestLabel = 63;
constexpr std::size_t kLongestPrefix = 253;

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

// Begins and ends with a letter or digit, with those and `inner` between.
bool is_word(std::string_view text, std::string_view inner) {
  return !text.empty() && is_alphanumeric(text.front()) && is_alphanumeric(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [inner](char c) { return is_alphanumeric(c) || inner.find(c) != std::string_view::npos; });
}

bool is_domain(std::string_view text) {
  if (text.empty() || text.size() > kLongestPrefix) return false;
  for (;;) {
    const std::size_t dot = text.find('.');
    const std::string_view part = text.substr(0, dot);
    if (!is_word(part, "-") || std::any_of(part.begin(), part.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) {
      return false;
    }
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

std::string wrong_key(std::string_view key) {
  const std::size_t slash = key.find('/');
  const std::string_view name = slash == std::string_view::npos ? key : key.substr(slash + 1);
  if (slash != std::string_view::npos && !is_domain(key.substr(0, slash))) {
    return "the part before / must be a domain name in small letters";
  }
  if (name.size() > kLongestLabel)
    return fmt::format("the name has {} letters, and {} are allowed", name.size(), kLongestLabel);
  if (!is_word(name, "-_."))
    return "the name must be of letters, digits, '-', '_' and '.', with letters or digits at both ends";
  return {};
}

std::string wrong_value(std::string_view value) {
  if (value.size() > kLongestLabel) {
    return fmt::format("the value has {} letters, and a label holds {}", value.size(), kLongestLabel);
  }
  if (!value.empty() && !is_word(value, "-_.")) {
    return "the value must be of letters, digits, '-', '_' and '.', with letters or digits at both ends";
  }
  return {};
}

}  // namespace

Result<void> check_spec_metadata(const api::Kustomization& kustomization) {
  const auto refuse = [](std::string_view field, std::string_view key, std::string_view why) {
    return base::unexpected(base::ErrorKind::invalid, fmt::format("spec.commonMetadata.{}: '{}': {}", field, key, why));
  };
  const std::size_t length = kustomization.metadata.name.size();
  if (length > kLongestLabel) {
    return base::unexpected(
        base::ErrorKind::invalid,
        fmt::format("metadata.name of the Kustomization has {} letters; its objects are labelled with it, "
                    "and a label holds {}",
                    length, kLongestLabel));
  }
  if (!kustomization.spec.common_metadata) return {};
  for (const auto& [key, value] : kustomization.spec.common_metadata->labels) {
    if (const std::string why = wrong_key(key); !why.empty()) return refuse("labels", key, why);
    if (const std::string why = wrong_value(value); !why.empty()) return refuse("labels", key, why);
  }
  for (const auto& [key, value] : kustomization.spec.common_metadata->annotations) {
    // Case does not count here.
    std::string lowered = key;
    std::transform(lowered.begin(), lowered.end(), lowered.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    if (const std::string why = wrong_key(lowered); !why.empty()) return refuse("annotations", key, why);
  }
  return {};
}

}  // namespace sluice::kustomize_controller
