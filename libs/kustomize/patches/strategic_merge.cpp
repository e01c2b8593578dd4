#include "kustomize/patches/strategic_merge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "kustomize/objects/resource.hpp"
#include "kustomize/objects/steps.hpp"
#include "kustomize/patches/keyed_lists.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using doc::Json;
using Texts = std::vector<std::string>;

constexpr const char* kDirective = "$patch";
// Lists with several keys are compared pairwise; this bounds what that may cost.
constexpr std::size_t kMaxComparisons = 50'000'000;

enum class Directive { merge, replace, remove };

// What becomes of a place where an object and a patch met.
enum class Outcome {
  gone,   // nothing is left
  dest,   // the object's value, changed in place
  patch,  // the patch's value, changed in place
};

const char* shape(const Json& value) { return value.is_object() ? "map" : value.is_array() ? "list" : "scalar"; }
bool is_missing(const Json* value) { return value == nullptr || value->is_null(); }

// Reads a directive and takes it out.
Result<Directive> take_directive(Json& map) {
  const auto found = map.find(kDirective);
  if (found == map.end() || found->is_null()) return Directive::merge;
  const std::string text = scalar_text(*found);
  if (text != "delete" && text != "replace" && text != "merge") {
    return base::unexpected(ErrorKind::invalid, fmt::format("unknown patch directive \"{}\"", text));
  }
  map.erase(found);
  return text == "delete" ? Directive::remove : text == "replace" ? Directive::replace : Directive::merge;
}

// A list says it with an element that holds nothing else; all elements that
// carry the same directive are taken out with it.
Result<Directive> take_list_directive(Json& list) {
  const auto has = [](const Json& element) {
    const auto found = element.is_object() ? element.find(kDirective) : element.end();
    return element.is_object() && found != element.end() && !found->is_null();
  };
  const auto first = std::find_if(list.begin(), list.end(), has);
  if (first == list.end() || first->size() > 1) return Directive::merge;
  const std::string text = scalar_text((*first)[kDirective]);
  if (text != "delete" && text != "replace" && text != "merge") {
    return base::unexpected(ErrorKind::invalid, fmt::format("unknown patch directive \"{}\"", text));
  }
  Json rest = Json::array();
  for (Json& element : list) {
    if (element.is_null() || (element.is_object() && element.empty())) continue;
    if (has(element) && scalar_text(element[kDirective]) == text) continue;
    rest.push_back(std::move(element));
  }
  list = std::move(rest);
  return text == "delete" ? Directive::remove : text == "replace" ? Directive::replace : Directive::merge;
}

// `dest` and `patch` may be one and the same value: a part of the patch that
// the object has nothing for is merged with itself, which rids it of its
// directives and nulls.
class Merger {
 public:
  Merger(const Schema& schema, MergeNotes& notes) : schema_(schema), notes_(notes) {}

  Result<Outcome> merge(Json* dest, Json* patch, const Schema::Type* type, const Schema::Field* field) {
    const Json* kind = is_missing(dest) ? patch : dest;
    if (is_missing(kind)) return merge_nulls(dest, patch);
    if (!is_missing(patch) && std::string_view(shape(*kind)) != shape(*patch)) {
      return base::unexpected(ErrorKind::invalid, fmt::format("{}: the patch has a {} where the object has a {}", path_,
                                                              shape(*patch), shape(*kind)));
    }
    if (kind->is_object()) {
      if (type == nullptr && field == nullptr) type = nested_type(dest, patch);
      return merge_map(dest, patch, type);
    }
    if (kind->is_array() && field != nullptr && field->merge) return merge_list(dest, patch, type, *field);
    if (patch == nullptr) return Outcome::dest;
    if (patch->is_null()) return Outcome::gone;
    if (dest == nullptr || dest == patch || kind->is_array()) return Outcome::patch;
    if (const Json* shared = notes_.shared.value_of(*dest); shared != nullptr) {
      notes_.shared.take(*dest, notes_.overridden(*shared, false, *patch));
    } else {
      notes_.override(*dest, *patch);
    }
    return Outcome::dest;
  }

 private:
  // A null that is spelled out stays; one that says nothing, or that the patch has, goes.
  Outcome merge_nulls(const Json* dest, const Json* patch) const {
    return patch == nullptr && dest != nullptr && !notes_.empty_nulls.contains(dest) ? Outcome::dest : Outcome::gone;
  }

  // An object within an object brings its own rules.
  const Schema::Type* nested_type(const Json* dest, const Json* patch) const {
    for (const Json* value : {dest, patch}) {
      if (is_missing(value)) continue;
      const Gvk gvk = Gvk::of(*value);
      if (gvk.kind.empty() || gvk.version.empty()) continue;
      if (const Schema::Type* type = schema_.find(gvk); type != nullptr) return type;
    }
    return nullptr;
  }

  Result<Outcome> merge_map(Json* dest, Json* patch, const Schema::Type* type) {
    if (is_missing(dest)) {
      // kustomize overlooks a wrong directive here.
      const auto directive = take_directive(*patch);
      if (directive && *directive == Directive::remove) return Outcome::gone;
      return merge_fields(*patch, *patch, type, Outcome::patch);
    }
    if (patch == nullptr) return merge_fields(*dest, *dest, type, Outcome::dest, false);
    if (patch->is_null()) return Outcome::gone;
    SLUICE_TRY(const Directive directive, take_directive(*patch));
    if (directive == Directive::remove) return Outcome::gone;
    if (directive == Directive::replace) return merge_fields(*patch, *patch, type, Outcome::patch);
    return merge_fields(*dest, *patch, type, Outcome::dest);
  }

  // Without `has_patch` the object's fields are walked alone.
  Result<Outcome> merge_fields(Json& dest, Json& patch, const Schema::Type* type, Outcome outcome,
                               bool has_patch = true) {
    const bool itself = &dest == &patch;
    if (has_patch && !itself) notes_.take_style(dest, patch);
    for (auto it = dest.begin(); it != dest.end();) {
      const auto found = itself || !has_patch ? patch.end() : patch.find(it.key());
      Json* other = found != patch.end() ? &*found : itself && has_patch ? &*it : nullptr;
      SLUICE_TRY(const Outcome merged, merge_member(&*it, other, it.key(), type));
      if (merged == Outcome::patch && other != &*it) *it = std::move(*other);
      if (found != patch.end()) patch.erase(found);
      it = merged == Outcome::gone ? dest.erase(it) : std::next(it);
    }
    if (!has_patch || itself) return outcome;
    // What is left of the patch is new to the object.
    for (auto it = patch.begin(); it != patch.end(); ++it) {
      SLUICE_TRY(const Outcome merged, merge_member(nullptr, &*it, it.key(), type));
      if (merged != Outcome::patch) continue;
      Json& added = dest[it.key()] = std::move(*it);
      if (notes_.quoted.contains(&*it)) notes_.quoted.insert(&added);
    }
    return outcome;
  }

  Result<Outcome> merge_member(Json* dest, Json* patch, const std::string& key, const Schema::Type* type) {
    SLUICE_CHECK(take_step());
    const Schema::Field* field = Schema::field(type, key);
    const std::size_t length = path_.size();
    if (!path_.empty()) path_ += '.';
    path_ += key;
    auto merged = merge(dest, patch, field != nullptr ? field->type : nullptr, field);
    if (merged) path_.resize(length);
    return merged;
  }

  Result<Outcome> merge_list(Json* dest, Json* patch, const Schema::Type* type, const Schema::Field& field) {
    Outcome outcome = Outcome::dest;
    if (is_missing(dest)) {
      dest = patch;
      outcome = Outcome::patch;
    } else if (patch != nullptr) {
      if (patch->is_null()) return Outcome::gone;
      SLUICE_TRY(const Directive directive, take_list_directive(*patch));
      if (directive == Directive::remove) return Outcome::gone;
      if (directive == Directive::replace) {
        dest = patch;
        outcome = Outcome::patch;
      }
    }
    const auto merge_elements = [&](Json* old, Json* element, std::string_view name) -> Result<ElementOutcome> {
      SLUICE_TRY(const Outcome merged, merge_element(old, element, type, name));
      return merged == Outcome::gone   ? ElementOutcome::gone
             : merged == Outcome::dest ? ElementOutcome::old
                                       : ElementOutcome::patch;
    };
    KeyedLists lists(field.keys, merge_elements);
    SLUICE_CHECK(spend(lists.cost(*dest, patch)));
    SLUICE_CHECK(lists.merge(*dest, patch));
    return outcome;
  }

  Result<Outcome> merge_element(Json* old, Json* element, const Schema::Type* type, std::string_view name) {
    const std::size_t length = path_.size();
    path_.append("[").append(name).append("]");
    auto merged = merge(old, element, type, nullptr);
    if (merged) path_.resize(length);
    return merged;
  }

  Result<void> spend(std::size_t comparisons) {
    spent_ += comparisons;
    if (spent_ <= kMaxComparisons) return {};
    return base::unexpected(ErrorKind::too_large, fmt::format("{}: lists too long to be merged by their keys", path_));
  }

  const Schema& schema_;
  MergeNotes& notes_;
  std::string path_;
  std::size_t spent_ = 0;
};

}  // namespace

Result<bool> strategic_merge(Json& object, Json patch, const Schema& schema, MergeNotes& notes) {
  Merger merger(schema, notes);
  SLUICE_TRY(const Outcome outcome, merger.merge(&object, &patch, nullptr, nullptr));
  if (outcome == Outcome::gone) object = Json();
  // A patch that replaces the whole object has no effect: kustomize goes on with the one that it had.
  return !object.is_null() && !object.empty();
}

}  // namespace sluice::kustomize
