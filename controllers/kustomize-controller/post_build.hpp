// spec.postBuild: the values of variables, and their substitution in built objects.
#pragma once

#include <memory>
#include <optional>

#include "api/kustomization.hpp"
#include "api/object_meta.hpp"
#include "base/masks.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"
#include "kube/client.hpp"
#include "rt/task.hpp"

namespace sluice::kustomize_controller {

// Reads what `substituteFrom` names in `space`, later ones over earlier ones, and
// puts `substitute` on top. Line ends in values are left out, as upstream has it.
// Errors name the object; a missing optional one is none. `masks` learns the values of
// Secrets. On the loop.
rt::Task<base::Result<api::StringMap>> read_variables(std::shared_ptr<kube::Client> client, api::PostBuild post_build,
                                                      std::string space, std::shared_ptr<base::Masks> masks);

struct Substitution {
  api::StringMap variables;
  bool always = false;  // substituteStrategy: Always, that is also without any variable
  bool strict = true;   // a variable that is not set and has no default is an error
};

// The object with its variables replaced, read anew as YAML: a value may become a
// number, a list or anything else. Left alone where it is annotated or labelled
// `substitute: disabled`. `invalid` says what is wrong where. Pure.
base::Result<doc::Json> substitute_in(doc::Json object, const Substitution& substitution);

// `invalid` for the first name that cannot be one. Pure.
base::Result<void> check_variable_names(const api::StringMap& variables);

}  // namespace sluice::kustomize_controller
