#include "notification.hpp"

#include "api/names.hpp"

namespace sluice::notification_controller {

Notification compose(const Occurrence& what, const api::AlertSpec& alert) {
  Notification out;
  out.involved = what.involved;
  out.severity = what.severity;
  out.timestamp = what.last;
  out.reason = what.reason;
  out.message = what.message;
  out.reporting_controller = what.reporting_controller;
  out.reporting_instance = what.reporting_instance;

  const std::string_view user_prefix = api::annotation::kEventPrefix;
  const std::string own_prefix = what.involved.group() + "/";
  const std::string token = own_prefix + std::string(api::event::kMetaToken);
  for (const auto& [key, value] : what.metadata) {
    if (key.starts_with(user_prefix)) out.metadata[key.substr(user_prefix.size())] = value;
  }
  for (const auto& [key, value] : alert.event_metadata) {
    out.metadata[key] = value;
    out.written_here.insert(key);
  }
  if (!alert.summary.empty()) {
    out.metadata["summary"] = alert.summary;
    out.written_here.insert("summary");
  }
  for (const auto& [key, value] : what.metadata) {
    if (!key.starts_with(own_prefix) || key == token) continue;
    const std::string bare = key.substr(own_prefix.size());
    out.metadata[bare] = value;
    out.written_here.erase(bare);
  }
  return out;
}

doc::Json to_json(const Notification& notification) {
  const InvolvedObject& object = notification.involved;
  doc::Json out = doc::Json::object();
  doc::Json& involved = out["involvedObject"];
  const auto put = [](doc::Json& into, const char* key, const std::string& value) {
    if (!value.empty()) into[key] = value;
  };
  put(involved, "kind", object.kind);
  put(involved, "namespace", object.namespace_);
  put(involved, "name", object.name);
  put(involved, "uid", object.uid);
  put(involved, "apiVersion", object.api_version);
  put(involved, "resourceVersion", object.resource_version);
  put(involved, "fieldPath", object.field_path);
  out["severity"] = to_string(notification.severity);
  out["timestamp"] = base::format_time(notification.timestamp);
  out["message"] = notification.message;
  out["reason"] = notification.reason;
  if (!notification.metadata.empty()) out["metadata"] = notification.metadata;
  out["reportingController"] = notification.reporting_controller;
  put(out, "reportingInstance", notification.reporting_instance);
  return out;
}

bool is_commit_status_update(const Occurrence& what) {
  const auto it = what.metadata.find(what.involved.group() + "/" + std::string(api::event::kMetaCommitStatus));
  return it != what.metadata.end() && it->second == api::event::kMetaCommitStatusUpdate;
}

}  // namespace sluice::notification_controller
