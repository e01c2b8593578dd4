#include "kustomize/objects/id.hpp"

#include <algorithm>
#include <array>

#include "kustomize/objects/kind_order.hpp"

namespace sluice::kustomize {
namespace {

// Kinds that are newer than kustomize's OpenAPI (v1.21) are left out on
// purpose: it gives them a namespace, and so do we.
struct KnownKind {
  std::string_view name;
  bool namespaced;
};
constexpr std::array kKnownKinds = std::to_array<KnownKind>({
#include "kustomize/objects/known_kinds.inc"
});

thread_local const std::set<std::string, std::less<>>* cluster_kinds = nullptr;

constexpr std::size_t kLongestKnown = std::max_element(kKnownKinds.begin(), kKnownKinds.end(), [](auto& a, auto& b) {
                                        return a.name.size() < b.name.size();
                                      })->name.size();

// "apiVersion/Kind", in a buffer, as this is asked several times of each object.
class KnownName {
 public:
  explicit KnownName(const GvkView& gvk) {
    if (!gvk.group.empty()) {
      append(gvk.group);
      append("/");
    }
    append(gvk.version);
    append("/");
    append(gvk.kind);
  }
  // "" where it is longer than any kind that is known.
  std::string_view text() const { return fits_ ? std::string_view(buffer_.data(), size_) : std::string_view(); }

 private:
  void append(std::string_view part) {
    fits_ = fits_ && part.size() <= buffer_.size() - size_;
    if (fits_) size_ += part.copy(buffer_.data() + size_, part.size());
  }

  std::array<char, kLongestKnown> buffer_;
  std::size_t size_ = 0;
  bool fits_ = true;
};

const KnownKind* find_known(const GvkView& gvk) {
  const KnownName name(gvk);
  const auto found = std::lower_bound(kKnownKinds.begin(), kKnownKinds.end(), name.text(),
                                      [](const KnownKind& kind, std::string_view other) { return kind.name < other; });
  return found != kKnownKinds.end() && found->name == name.text() ? &*found : nullptr;
}

}  // namespace

GvkView GvkView::of(const doc::Json& object) {
  return from_api_version(doc::find_string(object, {"apiVersion"}), doc::find_string(object, {"kind"}));
}

GvkView GvkView::from_api_version(std::string_view api_version, std::string_view kind) {
  const std::size_t slash = api_version.find('/');
  if (slash == std::string_view::npos) return {"", api_version, kind};
  return {api_version.substr(0, slash), api_version.substr(slash + 1), kind};
}

bool GvkView::cluster_scoped() const {
  const KnownKind* found = find_known(*this);
  if (found != nullptr) return !found->namespaced;
  if (cluster_kinds == nullptr) return false;
  return cluster_kinds->contains(copy().api_version().append("/").append(kind));
}

bool Gvk::before(const Gvk& other) const {
  return kind_before({group, version, kind}, {other.group, other.version, other.kind});
}

std::string Gvk::api_version() const { return group.empty() ? version : group + "/" + version; }

std::string Gvk::str() const {
  const auto part = [](const std::string& text, const char* none) { return text.empty() ? none : text; };
  return part(kind, "[noKind]") + "." + part(version, "[noVer]") + "." + part(group, "[noGrp]");
}

bool GvkView::selected_by(const GvkView& selector) const {
  return (selector.group.empty() || selector.group == group) &&
         (selector.version.empty() || selector.version == version) && (selector.kind.empty() || selector.kind == kind);
}

bool Gvk::known() const { return find_known(*this) != nullptr; }

ClusterKinds::ClusterKinds(std::set<std::string, std::less<>> kinds)
    : kinds_(std::move(kinds)), before_(std::exchange(cluster_kinds, &kinds_)) {}
ClusterKinds::~ClusterKinds() { cluster_kinds = before_; }

std::string_view effective_ns(const GvkView& gvk, std::string_view ns) {
  if (gvk.cluster_scoped()) return kNoNamespace;
  return ns.empty() ? "default" : ns;
}

std::string_view ResId::effective_ns() const { return kustomize::effective_ns(gvk, ns); }

std::string ResId::key() const { return id_key(gvk, name, effective_ns()); }

std::string ResId::str() const {
  return gvk.str() + "/" + (name.empty() ? "[noName]" : name) + "." + (ns.empty() ? "[noNs]" : ns);
}

std::string id_key(const GvkView& gvk, std::string_view name, std::string_view effective_ns) {
  std::string key;
  key.reserve(gvk.group.size() + gvk.version.size() + gvk.kind.size() + name.size() + effective_ns.size() + 5);
  for (const std::string_view part : {gvk.group, gvk.version, gvk.kind, name, effective_ns}) {
    key.append(part).push_back('\x1f');
  }
  return key;
}

}  // namespace sluice::kustomize
