#include "kustomize/patches/keyed_lists.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "doc/yaml_scalar.hpp"
#include "kustomize/objects/resource.hpp"
#include "kustomize/objects/steps.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using doc::Json;
using Texts = std::vector<std::string>;
using Elements = std::vector<Json*>;

bool is_empty(const Json& value) { return value.is_null() || (value.is_object() && value.empty()); }

const Json* member(const Json& map, const std::string& key) {
  if (!map.is_object()) return nullptr;
  const auto found = map.find(key);
  return found == map.end() ? nullptr : &*found;
}

std::string text_of(const Json* value) {
  return value == nullptr || value->is_null() || value->is_structured() ? std::string() : scalar_text(*value);
}

Elements elements_of(Json* list) {
  Elements elements;
  if (list == nullptr || !list->is_array()) return elements;
  elements.reserve(list->size());
  for (Json& element : *list) elements.push_back(&element);
  return elements;
}

// The first element with these values; "" as the only key stands for plain values.
Json* find_element(const Elements& list, const Texts& keys, const Texts& values) {
  for (Json* element : list) {
    if (keys[0].empty()) {
      if (text_of(element) == values[0]) return element;
      continue;
    }
    if (!element->is_object()) continue;
    bool matches = true;
    for (std::size_t i = 0; i < keys.size() && matches; ++i) {
      const Json* value = member(*element, keys[i]);
      matches = value != nullptr && text_of(value) == values[i];
    }
    if (matches) return element;
  }
  return nullptr;
}

// kyaml's ElementSetter: puts `element` (null: nothing) in the place of all
// that have the values, or behind them all. "" as a value matches any. Empty
// elements are dropped on the way, and all of them if there are no values.
Result<void> set_element(Elements& list, Json* element, const Texts& keys, const Texts& values) {
  Elements kept;
  kept.reserve(list.size() + 1);
  bool found_any = false;
  for (Json* each : list) {
    if (is_empty(*each)) continue;
    if (!each->is_object() && !keys[0].empty() && !values.empty() && !values[0].empty()) {
      kept.push_back(each);
      continue;
    }
    bool found = !values.empty();
    for (std::size_t i = 0; i < std::min(keys.size(), values.size()) && found; ++i) {
      if (keys[i].empty() != !each->is_object()) {
        return base::unexpected(ErrorKind::invalid, "a list has maps and plain values, and is merged by a key");
      }
      const Json* value = keys[i].empty() ? each : member(*each, keys[i]);
      found = value != nullptr && ((values[i].empty() && !keys[i].empty()) || text_of(value) == values[i]);
    }
    if (!found) {
      if (!values.empty()) kept.push_back(each);
      continue;
    }
    found_any = true;
    if (element != nullptr) kept.push_back(element);
  }
  list = std::move(kept);
  if (element != nullptr && !element->is_null() && !found_any) list.push_back(element);
  return {};
}

// Tuples that share a value and contradict each other nowhere become one.
void unify(std::vector<Texts>& tuples) {
  const auto blank = [](const Texts& tuple) { return std::find(tuple.begin(), tuple.end(), "") != tuple.end(); };
  if (std::none_of(tuples.begin(), tuples.end(), blank)) return;
  for (Texts& a : tuples) {
    if (Steps::ended()) return;
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

// Which of the values are given; all count as given if none is.
std::vector<bool> given(const std::vector<Texts>& tuples, std::size_t count) {
  std::vector<bool> used(count, false);
  for (const Texts& tuple : tuples) {
    for (std::size_t i = 0; i < count; ++i) used[i] = used[i] || !tuple[i].empty();
  }
  if (std::find(used.begin(), used.end(), true) == used.end()) used.assign(count, true);
  return used;
}

Texts pick(const Texts& from, const std::vector<bool>& used) {
  Texts picked;
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (used[i]) picked.push_back(from[i]);
  }
  return picked;
}

// Makes a list of the elements; one that is in it several times is copied.
Json to_list(const Elements& elements) {
  std::unordered_map<const Json*, std::size_t> seen;
  Json list = Json::array();
  for (Json* element : elements) {
    const auto [known, is_new] = seen.try_emplace(element, list.size());
    if (is_new) {
      list.push_back(std::move(*element));
    } else {
      list.push_back(Json(list[known->second]));
    }
  }
  return list;
}

}  // namespace

KeyedLists::KeyedLists(const Texts& keys, MergeElement merge_element)
    : keys_(keys.empty() ? Texts{""} : keys), merge_element_(std::move(merge_element)) {}

std::size_t KeyedLists::cost(const Json& dest, const Json* patch) const {
  const std::size_t size = dest.size() + (patch != nullptr && patch != &dest ? patch->size() : 0);
  return is_simple(dest, patch) ? size : size * size;
}

Result<void> KeyedLists::merge(Json& dest, Json* patch) {
  return is_simple(dest, patch) ? merge_simple(dest, patch) : merge_by_values(dest, patch);
}

// One key, and each element has it.
bool KeyedLists::is_simple(const Json& dest, const Json* patch) const {
  if (keys_.size() != 1 || keys_[0].empty()) return false;
  const auto has_key = [&](const Json& element) {
    const Json* value = member(element, keys_[0]);
    return value != nullptr && !value->is_structured() && !text_of(value).empty();
  };
  return std::all_of(dest.begin(), dest.end(), has_key) &&
         (patch == nullptr || patch == &dest || std::all_of(patch->begin(), patch->end(), has_key));
}

Result<void> KeyedLists::merge_simple(Json& dest, Json* patch) {
  const bool itself = patch == &dest;
  const Elements old = elements_of(&dest);
  const Elements changes = itself ? old : elements_of(patch);
  const auto key_of = [&](const Json* element) { return text_of(member(*element, keys_[0])); };
  struct Place {
    Json* old = nullptr;  // the first with this key: it is the one that is merged
    Json* last = nullptr;  // the last one, which is the one that stays
    Json* patch = nullptr;
    bool done = false;
  };
  std::unordered_map<std::string, Place> places;
  std::vector<std::pair<std::string, Place*>> order;
  const auto place_of = [&](const Json* element) -> Place& {
    const auto [place, is_new] = places.try_emplace(key_of(element));
    if (is_new) order.emplace_back(place->first, &place->second);
    return place->second;
  };
  for (Json* element : changes) {
    Place& place = place_of(element);
    if (place.patch == nullptr) place.patch = element;
  }
  for (Json* element : old) {
    Place& place = place_of(element);
    if (place.old == nullptr) place.old = element;
    place.last = element;
  }
  Elements merged;
  for (const auto& [key, place] : order) {
    SLUICE_CHECK(take_step());
    SLUICE_TRY(const ElementOutcome outcome, merge_element_(place->old, place->patch, key));
    Json* result = outcome == ElementOutcome::old ? place->old : place->patch;
    if (outcome == ElementOutcome::gone || is_empty(*result)) continue;
    // What the object had goes back over what `$patch: replace` made of it.
    merged.push_back(place->last != nullptr ? place->last : result);
  }
  dest = to_list(merged);
  return {};
}

Result<void> KeyedLists::merge_by_values(Json& dest_list, Json* patch_list) {
  const bool itself = patch_list == &dest_list;
  Elements dest = elements_of(&dest_list);
  const Elements others = itself ? Elements{} : elements_of(patch_list);
  std::vector<Texts> tuples = value_tuples(dest, others);
  if (tuples.empty()) return {};
  if (keys_.size() > 1) unify(tuples);
  const std::vector<bool> used = given(tuples, keys_.size());
  const Texts all_keys = std::exchange(keys_, pick(keys_, used));
  Elements items;
  for (const Texts& tuple : tuples) {
    SLUICE_CHECK(take_step());
    const Texts values = pick(tuple, used);
    SLUICE_TRY(Json * merged, merge_tuple(values, dest, itself ? dest : others));
    if (merged != nullptr) SLUICE_CHECK(set_element(items, merged, keys_, values));
  }
  SLUICE_CHECK(append_rest(items, dest));
  keys_ = all_keys;
  dest_list = to_list(items);
  return {};
}

// Key values of the patch's elements, then of the object's, each once.
std::vector<KeyedLists::Texts> KeyedLists::value_tuples(const Elements& dest, const Elements& patch) const {
  std::vector<Texts> tuples;
  std::set<Texts> seen;
  for (const Elements* list : {&patch, &dest}) {
    for (const Json* element : *list) {
      Texts values;
      for (const std::string& key : keys_) values.push_back(text_of(key.empty() ? element : member(*element, key)));
      if (seen.insert(values).second) tuples.push_back(std::move(values));
    }
  }
  return tuples;
}

// Null if nothing is left of the element.
Result<Json*> KeyedLists::merge_tuple(const Texts& values, Elements& dest, const Elements& patch) {
  const std::vector<bool> some = given({values}, values.size());
  Json* old = find_element(dest, pick(keys_, some), pick(values, some));
  Json* element = find_element(patch, pick(keys_, some), pick(values, some));
  SLUICE_TRY(const ElementOutcome outcome, merge_element_(old, element, fmt::format("{}", fmt::join(values, ","))));
  Json* result = outcome == ElementOutcome::old ? old : element;
  if (outcome == ElementOutcome::gone || is_empty(*result)) {
    SLUICE_CHECK(set_element(dest, nullptr, keys_, values));
    return nullptr;
  }
  for (std::size_t i = 0; i < keys_.size() && result->is_object(); ++i) {
    if (!values[i].empty() && !result->contains(keys_[i])) {
      (*result)[keys_[i]] = doc::resolve_plain_scalar(values[i]);
    }
  }
  return result;
}

Result<void> KeyedLists::append_rest(Elements& items, const Elements& dest) const {
  for (Json* element : dest) {
    SLUICE_CHECK(take_step());
    if (keys_[0].empty()) {
      SLUICE_CHECK(set_element(items, element, keys_, {text_of(element)}));
      continue;
    }
    if (!element->is_object() && !element->is_null()) {
      return base::unexpected(ErrorKind::invalid, fmt::format("a map with {} is expected in this list", keys_[0]));
    }
    Texts values;
    for (const std::string& key : keys_) {
      if (const Json* value = member(*element, key); value != nullptr) {
        values.push_back(text_of(value));
      } else {
        items.push_back(element);
      }
    }
    if (keys_.size() > 1) SLUICE_CHECK(set_element(items, nullptr, keys_, values));
    SLUICE_CHECK(set_element(items, element, keys_, values));
  }
  return {};
}

}  // namespace sluice::kustomize
