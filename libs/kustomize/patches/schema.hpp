// What strategic merge must know of a kind: which lists are merged, by which keys.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "kustomize/objects/id.hpp"

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
  // How a schema file and the built-in definitions share a build.
  enum class Builtin {
    none,   // kustomize: the file replaces them
    above,  // kustomize, once it has met a kind that it had to look up: they win over the file
    below,  // Flux: the file wins over them
  };
  // An `openapi.path` file: Kubernetes definitions.
  static base::Result<std::shared_ptr<const Schema>> parse(const doc::Json& openapi, Builtin builtin);

  // Kinds that its paths show to have no namespace.
  const std::set<std::string, std::less<>>& cluster_kinds() const { return cluster_kinds_; }
  // Null for a kind that is not known.
  const Type* find(const Gvk& gvk) const;
  static const Field* field(const Type* type, std::string_view name);

 private:
  std::vector<std::unique_ptr<Type>> types_;
  std::map<std::string, const Type*, std::less<>> named_;  // by the name of the definition
  std::set<std::string, std::less<>> cluster_kinds_;
  std::map<std::string, const Type*, std::less<>> kinds_;  // by "group/version/kind"
};

}  // namespace sluice::kustomize
