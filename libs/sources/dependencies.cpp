#include "sources/dependencies.hpp"

#include "api/conditions.hpp"
#include "api/names.hpp"

namespace sluice::sources {

bool is_ready(const doc::Json& object) {
  const auto* observed = doc::find(object, {"status", "observedGeneration"});
  if (observed == nullptr || !observed->is_number_integer()) return false;
  if (observed->get<std::int64_t>() != api::generation_of(object)) return false;
  return api::conditions_of(object).is_true(api::condition::kReady);
}

std::string why_not_ready(const doc::Json* dependency, const api::ObjectKey& key) {
  const std::string name = "dependency '" + key.str() + "'";
  if (dependency == nullptr) return name + " not found";
  return is_ready(*dependency) ? std::string() : name + " is not ready";
}

std::vector<std::string> dependencies_of(const doc::Json& object) {
  std::vector<std::string> names;
  const auto* list = doc::find(object, {"spec", "dependsOn"});
  if (list == nullptr || !list->is_array()) return names;
  for (const auto& ref : *list) {
    std::string space(doc::find_string(ref, {"namespace"}));
    if (space.empty()) space = api::namespace_of(object);
    names.push_back(api::ObjectKey{std::move(space), std::string(doc::find_string(ref, {"name"}))}.str());
  }
  return names;
}

}  // namespace sluice::sources
