#include "kube/detail/discovery.hpp"

namespace sluice::kube::detail {

using base::ErrorKind;
using base::Result;
using doc::Json;

namespace {

const Json* items_of(const Json& list) {
  const Json* items = doc::find(list, {"items"});
  return items != nullptr && items->is_array() ? items : nullptr;
}

bool is_fresh(const Json& version) {
  const auto freshness = doc::find_string(version, {"freshness"});
  return freshness.empty() || freshness == "Current";
}

}  // namespace

Result<void> Discovery::take(const Json& core, const Json& groups, bool is_complete, base::SteadyPoint now) {
  const Json* lists[] = {items_of(core), items_of(groups)};
  for (const Json* list : lists) {
    if (list != nullptr) continue;
    return base::unexpected(ErrorKind::unsupported,
                            "discovery: the server does not answer as a Kubernetes API server of 1.30 or later does");
  }
  listed_.clear();
  stale_.clear();
  // What is listed anew becomes confirmed again; what is not, doubtful.
  for (auto& [kind, known] : by_kind_) known.confirmed = false;
  for (auto& [kind, known] : preferred_) known.confirmed = false;
  for (const Json* list : lists) {
    for (const Json& group : *list) take_group(group);
  }
  std::erase_if(missing_, [&](const auto& entry) {
    // Anybody may ask for kinds that nobody has heard of.
    const bool is_old = now - entry.second > std::chrono::hours(1);
    return is_old || !is_complete || is_stale(entry.first.group);
  });
  return {};
}

void Discovery::take_group(const Json& group) {
  const std::string name(doc::find_string(group, {"metadata", "name"}));
  const Json* versions = doc::find(group, {"versions"});
  if (versions == nullptr || !versions->is_array()) return;
  listed_.insert(name);
  for (const Json& version : *versions) {
    if (!is_fresh(version)) stale_.insert(name);
    const Json* resources = doc::find(version, {"resources"});
    if (resources == nullptr || !resources->is_array()) continue;
    for (const Json& entry : *resources) {
      Known known;
      known.confirmed = true;
      known.resource.group = name;
      known.resource.version = std::string(doc::find_string(version, {"version"}));
      known.resource.kind = std::string(doc::find_string(entry, {"responseKind", "kind"}));
      known.resource.plural = std::string(doc::find_string(entry, {"resource"}));
      known.resource.namespaced = doc::find_string(entry, {"scope"}) == "Namespaced";
      if (known.resource.kind.empty() || known.resource.plural.empty()) continue;
      const api::GroupKind kind{name, known.resource.kind};
      missing_.erase(kind);
      // In the server's order of preference, and the first of a version is the resource, not another
      // that has objects of its kind.
      Known& preferred = preferred_[kind];
      if (!preferred.confirmed) preferred = known;
      Known& exact = by_kind_[{name, known.resource.version, known.resource.kind}];
      if (!exact.confirmed) exact = known;
    }
  }
}

void Discovery::doubt(const api::GroupKind& kind) {
  for (auto& [known, entry] : by_kind_) {
    if (known.group_kind() == kind) entry.confirmed = false;
  }
  if (const auto found = preferred_.find(kind); found != preferred_.end()) found->second.confirmed = false;
}

const Discovery::Known* Discovery::find(const api::GroupVersionKind& kind) const {
  const auto found = by_kind_.find(kind);
  return found == by_kind_.end() ? nullptr : &found->second;
}

const Discovery::Known* Discovery::find(const api::GroupKind& kind) const {
  const auto found = preferred_.find(kind);
  return found == preferred_.end() ? nullptr : &found->second;
}

base::SteadyPoint Discovery::missing_since(const api::GroupKind& kind, base::SteadyPoint now) {
  return missing_.try_emplace(kind, now).first->second;
}

void Discovery::drop(const api::GroupKind& kind) {
  std::erase_if(by_kind_, [&](const auto& entry) { return entry.first.group_kind() == kind; });
  preferred_.erase(kind);
}

}  // namespace sluice::kube::detail
