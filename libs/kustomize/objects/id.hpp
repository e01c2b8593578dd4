// How kustomize identifies an object: group, version, kind, name, namespace.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "doc/json.hpp"

namespace sluice::kustomize {

struct Gvk;

// Group, version and kind as some object or Gvk holds them, which must outlive it.
struct GvkView {
  std::string_view group;
  std::string_view version;
  std::string_view kind;

  static GvkView of(const doc::Json& object);
  static GvkView from_api_version(std::string_view api_version, std::string_view kind);
  Gvk copy() const;
  // An empty part of the selector matches everything.
  bool selected_by(const GvkView& selector) const;
  // True only for kinds that kustomize knows to have no namespace; it takes
  // kinds that it doesn't know for namespaced ones.
  bool cluster_scoped() const;
};

struct Gvk {
  std::string group;
  std::string version;
  std::string kind;

  static Gvk of(const doc::Json& object) { return GvkView::of(object).copy(); }
  static Gvk from_api_version(std::string_view api_version, std::string_view kind) {
    return GvkView::from_api_version(api_version, kind).copy();
  }
  operator GvkView() const { return {group, version, kind}; }
  std::string api_version() const;
  std::string str() const;
  bool operator==(const Gvk&) const = default;
  // kustomize's order of kinds, in which its rules are kept.
  bool before(const Gvk& other) const;
  bool selected_by(const Gvk& selector) const { return GvkView(*this).selected_by(selector); }
  // True for kinds that kustomize knows without reading a schema.
  bool known() const;
  bool cluster_scoped() const { return GvkView(*this).cluster_scoped(); }
};

inline Gvk GvkView::copy() const { return {std::string(group), std::string(version), std::string(kind)}; }

// Kinds ("apiVersion/Kind") that the schema file of a build says to have no
// namespace. They count for all ids on this thread for as long as it lives.
class ClusterKinds {
 public:
  explicit ClusterKinds(std::set<std::string, std::less<>> kinds);
  ~ClusterKinds();
  ClusterKinds(const ClusterKinds&) = delete;
  ClusterKinds& operator=(const ClusterKinds&) = delete;

 private:
  std::set<std::string, std::less<>> kinds_;
  const std::set<std::string, std::less<>>* before_;
};

// In the place of a namespace for what has none.
inline constexpr std::string_view kNoNamespace = "_non_namespaceable_";

struct ResId {
  Gvk gvk;
  std::string name;
  std::string ns;

  // "" counts as "default"; cluster-scoped objects have kNoNamespace.
  std::string_view effective_ns() const;
  // Equal for ids that kustomize treats as the same.
  std::string key() const;
  // "Deployment.v1.apps/name.namespace", as kustomize's messages have it.
  std::string str() const;
};

// "" counts as "default"; cluster-scoped objects have kNoNamespace.
std::string_view effective_ns(const GvkView& gvk, std::string_view ns);
std::string id_key(const GvkView& gvk, std::string_view name, std::string_view effective_ns);

}  // namespace sluice::kustomize
