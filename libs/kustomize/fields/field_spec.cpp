#include "kustomize/fields/field_spec.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "kustomize/objects/growth.hpp"
#include "kustomize/objects/steps.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using doc::Json;

// Nothing is nested so deep as to have a field there: what follows stays one part, not
// one for each byte.
constexpr std::size_t kMaxParts = 10'000;
static_assert(kMaxParts > Growth::kMaxDepth);

std::vector<std::string> split(std::string_view text, char delimiter) {
  std::vector<std::string> parts;
  for (std::size_t start = 0; start <= text.size();) {
    const bool last = parts.size() == kMaxParts;
    const std::size_t end = last ? text.size() : std::min(text.find(delimiter, start), text.size());
    parts.emplace_back(text.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

struct Visit {
  Resource& resource;
  const FieldSpec& spec;
  CreateKind create;
  const SetField& set;
  const std::vector<std::string>& path;

  base::Result<void> go(Json& node, std::size_t step) const {
    SLUICE_CHECK(take_step());
    if (step == path.size()) {
      return resource.shared.empty() ? set(node) : resource.shared.set(resource.value, node, set);
    }
    if (node.is_null()) return {};
    if (node.is_array()) {
      for (Json& element : node) SLUICE_CHECK(go(element, step));
      return {};
    }
    if (!node.is_object()) {
      return base::unexpected(no_map_before(spec, path[step]));
    }
    return member(node, step);
  }

  base::Result<void> member(Json& map, std::size_t step) const {
    std::string_view name = path[step];
    const bool list = name.ends_with("[]");
    if (list) name.remove_suffix(2);
    if (name.empty()) {
      return base::unexpected(ErrorKind::invalid, fmt::format("field {}: an empty field name", spec.path));
    }
    const bool may_create = spec.create && create != CreateKind::none && !list;
    auto found = map.find(name);
    if (found == map.end()) {
      if (!may_create) return {};
      found = map.emplace(std::string(name), Json()).first;
    }
    // A field that is there and null becomes what would have been created.
    if (found->is_null()) {
      if (list) *found = Json::array();
      if (may_create) *found = step + 1 < path.size() || create == CreateKind::map ? Json::object() : Json("");
    }
    return go(*found, step + 1);
  }
};

}  // namespace

std::vector<std::string> split_path(std::string_view path, char delimiter) {
  std::vector<std::string> parts = split(path, delimiter);
  if (parts.size() > 1 && parts[0].empty()) parts.erase(parts.begin());
  std::vector<std::string> result;
  for (std::string& part : parts) {
    if (!result.empty() && result.back().ends_with('\\')) {
      result.back().back() = delimiter;
      result.back() += part;
    } else {
      result.push_back(std::move(part));
    }
  }
  return result;
}

std::vector<std::string> split_field_path(std::string_view path) {
  const std::vector<std::string> parts = split_path(path, '.');
  std::vector<std::string> result;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].starts_with('[') || parts[i].ends_with(']')) {
      result.push_back(parts[i]);
      continue;
    }
    std::string joined = parts[i];
    while (i + 1 < parts.size()) {
      joined += "." + parts[++i];
      if (parts[i].ends_with(']')) break;
    }
    if (joined.find('=') == std::string::npos) {
      const std::size_t first = joined.find_first_not_of("[]");
      const std::size_t last = joined.find_last_not_of("[]");
      joined = first == std::string::npos ? "" : joined.substr(first, last - first + 1);
    }
    result.push_back(std::move(joined));
  }
  return result;
}

base::Result<void> visit_field(Resource& resource, const FieldSpec& spec, CreateKind create, const SetField& set) {
  return visit_path(resource, spec, split_path(spec.path, '/'), create, set);
}

base::Result<void> visit_path(Resource& resource, const FieldSpec& spec, const std::vector<std::string>& path,
                              CreateKind create, const SetField& set) {
  if (path.size() > Growth::kMaxDepth) {
    return base::unexpected(ErrorKind::too_large, fmt::format("a path of more than {} steps", Growth::kMaxDepth));
  }
  return Visit{resource, spec, create, set, path}.go(resource.value, 0);
}

base::Error no_map_before(const FieldSpec& spec, const std::string& step) {
  return base::unexpected(ErrorKind::invalid,
                          fmt::format("field {}: a map or list is expected before {}", spec.path, step))
      .error;
}

base::Result<void> visit_fields(Resource& resource, std::span<const FieldSpec> specs, CreateKind create,
                                const SetField& set) {
  const Gvk gvk = resource.gvk();
  for (const FieldSpec& spec : specs) {
    if (gvk.selected_by(spec.gvk)) SLUICE_CHECK(visit_field(resource, spec, create, set));
  }
  return {};
}

base::Result<void> add_field_spec(FieldSpecs& specs, const FieldSpec& spec) {
  const auto same = std::find_if(specs.begin(), specs.end(), [&](const FieldSpec& known) {
    return known.path == spec.path && known.gvk.selected_by(spec.gvk);
  });
  if (same == specs.end()) {
    specs.push_back(spec);
  } else if (same->create != spec.create) {
    return base::unexpected(ErrorKind::invalid, fmt::format("conflicting field specs for {}", spec.path));
  }
  return {};
}

base::Result<void> add_field_specs(FieldSpecs& specs, std::span<const FieldSpec> more) {
  for (const FieldSpec& spec : more) {
    SLUICE_CHECK(take_step());
    SLUICE_CHECK(add_field_spec(specs, spec));
  }
  return {};
}

}  // namespace sluice::kustomize
