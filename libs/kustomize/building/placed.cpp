#include "kustomize/building/placed.hpp"

#include <fmt/format.h>

namespace sluice::kustomize {

base::Unexpected placed(const Kustomization& k, const std::string& entry, base::Error error) {
  // One of a whole list may say itself which element it is about.
  if (error.message.starts_with(entry + "[")) return base::unexpected(std::move(error).with_context(k.file));
  return base::unexpected(std::move(error).with_context(place_of(k, entry)));
}

std::string place_of(const Kustomization& k, const std::string& entry) {
  const std::size_t end = entry.find(' ');
  const auto spec = k.from_spec.empty() ? k.from_spec.end() : k.from_spec.find(entry.substr(0, end));
  if (spec == k.from_spec.end()) return fmt::format("{}: {}", k.file, entry);
  return end == std::string::npos ? spec->second : spec->second + entry.substr(end);
}

std::string indexed(const char* field, std::size_t index) { return fmt::format("{}[{}]", field, index); }

std::string named(const char* field, std::size_t index, const std::string& entry) {
  const bool inline_text = entry.find('\n') != std::string::npos;
  return inline_text ? indexed(field, index) : fmt::format("{}[{}] {}", field, index, entry);
}

base::Unexpected placed(const Kustomization& k, const char* field, std::size_t index, const std::string& entry,
                        base::Error error) {
  const std::size_t named_at = error.message.find(entry + ":");
  const bool known = named_at == 0 || (named_at != std::string::npos && error.message[named_at - 1] == '/' &&
                                       error.message.find(' ') > named_at);
  return placed(k, known ? indexed(field, index) : named(field, index, entry), std::move(error));
}

}  // namespace sluice::kustomize
