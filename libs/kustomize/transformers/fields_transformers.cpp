// Labels, annotations, images, replicas, the order of objects.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "doc/yaml_scalar.hpp"
#include "kustomize/fields/field_tree.hpp"
#include "kustomize/objects/kind_order.hpp"
#include "kustomize/objects/notes.hpp"
#include "kustomize/objects/selector.hpp"
#include "kustomize/objects/steps.hpp"
#include "kustomize/transformers/transformers.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using doc::Json;

auto at(const Resource& resource, base::Error error) {
  return base::unexpected(std::move(error).with_context(resource.describe()));
}

struct ImageName {
  std::string name, tag, digest;
};

// "registry:5000/app:1.2@sha256:..." into its parts; a colon in front of the
// first slash belongs to the registry.
ImageName split_image(const std::string& image) {
  const std::size_t slash = image.find('/');
  const std::size_t from = slash == std::string::npos ? 0 : slash;
  const std::size_t at_sign = image.find('@', from);
  std::size_t colon = image.find(':', from);
  if (at_sign != std::string::npos && colon > at_sign) colon = std::string::npos;
  const std::size_t name_end = std::min({colon, at_sign, image.size()});
  ImageName parts{image.substr(0, name_end), "", ""};
  if (colon != std::string::npos) parts.tag = image.substr(colon + 1, std::min(at_sign, image.size()) - colon - 1);
  if (at_sign != std::string::npos) parts.digest = image.substr(at_sign + 1);
  return parts;
}

class ImageSetter {
 public:
  static Result<ImageSetter> make(const ImageSpec& spec, Growth& growth) {
    ImageSetter setter(spec, growth);
    // The name is a regular expression in kustomize, by accident or not.
    SLUICE_TRY(setter.pattern_,
               Pattern::compile_partial("^" + spec.name + "(:[a-zA-Z0-9_.{}-]*)?(@sha256:[a-zA-Z0-9_.{}-]*)?$"));
    return setter;
  }

  Result<void> operator()(Json& field) const {
    if (field.is_structured()) return base::unexpected(ErrorKind::invalid, "an image must be a string");
    if (!field.is_string()) return {};
    SLUICE_TRY(const bool named, pattern_.matches(field.get_ref<const std::string&>()));
    if (!named) return {};
    ImageName image = split_image(field.get_ref<const std::string&>());
    if (!spec_.new_name.empty()) image.name = spec_.new_name;
    if (!spec_.new_tag.empty() || !spec_.digest.empty()) {
      image.tag = spec_.new_tag;
      image.digest = spec_.digest;
    } else if (!spec_.tag_suffix.empty()) {
      image.tag += spec_.tag_suffix;
      image.digest.clear();
    }
    if (!image.tag.empty()) image.name += ":" + image.tag;
    if (!image.digest.empty()) image.name += "@" + image.digest;
    SLUICE_CHECK(growth_->change_text(Growth::text_size(field), image.name.size()));
    field = image.name;
    return {};
  }

  // Lists named containers or initContainers at any place.
  Result<void> in_containers(Json& node) const {
    if (!node.is_structured()) return {};
    SLUICE_CHECK(take_step());
    for (auto& [key, child] : node.items()) {
      SLUICE_CHECK(in_containers(child));
      if (!node.is_object() || !child.is_array() || (key != "containers" && key != "initContainers")) continue;
      for (Json& container : child) {
        if (!container.is_object()) continue;
        if (const auto image = container.find("image"); image != container.end()) SLUICE_CHECK((*this)(*image));
      }
    }
    return {};
  }

 private:
  ImageSetter(const ImageSpec& spec, Growth& growth) : spec_(spec), growth_(&growth) {}
  const ImageSpec& spec_;
  Growth* growth_;
  Pattern pattern_;
};

// Puts a part into a file path, at most behind its end; an absolute path stays one.
std::string insert_path_part(const std::string& path, std::size_t position, const std::string& part) {
  const bool absolute = path.starts_with('/');
  const std::string start = absolute ? "/" : "";
  std::string_view rest = std::string_view(path).substr(start.size());
  if (rest.empty()) return start + part;
  if (rest.ends_with('/')) rest.remove_suffix(1);  // which begins no part
  if (position == 0) return fmt::format("{}{}/{}", start, part, rest);
  std::size_t slash = rest.find('/');
  for (; position > 1 && slash != rest.npos; --position) slash = rest.find('/', slash + 1);
  const std::string_view before = rest.substr(0, slash);
  return fmt::format("{}{}/{}{}", start, before, part, rest.substr(before.size()));
}

// The place of a kind in the "legacy" order.
class KindOrder {
 public:
  KindOrder(const std::vector<std::string>& first, const std::vector<std::string>& last) {
    for (std::size_t i = 0; i < first.size(); ++i)
      rank_[first[i]] = static_cast<long>(i) - static_cast<long>(first.size());
    for (std::size_t i = 0; i < last.size(); ++i) rank_[last[i]] = static_cast<long>(i) + 1;
  }
  long rank(const std::string& kind) const {
    const auto found = rank_.find(kind);
    return found == rank_.end() ? 0 : found->second;
  }

 private:
  std::unordered_map<std::string, long> rank_;
};

const std::vector<std::string>& default_first() {
  static const std::vector<std::string> kinds(kFirstKinds.begin(), kFirstKinds.end());
  return kinds;
}

const std::vector<std::string>& default_last() {
  static const std::vector<std::string> kinds(kLastKinds.begin(), kLastKinds.end());
  return kinds;
}

std::string sort_text(const Gvk& gvk) {
  return (gvk.group.empty() ? "~G" : gvk.group) + "_" + (gvk.version.empty() ? "~V" : gvk.version) + "_" +
         (gvk.kind.empty() ? "~K" : gvk.kind);
}

struct SortKey {
  long rank;
  Gvk gvk;
  std::string gvk_text;
  std::string id_text;

  bool operator<(const SortKey& other) const {
    if (gvk == other.gvk) return id_text < other.id_text;
    if (rank != other.rank) return rank < other.rank;
    // Of two kinds named Namespace, the one without a group comes first.
    if (gvk.kind == "Namespace" && other.gvk.kind == "Namespace" && (gvk.group.empty() || other.gvk.group.empty())) {
      return gvk_text > other.gvk_text;
    }
    return gvk_text < other.gvk_text;
  }
};

}  // namespace

Result<void> set_entries(ResourceSet& set, const TextMap& entries, const FieldSpecs& specs) {
  if (entries.empty()) return {};
  SharedEntries::Entries created;
  const FieldTree::Set put = [&](Json& field, std::size_t) -> Result<void> {
    if (!field.is_object()) {
      return base::unexpected(ErrorKind::invalid, fmt::format("a map is expected, not a {}", field.type_name()));
    }
    for (const auto& [key, value] : entries) {
      const auto [entry, is_new] = field.emplace(key, value);
      SLUICE_CHECK(set.growth().add_text(key.size() + value.size()));
      if (is_new) created[key].push_back(&*entry);
      if (!is_new) *entry = value;
    }
    return {};
  };
  FieldTree::Specs all;
  for (const FieldSpec& spec : specs) all.push_back(&spec);
  FieldTrees trees(std::move(all), CreateKind::map);
  // kustomize's notes are annotations, so that these are there where it has any.
  const bool on_notes = std::any_of(specs.begin(), specs.end(), [](const FieldSpec& spec) {
    return spec.path == "metadata/annotations" && !spec.create;
  });
  for (const auto& resource : set.items()) {
    SLUICE_CHECK(take_step());
    for (auto& [key, places] : created) places.clear();
    const Notes notes = on_notes && has_notes(*resource) ? notes_of(*resource) : Notes{};
    put_notes(*resource, notes);
    auto failed = trees.of(GvkView::of(resource->value)).visit(*resource, put);
    take_notes(*resource, notes, Gone::kept);
    if (failed) return at(*resource, std::move(failed->error));
    std::erase_if(resource->plain_texts, [&](const doc::PlainText& written) {
      return !written.place.empty() && entries.contains(written.place.back());
    });
    resource->shared.share(resource->value, created);
  }
  return {};
}

Result<void> set_image(ResourceSet& set, const ImageSpec& image, const FieldSpecs& specs) {
  SLUICE_TRY(const ImageSetter setter, ImageSetter::make(image, set.growth()));
  for (const auto& resource : set.items()) {
    SLUICE_CHECK(take_step());
    if (resource->kind() == "CustomResourceDefinition") continue;
    auto done = setter.in_containers(resource->value);
    if (done) done = visit_fields(*resource, specs, CreateKind::none, setter);
    if (!done) return at(*resource, std::move(done).error());
  }
  return {};
}

Result<void> set_replicas(ResourceSet& set, const ReplicaSpec& replica, const FieldSpecs& specs) {
  bool found = false;
  for (Resource* resource : set.find_named(replica.name)) {
    SLUICE_CHECK(take_step());
    std::vector<ResId> ids = resource->past_ids();
    ids.push_back(resource->id());
    for (const FieldSpec& spec : specs) {
      const bool chosen = std::any_of(ids.begin(), ids.end(), [&](const ResId& id) {
        return id.name == replica.name && id.gvk.selected_by(spec.gvk);
      });
      if (!chosen) continue;
      found = true;
      if (!resource->gvk().selected_by(spec.gvk)) continue;
      auto done = visit_field(*resource, spec, CreateKind::scalar, [&](Json& field) -> Result<void> {
        if (field.is_structured()) return base::unexpected(ErrorKind::invalid, "replicas must be a number");
        // Quotes stay, and so does the type of what had to be in quotes.
        const bool quoted =
            field.is_string() && field != "" && doc::is_ambiguous_string(field.get_ref<const std::string&>());
        field = quoted ? Json(std::to_string(replica.count)) : Json(replica.count);
        return {};
      });
      if (!done) return at(*resource, std::move(done).error());
    }
  }
  if (found) return {};
  return base::unexpected(ErrorKind::not_found,
                          fmt::format("no object named {} of a kind that has replicas", replica.name));
}

Result<void> add_value(ResourceSet& set, const std::string& value, const Json& targets) {
  for (const Json& target : targets) {
    SelectorSpec spec;
    if (const Json* selector = doc::find(target, {"selector"}); selector != nullptr) {
      SLUICE_TRY(spec, parse_selector(*selector, "selector", Strictness::config));
    }
    const std::string path(doc::find_string(target, {"fieldPath"}));
    if (path.empty()) return base::unexpected(ErrorKind::invalid, "targets: fieldPath is needed");
    const Json* position = doc::find(target, {"filePathPosition"});
    const auto place = position != nullptr && position->is_number_integer() ? position->get<std::int64_t>() : 0;
    SLUICE_TRY(const auto chosen, select(set, spec));
    for (Resource* resource : chosen) {
      SLUICE_CHECK(take_step());
      if (path == "metadata/namespace") {
        SLUICE_CHECK(put_namespace(*resource, value, set.growth()));
        continue;
      }
      auto done = visit_field(*resource, {{}, path, true}, CreateKind::scalar, [&](Json& field) -> Result<void> {
        if (field.is_structured()) return base::unexpected(ErrorKind::invalid, path + ": a scalar is expected");
        SLUICE_CHECK(set.growth().add_text(value.size() + Growth::text_size(field)));
        field = place > 0 ? insert_path_part(scalar_text(field), static_cast<std::size_t>(place - 1), value) : value;
        return {};
      });
      if (!done) return at(*resource, std::move(done).error());
    }
  }
  set.changed_all();
  return {};
}

Result<void> sort_resources(ResourceSet& set, const SortSpec& spec) {
  if (spec.order != "fifo" && spec.order != "legacy") {
    return base::unexpected(ErrorKind::invalid,
                            fmt::format("order: fifo or legacy is expected, not \"{}\"", spec.order));
  }
  if (spec.order == "fifo") {
    if (!spec.has_legacy) return {};
    return base::unexpected(ErrorKind::invalid, "legacySortOptions are given, but the order is fifo");
  }
  const KindOrder order(spec.has_legacy ? spec.first : default_first(), spec.has_legacy ? spec.last : default_last());
  std::vector<std::pair<SortKey, std::unique_ptr<Resource>>> keyed;
  for (auto& resource : set.take()) {
    const ResId id = resource->id();
    SortKey key{order.rank(id.gvk.kind), id.gvk, sort_text(id.gvk),
                (id.ns.empty() ? "~X" : id.ns) + "|" + (id.name.empty() ? "~N" : id.name)};
    keyed.emplace_back(std::move(key), std::move(resource));
  }
  std::stable_sort(keyed.begin(), keyed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  ResourceSet::Items sorted;
  for (auto& [key, resource] : keyed) sorted.push_back(std::move(resource));
  set.restore(std::move(sorted));
  return {};
}

}  // namespace sluice::kustomize
