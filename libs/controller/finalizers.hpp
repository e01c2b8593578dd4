// Adds and removes one finalizer of an object without touching those of others.
// Runs on the loop; private to this library.
#pragma once

#include <functional>
#include <string>

#include "base/result.hpp"
#include "doc/json.hpp"
#include "kube/client.hpp"
#include "rt/task.hpp"

namespace sluice::controller {

enum class FinalizerChange { add, remove };

// The object as it is afterwards. Locked by resourceVersion; a 409 reads it anew
// and tries again, if the object as it is now may still be changed so (`may`; unset: always), and
// answers `conflict` if not. `not_found` when the object is gone or replaced.
rt::Task<base::Result<doc::Json>> change_finalizer(std::shared_ptr<kube::Client> client, kube::Resource resource,
                                                   doc::Json object, std::string finalizer, FinalizerChange change,
                                                   std::string field_manager,
                                                   std::function<bool(const doc::Json& now)> may = {});

}  // namespace sluice::controller
