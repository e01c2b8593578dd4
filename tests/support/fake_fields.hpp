// Who owns which fields of an object, in metadata.managedFields, as server-side apply has it; but
// lists have one owner each. For FakeKube.
// Facts: "Server-Side Apply" in the Kubernetes documentation, "Field management" and "Conflicts".
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "doc/json.hpp"
#include "kube/client.hpp"

namespace sluice::test::fields {

inline std::string escaped(std::string_view key) {
  std::string out;
  for (const char c : key) out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return out;
}
// The leaves of an object as JSON pointers, but for what names it and what the server writes.
inline std::map<std::string, doc::Json> leaves_of(const doc::Json& object) {
  std::map<std::string, doc::Json> leaves;
  const std::function<void(const std::string&, const doc::Json&)> walk = [&](const std::string& at,
                                                                             const doc::Json& value) {
    if (!value.is_object()) {
      leaves[at] = value;
      return;
    }
    for (const auto& [key, child] : value.items()) walk(at + "/" + escaped(key), child);
  };
  for (const auto& [key, value] : object.items()) {
    if (key == "apiVersion" || key == "kind" || key == "status") continue;
    if (key != "metadata") {
      walk("/" + escaped(key), value);
      continue;
    }
    for (const char* field : {"labels", "annotations", "finalizers", "ownerReferences"}) {
      if (const auto found = value.find(field); found != value.end()) walk("/metadata/" + std::string(field), *found);
    }
  }
  return leaves;
}
inline doc::Json fields_of(const std::map<std::string, doc::Json>& leaves) {
  doc::Json fields = doc::Json::object();
  for (const auto& [path, value] : leaves) {
    std::string at;
    for (std::size_t i = 0; i < path.size(); ++i) at += path[i] == '/' ? "/f:" : std::string(1, path[i]);
    fields[doc::Json::json_pointer(at)] = doc::Json::object();
  }
  return fields;
}
inline std::vector<std::string> paths_of(const doc::Json& fields) {
  std::vector<std::string> paths;
  const std::function<void(const std::string&, const doc::Json&)> walk = [&](const std::string& at,
                                                                             const doc::Json& value) {
    if (value.empty()) paths.push_back(at);
    for (const auto& [key, child] : value.items()) walk(at + "/" + escaped(key.substr(2)), child);
  };
  if (!fields.empty()) walk("", fields);
  return paths;
}
using Owners = std::map<std::pair<std::string, std::string>, std::map<std::string, doc::Json>>;  // manager, operation
inline Owners owners_of(const doc::Json& object) {
  Owners owners;
  const auto* entries = doc::find(object, {"metadata", "managedFields"});
  if (entries == nullptr) return owners;
  for (const auto& entry : *entries) {
    auto& owned = owners[{entry["manager"].get<std::string>(), entry["operation"].get<std::string>()}];
    for (const auto& path : paths_of(entry["fieldsV1"])) owned[path] = nullptr;
  }
  return owners;
}
inline void set_owners(doc::Json& object, const Owners& owners) {
  doc::Json entries = doc::Json::array();
  for (const auto& [who, owned] : owners) {
    if (owned.empty()) continue;
    entries.push_back({{"manager", who.first},
                       {"operation", who.second},
                       {"apiVersion", object.value("apiVersion", "v1")},
                       {"fieldsType", "FieldsV1"},
                       {"fieldsV1", fields_of(owned)}});
  }
  object["metadata"]["managedFields"] = std::move(entries);
}
inline bool is_owned(const Owners& owners, const std::string& path) {
  return std::any_of(owners.begin(), owners.end(), [&](const auto& entry) { return entry.second.contains(path); });
}
// Applies as `options` say; `conflict` where somebody else owns a field and it is not forced.
inline base::Result<void> apply_fields(doc::Json& merged, doc::Json applied, const kube::ApplyOptions& options) {
  Owners owners = owners_of(merged);
  auto& mine = owners[{options.field_manager, "Apply"}];
  const auto wanted = leaves_of(applied);
  const auto stood = leaves_of(merged);
  const auto left_out = mine;
  mine.clear();
  for (auto& [who, owned] : owners) {
    if (&owned == &mine) continue;
    for (const auto& [path, value] : wanted) {
      const auto found = stood.find(path);
      if (!owned.contains(path) || (found != stood.end() && found->second == value)) continue;
      if (!options.force) {
        return base::unexpected(base::ErrorKind::conflict,
                                "Apply failed with 1 conflict: conflict with \"" + who.first + "\": " + path);
      }
      owned.erase(path);
    }
  }
  for (const auto& [path, value] : left_out) {
    if (wanted.contains(path) || is_owned(owners, path)) continue;
    const doc::Json::json_pointer at(path);
    if (merged.contains(at)) merged[at.parent_pointer()].erase(at.back());
  }
  mine = wanted;
  applied["metadata"].erase("managedFields");
  merged.merge_patch(applied);
  set_owners(merged, owners);
  return {};
}
// Somebody has changed the object in another way than by applying.
inline void take_fields(const doc::Json& before, doc::Json& now, const std::string& manager) {
  const auto old = leaves_of(before);
  Owners owners = owners_of(before);
  std::map<std::string, doc::Json> changed;
  const auto leaves = leaves_of(now);
  for (const auto& [path, value] : leaves) {
    const auto found = old.find(path);
    if (found == old.end() || found->second != value) changed[path] = nullptr;
  }
  for (auto& [who, owned] : owners) {
    std::erase_if(owned,
                  [&](const auto& entry) { return changed.contains(entry.first) || !leaves.contains(entry.first); });
  }
  owners[{manager, "Update"}].merge(changed);
  set_owners(now, owners);
}

}  // namespace sluice::test::fields
