#include "apply/detail/undeclared.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace sluice::apply {

using doc::Json;

namespace {

constexpr std::array<std::string_view, 21> kGroups{"",
                                                   "admissionregistration.k8s.io",
                                                   "apps",
                                                   "authentication.k8s.io",
                                                   "authorization.k8s.io",
                                                   "autoscaling",
                                                   "batch",
                                                   "certificates.k8s.io",
                                                   "coordination.k8s.io",
                                                   "discovery.k8s.io",
                                                   "events.k8s.io",
                                                   "extensions",
                                                   "flowcontrol.apiserver.k8s.io",
                                                   "networking.k8s.io",
                                                   "node.k8s.io",
                                                   "policy",
                                                   "rbac.authorization.k8s.io",
                                                   "resource.k8s.io",
                                                   "scheduling.k8s.io",
                                                   "storage.k8s.io",
                                                   "storagemigration.k8s.io"};

constexpr std::string_view kOpening = "failed to create typed patch object (";
constexpr std::string_view kOpened = "): ";
constexpr std::string_view kSeveral = "errors:";
constexpr std::string_view kUndeclared = ": field not declared in schema";

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

// The end of what is in brackets or between commas: quoted text may hold either.
std::size_t end_of(std::string_view text, std::string_view stops) {
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && stops.find(text[i]) != stops.npos) {
      return i;
    }
  }
  return text.size();
}

// `name="c",port=80`: what the element has of these must be so; what it lacks may have been set by the server.
bool is_element(const Json& element, std::string_view keys, bool may_lack) {
  if (!element.is_object()) return false;
  while (!keys.empty()) {
    const std::size_t end = end_of(keys, ",");
    const std::string_view one = keys.substr(0, end);
    keys.remove_prefix(std::min(end + 1, keys.size()));
    const std::size_t is = one.find('=');
    if (is == one.npos) return false;
    const auto found = element.find(std::string(one.substr(0, is)));
    if (found == element.end() && may_lack) continue;
    if (found == element.end()) return false;
    const auto value = doc::parse_json(std::string(one.substr(is + 1)));
    if (!value || *value != *found) return false;
  }
  return true;
}

bool erase_in(Json& at, std::string_view path);

bool erase_in_list(Json& list, std::string_view path) {
  if (!list.is_array()) return false;
  path.remove_prefix(1);
  const std::size_t end = end_of(path, "]");
  if (end == path.size()) return false;
  const std::string_view which = path.substr(0, end);
  path.remove_prefix(end + 1);
  if (path.empty()) return false;  // elements are not fields
  std::size_t index = 0;
  const auto read = std::from_chars(which.data(), which.data() + which.size(), index);
  if (read.ec == std::errc() && read.ptr == which.data() + which.size()) {
    return index < list.size() && erase_in(list[index], path);
  }
  const auto erase_of = [&](bool may_lack) {
    return std::any_of(list.begin(), list.end(),
                       [&](Json& element) { return is_element(element, which, may_lack) && erase_in(element, path); });
  };
  return erase_of(false) || erase_of(true);
}

// A name may hold dots and brackets itself, so each key that fits is tried.
bool erase_in(Json& at, std::string_view path) {
  if (path.starts_with('[')) return erase_in_list(at, path);
  if (!path.starts_with('.') || !at.is_object()) return false;
  path.remove_prefix(1);
  for (auto field = at.begin(); field != at.end(); ++field) {
    if (!path.starts_with(field.key())) continue;
    const std::string_view rest = path.substr(field.key().size());
    if (rest.empty()) {
      at.erase(field);
      return true;
    }
    if ((rest.front() == '.' || rest.front() == '[') && erase_in(*field, rest)) return true;
  }
  return false;
}

}  // namespace

bool is_read_by_type(const api::GroupKind& kind) {
  if (kind.group == "rbac.authorization.k8s.io" && (kind.kind == "Role" || kind.kind == "ClusterRole")) return false;
  return std::find(kGroups.begin(), kGroups.end(), kind.group) != kGroups.end();
}

std::vector<std::string> undeclared_fields(std::string_view refusal) {
  const std::size_t opening = refusal.find(kOpening);
  if (opening == refusal.npos) return {};
  const std::size_t opened = refusal.find(kOpened, opening + kOpening.size());
  if (opened == refusal.npos) return {};
  std::string_view left = refusal.substr(opened + kOpened.size());
  std::vector<std::string> fields;
  while (!left.empty()) {
    const std::size_t end = std::min(left.find('\n'), left.size());
    std::string_view line = trim(left.substr(0, end));
    left.remove_prefix(std::min(end + 1, left.size()));
    if (line.empty() || line == kSeveral) continue;
    if (!line.ends_with(kUndeclared)) return {};
    line.remove_suffix(kUndeclared.size());
    fields.emplace_back(line);
  }
  return fields;
}

bool erase_field(Json& object, std::string_view path) { return erase_in(object, path); }

}  // namespace sluice::apply
