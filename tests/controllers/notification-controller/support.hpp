// Events, Alerts and Providers to test with.
#pragma once

#include <catch2/catch.hpp>
#include <string>

#include "api/alert.hpp"
#include "api/provider.hpp"
#include "base/digest.hpp"
#include "doc/json.hpp"
#include "notification-controller/occurrence.hpp"

namespace sluice::test {

inline const std::string kGroup = "kustomize.toolkit.fluxcd.io";

// As client-go's recorder writes it for kustomize-controller.
inline doc::Json make_event(const std::string& object, const std::string& message,
                            const std::string& at = "2026-01-31T10:00:00Z") {
  static int sequence = 0;
  doc::Json event = doc::Json::object();
  event["apiVersion"] = "v1";
  event["kind"] = "Event";
  event["metadata"] = {{"name", object + "." + std::to_string(++sequence)},
                       {"namespace", "apps"},
                       {"uid", "event-" + std::to_string(sequence)},
                       {"annotations", {{kGroup + "/revision", "main@sha1:abc"}}}};
  event["involvedObject"] = {{"apiVersion", kGroup + "/v1"}, {"kind", "Kustomization"}, {"name", object},
                             {"namespace", "apps"},          {"uid", "uid-" + object}};
  event["type"] = "Normal";
  event["reason"] = "ReconciliationSucceeded";
  event["message"] = message;
  event["source"] = {{"component", "kustomize-controller"}};
  event["count"] = 1;
  event["firstTimestamp"] = at;
  event["lastTimestamp"] = at;
  return event;
}

inline notification_controller::Occurrence make_occurrence(const doc::Json& event) {
  auto what = notification_controller::read_occurrence(event);
  REQUIRE(what);
  return *what;
}

inline doc::Json make_alert(const std::string& name, doc::Json spec = doc::Json::object()) {
  doc::Json alert = doc::Json::object();
  alert["apiVersion"] = "notification.toolkit.fluxcd.io/v1beta3";
  alert["kind"] = "Alert";
  alert["metadata"] = {{"name", name}, {"namespace", "apps"}, {"uid", "uid-" + name}, {"generation", 1}};
  if (!spec.contains("providerRef")) spec["providerRef"]["name"] = "hook";
  if (!spec.contains("eventSources")) {
    doc::Json source = doc::Json::object();
    source["kind"] = "Kustomization";
    source["name"] = "*";
    spec["eventSources"] = doc::Json::array({source});
  }
  alert["spec"] = std::move(spec);
  return alert;
}

inline doc::Json make_provider(const std::string& name, doc::Json spec = doc::Json::object()) {
  doc::Json provider = doc::Json::object();
  provider["apiVersion"] = "notification.toolkit.fluxcd.io/v1beta3";
  provider["kind"] = "Provider";
  provider["metadata"] = {{"name", name}, {"namespace", "apps"}, {"uid", "uid-" + name}, {"generation", 1}};
  if (!spec.contains("type")) spec["type"] = "generic";
  if (!spec.contains("address")) spec["address"] = "https://chat.example/hook/s3cr3t";
  provider["spec"] = std::move(spec);
  return provider;
}

inline doc::Json make_secret(const std::map<std::string, std::string>& data) {
  doc::Json secret = doc::Json::object();
  for (const auto& [key, value] : data) secret["data"][key] = base::base64_encode(value);
  return secret;
}

inline base::TimePoint at(const std::string& time) { return *base::parse_time(time); }

}  // namespace sluice::test
