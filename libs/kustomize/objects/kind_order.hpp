// kustomize's order of kinds, in which it keeps its rules; for tables that are
// sorted by the compiler, too.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace sluice::kustomize {

struct KindName {
  std::string_view group, version, kind;
};

inline constexpr std::array<std::string_view, 22> kFirstKinds{
    "Namespace",      "ResourceQuota",    "StorageClass",          "CustomResourceDefinition", "ServiceAccount",
    "PodSecurityPolicy", "Role",          "ClusterRole",           "RoleBinding",              "ClusterRoleBinding",
    "ConfigMap",      "Secret",           "Endpoints",             "Service",                  "LimitRange",
    "PriorityClass",  "PersistentVolume", "PersistentVolumeClaim", "Deployment",               "StatefulSet",
    "CronJob",        "PodDisruptionBudget"};
inline constexpr std::array<std::string_view, 2> kLastKinds{"MutatingWebhookConfiguration",
                                                            "ValidatingWebhookConfiguration"};

namespace detail {

constexpr std::ptrdiff_t kind_rank(std::string_view kind) {
  const auto first = std::find(kFirstKinds.begin(), kFirstKinds.end(), kind);
  if (first != kFirstKinds.end()) return first - kFirstKinds.end();
  const auto last = std::find(kLastKinds.begin(), kLastKinds.end(), kind);
  return last == kLastKinds.end() ? 0 : last - kLastKinds.begin() + 1;
}

// The letters of "group_version_kind", one after the other.
class KindLetters {
 public:
  explicit constexpr KindLetters(const KindName& name)
      : parts_{name.group.empty() ? "~G" : name.group, "_", name.version.empty() ? "~V" : name.version, "_",
               name.kind.empty() ? "~K" : name.kind} {}

  // -1 behind the last.
  constexpr int next() {
    while (part_ < parts_.size() && at_ == parts_[part_].size()) {
      ++part_;
      at_ = 0;
    }
    return part_ == parts_.size() ? -1 : static_cast<unsigned char>(parts_[part_][at_++]);
  }

 private:
  std::array<std::string_view, 5> parts_;
  std::size_t part_ = 0, at_ = 0;
};

}  // namespace detail

constexpr bool kind_before(const KindName& a, const KindName& b) {
  const std::ptrdiff_t rank_a = detail::kind_rank(a.kind), rank_b = detail::kind_rank(b.kind);
  if (rank_a != rank_b) return rank_a < rank_b;
  detail::KindLetters letters_a(a), letters_b(b);
  while (true) {
    const int letter_a = letters_a.next(), letter_b = letters_b.next();
    if (letter_a != letter_b) return letter_a < letter_b;
    if (letter_a < 0) return false;
  }
}

}  // namespace sluice::kustomize
