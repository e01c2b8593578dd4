// Request paths and queries of the Kubernetes API ("API concepts", resource
// URIs). Pure; private to libs/kube.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kube/client.hpp"

namespace sluice::kube::detail {

// RFC 3986 percent-encoding of everything but unreserved characters.
std::string percent_encode(std::string_view text);

// "/apis/apps/v1/namespaces/default/deployments/web/status"; `name` and
// `subresource` may be empty. A namespace is left out for cluster-scoped kinds.
std::string resource_path(const Resource& resource, std::string_view namespace_, std::string_view name,
                          std::string_view subresource = {});

using Query = std::vector<std::pair<std::string, std::string>>;
// Leaves out pairs with an empty value.
std::string with_query(std::string path, const Query& query);

}  // namespace sluice::kube::detail
