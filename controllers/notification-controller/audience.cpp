#include "audience.hpp"

namespace sluice::notification_controller {

void Audience::put(const AlertRule& rule) {
  remove(rule.key);
  Known& known = known_[rule.key];
  known.uid = rule.uid;
  for (const auto& source : rule.spec.event_sources) {
    known.topics.emplace(source.kind, source.namespace_.empty() ? rule.key.namespace_ : source.namespace_);
  }
  for (const auto& topic : known.topics) by_topic_[topic].insert(rule.key);
  uids_.insert(rule.uid);
}

void Audience::remove(const api::ObjectKey& alert) {
  const auto known = known_.find(alert);
  if (known == known_.end()) return;
  for (const auto& topic : known->second.topics) {
    const auto alerts = by_topic_.find(topic);
    alerts->second.erase(alert);
    if (alerts->second.empty()) by_topic_.erase(alerts);
  }
  uids_.erase(known->second.uid);
  known_.erase(known);
}

const Audience::Alerts& Audience::of(std::string_view kind, std::string_view space) const {
  static const Alerts nobody;
  const auto alerts = by_topic_.find({std::string(kind), std::string(space)});
  return alerts == by_topic_.end() ? nobody : alerts->second;
}

const Audience::Alerts& Audience::of(const doc::Json& event) const {
  return of(doc::find_string(event, {"involvedObject", "kind"}),
            doc::find_string(event, {"involvedObject", "namespace"}));
}

std::vector<std::string> Audience::owners(const Alerts& alerts) {
  std::vector<std::string> owners;
  for (const auto& alert : alerts) {
    if (owners.empty() || owners.back() != alert.namespace_) owners.push_back(alert.namespace_);
  }
  return owners;
}

}  // namespace sluice::notification_controller
