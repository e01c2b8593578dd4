// Prefixes, suffixes and namespaces.
#include <fmt/format.h>

#include <array>
#include <unordered_map>

#include "kustomize/objects/steps.hpp"
#include "kustomize/transformers/transformers.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using doc::Json;

Result<void> need_scalar(const Json& field) {
  if (!field.is_structured()) return {};
  return base::unexpected(ErrorKind::invalid, fmt::format("a scalar is expected, not a {}", field.type_name()));
}

constexpr const char* kHelmAnnotation = "internal.config.kubernetes.io/helm-generated";

auto at(const Resource& resource, base::Error error) {
  return base::unexpected(std::move(error).with_context(resource.describe()));
}

// Kinds whose name means something outside of this build.
bool keeps_name(const Gvk& gvk) {
  return gvk.kind == "CustomResourceDefinition" || gvk.kind == "Namespace" ||
         (gvk.kind == "APIService" && gvk.group == "apiregistration.k8s.io");
}

enum class Side { before, behind };

Result<void> affix_one(Resource& resource, const std::string& text, Side side, const FieldSpecs& specs,
                       Growth& growth) {
  const Gvk original = resource.original_gvk().copy();
  if (keeps_name(original)) return {};
  for (const FieldSpec& spec : specs) {
    if (!original.selected_by(spec.gvk)) continue;
    if (spec.path == "metadata/name" && !text.empty()) {
      (side == Side::before ? resource.prefixes : resource.suffixes).push_back(text);
      resource.remember_id();
    }
    if (!resource.gvk().selected_by(spec.gvk)) continue;
    SLUICE_CHECK(visit_field(resource, spec, CreateKind::scalar, [&](Json& field) -> Result<void> {
      SLUICE_CHECK(need_scalar(field));
      SLUICE_CHECK(growth.add_text(text.size() + Growth::text_size(field)));
      field = side == Side::before ? text + scalar_text(field) : scalar_text(field) + text;
      return {};
    }));
  }
  return {};
}

Result<void> affix(ResourceSet& set, const std::string& text, Side side, const FieldSpecs& specs) {
  set.changed_all();
  for (const auto& resource : set.items()) {
    SLUICE_CHECK(take_step());
    auto done = affix_one(*resource, text, side, specs, set.growth());
    if (!done) return at(*resource, std::move(done).error());
  }
  return {};
}

bool is_role_binding(std::string_view kind) { return kind == "RoleBinding" || kind == "ClusterRoleBinding"; }

class NamespaceSetter {
 public:
  NamespaceSetter(const std::string& ns, const NamespaceOptions& options, const FieldSpecs& specs, Growth& growth)
      : ns_(ns), options_(options), specs_(specs), growth_(growth) {}

  Result<void> operator()(Resource& resource) const {
    const Gvk gvk = resource.gvk();
    const SetField set = [this](Json& field) { return put(field); };
    if (!gvk.cluster_scoped()) {
      SLUICE_CHECK(visit_path(resource, own_, own_path_, CreateKind::scalar, set));
    }
    if (is_role_binding(gvk.kind)) SLUICE_CHECK(set_subjects(resource.value));
    for (const FieldSpec& spec : specs_) {
      if (!gvk.selected_by(spec.gvk) || spec.path == own_.path) continue;
      // Only v1 Namespaces are renamed, not other kinds of that name.
      if (spec.path == "metadata/name" && gvk.api_version() != "v1") continue;
      if (is_role_binding(spec.gvk.kind) && spec.path == "subjects/namespace") continue;
      SLUICE_CHECK(visit_field(resource, spec, CreateKind::scalar, set));
    }
    return {};
  }

 private:
  Result<void> put(Json& field) const {
    SLUICE_CHECK(need_scalar(field));
    if (options_.unset_only && !field.is_null() && !scalar_text(field).empty()) return {};
    SLUICE_CHECK(growth_.change_text(Growth::text_size(field), ns_.size()));
    field = ns_;
    return {};
  }

  Result<void> set_subjects(Json& object) const {
    const auto subjects = object.find("subjects");
    if (options_.subjects == SubjectMode::none || subjects == object.end() || !subjects->is_array()) return {};
    for (Json& subject : *subjects) {
      const bool chosen = options_.subjects == SubjectMode::default_only
                              ? doc::find_string(subject, {"name"}) == "default"
                              : doc::find_string(subject, {"kind"}) == "ServiceAccount";
      if (chosen) SLUICE_CHECK(put(subject["namespace"]));
    }
    return {};
  }

  const std::string& ns_;
  const NamespaceOptions& options_;
  const FieldSpecs& specs_;
  const FieldSpec own_{{}, "metadata/namespace", true};
  const std::vector<std::string> own_path_ = split_path(own_.path, '/');
  Growth& growth_;
};

}  // namespace

Result<void> add_prefix(ResourceSet& set, const std::string& prefix, const FieldSpecs& specs) {
  return affix(set, prefix, Side::before, specs);
}

Result<void> add_suffix(ResourceSet& set, const std::string& suffix, const FieldSpecs& specs) {
  return affix(set, suffix, Side::behind, specs);
}

Result<void> put_namespace(Resource& resource, const std::string& ns, Growth& growth) {
  if (auto done = NamespaceSetter(ns, {}, {}, growth)(resource); !done) return at(resource, std::move(done).error());
  return {};
}

// After each object kustomize asks whether its new id is taken, by an object
// that is done or by one that is still to come; counting ids does the same.
Result<void> set_namespace(ResourceSet& set, const std::string& ns, const FieldSpecs& specs,
                           const NamespaceOptions& options) {
  if (ns.empty()) return {};
  set.changed_all();
  std::unordered_map<std::string, int> ids;
  ids.reserve(2 * set.size());
  std::vector<int*> before;
  before.reserve(set.size());
  for (const auto& resource : set.items()) {
    before.push_back(&ids[resource->key()]);
    ++*before.back();
  }
  const NamespaceSetter setter(ns, options, specs, set.growth());
  for (std::size_t i = 0; i < set.size(); ++i) {
    SLUICE_CHECK(take_step());
    const auto& resource = set.items()[i];
    if (metadata_text(resource->value, "annotations", kHelmAnnotation) == "true") continue;  // Helm has done so
    SLUICE_CHECK(set.growth().add_text(ns.size()));
    resource->remember_id();
    --*before[i];
    if (auto done = setter(*resource); !done) return at(*resource, std::move(done).error());
    if (++ids[resource->key()] != 1) {
      return base::unexpected(ErrorKind::already_exists, fmt::format("{}: namespace {} makes two objects one: {}",
                                                                     resource->describe(), ns, resource->id().str()));
    }
  }
  return {};
}

}  // namespace sluice::kustomize
