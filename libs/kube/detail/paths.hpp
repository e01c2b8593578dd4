// Request paths and queries of the Kubernetes API ("API concepts", resource
// URIs). Pure; private to libs/kube.
//
// Names come from manifests and from inventories in status, so from anybody.
// Every segment is checked before it stands in a path: a name of "" would turn
// the delete of an object into the delete of its whole collection, and one of
// ".." or with a '/' would name another object.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kube/client.hpp"

namespace sluice::kube::detail {

// RFC 3986 percent-encoding of everything but unreserved characters.
std::string percent_encode(std::string_view text);

// "/apis/apps/v1/namespaces/default/deployments", or of all namespaces where
// `namespace_` is empty. `invalid` if a segment cannot stand in a path (empty,
// ".", "..", or with '/' or '%': apimachinery's IsValidPathSegmentName).
base::Result<std::string> collection_path(const Resource& resource, std::string_view namespace_);

// "/apis/apps/v1/namespaces/default/deployments/web/status"; `subresource` may
// be empty. A namespace is left out for cluster-scoped kinds. Also `invalid`
// if the name is empty, or the namespace of a namespaced kind.
base::Result<std::string> object_path(const Resource& resource, std::string_view namespace_, std::string_view name,
                                      std::string_view subresource = {});

using Query = std::vector<std::pair<std::string, std::string>>;
// Leaves out pairs with an empty value.
std::string with_query(std::string path, const Query& query);

}  // namespace sluice::kube::detail
