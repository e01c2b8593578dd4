// What users switch on one object, in its manifest or in the cluster. Flux: switches may be labels or annotations.
#pragma once

#include <string_view>

#include "api/names.hpp"
#include "api/object_meta.hpp"
#include "doc/json.hpp"

namespace sluice::apply {

inline bool has_switch(const doc::Json& object, std::string_view key, std::string_view value) {
  return api::annotation_of(object, key) == value || api::label_of(object, key) == value;
}

// It is not to be applied: `reconcile: disabled` or `ssa: Ignore`.
inline bool is_switched_off(const doc::Json& object) {
  return has_switch(object, api::annotation::kReconcile, api::annotation_value::kDisabled) ||
         has_switch(object, api::annotation::kSsa, api::annotation_value::kSsaIgnore);
}

}  // namespace sluice::apply
