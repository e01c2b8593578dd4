#include "http/message.hpp"

#include <algorithm>

namespace sluice::http {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

void Headers::set(std::string name, std::string value) {
  std::erase_if(fields_, [&name](const auto& field) { return same_name(field.first, name); });
  add(std::move(name), std::move(value));
}

void Headers::add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }

std::string_view Headers::find(std::string_view name) const noexcept {
  for (const auto& [field, value] : fields_) {
    if (same_name(field, name)) return value;
  }
  return {};
}

bool Headers::contains(std::string_view name) const noexcept {
  return std::any_of(fields_.begin(), fields_.end(),
                     [name](const auto& field) { return same_name(field.first, name); });
}

}  // namespace sluice::http
