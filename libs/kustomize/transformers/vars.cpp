// Vars: $(NAME) in known fields, replaced by a field of one object at the end.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "kustomize/fields/field_path.hpp"
#include "kustomize/objects/steps.hpp"
#include "kustomize/transformers/transformers.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using base::unexpected;
using doc::Json;

// "ports[0]" is written "ports", "0".
FieldPath var_path(const std::string& text) {
  FieldPath path;
  for (const std::string& step : split_field_path(text)) {
    const std::size_t open = step.rfind('[');
    const bool index = step.ends_with(']') && open != std::string::npos && open + 2 < step.size() &&
                       std::all_of(step.begin() + static_cast<std::ptrdiff_t>(open) + 1, step.end() - 1,
                                   [](char c) { return c >= '0' && c <= '9'; });
    if (!index) {
      path.push_back(step);
      continue;
    }
    if (open > 0) path.push_back(step.substr(0, open));
    path.push_back(step.substr(open + 1, step.size() - open - 2));
  }
  return path;
}

class Replacer {
 public:
  Replacer(std::map<std::string, Json> values, Growth& growth) : values_(std::move(values)), growth_(growth) {}

  // A text that is one var and nothing else takes over its type.
  Result<Json> replace(const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
      if (text[i] != '$' || i + 1 == text.size()) {
        out += text[i++];
        continue;
      }
      const char next = text[i + 1];
      const std::size_t close = next == '(' ? text.find(')', i + 2) : std::string::npos;
      if (next == '$') {  // an escaped dollar
        out += '$';
        i += 2;
      } else if (close == std::string::npos) {
        out.append(text, i, 2);
        i += 2;
      } else {
        const std::string name = text.substr(i + 2, close - i - 2);
        const auto found = values_.find(name);
        if (found != values_.end()) used_.insert(name);
        if (found != values_.end() && i == 0 && close + 1 == text.size()) return found->second;
        const std::string part = found == values_.end() ? "$(" + name + ")" : scalar_text(found->second);
        if (found != values_.end()) SLUICE_CHECK(growth_.add_text(part.size()));
        out += part;
        i = close + 1;
      }
    }
    return out;
  }

  Result<void> in_field(const Resource& resource, Json& field) {
    SLUICE_CHECK(take_step());
    settle_untyped(resource, field);
    if (field.is_string()) {
      SLUICE_TRY(field, replace(field.get<std::string>()));
    } else if (field.is_object()) {
      for (auto& [key, value] : field.items()) {
        settle_untyped(resource, value);
        if (!value.is_string()) continue;
        SLUICE_TRY(value, replace(value.get<std::string>()));
      }
    } else if (field.is_array()) {
      for (Json& value : field) {
        settle_untyped(resource, value);
        if (!value.is_string()) return unexpected(ErrorKind::invalid, "a list of strings is expected");
        SLUICE_TRY(value, replace(value.get<std::string>()));
      }
    }
    return {};
  }

  bool used(const std::string& name) const { return used_.contains(name); }

 private:
  std::map<std::string, Json> values_;
  std::set<std::string> used_;
  Growth& growth_;
};

Result<Json> value_of(const ResourceSet& set, const VarSpec& var) {
  for (const auto& resource : set.items()) {
    SLUICE_CHECK(take_step());
    const auto& names = resource->var_names;
    if (std::find(names.begin(), names.end(), var.name) == names.end()) continue;
    auto value = lookup_field(resource->value, var_path(var.field_path));
    if (value && *value != nullptr) {
      Json taken = **value;
      if (state_of(*resource, **value).untyped) taken = state_of(*resource, **value).text;
      return taken;
    }
    return unexpected(ErrorKind::not_found,
                      fmt::format("var {}: {} has no field {}", var.name, resource->describe(), var.field_path));
  }
  return unexpected(ErrorKind::not_found, fmt::format("var {}: no object {}", var.name, var.object.str()));
}

}  // namespace

Result<void> attach_vars(ResourceSet& set, const std::vector<VarSpec>& vars) {
  for (const VarSpec& var : vars) {
    SLUICE_CHECK(take_step());
    const bool exact = !var.object.ns.empty() || var.object.gvk.cluster_scoped();
    const auto found = exact ? set.find_any(var.object) : set.find_any_namespace(var.object);
    if (found.size() > 1) {
      return unexpected(ErrorKind::invalid,
                        fmt::format("var {} may be of {} or {}", var.name, found[0]->describe(), found[1]->describe()));
    }
    if (found.size() == 1) found[0]->var_names.push_back(var.name);
  }
  return {};
}

Result<void> merge_vars(std::vector<VarSpec>& into, const std::vector<VarSpec>& more) {
  std::set<std::string> names;
  for (const VarSpec& var : into) names.insert(var.name);
  for (const VarSpec& var : more) {
    if (!names.insert(var.name).second) {
      return unexpected(ErrorKind::already_exists, fmt::format("var {} is there twice", var.name));
    }
    into.push_back(var);
  }
  return {};
}

Result<void> resolve_vars(ResourceSet& set, const std::vector<VarSpec>& vars, const FieldSpecs& references,
                          std::vector<std::string>& warnings) {
  if (vars.empty()) return {};
  std::map<std::string, Json> values;
  for (const VarSpec& var : vars) {
    SLUICE_TRY(Json value, value_of(set, var));
    // What is no scalar can't be put into a text; the reference stays as it is.
    if (!value.is_structured()) values[var.name] = std::move(value);
  }
  Replacer replacer(std::move(values), set.growth());
  for (const auto& resource : set.items()) {
    auto done = visit_fields(*resource, references, CreateKind::none,
                             [&](Json& field) { return replacer.in_field(*resource, field); });
    if (!done) return unexpected(std::move(done).error().with_context(resource->describe()));
  }
  for (const VarSpec& var : vars) {
    if (!replacer.used(var.name)) warnings.push_back(fmt::format("var {} is used nowhere", var.name));
  }
  return {};
}

}  // namespace sluice::kustomize
