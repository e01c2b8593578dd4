// What declares kinds to an API server: CustomResourceDefinitions and APIServices, read from its
// store and not from what it has made of them. On the loop; private to libs/kube.
#pragma once

#include <memory>
#include <string>

#include "api/object_meta.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"

namespace sluice::kube::detail {

enum class Declaration {
  none,
  definition,  // a CustomResourceDefinition names the kind, served or not
  service,     // the group is some other server's, by an APIService
  unseen,      // we may not read them
};

inline const Resource kDefinitions{"apiextensions.k8s.io", "v1", "CustomResourceDefinition",
                                   "customresourcedefinitions", false};
inline const Resource kServices{"apiregistration.k8s.io", "v1", "APIService", "apiservices", false};

// Whether something declares the kind now. An error where that could not be found out.
rt::Task<base::Result<Declaration>> find_declaration(std::shared_ptr<Client> client, api::GroupKind kind);

}  // namespace sluice::kube::detail
