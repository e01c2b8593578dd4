// POSTs events to the event server that --events-addr names, as Flux's controllers do to
// upstream's notification-controller. Runs on the loop; private to this library.
//
// Beside Kubernetes Events, not instead of them; nothing waits for it. The queue is bounded in
// events and in bytes: what comes when it is full pushes out the oldest event of the object that
// has most there, so that none takes the others' place. A server that cannot be reached, or answers
// 5xx, is asked again a few times; any other answer is final, 429 above all: it means that the
// server has had this event already. Trace events are not sent.
// Facts: fluxcd/pkg apis/event/v1beta1/event.go (the JSON), runtime/events/recorder.go (what is
// sent again); notification-controller docs/spec/v1beta3/events.md.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "controller/event_recorder.hpp"
#include "http/client.hpp"
#include "rt/runtime.hpp"

namespace sluice::controller {

struct EventPosterOptions {
  std::string controller;  // reportingController
  std::string instance;    // reportingInstance
  std::size_t max_queued = 1024;
  std::size_t max_queued_bytes = 16U << 20U;  // of bodies
  int max_attempts = 5;
  base::Duration first_pause = std::chrono::seconds(1);  // doubles; retryablehttp's defaults
};

// The event as the event server reads it, its message cut at 16 KiB. Metadata over 16 KiB is left
// out, that of the object's annotations first. Pure.
doc::Json event_json(const doc::Json& object, const EventRecord& record, base::TimePoint now,
                     const EventPosterOptions& options);

class EventPoster final : public EventRecorder {
 public:
  // `invalid` for what is no http or https URL. `runtime` and `clock` outlive it.
  static base::Result<std::unique_ptr<EventPoster>> create(rt::Runtime& runtime, const std::string& url,
                                                           const base::Clock& clock, base::Logger log,
                                                           EventPosterOptions options);
  void emit(const doc::Json& object, EventRecord record) override;
  // Sends one after the other; what is queued when it is cancelled is dropped.
  rt::Task<void> run();
  // Returns when nothing is queued or on its way.
  rt::Task<void> flush();

 private:
  EventPoster(std::shared_ptr<http::Client> client, const base::Clock& clock, base::Logger log,
              EventPosterOptions options);
  rt::Task<void> post(std::string body);
  void drop_one();
  std::string take_first();
  void note(bool reached, const std::string& why);

  std::shared_ptr<http::Client> client_;
  const base::Clock& clock_;
  base::Logger log_;
  EventPosterOptions options_;
  struct Queued {
    std::string object;
    std::string body;
  };
  std::list<Queued> queued_;                 // oldest first
  std::map<std::string, std::size_t> held_;  // bytes queued, by object
  std::size_t bytes_ = 0;
  bool busy_ = false;
  bool away_ = false;  // the server could not be reached when it was last asked
  rt::Notify changed_;
};

}  // namespace sluice::controller
