// Identity of Kubernetes objects: keys, group-version-kinds, and metadata as
// read from a document. Pure; reading metadata never fails, as the API server
// has validated it: what is missing is empty.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"

namespace sluice::api {

using StringMap = std::map<std::string, std::string, std::less<>>;

// Names one object of a kind that is known from elsewhere.
struct ObjectKey {
  std::string namespace_;  // "" for cluster-scoped objects
  std::string name;

  auto operator<=>(const ObjectKey&) const = default;
  // "namespace/name", or "name" without a namespace.
  std::string str() const;
};

struct GroupKind {
  std::string group;  // "" for the core group
  std::string kind;

  auto operator<=>(const GroupKind&) const = default;
  // "Deployment.apps", or "Service" in the core group.
  std::string str() const;
};

struct GroupVersionKind {
  std::string group;
  std::string version;
  std::string kind;

  auto operator<=>(const GroupVersionKind&) const = default;
  // "apps/v1", or "v1" in the core group.
  std::string api_version() const;
  GroupKind group_kind() const { return {group, kind}; }
  // "apps/v1/Deployment".
  std::string str() const;

  // `api_version` is "v1" or "group/version". `invalid` when it or the kind is
  // empty, or when it holds more than one '/'.
  static base::Result<GroupVersionKind> parse(std::string_view api_version, std::string_view kind);
};

struct ObjectMeta {
  std::string name;
  std::string namespace_;
  std::string uid;
  std::string resource_version;
  std::int64_t generation = 0;
  StringMap labels;
  StringMap annotations;
  std::vector<std::string> finalizers;
  std::optional<base::TimePoint> creation_timestamp;
  std::optional<base::TimePoint> deletion_timestamp;

  ObjectKey key() const { return {namespace_, name}; }
  bool is_being_deleted() const { return deletion_timestamp.has_value(); }
  bool has_finalizer(std::string_view finalizer) const;
  // The value, or nothing where the key is not set; a set key may be "".
  std::optional<std::string_view> annotation(std::string_view key) const;
  std::optional<std::string_view> label(std::string_view key) const;
};

// All of `object.metadata`.
ObjectMeta read_meta(const doc::Json& object);

// Single fields, for callers that look at many objects. Views into `object`.
std::string_view name_of(const doc::Json& object) noexcept;
std::string_view namespace_of(const doc::Json& object) noexcept;
std::string_view uid_of(const doc::Json& object) noexcept;
std::string_view resource_version_of(const doc::Json& object) noexcept;
std::string_view kind_of(const doc::Json& object) noexcept;
std::int64_t generation_of(const doc::Json& object) noexcept;
// metadata.annotations[key] and metadata.labels[key]; "" where it is not set.
std::string_view annotation_of(const doc::Json& object, std::string_view key) noexcept;
std::string_view label_of(const doc::Json& object, std::string_view key) noexcept;
bool is_being_deleted(const doc::Json& object) noexcept;
ObjectKey key_of(const doc::Json& object);
// From `apiVersion` and `kind`; errors as GroupVersionKind::parse.
base::Result<GroupVersionKind> gvk_of(const doc::Json& object);

// True if `requestedAt` asks for a reconciliation that `last_handled` (the
// object's status.lastHandledReconcileAt) has not seen yet.
bool is_reconcile_requested(const ObjectMeta& meta, std::string_view last_handled);

}  // namespace sluice::api

template <>
struct std::hash<sluice::api::ObjectKey> {
  std::size_t operator()(const sluice::api::ObjectKey& key) const noexcept;
};
template <>
struct std::hash<sluice::api::GroupKind> {
  std::size_t operator()(const sluice::api::GroupKind& kind) const noexcept;
};
template <>
struct std::hash<sluice::api::GroupVersionKind> {
  std::size_t operator()(const sluice::api::GroupVersionKind& kind) const noexcept;
};
