// Is an object ready? The rules of kstatus (sigs.k8s.io/cli-utils, pkg/kstatus)
// for the built-in kinds, Flux's own for Jobs, and conditions for every other
// kind. Where several conditions decide, the first of the list does. Where they
// differ on purpose: docs/engines.md. Pure.
#pragma once

#include <string>
#include <string_view>

#include "doc/json.hpp"

namespace sluice::apply {

enum class Health {
  current,      // what the spec asks for is there
  in_progress,  // on its way
  failed,       // will not get there by itself
  terminating,  // being deleted
};

std::string_view to_string(Health health) noexcept;

struct Readiness {
  Health health = Health::in_progress;
  std::string message;  // why, with the object's own figures or words
};

// Judges one live object, with its status.
Readiness assess(const doc::Json& object);

}  // namespace sluice::apply
