// What strategic merge must know of a kind: which lists are merged, by which keys.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "kustomize/id.hpp"

namespace sluice::kustomize {

class Schema {
 public:
  struct Type;
  struct Field {
    const Type* type = nullptr;     // of the value, or of a list's elements; null when nothing is known
    bool has_strategy = false;      // x-kubernetes-patch-strategy is given
    bool merge = false;             // ... and says "merge"
    std::vector<std::string> keys;  // x-kubernetes-list-map-keys or patch-merge-key; none for plain values
  };
  struct Type {
    std::map<std::string, Field, std::less<>> fields;
  };

  // The kinds of the control plane, out of schema_table.inc.
  static const std::shared_ptr<const Schema>& builtin();
  // An `openapi.path` file: Kubernetes definitions, in place of the built-in ones.
  // Kinds that it doesn't have are looked up in `fallback`, if there is one.
  static base::Result<std::shared_ptr<const Schema>> parse(const doc::Json& openapi,
                                                           std::shared_ptr<const Schema> fallback = nullptr);

  // Null for a kind that is not known.
  const Type* find(const Gvk& gvk) const;
  static const Field* field(const Type* type, std::string_view name);

 private:
  std::vector<std::unique_ptr<Type>> types_;
  std::shared_ptr<const Schema> fallback_;
  std::map<std::string, const Type*, std::less<>> kinds_;  // by "group/version/kind"
};

}  // namespace sluice::kustomize
