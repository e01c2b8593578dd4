#include "kustomize/objects/shared_entries.hpp"

#include <algorithm>
#include <unordered_map>

#include "kustomize/objects/steps.hpp"

namespace sluice::kustomize {
namespace {

using base::Result;
using doc::Json;
using Pointer = Json::json_pointer;

// 0xFF is in no UTF-8.
constexpr char kMark = '\xFF';

// Where a walk is: a chain up to the top. A pointer is made of it only where one is kept.
struct Place {
  const Place* above = nullptr;
  const std::string* key = nullptr;  // null in a list
  std::size_t index = 0;

  std::string pointer() const {
    Pointer pointer;
    append_to(pointer);
    return pointer.to_string();
  }

 private:
  void append_to(Pointer& pointer) const {
    if (above == nullptr) return;
    above->append_to(pointer);
    if (key != nullptr) {
      pointer /= *key;
    } else {
      pointer /= index;
    }
  }
};

// Calls `visit(key, value, place of the map)` on each entry of each map, until it says false.
template <typename Value, typename Visit>
bool walk(Value& value, const Place& at, const Visit& visit) {
  if (value.is_object()) {
    for (auto it = value.begin(); it != value.end(); ++it) {
      const bool on = it->is_structured() ? walk(*it, Place{&at, &it.key()}, visit) : visit(it.key(), *it, at);
      if (!on) return false;
    }
  } else if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (!walk(value[i], Place{&at, nullptr, i}, visit)) return false;
    }
  }
  return true;
}

}  // namespace

void SharedEntries::share(const Json& object, const Entries& entries) {
  std::unordered_map<const Json*, std::size_t> group_of;
  for (const auto& [key, places] : entries) {
    if (places.size() < 2) continue;
    for (const Json* place : places) group_of.emplace(place, groups_.size());
    groups_.push_back({key, *places.front(), {}});
  }
  if (group_of.empty()) return;
  std::size_t left = group_of.size();
  walk(object, Place(), [&](const std::string&, const Json& value, const Place& map) {
    const auto found = group_of.find(&value);
    if (found == group_of.end()) return true;
    groups_[found->second].maps.push_back(map.pointer());
    return --left > 0;
  });
}

// The entries that are still there; the others are forgotten.
std::vector<Json*> SharedEntries::entries_of(Json& object, Group& group) {
  std::vector<Json*> entries;
  std::erase_if(group.maps, [&](const std::string& place) {
    const Pointer map(place);
    if (!object.contains(map) || !object[map].is_object()) return true;
    const auto entry = object[map].find(group.key);
    if (entry == object[map].end() || entry->is_structured()) return true;
    entries.push_back(&*entry);
    return false;
  });
  return entries;
}

void SharedEntries::spread(Json& object, Group& group) {
  const std::vector<Json*> entries = entries_of(object, group);
  const auto changed =
      std::find_if(entries.begin(), entries.end(), [&](const Json* entry) { return *entry != group.value; });
  if (changed == entries.end()) return;
  group.value = **changed;
  for (Json* entry : entries) *entry = group.value;
}

void SharedEntries::drop_single() {
  std::erase_if(groups_, [](const Group& group) { return group.maps.size() < 2; });
}

Result<void> SharedEntries::set(Json& object, Json& field, const SetField& set) {
  // A field that is no shared entry and has none below it can't change one.
  const bool may_change = std::any_of(groups_.begin(), groups_.end(), [&](const Group& group) {
    return field.is_structured() || field == group.value;
  });
  SLUICE_CHECK(take_step());
  SLUICE_CHECK(set(field));
  if (!may_change) return {};
  for (Group& group : groups_) spread(object, group);
  drop_single();
  return {};
}

void SharedEntries::forget(const Json& object, const Json& part) {
  const auto below = [&](const std::string& place) {
    Pointer at(place);
    for (; !at.empty(); at.pop_back()) {
      if (!object.contains(at) || &object[at] == &part) return true;
    }
    return &object == &part;
  };
  for (Group& group : groups_) std::erase_if(group.maps, below);
  drop_single();
}

void SharedEntries::put_marks(Json& object) const {
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    Group group = groups_[i];
    for (Json* entry : entries_of(object, group)) *entry = std::string(1, kMark).append(std::to_string(i));
  }
}

// Which group a mark stands for; npos for what is no mark.
std::size_t SharedEntries::group_of(const Json& value) {
  if (!value.is_string()) return std::string::npos;
  const std::string& text = value.get_ref<const std::string&>();
  return text.empty() || text[0] != kMark ? std::string::npos : std::stoul(text.substr(1));
}

const Json* SharedEntries::value_of(const Json& dest) const {
  const std::size_t group = groups_.empty() ? std::string::npos : group_of(dest);
  return group == std::string::npos ? nullptr : &groups_[group].value;
}

void SharedEntries::take(const Json& mark, Json value) { groups_[group_of(mark)].value = std::move(value); }

void SharedEntries::take_marks(Json& object) {
  for (Group& group : groups_) group.maps.clear();
  walk(object, Place(), [&](const std::string& key, Json& value, const Place& map) {
    const std::size_t index = group_of(value);
    if (index == std::string::npos) return true;
    Group& group = groups_[index];
    if (key == group.key) group.maps.push_back(map.pointer());
    value = group.value;
    return true;
  });
  drop_single();
}

}  // namespace sluice::kustomize
