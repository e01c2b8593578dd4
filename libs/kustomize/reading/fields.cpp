#include "kustomize/reading/fields.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "doc/yaml_scalar.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using doc::Json;

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

// What Go makes of a field that is given once more in another spelling: it reads
// into what is there, elements of lists included.
void decode_over(Json& old, const Json& more) {
  if (more.is_null()) return;
  if (more.is_object() && old.is_object()) {
    for (const auto& [key, value] : more.items()) decode_over(old[key], value);
  } else if (more.is_array() && old.is_array()) {
    Json list = Json::array();
    for (std::size_t i = 0; i < more.size(); ++i) {
      Json element = i < old.size() ? std::move(old[i]) : Json();
      decode_over(element, more[i]);
      list.push_back(std::move(element));
    }
    old = std::move(list);
  } else {
    old = more;
  }
}

}  // namespace

std::vector<std::pair<std::string, std::string>> spelled_twice(const Json& object) {
  std::vector<std::pair<std::string, std::string>> found;
  std::map<std::string, std::string> by_name;
  for (const auto& [key, value] : object.items()) {
    std::string name = key;
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const auto [known, is_new] = by_name.try_emplace(std::move(name), key);
    if (!is_new) found.emplace_back(known->second, key);
  }
  return found;
}

Fields::Fields(const Json& object, std::string where, Strictness strictness)
    : object_(object), where_(std::move(where)), strictness_(strictness) {
  if (!object_.is_object() && !object_.is_null()) {
    error_ =
        base::unexpected(ErrorKind::invalid, fmt::format("{}: a map is expected, not a {}",
                                                         where_.empty() ? "document" : where_, object_.type_name()))
            .error;
  }
}

std::string Fields::place(std::string_view name) const {
  return where_.empty() ? std::string(name) : fmt::format("{}.{}", where_, name);
}

void Fields::wrong(std::string_view name, std::string_view expected, const Json& found) {
  if (error_) return;
  error_ = base::unexpected(ErrorKind::invalid,
                            fmt::format("{}: {} is expected, not a {}", place(name), expected, found.type_name()))
               .error;
}

const Json* Fields::take(std::string_view name) {
  if (!object_.is_object()) return nullptr;
  const Json* taken = nullptr;
  for (const auto& [key, value] : object_.items()) {
    if (!same_name(key, name)) continue;
    seen_.insert(key);
    if (value.is_null()) continue;
    if (taken != nullptr) {
      both_.push_back(*taken);
      decode_over(both_.back(), value);
    }
    taken = taken != nullptr ? &both_.back() : &value;
  }
  return taken;
}

std::optional<std::string> Fields::text_of(const Json& value) const {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return std::string();
  if (value.is_structured() || strictness_ == Strictness::file) return std::nullopt;
  return value.is_number_float() ? doc::format_float(value.get<double>()) : value.dump();
}

void Fields::text(std::string_view name, std::string& into) {
  const Json* found = take(name);
  if (found == nullptr) return;
  auto text = text_of(*found);
  if (!text) return wrong(name, "a string", *found);
  into = *std::move(text);
}

void Fields::flag(std::string_view name, bool& into) {
  const Json* found = take(name);
  if (found == nullptr) return;
  if (!found->is_boolean()) return wrong(name, "true or false", *found);
  into = found->get<bool>();
}

void Fields::integer(std::string_view name, std::int64_t& into) {
  const Json* found = take(name);
  if (found == nullptr) return;
  if (!found->is_number_integer()) return wrong(name, "a whole number", *found);
  into = found->get<std::int64_t>();
}

void Fields::texts(std::string_view name, std::vector<std::string>& into) {
  each(name, [&](const Json& value, const std::string& where) -> base::Result<void> {
    auto text = text_of(value);
    if (!text) {
      return base::unexpected(ErrorKind::invalid,
                              fmt::format("{}: a string is expected, not a {}", where, value.type_name()));
    }
    into.push_back(*std::move(text));
    return {};
  });
}

void Fields::text_map(std::string_view name, std::map<std::string, std::string>& into) {
  const Json* found = take(name);
  if (found == nullptr) return;
  if (!found->is_object()) return wrong(name, "a map of strings", *found);
  for (const auto& [key, value] : found->items()) {
    auto text = text_of(value);
    if (!text) return wrong(fmt::format("{}.{}", name, key), "a string (put it in quotes)", value);
    into[key] = *std::move(text);
  }
}

void Fields::value(std::string_view name, const Read& read) {
  const Json* found = take(name);
  if (found == nullptr || error_) return;
  if (auto done = read(*found, place(name)); !done) error_ = std::move(done).error();
}

void Fields::each(std::string_view name, const Read& read) {
  const Json* found = take(name);
  if (found == nullptr || error_) return;
  if (!found->is_array()) return wrong(name, "a list", *found);
  for (std::size_t i = 0; i < found->size() && !error_; ++i) {
    if (auto done = read((*found)[i], fmt::format("{}[{}]", place(name), i)); !done) error_ = std::move(done).error();
  }
}

void Fields::ignore(std::string_view name) { take(name); }

base::Result<void> Fields::finish() {
  if (error_) return base::unexpected(*std::move(error_));
  if (strictness_ == Strictness::config || !object_.is_object()) return {};
  for (const auto& [key, value] : object_.items()) {
    if (!seen_.contains(key)) return base::unexpected(ErrorKind::invalid, fmt::format("unknown field {}", place(key)));
  }
  return {};
}

}  // namespace sluice::kustomize
