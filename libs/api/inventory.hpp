// The list of objects that a Kustomization has applied, as kept in
// `status.inventory`. Upstream reads and writes the same ids, so a takeover in
// either direction finds everything. Pure.
// Facts: kustomize-controller api/v1/inventory_types.go; cli-utils pkg/object.
#pragma once

#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "api/object_meta.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"

namespace sluice::api {

// One object in the cluster, whatever its version.
struct ObjectId {
  std::string namespace_;  // "" for cluster-scoped objects
  std::string name;
  std::string group;
  std::string kind;

  auto operator<=>(const ObjectId&) const = default;
  // `<namespace>_<name>_<group>_<kind>`. Names of RBAC objects may hold ':',
  // which is written as "__".
  std::string str() const;
  GroupKind group_kind() const { return {group, kind}; }
  ObjectKey key() const { return {namespace_, name}; }
  // "Deployment/apps/web", for messages.
  std::string display() const;

  // `invalid` unless there are four parts with a name and a kind.
  static base::Result<ObjectId> parse(std::string_view id);
  // From apiVersion, kind and metadata of an object.
  static base::Result<ObjectId> of(const doc::Json& object);
};

struct InventoryEntry {
  std::string id;       // ObjectId::str
  std::string version;  // "v" on the wire: the version part of apiVersion

  auto operator<=>(const InventoryEntry&) const = default;
};

struct ResourceInventory {
  std::vector<InventoryEntry> entries;
  bool operator==(const ResourceInventory&) const = default;
};

base::Result<ResourceInventory> parse_inventory(const doc::Json& value);
doc::Json to_json(const ResourceInventory& inventory);

}  // namespace sluice::api

template <>
struct std::hash<sluice::api::ObjectId> {
  std::size_t operator()(const sluice::api::ObjectId& id) const noexcept;
};
