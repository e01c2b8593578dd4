#include "apply/adoption.hpp"

#include "api/names.hpp"
#include "apply/ownership.hpp"

namespace sluice::apply {

bool is_definition(const api::GroupKind& kind) {
  return kind.group == "apiextensions.k8s.io" && kind.kind == "CustomResourceDefinition";
}

bool holds_others(const api::GroupKind& kind) {
  if (is_definition(kind)) return true;
  return kind.group.empty() &&
         (kind.kind == "Namespace" || kind.kind == "PersistentVolumeClaim" || kind.kind == "PersistentVolume");
}

bool was_applied(const doc::Json& live, const Owner& owner) {
  return !api::label_of(live, owner.group + "/name").empty() || has_applied(live, owner.field_manager);
}

doc::Json adoption_mark(const Owner& owner) {
  doc::Json patch = doc::Json::object();
  patch["metadata"]["annotations"][std::string(kExistedBefore)] = owner.key().str();
  return patch;
}

bool is_to_outlive_us(const doc::Json& live) {
  return !api::annotation_of(live, kExistedBefore).empty() &&
         api::annotation_of(live, api::annotation::kPrune) != api::annotation_value::kEnabled &&
         api::label_of(live, api::annotation::kPrune) != api::annotation_value::kEnabled;
}

}  // namespace sluice::apply
