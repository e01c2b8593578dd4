// spec.postBuild: the values of variables, and their substitution in built objects.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>

#include "api/kustomization.hpp"
#include "api/object_meta.hpp"
#include "base/masks.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"
#include "kube/client.hpp"
#include "rt/task.hpp"
#include "text/glob.hpp"

namespace sluice::kustomize_controller {

inline constexpr std::size_t kMaxReferences = 100;                         // of one Kustomization
inline constexpr std::size_t kMaxReferencedBytes = std::size_t{8} << 20U;  // of names and values of all of them

// Reads what `substituteFrom` names in `space`, later ones over earlier ones, and
// puts `substitute` on top. Line ends in values are left out, as upstream has it.
// Errors name the object; a missing optional one is none; `too_large` past the bounds
// above, since all of it is held, and compared, in every run. `masks` learns the values that
// come from Secrets, as they are and as variables have them. On the loop.
rt::Task<base::Result<api::StringMap>> read_variables(std::shared_ptr<kube::Client> client, api::PostBuild post_build,
                                                      std::string space, std::shared_ptr<base::Masks> masks);

struct Substitution {
  api::StringMap variables;
  bool always = false;  // substituteStrategy: Always, that is also without any variable
  bool strict = true;   // a variable that is not set and has no default is an error
  // Of the run: knows which variables hold secrets, and learns what is made of them. May be null.
  std::shared_ptr<base::Masks> masks;
};

// What the functions of one build have made of secret values (`${x^^}`, `${x:0:16}`): as secret as
// those, where it is as long as the value, or long enough to be told from other text. Of the first
// kMaxDerived different ones, which the next run of the same build must mask as well.
class DerivedSecrets {
 public:
  static constexpr std::size_t kMaxDerived = 4096;
  static constexpr std::size_t kMaxBytes = std::size_t{1} << 20U;

  void note(base::Masks& masks, std::string_view name, std::string_view value, std::string_view made);
  const std::set<std::string, std::less<>>& values() const noexcept { return values_; }

 private:
  std::map<std::string, bool, std::less<>> is_secret_;  // by variable
  std::set<std::string, std::less<>> values_;
  std::size_t bytes_ = 0;
};

inline constexpr std::size_t kMaxSubstituted = std::size_t{64} << 20U;  // bytes of text in all objects of a build

// What the substitution in all objects of one build may still take: a few files
// and variables would else multiply, object by object.
struct BuildBudget {
  std::size_t bytes = kMaxSubstituted;
  text::WorkBudget work{};
  DerivedSecrets derived{};
};

// The object with its variables replaced, read anew as YAML: a value may become a
// number, a list or anything else. Left alone where it is annotated or labelled
// `substitute: disabled`. `invalid` says what is wrong in which field, and quotes
// neither values nor what stands around a variable, which may be secret;
// `too_large`, and `cancelled` soon after `stop` was asked for. Takes from `budget`;
// without one, the object has one for itself. Pure.
base::Result<doc::Json> substitute_in(doc::Json object, const Substitution& substitution, std::stop_token stop = {},
                                      BuildBudget* budget = nullptr);

// `invalid` for the first name that cannot be one. Pure.
base::Result<void> check_variable_names(const api::StringMap& variables);

}  // namespace sluice::kustomize_controller
