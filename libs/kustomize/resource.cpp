#include "kustomize/resource.hpp"

#include <fmt/format.h>

namespace sluice::kustomize {

void Resource::set_ns(const std::string& ns) {
  if (!ns.empty()) {
    value["metadata"]["namespace"] = ns;
  } else if (const auto meta = value.find("metadata"); meta != value.end() && meta->is_object()) {
    meta->erase("namespace");
  }
}

std::vector<ResId> Resource::past_ids() const {
  std::vector<ResId> ids;
  ids.reserve(past.size());
  const Gvk now = gvk();
  for (const PastId& id : past) ids.push_back({{now.group, now.version, id.kind}, id.name, id.ns});
  return ids;
}

ResId Resource::original_id() const {
  if (past.empty()) return id();
  const Gvk now = gvk();
  return {{now.group, now.version, past.front().kind}, past.front().name, past.front().ns};
}

void Resource::remember_id() {
  const ResId now = id();
  past.push_back({now.name, std::string(now.effective_ns()), now.gvk.kind});
}

void Resource::settle_empty_nulls() {
  for (const doc::EmptyNull& null : empty_nulls) {
    if (!null.in_flow || !value.contains(null.place)) continue;
    if (doc::Json& found = value.at(null.place); found.is_null()) found = "";
  }
  empty_nulls.clear();
}

std::string Resource::describe() const {
  std::string text(kind());
  if (!ns().empty()) text.append("/").append(ns());
  text.append("/").append(name());
  if (!file.empty()) text += line > 0 ? fmt::format(" ({}:{})", file, line) : fmt::format(" ({})", file);
  return text;
}

std::string scalar_text(const doc::Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "null";
  if (value.is_number_float()) {
    std::string text = doc::print_yaml(value);
    text.pop_back();
    return text;
  }
  return value.is_structured() ? std::string() : value.dump();
}

std::optional<std::string> metadata_text(const doc::Json& object, const char* map, const std::string& key) {
  const doc::Json* entries = doc::find(object, {"metadata", map});
  if (entries == nullptr || !entries->is_object()) return std::nullopt;
  const auto found = entries->find(key);
  if (found == entries->end() || found->is_structured()) return std::nullopt;
  return scalar_text(*found);
}

}  // namespace sluice::kustomize
