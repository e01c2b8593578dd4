#include "kustomize/go_json.hpp"

#include <fmt/format.h>

#include <cmath>

namespace sluice::kustomize {
namespace {

using doc::Json;

// Floats that Go would write as integers.
Json with_integers(const Json& value) {
  if (value.is_number_float()) {
    const double number = value.get<double>();
    const bool whole = number == std::trunc(number) && std::fabs(number) < 9e15;
    return whole ? Json(static_cast<std::int64_t>(number)) : value;
  }
  if (!value.is_structured()) return value;
  Json made = value.is_array() ? Json::array() : Json::object();
  for (const auto& [key, child] : value.items()) {
    if (value.is_array()) {
      made.push_back(with_integers(child));
    } else {
      made[key] = with_integers(child);
    }
  }
  return made;
}

bool has_float(const Json& value) {
  if (value.is_number_float()) return true;
  if (!value.is_structured()) return false;
  for (const Json& child : value) {
    if (has_float(child)) return true;
  }
  return false;
}

}  // namespace

std::string go_json(const Json& value, bool pretty) {
  const std::string text = (has_float(value) ? with_integers(value) : value)
                               .dump(pretty ? 2 : -1, ' ', false, Json::error_handler_t::replace);
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = std::string_view(text).substr(i, 3);
    if (text[i] == '<' || text[i] == '>' || text[i] == '&') {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(text[i]));
    } else if (rest == "\xE2\x80\xA8" || rest == "\xE2\x80\xA9") {
      out += rest[2] == '\xA8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace sluice::kustomize
