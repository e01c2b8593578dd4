// Whether an object may refer to a source: the rules that a daemon is started with. Pure.
#pragma once

#include "api/object_meta.hpp"
#include "api/references.hpp"
#include "base/result.hpp"

namespace sluice::sources {

struct AccessRules {
  bool no_cross_namespace_refs = false;  // --no-cross-namespace-refs
  bool external_artifacts = true;        // --feature-gates=ExternalArtifact
};

// `key` is resolve(ref, referrer_namespace). `forbidden`, in upstream's words, which users match on.
base::Result<void> check_access(const api::CrossNamespaceSourceReference& ref, const api::ObjectKey& key,
                                std::string_view referrer_namespace, const AccessRules& rules);

}  // namespace sluice::sources
