#include "sources/access.hpp"

#include <fmt/format.h>

#include "api/names.hpp"

namespace sluice::sources {

base::Result<void> check_access(const api::CrossNamespaceSourceReference& ref, const api::ObjectKey& key,
                                std::string_view referrer_namespace, const AccessRules& rules) {
  std::string_view why;
  if (rules.no_cross_namespace_refs && key.namespace_ != referrer_namespace) {
    why = "cross-namespace references have been blocked";
  } else if (ref.kind == api::kind::kExternalArtifact && !rules.external_artifacts) {
    why = "ExternalArtifact feature gate is disabled";
  }
  if (why.empty()) return {};
  return base::unexpected(base::ErrorKind::forbidden,
                          fmt::format("can't access '{}/{}', {}", ref.kind, key.str(), why));
}

}  // namespace sluice::sources
