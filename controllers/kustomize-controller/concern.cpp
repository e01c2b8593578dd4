#include "concern.hpp"

#include <string>
#include <unordered_map>
#include <utility>

#include "sources/dependencies.hpp"

namespace sluice::kustomize_controller {

namespace {

bool is_suspended(const doc::Json& object) {
  const auto* suspend = doc::find(object, {"spec", "suspend"});
  return suspend != nullptr && suspend->is_boolean() && suspend->get<bool>();
}

bool has_time(const Reader& reader, const artifact::TreeManifest& tree) {
  if (is_suspended(*reader.object)) return true;
  // Who has failed, or is at it, may be mended by what is new.
  return reader.last && sources::is_ready(*reader.object) && tree.holds(reader.last->records);
}

}  // namespace

Concern sort_by_concern(const std::vector<Reader>& readers, const artifact::TreeManifest& tree) {
  Concern concern;
  std::unordered_map<std::string, api::ObjectKey> later;  // by key's text, as dependsOn names them
  std::vector<std::string> awaited;
  const auto take_up = [&](const doc::Json& object) {
    concern.now.push_back(api::key_of(object));
    for (std::string& name : sources::dependencies_of(object)) awaited.push_back(std::move(name));
  };
  std::unordered_map<std::string, const doc::Json*> objects;
  for (const Reader& reader : readers) {
    api::ObjectKey key = api::key_of(*reader.object);
    if (!has_time(reader, tree)) {
      take_up(*reader.object);
      continue;
    }
    objects.emplace(key.str(), reader.object.get());
    later.emplace(key.str(), std::move(key));
  }
  while (!awaited.empty()) {
    const std::string name = std::move(awaited.back());
    awaited.pop_back();
    if (later.erase(name) > 0) take_up(*objects.at(name));
  }
  for (const Reader& reader : readers) {
    const auto found = later.find(api::key_of(*reader.object).str());
    if (found != later.end()) concern.later.push_back(found->second);
  }
  return concern;
}

}  // namespace sluice::kustomize_controller
