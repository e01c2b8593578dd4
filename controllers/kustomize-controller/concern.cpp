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
  if (reader.is_suspended) return true;
  // Who has failed, or is at it, may be mended by what is new.
  return reader.last && reader.is_ready && tree.holds(reader.last->records);
}

}  // namespace

Reader make_reader(const doc::Json& kustomization, std::shared_ptr<const RenderCache::Entry> last) {
  return {api::key_of(kustomization), is_suspended(kustomization), sources::is_ready(kustomization),
          sources::dependencies_of(kustomization), std::move(last)};
}

Concern sort_by_concern(const std::vector<Reader>& readers, const artifact::TreeManifest& tree) {
  Concern concern;
  std::unordered_map<std::string, const Reader*> later;  // by key's text, as dependsOn names them
  std::vector<std::string> awaited;
  const auto take_up = [&](const Reader& reader) {
    concern.now.push_back(reader.key);
    awaited.insert(awaited.end(), reader.dependencies.begin(), reader.dependencies.end());
  };
  for (const Reader& reader : readers) {
    if (has_time(reader, tree)) {
      later.emplace(reader.key.str(), &reader);
    } else {
      take_up(reader);
    }
  }
  while (!awaited.empty()) {
    const std::string name = std::move(awaited.back());
    awaited.pop_back();
    if (const auto node = later.extract(name)) take_up(*node.mapped());
  }
  for (const Reader& reader : readers) {
    if (later.contains(reader.key.str())) concern.later.push_back(reader.key);
  }
  return concern;
}

}  // namespace sluice::kustomize_controller
