#include "kustomize/objects/json_passage.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using doc::Json;

constexpr std::string_view kNel = "\xC2\x85";
// The longest key in one line that YAML takes without the "? " mark, quotes included.
constexpr std::size_t kMaxKey = 1024;
// A key that is no longer even if each of its characters takes six.
constexpr std::size_t kShortKey = kMaxKey / 6 - 2;

bool is_finite(const Json& value) { return !value.is_number_float() || std::isfinite(value.get<double>()); }

auto no_number(const Json& value) {
  const double number = value.get<double>();
  const char* name = std::isnan(number) ? "NaN" : number > 0 ? "+Inf" : "-Inf";
  return base::unexpected(ErrorKind::invalid, fmt::format("{} can't be written as JSON", name));
}

// Calls `visit(value)` on all scalars and maps. Where one fails its path is left in `path`, last step first.
template <typename Value, typename Visit>
Result<void> walk(Value& value, const Visit& visit, std::vector<std::string>& path) {
  if (!value.is_array()) SLUICE_CHECK(visit(value));
  if (!value.is_structured()) return {};
  for (auto it = value.begin(); it != value.end(); ++it) {
    auto done = walk(*it, visit, path);
    if (done) continue;
    path.push_back(value.is_object() ? it.key() : std::to_string(it - value.begin()));
    return done;
  }
  return {};
}

template <typename Value, typename Visit>
Result<void> walk(Value& value, const Visit& visit) {
  std::vector<std::string> path;
  auto done = walk(value, visit, path);
  if (done || path.empty()) return done;
  std::reverse(path.begin(), path.end());
  return base::unexpected(std::move(done).error().with_context(fmt::format("{}", fmt::join(path, "."))));
}

bool is_ascii(std::string_view text) {
  unsigned all = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    all |= byte | (byte + 1U);  // DEL is none of those meant, and has the high bit so
  }
  return all < 0x80;
}

// True for what passes as it is: finite numbers, text of ASCII, short keys. Nearly all objects are.
bool is_plain(const Json& value) {
  switch (value.type()) {
    case Json::value_t::string: return is_ascii(value.get_ref<const std::string&>());
    case Json::value_t::number_float: return is_finite(value);
    case Json::value_t::array: return std::all_of(value.begin(), value.end(), is_plain);
    case Json::value_t::object:
      for (const auto& [key, child] : value.get_ref<const Json::object_t&>()) {
        if (key.size() > kShortKey || !is_ascii(key) || !is_plain(child)) return false;
      }
      return true;
    default: return true;
  }
}

// The first character that a YAML reader refuses, if there is one.
std::optional<unsigned> refused(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : static_cast<unsigned char>(0);
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const unsigned char c = byte(i);
    if (c < 0x7F) continue;
    if (c == 0x7F) return 0x7F;
    if (c == 0xC2 && byte(i + 1) >= 0x80 && byte(i + 1) < 0xA0 && byte(i + 1) != 0x85) return byte(i + 1);
    if (c == 0xEF && byte(i + 1) == 0xBF && byte(i + 2) >= 0xBE) return 0xFF40U + byte(i + 2);
  }
  return std::nullopt;
}

Result<void> check_text(std::string_view text) {
  const auto found = refused(text);
  if (!found) return {};
  return base::unexpected(ErrorKind::invalid, fmt::format("the character U+{:04X} is not allowed in YAML", *found));
}

// Characters of a text as Go writes it in JSON.
std::size_t json_length(std::string_view text) {
  std::size_t length = 2;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const std::string_view rest = text.substr(i, 3);
    if (c == '"' || c == '\\' || c == '\b' || c == '\f' || c == '\n' || c == '\r' || c == '\t') {
      length += 2;
    } else if (c < 0x20 || c == '<' || c == '>' || c == '&' || rest == "\xE2\x80\xA8" || rest == "\xE2\x80\xA9") {
      length += 6;
    } else {
      length += (c & 0xC0) != 0x80;
    }
  }
  return length;
}

Result<void> check_key(const std::string& key) {
  SLUICE_CHECK(check_text(key));
  if (key.find(kNel) != std::string::npos) {
    return base::unexpected(ErrorKind::invalid, "the character U+0085 is not allowed in a key");
  }
  if (key.size() <= kShortKey || json_length(key) <= kMaxKey) return {};
  return base::unexpected(ErrorKind::invalid, "a key of more than 1022 characters");
}

// One break becomes a space, each further one a newline; spaces around them go.
std::string fold_breaks(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i, breaks = 0;
    for (;; ++end) {
      if (text.substr(end).starts_with(kNel)) {
        ++breaks;
        ++end;
      } else if (end == text.size() || text[end] != ' ') {
        break;
      }
    }
    if (breaks == 0) {
      end = std::max(end, i + 1);
      out.append(text.substr(i, end - i));
    } else if (breaks == 1) {
      out += ' ';
    } else {
      out.append(breaks - 1, '\n');
    }
    i = end;
  }
  return out;
}

}  // namespace

Result<void> check_numbers(const Json& value) {
  return walk(value, [](const Json& each) { return is_finite(each) ? Result<void>{} : no_number(each); });
}

Result<void> pass_through_json(Json& value) {
  if (is_plain(value)) return {};
  return walk(value, [](Json& each) -> Result<void> {
    if (!is_finite(each)) return no_number(each);
    if (each.is_string()) {
      std::string& text = each.get_ref<std::string&>();
      SLUICE_CHECK(check_text(text));
      if (text.find(kNel) != std::string::npos) text = fold_breaks(text);
    } else if (each.is_object()) {
      for (const auto& [key, child] : each.items()) SLUICE_CHECK(check_key(key));
    }
    return {};
  });
}

}  // namespace sluice::kustomize
