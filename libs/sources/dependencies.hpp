// spec.dependsOn: is what an object waits for ready? Pure.
#pragma once

#include <string>
#include <vector>

#include "api/object_meta.hpp"
#include "doc/json.hpp"

namespace sluice::sources {

// Ready=True for its newest generation.
bool is_ready(const doc::Json& object);
// Why `dependency` (the live object of that key; null where there is none) keeps others waiting, in
// upstream's words; "" if it does not.
std::string why_not_ready(const doc::Json* dependency, const api::ObjectKey& key);
// The keys of what the object waits for, as text: an index.
std::vector<std::string> dependencies_of(const doc::Json& object);

}  // namespace sluice::sources
