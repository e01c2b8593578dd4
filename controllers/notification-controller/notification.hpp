// What is sent: an occurrence with the metadata of the Alert that sends it. Pure.
#pragma once

#include <set>
#include <string>

#include "api/alert.hpp"
#include "doc/json.hpp"
#include "occurrence.hpp"

namespace sluice::notification_controller {

struct Notification {
  InvolvedObject involved;
  Severity severity = Severity::info;
  base::TimePoint timestamp{};
  std::string reason;
  std::string message;
  api::StringMap metadata;             // bare keys
  std::set<std::string> written_here;  // keys of metadata whose values the Alert's author wrote
  std::string reporting_controller;
  std::string reporting_instance;
};

// Flux RFC 8, lowest to highest: annotations of the object, the Alert's
// eventMetadata, its summary, what the controller reported. The token, which
// only tells occurrences apart, is left out.
Notification compose(const Occurrence& what, const api::AlertSpec& alert);

// As upstream's event goes over the wire (fluxcd/pkg apis/event/v1beta1).
doc::Json to_json(const Notification& notification);

// True for events that only Git forges turn into commit statuses. Flux: chats
// do not get them, generic webhooks do.
bool is_commit_status_update(const Occurrence& what);

}  // namespace sluice::notification_controller
