#include "kustomize/objects/resource_set.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "kustomize/objects/steps.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::unexpected;
using doc::Json;

// Entries of the map at `place` in `old` that `into` does not have, as the text
// that was written, which is what kustomize makes of them.
void fill_in(Json& into, const Resource& old, const Json::json_pointer& place) {
  if (!old.value.contains(place)) return;
  const Json& from = old.value[place];
  if (!from.is_object() || from.empty()) return;
  Json& map = into[place];
  if (!map.is_object()) map = Json::object();
  std::map<std::string, const doc::PlainText*> written;
  for (const doc::PlainText& text : old.plain_texts) {
    if (text.place.parent_pointer() == place) written.emplace(text.place.back(), &text);
  }
  for (const auto& [key, value] : from.items()) {
    if (map.contains(key)) continue;
    const auto text = written.find(key);
    if (text != written.end() && text->second->value == value) {
      map[key] = text->second->text;
    } else {
      map[key] = value.is_structured() || value.is_null() ? std::string() : scalar_text(value);
    }
  }
}

// A generated object takes the place of an older one: it keeps that one's
// identity, and its labels and annotations where it has none of its own.
void inherit(Resource& resource, const Resource& old) {
  fill_in(resource.value, old, Json::json_pointer("/metadata/labels"));
  fill_in(resource.value, old, Json::json_pointer("/metadata/annotations"));
  resource.set_name(std::string(old.name()));
  resource.set_ns(std::string(old.ns()));
  resource.wants_hash = resource.wants_hash && old.wants_hash;
  resource.behavior = old.behavior;
  resource.generated = old.generated;
  resource.past = old.past;
  resource.prefixes = old.prefixes;
  resource.suffixes = old.suffixes;
  resource.var_names = old.var_names;
}

constexpr const char* kOriginAnnotation = "config.kubernetes.io/origin";

}  // namespace

base::Result<void> ResourceSet::append(std::unique_ptr<Resource> resource) {
  SLUICE_CHECK(take_step());
  for (; listed_ < items_.size(); ++listed_) current_.try_emplace(items_[listed_]->key(), listed_);
  const auto [found, added] = current_.try_emplace(resource->key(), listed_);
  if (!added) {
    if (resource->describe() == items_[found->second]->describe()) twin_ = found->second;
    return unexpected(ErrorKind::already_exists, fmt::format("{} has the same id as {}: {}", resource->describe(),
                                                             items_[found->second]->describe(), resource->id().str()));
  }
  items_.push_back(std::move(resource));
  ++listed_;
  return {};
}

base::Result<void> ResourceSet::append_all(ResourceSet other) {
  growth_.merge(other.growth_);
  other.growth_ = growth_;
  if (items_.empty()) {
    SLUICE_CHECK(other.check_unique());  // patches may have given two objects one name
    *this = std::move(other);
    return {};
  }
  for (auto& resource : other.items_) SLUICE_CHECK(append(std::move(resource)));
  return {};
}

base::Result<void> ResourceSet::absorb(std::unique_ptr<Resource> resource) {
  const ResId id = resource->id();
  index();
  const std::vector<std::size_t> matches = positions(any_, id.key());
  if (matches.size() > 1) {
    return unexpected(ErrorKind::invalid, fmt::format("{} matches several objects: {} and {}", id.str(),
                                                      items_[matches[0]]->describe(), items_[matches[1]]->describe()));
  }
  const bool changes = resource->behavior == Behavior::merge || resource->behavior == Behavior::replace;
  if (matches.empty()) {
    if (changes) {
      return unexpected(ErrorKind::not_found,
                        fmt::format("{} does not exist, so there is nothing to merge or replace", id.str()));
    }
    return append(std::move(resource));
  }
  if (!changes) {
    return unexpected(ErrorKind::already_exists,
                      fmt::format("{} exists already as {}; behavior must be merge or replace", id.str(),
                                  items_[matches[0]]->describe()));
  }
  const Resource& old = *items_[matches[0]];
  const bool merge = resource->behavior == Behavior::merge;
  const auto origin = metadata_text(old.value, "annotations", kOriginAnnotation);
  inherit(*resource, old);
  if (merge) {
    fill_in(resource->value, old, Json::json_pointer("/data"));
    fill_in(resource->value, old, Json::json_pointer("/binaryData"));
    if (const auto data = resource->value.find("data"); data != resource->value.end() && data->empty()) {
      resource->value.erase(data);
    }
    if (origin) resource->value["metadata"]["annotations"][kOriginAnnotation] = *origin;
  }
  items_[matches[0]] = std::move(resource);  // the ids are the same, so the index stands
  return {};
}

std::vector<std::size_t> ResourceSet::positions(const Index& index, const std::string& key) const {
  std::vector<std::size_t> positions;
  for (auto [it, end] = index.equal_range(key); it != end; ++it) positions.push_back(it->second);
  std::sort(positions.begin(), positions.end());
  positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
  return positions;
}

std::vector<Resource*> ResourceSet::lookup(const Index& index, const std::string& key) const {
  std::vector<Resource*> found;
  for (const std::size_t position : positions(index, key)) found.push_back(items_[position].get());
  return found;
}

std::vector<Resource*> ResourceSet::find_any(const ResId& id) const {
  index();
  return lookup(any_, id.key());
}

std::vector<Resource*> ResourceSet::find_named(std::string_view name) const {
  index();
  return lookup(named_, std::string(name));
}

std::vector<Resource*> ResourceSet::find_any_namespace(const ResId& id) const {
  std::vector<Resource*> found = find_named(id.name);
  std::erase_if(found, [&](const Resource* resource) {
    const auto same = [&](const ResId& other) { return other.name == id.name && other.gvk == id.gvk; };
    const std::vector<ResId> past = resource->past_ids();
    return !same(resource->id()) && std::none_of(past.begin(), past.end(), same);
  });
  return found;
}

void ResourceSet::drop_empty() {
  const auto empty = [](const auto& item) { return item->value.is_null() || item->value.empty(); };
  if (std::erase_if(items_, empty) > 0) changed_all();
}

ResourceSet::Items ResourceSet::take() {
  changed_all();
  return std::move(items_);
}

void ResourceSet::restore(Items items) {
  items_ = std::move(items);
  changed_all();
}

base::Result<void> ResourceSet::check_unique() const {
  std::unordered_map<std::string, const Resource*> seen;
  seen.reserve(items_.size());
  for (const auto& item : items_) {
    SLUICE_CHECK(take_step());
    const auto [found, added] = seen.try_emplace(item->key(), item.get());
    if (!added) {
      return unexpected(
          ErrorKind::already_exists,
          fmt::format("{} and {} have one id now: {}", found->second->describe(), item->describe(), item->id().str()));
    }
  }
  return {};
}

ResourceSet ResourceSet::clone() const {
  ResourceSet copy;
  copy.growth_ = growth_;
  copy.items_.reserve(items_.size());
  for (const auto& item : items_) {
    if (Steps::ended()) break;
    copy.items_.push_back(std::make_unique<Resource>(*item));
  }
  return copy;
}

void ResourceSet::changed_all() {
  if (listed_ > 0) current_.clear();
  if (indexed_ > 0) {
    any_.clear();
    named_.clear();
  }
  listed_ = 0;
  indexed_ = 0;
}

void ResourceSet::index() const {
  for (; indexed_ < items_.size() && !Steps::ended(); ++indexed_) {
    const Resource& resource = *items_[indexed_];
    const std::string_view name = resource.name();
    any_.emplace(resource.key(), indexed_);
    named_.emplace(std::string(name), indexed_);
    for (const ResId& id : resource.past_ids()) {
      any_.emplace(id.key(), indexed_);
      if (id.name != name) named_.emplace(id.name, indexed_);
    }
  }
}

}  // namespace sluice::kustomize
