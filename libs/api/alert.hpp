// Alert (notification.toolkit.fluxcd.io/v1beta3): which events go to which
// Provider. Plain data; docs/spec/alert.md says what each field means.
#pragma once

#include <string>
#include <vector>

#include "api/conditions.hpp"
#include "api/object_meta.hpp"
#include "api/references.hpp"

namespace sluice::api {

enum class EventSeverity { info, error };

struct AlertSpec {
  LocalObjectReference provider_ref;
  EventSeverity event_severity = EventSeverity::info;  // info lets everything through
  std::vector<CrossNamespaceObjectReference> event_sources;
  std::vector<std::string> inclusion_list;  // Go regular expressions on the message
  StringMap event_metadata;
  std::vector<std::string> exclusion_list;
  std::string summary;  // deprecated upstream in favour of eventMetadata
  bool suspend = false;
  bool operator==(const AlertSpec&) const = default;
};

// Upstream's v1beta3 has no status; ours is an addition, see ProviderStatus.
struct AlertStatus {
  std::int64_t observed_generation = 0;
  Conditions conditions;
  bool operator==(const AlertStatus&) const = default;
};

struct Alert {
  ObjectMeta metadata;
  AlertSpec spec;
  AlertStatus status;
};

// `invalid`, with a message that starts with the field ("spec.eventSources[0].kind: ...").
base::Result<Alert> parse_alert(const doc::Json& object);
doc::Json to_json(const AlertStatus& status);

}  // namespace sluice::api
