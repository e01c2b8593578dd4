#include "kustomize/id.hpp"

#include <algorithm>
#include <array>

#include "kustomize/kind_order.hpp"

namespace sluice::kustomize {
namespace {

// Kinds that are newer than kustomize's OpenAPI (v1.21) are left out on
// purpose: it gives them a namespace, and so do we.
struct KnownKind {
  std::string_view name;
  bool namespaced;
};
constexpr std::array kKnownKinds = std::to_array<KnownKind>({
#include "kustomize/known_kinds.inc"
});

thread_local const std::set<std::string, std::less<>>* cluster_kinds = nullptr;

const KnownKind* find_known(const Gvk& gvk) {
  const std::string name = gvk.api_version() + "/" + gvk.kind;
  const auto found = std::lower_bound(kKnownKinds.begin(), kKnownKinds.end(), name,
                                      [](const KnownKind& kind, const std::string& other) { return kind.name < other; });
  return found != kKnownKinds.end() && found->name == name ? &*found : nullptr;
}

}  // namespace

Gvk Gvk::of(const doc::Json& object) {
  return from_api_version(doc::find_string(object, {"apiVersion"}), doc::find_string(object, {"kind"}));
}

Gvk Gvk::from_api_version(std::string_view api_version, std::string_view kind) {
  const std::size_t slash = api_version.find('/');
  if (slash == std::string_view::npos) return {"", std::string(api_version), std::string(kind)};
  return {std::string(api_version.substr(0, slash)), std::string(api_version.substr(slash + 1)), std::string(kind)};
}

bool Gvk::before(const Gvk& other) const {
  return kind_before({group, version, kind}, {other.group, other.version, other.kind});
}

std::string Gvk::api_version() const { return group.empty() ? version : group + "/" + version; }

std::string Gvk::str() const {
  const auto part = [](const std::string& text, const char* none) { return text.empty() ? none : text; };
  return part(kind, "[noKind]") + "." + part(version, "[noVer]") + "." + part(group, "[noGrp]");
}

bool Gvk::selected_by(const Gvk& selector) const {
  return (selector.group.empty() || selector.group == group) &&
         (selector.version.empty() || selector.version == version) && (selector.kind.empty() || selector.kind == kind);
}

bool Gvk::known() const { return find_known(*this) != nullptr; }

bool Gvk::cluster_scoped() const {
  const KnownKind* found = find_known(*this);
  if (found != nullptr) return !found->namespaced;
  return cluster_kinds != nullptr && cluster_kinds->contains(api_version() + "/" + kind);
}

ClusterKinds::ClusterKinds(std::set<std::string, std::less<>> kinds)
    : kinds_(std::move(kinds)), before_(std::exchange(cluster_kinds, &kinds_)) {}
ClusterKinds::~ClusterKinds() { cluster_kinds = before_; }

std::string_view ResId::effective_ns() const {
  if (gvk.cluster_scoped()) return kNoNamespace;
  return ns.empty() ? "default" : std::string_view(ns);
}

std::string ResId::key() const { return id_key(gvk, name, effective_ns()); }

std::string ResId::str() const {
  return gvk.str() + "/" + (name.empty() ? "[noName]" : name) + "." + (ns.empty() ? "[noNs]" : ns);
}

std::string id_key(const Gvk& gvk, std::string_view name, std::string_view effective_ns) {
  std::string key;
  key.reserve(gvk.group.size() + gvk.version.size() + gvk.kind.size() + name.size() + effective_ns.size() + 4);
  for (const std::string_view part :
       {std::string_view(gvk.group), std::string_view(gvk.version), std::string_view(gvk.kind), name, effective_ns}) {
    key.append(part).push_back('\x1f');
  }
  return key;
}

}  // namespace sluice::kustomize
