// Which Alerts may want to hear of what: by the kind and namespace that their sources name, so
// that an Event is asked of those alone. Runs on the loop.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "alert_rule.hpp"
#include "api/object_meta.hpp"
#include "doc/json.hpp"

namespace sluice::notification_controller {

class Audience {
 public:
  using Alerts = std::set<api::ObjectKey>;  // those of one namespace stand together

  // In place of what was known of that Alert.
  void put(const AlertRule& rule);
  void remove(const api::ObjectKey& alert);
  // Valid until the next change.
  const Alerts& of(std::string_view kind, std::string_view space) const;
  const Alerts& of(const doc::Json& event) const;
  // Whoever owns one of these, each once: the namespaces of the Alerts.
  static std::vector<std::string> owners(const Alerts& alerts);
  bool knows(std::string_view alert_uid) const { return uids_.contains(alert_uid); }

 private:
  using Topic = std::pair<std::string, std::string>;  // kind and namespace
  struct Known {
    std::string uid;
    std::set<Topic> topics;
  };
  std::map<Topic, Alerts> by_topic_;
  std::map<api::ObjectKey, Known> known_;
  std::set<std::string, std::less<>> uids_;
};

}  // namespace sluice::notification_controller
