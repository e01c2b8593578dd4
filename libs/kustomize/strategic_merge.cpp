#include "kustomize/strategic_merge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <unordered_map>

#include "kustomize/resource.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using doc::Json;

// A value, or nothing: what is not there, and what is to be removed.
using Slot = std::optional<Json>;
using Texts = std::vector<std::string>;

constexpr const char* kDirective = "$patch";
// Lists with several keys are compared pairwise; this bounds what that may cost.
constexpr std::size_t kMaxComparisons = 50'000'000;

enum class Directive { none, merge, replace, remove };

Result<Directive> directive_of(const Json& map) {
  const auto found = map.find(kDirective);
  if (found == map.end()) return Directive::none;
  const std::string text = scalar_text(*found);
  if (text == "delete") return Directive::remove;
  if (text == "replace") return Directive::replace;
  if (text == "merge") return Directive::merge;
  return base::unexpected(ErrorKind::invalid, fmt::format("unknown patch directive \"{}\"", text));
}

// A list says it with an element that holds nothing else.
Result<Directive> list_directive(const Json& list) {
  for (const Json& element : list) {
    if (element.is_object() && element.size() == 1 && element.contains(kDirective)) return directive_of(element);
  }
  return Directive::none;
}

Json without_directive(const Json& list) {
  Json rest = Json::array();
  for (const Json& element : list) {
    if (!(element.is_object() && element.size() == 1 && element.contains(kDirective))) rest.push_back(element);
  }
  return rest;
}

const char* shape(const Json& value) { return value.is_object() ? "map" : value.is_array() ? "list" : "scalar"; }

bool is_null(const Json* value) { return value == nullptr || value->is_null(); }

// Text of a list element's keys; "" for a key that it lacks.
Texts key_values(const Json& element, const Texts& keys) {
  Texts values;
  for (const std::string& key : keys) {
    const auto found = element.is_object() ? element.find(key) : element.end();
    values.push_back(!element.is_object() || found == element.end() || found->is_null() ? "" : scalar_text(*found));
  }
  return values;
}

// True if the element has each of the keys, with the value where one is given.
// With fewer values than keys, only the first ones count.
bool has_keys(const Json& element, const Texts& keys, const Texts& values) {
  if (!element.is_object() || values.empty()) return false;
  for (std::size_t i = 0; i < std::min(keys.size(), values.size()); ++i) {
    const auto found = element.find(keys[i]);
    if (found == element.end() || (!values[i].empty() && scalar_text(*found) != values[i])) return false;
  }
  return true;
}

class Merger {
 public:
  Result<Slot> merge(Slot dest, const Json* patch, const Schema::Type* type, const Schema::Field* field) {
    if (patch == nullptr) return dest;
    if (!dest || dest->is_null()) return fresh(*patch, type, field);
    if (patch->is_null()) return Slot{};
    if (std::string_view(shape(*dest)) != shape(*patch)) {
      return base::unexpected(ErrorKind::invalid, fmt::format("{}: the patch has a {} where the object has a {}", path_,
                                                              shape(*patch), shape(*dest)));
    }
    if (dest->is_object()) return merge_map(std::move(*dest), *patch, type);
    if (!dest->is_array() || field == nullptr || !field->merge) return Slot(*patch);
    return merge_list(std::move(*dest), *patch, type, *field);
  }

 private:
  Result<Slot> merge_map(Json dest, const Json& patch, const Schema::Type* type) {
    SLUICE_TRY(const Directive directive, directive_of(patch));
    if (directive == Directive::remove) return Slot{};
    if (directive == Directive::replace) return fresh(patch, type, nullptr);
    for (const auto& [key, value] : patch.items()) {
      if (key == kDirective) continue;
      const auto found = dest.find(key);
      Slot old = found == dest.end() ? Slot{} : Slot(std::move(*found));
      SLUICE_TRY(Slot merged, member(std::move(old), key, value, type));
      if (merged) {
        dest[key] = *std::move(merged);
      } else {
        dest.erase(key);
      }
    }
    return Slot(std::move(dest));
  }

  Result<Slot> member(Slot old, const std::string& key, const Json& value, const Schema::Type* type) {
    const Schema::Field* field = Schema::field(type, key);
    const std::size_t length = path_.size();
    if (!path_.empty()) path_ += '.';
    path_ += key;
    auto merged = merge(std::move(old), &value, field != nullptr ? field->type : nullptr, field);
    if (merged) path_.resize(length);
    return merged;
  }

  // A part of the patch that the object has nothing for: taken over, less its
  // directives and nulls.
  Result<Slot> fresh(const Json& patch, const Schema::Type* type, const Schema::Field* field) {
    if (patch.is_null()) return Slot{};
    if (patch.is_array() && field != nullptr && field->merge) {
      return merge_list(Json::array(), patch, type, *field);
    }
    if (!patch.is_object()) return Slot(patch);
    const auto directive = directive_of(patch);
    if (directive && *directive == Directive::remove) return Slot{};
    Json made = Json::object();
    for (const auto& [key, value] : patch.items()) {
      if (directive && key == kDirective) continue;
      const Schema::Field* sub = Schema::field(type, key);
      SLUICE_TRY(Slot child, fresh(value, sub != nullptr ? sub->type : nullptr, sub));
      if (child) made[key] = *std::move(child);
    }
    return Slot(std::move(made));
  }

  Result<Slot> merge_list(Json dest, const Json& patch, const Schema::Type* type, const Schema::Field& field) {
    SLUICE_TRY(const Directive directive, list_directive(patch));
    if (directive == Directive::remove) return Slot{};
    if (directive == Directive::replace) return merge_list(Json::array(), without_directive(patch), type, field);
    if (directive == Directive::merge) return merge_list(std::move(dest), without_directive(patch), type, field);
    if (field.keys.empty()) return Slot(merge_plain(dest, patch));
    if (field.keys.size() == 1) return merge_by_key(std::move(dest), patch, type, field.keys[0]);
    return merge_by_keys(std::move(dest), patch, type, field.keys);
  }

  // Plain values (finalizers): those of the patch, then the rest.
  static Json merge_plain(const Json& dest, const Json& patch) {
    Json merged = Json::array();
    std::set<std::string> seen;
    for (const Json* list : {&patch, &dest}) {
      for (const Json& value : *list) {
        if (seen.insert(value.dump(-1, ' ', false, Json::error_handler_t::replace)).second) merged.push_back(value);
      }
    }
    return merged;
  }

  // One key, the usual case, in linear time.
  Result<Slot> merge_by_key(Json dest, const Json& patch, const Schema::Type* type, const std::string& key) {
    std::unordered_map<std::string, std::size_t> in_dest;
    for (std::size_t i = 0; i < dest.size(); ++i) {
      const std::string value = key_values(dest[i], {key})[0];
      if (!value.empty()) in_dest.try_emplace(value, i);
    }
    Json merged = Json::array();
    std::set<std::string> seen;
    for (const Json& element : patch) {
      const std::string value = key_values(element, {key})[0];
      if (value.empty() || !seen.insert(value).second) continue;
      const auto at = in_dest.find(value);
      Slot old = at == in_dest.end() ? Slot{} : Slot(dest[at->second]);
      const bool existed = old.has_value();
      SLUICE_TRY(Slot result, merge_element(std::move(old), element, type, value));
      if (!result || (result->is_object() && result->empty())) continue;
      // kustomize puts the old element back over one that `$patch: replace` made.
      const bool replaced = existed && element.contains(kDirective) && scalar_text(element[kDirective]) == "replace";
      merged.push_back(replaced ? dest[at->second] : *std::move(result));
    }
    for (Json& element : dest) {
      if (!seen.contains(key_values(element, {key})[0])) merged.push_back(std::move(element));
    }
    return Slot(std::move(merged));
  }

  Result<Slot> merge_element(Slot old, const Json& element, const Schema::Type* type, const std::string& name) {
    const std::size_t length = path_.size();
    path_ += "[" + name + "]";
    auto merged = merge(std::move(old), &element, type, nullptr);
    if (merged) path_.resize(length);
    return merged;
  }

  // Several keys (ports: number and protocol), any of which an element may
  // leave out; what is left out is matched with what others say.
  Result<Slot> merge_by_keys(Json dest, const Json& patch, const Schema::Type* type, const Texts& all_keys) {
    std::vector<Texts> tuples = unique_tuples(patch, dest, all_keys);
    SLUICE_CHECK(spend(tuples.size() * tuples.size() + tuples.size() * (patch.size() + dest.size())));
    unify(tuples);
    const std::vector<bool> used = used_keys(tuples, all_keys.size());
    const Texts keys = pick(all_keys, used);
    Json merged = Json::array();
    for (const Texts& tuple : tuples) {
      const Texts values = pick(tuple, used);
      SLUICE_CHECK(merge_tuple(merged, dest, patch, type, keys, values));
    }
    append_rest(merged, dest, keys);
    return Slot(std::move(merged));
  }

  static std::vector<Texts> unique_tuples(const Json& patch, const Json& dest, const Texts& keys) {
    std::vector<Texts> tuples;
    std::set<Texts> seen;
    for (const Json* list : {&patch, &dest}) {
      for (const Json& element : *list) {
        Texts values = key_values(element, keys);
        if (seen.insert(values).second) tuples.push_back(std::move(values));
      }
    }
    return tuples;
  }

  // Two tuples that share a value and contradict each other nowhere are one.
  static void unify(std::vector<Texts>& tuples) {
    const auto blank = [](const Texts& tuple) { return std::find(tuple.begin(), tuple.end(), "") != tuple.end(); };
    if (std::none_of(tuples.begin(), tuples.end(), blank)) return;
    for (Texts& a : tuples) {
      for (Texts& b : tuples) {
        bool common = false, contradict = false;
        Texts both;
        for (std::size_t i = 0; i < a.size(); ++i) {
          common |= a[i] == b[i];
          contradict |= a[i] != b[i] && !a[i].empty() && !b[i].empty();
          both.push_back(a[i].empty() ? b[i] : a[i]);
        }
        if (common && !contradict) a = b = both;
      }
    }
  }

  // Keys that at least one element has; all of them if none has any.
  static std::vector<bool> used_keys(const std::vector<Texts>& tuples, std::size_t count) {
    std::vector<bool> used(count, false);
    for (const Texts& tuple : tuples) {
      for (std::size_t i = 0; i < count; ++i) used[i] = used[i] || !tuple[i].empty();
    }
    if (std::find(used.begin(), used.end(), true) == used.end()) used.assign(count, true);
    return used;
  }

  static Texts pick(const Texts& from, const std::vector<bool>& used) {
    Texts picked;
    for (std::size_t i = 0; i < from.size(); ++i) {
      if (used[i]) picked.push_back(from[i]);
    }
    return picked;
  }

  static std::size_t find_tuple(const Json& list, const Texts& keys, const Texts& values) {
    std::vector<bool> given;
    for (const std::string& value : values) given.push_back(!value.empty());
    if (std::find(given.begin(), given.end(), true) == given.end()) return list.size();
    const Texts some_keys = pick(keys, given);
    const Texts some_values = pick(values, given);
    std::size_t i = 0;
    while (i < list.size() && !has_keys(list[i], some_keys, some_values)) ++i;
    return i;
  }

  static void remove_matching(Json& list, const Texts& keys, const Texts& values) {
    Json kept = Json::array();
    for (Json& element : list) {
      if (!has_keys(element, keys, values)) kept.push_back(std::move(element));
    }
    list = std::move(kept);
  }

  Result<void> merge_tuple(Json& merged, Json& dest, const Json& patch, const Schema::Type* type, const Texts& keys,
                           const Texts& values) {
    const std::size_t in_dest = find_tuple(dest, keys, values);
    const std::size_t in_patch = find_tuple(patch, keys, values);
    Slot old = in_dest < dest.size() ? Slot(dest[in_dest]) : Slot{};
    const Json* element = in_patch < patch.size() ? &patch[in_patch] : nullptr;
    Slot result = std::move(old);
    if (element != nullptr) {
      SLUICE_TRY(Slot changed,
                 merge_element(std::move(result), *element, type, fmt::format("{}", fmt::join(values, ","))));
      result = std::move(changed);
    }
    if (!result || result->is_null() || (result->is_object() && result->empty())) {
      remove_matching(dest, keys, values);
      return {};
    }
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (result->is_object() && !values[i].empty() && !result->contains(keys[i])) {
        SLUICE_TRY((*result)[keys[i]], doc::parse_yaml(values[i]));
      }
    }
    const bool replaced = element != nullptr && in_dest < dest.size() && element->contains(kDirective);
    if (in_dest < dest.size() && !replaced) dest[in_dest] = *result;
    remove_or_replace(merged, keys, values, *std::move(result));
    return {};
  }

  static void remove_or_replace(Json& list, const Texts& keys, const Texts& values, Json element) {
    bool found = false;
    for (Json& known : list) {
      if (!has_keys(known, keys, values)) continue;
      known = element;
      found = true;
    }
    if (!found) list.push_back(std::move(element));
  }

  // What the object had keeps its own order, behind what is new.
  static void append_rest(Json& merged, Json& dest, const Texts& keys) {
    for (Json& element : dest) {
      Texts values;
      for (const std::string& key : keys) {
        if (element.is_object() && element.contains(key)) values.push_back(scalar_text(element[key]));
      }
      remove_matching(merged, keys, values);
      merged.push_back(std::move(element));
    }
  }

  Result<void> spend(std::size_t comparisons) {
    spent_ += comparisons;
    if (spent_ <= kMaxComparisons) return {};
    return base::unexpected(ErrorKind::too_large, fmt::format("{}: lists too long to be merged by their keys", path_));
  }

  std::string path_;
  std::size_t spent_ = 0;
};

}  // namespace

Result<bool> strategic_merge(Json& object, const Json& patch, const Schema& schema) {
  Merger merger;
  const Schema::Type* type = schema.find(Gvk::of(object));
  SLUICE_TRY(Slot merged, merger.merge(Slot(std::move(object)), &patch, type, nullptr));
  object = merged ? *std::move(merged) : Json();
  return !object.is_null() && !object.empty();
}

}  // namespace sluice::kustomize
