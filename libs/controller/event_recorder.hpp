// Says on Kubernetes Events what happened to an object. Runs on the loop.
//
// emit() returns at once; the events of one object go out one after the other, in
// order. Alerts are made from them, so an outage of the server loses none: they wait,
// up to `max_queued` of them for up to half an hour. What the server refuses is tried
// again a few times at most, logged and dropped. Equal events within ten minutes
// become one with a count, and different ones of a chatty object are combined,
// as client-go's EventCorrelator does (k8s.io/client-go tools/record/events_cache.go);
// but for those that name their occurrence.
#pragma once

#include <memory>
#include <string>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "doc/json.hpp"
#include "kube/client.hpp"
#include "rt/runtime.hpp"

namespace sluice::controller {

// Event types Normal, Normal and Warning. Flux: what is traced is not sent to the
// notification-controller; an annotation tells it apart here.
enum class Severity { trace, info, error };
inline constexpr std::string_view kSeverityAnnotation = "event.toolkit.fluxcd.io/severity";  // "trace"

struct EventRecord {
  Severity severity = Severity::info;
  std::string reason;
  std::string message;
  // Written as annotations; keys as they go over the wire, that is with the
  // prefix of the object's group (event_key below).
  api::StringMap annotations;
  // Not empty: tells of a thing that happens once. Whoever tells of it again with the
  // same type, reason, annotations and occurrence, another process included, writes the
  // same Event, whatever the message says; the server takes the first.
  std::string occurrence;
};

// "kustomize.toolkit.fluxcd.io/revision" for metadata key "revision" of a Kustomization.
std::string event_key(std::string_view group, std::string_view key);

class EventRecorder {
 public:
  virtual ~EventRecorder() = default;
  // `object` is what the event is about (apiVersion, kind, metadata are read;
  // its event.toolkit.fluxcd.io/* annotations are copied).
  virtual void emit(const doc::Json& object, EventRecord record) = 0;
  // Returns when all that was emitted about `object` is sent or dropped, at the latest
  // after `limit`. `object` outlives the task.
  virtual rt::Task<void> wait_sent(const doc::Json& object, base::Duration limit);
};

struct EventRecorderOptions {
  std::string controller;  // reportingController and source.component
  std::string instance;    // reportingInstance: the pod's name
  std::size_t max_queued = 1024;
};

// Writes through `client`. run() must be spawned for anything to be sent, and may be
// more than once: each sends one event at a time, never two of one object at once.
// What is queued when they are cancelled is dropped. `client` and `clock` outlive it.
class KubeEventRecorder final : public EventRecorder {
 public:
  KubeEventRecorder(std::shared_ptr<kube::Client> client, const base::Clock& clock, base::Logger log,
                    EventRecorderOptions options);
  ~KubeEventRecorder() override;
  void emit(const doc::Json& object, EventRecord record) override;
  rt::Task<void> run();
  rt::Task<void> wait_sent(const doc::Json& object, base::Duration limit) override;
  // The same about all objects, without a limit.
  rt::Task<void> flush();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::controller
