// Follows one object by name, whatever its labels. Runs on the loop.
#pragma once

#include <functional>
#include <memory>

#include "api/object_meta.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"
#include "kube/client.hpp"
#include "rt/runtime.hpp"

namespace sluice::apply {

// Calls `seen` with the object as it is and at each of its changes; null where
// it does not exist. Returns when `seen` says true. By a kube::Reflector
// of that name, so a watch that breaks is opened anew; `forbidden`, `unauthorized`,
// `not_found` (no such resource) and `unsupported` end it. Bound it in time
// with rt::with_timeout.
rt::Task<base::Result<void>> follow_object(std::shared_ptr<kube::Client> client, kube::Resource resource,
                                           api::ObjectKey key, std::function<bool(const doc::Json*)> seen);

// Returns when the object with this UID is gone.
rt::Task<base::Result<void>> await_gone(std::shared_ptr<kube::Client> client, kube::Resource resource,
                                        api::ObjectKey key, std::string uid);

}  // namespace sluice::apply
