// The Events about Flux objects, and the labels and states of those objects, for the
// kinds that Alerts name. Runs on the loop; outlives nothing but its own tasks.
//
// One watch of Events per kind, so that a busy cluster's Events about Pods never
// reach us; and one of the kind itself, where its CRD is installed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "alert_rule.hpp"
#include "base/log.hpp"
#include "chronicle.hpp"
#include "controller/watch_cache.hpp"
#include "kube/client.hpp"
#include "occurrence.hpp"
#include "rt/runtime.hpp"

namespace sluice::notification_controller {

inline const kube::Resource& events_resource() {
  static const kube::Resource resource{"", "v1", "Event", "events", true};
  return resource;
}

class Sources {
 public:
  // The app's cache for these options, running.
  using OpenCache = std::function<controller::WatchCache&(controller::WatchCacheOptions)>;
  // The resource of a kind; `not_found` where its CRD is not installed.
  using FindResource = std::function<rt::Task<base::Result<kube::Resource>>(std::string group, std::string kind)>;
  struct Handlers {
    // New, or changed from what it was `before`; of a kind that is ready.
    std::function<void(const controller::Object& before, const controller::Object& now)> event;
    std::function<void(const doc::Json& event)> expired;  // one that was known, ready or not
    std::function<void(std::string_view kind)> ready;     // all that is known of the kind can be looked at
    // An object of a kind that is ready, but for those that were there when it became so.
    std::function<void(const InvolvedObject& object)> appeared;
    // One that appeared or changed; cut down to what keep_state() leaves.
    std::function<void(const doc::Json& object)> state;
    std::function<void(const doc::Json& object)> gone;
  };

  Sources(rt::Runtime& runtime, base::Logger log, OpenCache open, FindResource find);

  void handle(Handlers handlers) { handlers_ = std::move(handlers); }
  // From now on; at once or when run() gets to it.
  void want(std::string_view kind);
  // Until it is cancelled.
  rt::Task<void> run();

  bool is_ready(std::string_view kind) const;
  std::vector<controller::Object> events(std::string_view kind) const;
  controller::Object event(const Occurrence& what) const;
  // The same of one that chronicle() tells of.
  controller::Object event(std::string_view kind, const api::ObjectKey& key) const;
  // What the Events of the kind tell, as current as events(). Empty for a kind that nobody wants.
  const Chronicle& chronicle(std::string_view kind) const;
  // Those about one object of this identity, in no order.
  std::vector<controller::Object> events_about(const InvolvedObject& object) const;
  // Null where there is none, or none that can be listed.
  controller::Object object(std::string_view kind, const api::ObjectKey& key) const;
  // Both caches of the kind are as the server has it.
  bool is_in_touch(std::string_view kind) const;
  // Our own write to an Event.
  void observe_write(std::string_view kind, doc::Json event);
  std::shared_ptr<const api::StringMap> labels_of(const InvolvedObject& object) const;

  static InvolvedObject identity_of(const doc::Json& object);

  // How often to look for a CRD that is not there.
  base::Duration look_again = std::chrono::seconds(30);

 private:
  struct Source {
    const SourceKind* kind = nullptr;
    controller::WatchCache* events = nullptr;
    controller::WatchCache* objects = nullptr;
    Chronicle chronicle;
    bool ready = false;
  };
  void start(Source& source);
  rt::Task<void> follow(Source& source);
  rt::Task<bool> find_objects(Source& source);
  const Source* find_source(std::string_view kind) const;
  void subscribe_events(Source& source);
  void subscribe_objects(Source& source, controller::WatchCache& cache);
  void event_changed(Source& source, const controller::Object& before, const controller::Object& now);

  rt::Runtime& runtime_;
  base::Logger log_;
  OpenCache open_;
  FindResource find_;
  Handlers handlers_;
  std::map<std::string, Source, std::less<>> sources_;
  bool running_ = false;
  rt::TaskGroup tasks_;
  rt::Notify started_;
};

}  // namespace sluice::notification_controller
