#include "controller/event_correlator.hpp"

#include <utility>

namespace sluice::controller {

namespace {

// What makes events similar: all but the message.
std::string group_key(const doc::Json& event) {
  std::string key;
  for (const auto field : {"kind", "namespace", "name", "uid", "apiVersion"}) {
    key += doc::find_string(event, {"involvedObject", field});
    key += '\x1f';
  }
  key += doc::find_string(event, {"source", "component"});
  key += '\x1f';
  key += doc::find_string(event, {"type"});
  key += '\x1f';
  key += doc::find_string(event, {"reason"});
  return key;
}

}  // namespace

EventCorrelator::Decision EventCorrelator::observe(doc::Json event) {
  const base::TimePoint now = clock_.now();
  const std::string group = group_key(event);
  const std::string message(doc::find_string(event, {"message"}));

  Similar* similar = similar_.find(group);
  if (similar == nullptr || now - similar->last > kWindow) similar = &similar_.put(group, {});
  similar->last = now;
  similar->messages.insert(message);
  std::string key = group + '\x1f' + message;
  if (similar->messages.size() > kMaxSimilar) {
    similar->messages.erase(similar->messages.begin());
    event["message"] = "(combined from similar events): " + message;
    key = group;
  }

  Counted* counted = counted_.find(key);
  if (counted == nullptr || now - counted->last > kWindow) {
    counted_.put(key, {std::string(doc::find_string(event, {"metadata", "name"})),
                       std::string(doc::find_string(event, {"firstTimestamp"})), 1, now});
    return {std::move(key), std::move(event), std::nullopt};
  }
  counted->count += 1;
  counted->last = now;
  doc::Json patch = doc::Json::object();
  patch["count"] = counted->count;
  patch["lastTimestamp"] = event["lastTimestamp"];
  patch["message"] = event["message"];
  if (const auto* annotations = doc::find(event, {"metadata", "annotations"})) {
    patch["metadata"]["annotations"] = *annotations;
  }
  // Where the patch finds nothing, the event is created under its own name.
  Decision decision{std::move(key), std::move(event), std::nullopt};
  patch["metadata"]["name"] = counted->name;
  decision.patch = std::move(patch);
  return decision;
}

}  // namespace sluice::controller
