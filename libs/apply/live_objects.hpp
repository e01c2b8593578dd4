// What the cluster holds of the objects that we have applied: one kube::Reflector for
// each kind, over all owners, that feeds records (live_object.hpp: what a record says, and
// its states) instead of objects. Runs on the loop.
//
//   live->watch(deployments);                         // cheap; once for all who need it
//   const LiveObject* web = live->find(deployments, {"apps", "web"});
//
// Only objects with the label `<group>/name` are seen. The records answer three
// questions without a request: is an object still as we left it (drift), is it
// healthy (readiness), is it there at all (pruning, recreation). While a watch is
// down, or when the daemon stops, is_current() is false, and whoever asks must ask
// the server instead; why_not_current() says what is wrong.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/inventory.hpp"
#include "api/object_meta.hpp"
#include "apply/live_object.hpp"
#include "apply/ownership.hpp"
#include "apply/vanished.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"
#include "kube/client.hpp"
#include "kube/reflector.hpp"
#include "kube/rest_mapper.hpp"
#include "rt/runtime.hpp"

namespace sluice::apply {

struct LiveOptions {
  std::string owner_group;    // label prefix, "kustomize.toolkit.fluxcd.io"
  std::string field_manager;  // "kustomize-controller"
  std::vector<ForeignManager> foreign;
  std::chrono::nanoseconds min_backoff = std::chrono::milliseconds(200);
  std::chrono::nanoseconds max_backoff = std::chrono::seconds(5);  // drift goes unseen meanwhile
  // A watch on which neither event nor bookmark came for this long is opened anew.
  std::chrono::nanoseconds silence_limit = std::chrono::minutes(3);
  kube::PageLimits pages;
  // Proves that a kind is gone, and with it its objects.
  std::shared_ptr<kube::RestMapper> mapper;
};

class LiveObjects : public std::enable_shared_from_this<LiveObjects> {
 public:
  static std::shared_ptr<LiveObjects> create(rt::Runtime& runtime, std::shared_ptr<kube::Client> client,
                                             base::Logger log, LiveOptions options);
  ~LiveObjects();
  LiveObjects(const LiveObjects&) = delete;
  LiveObjects& operator=(const LiveObjects&) = delete;

  // Told when an object that we left stands no more as we left it, or is gone:
  // somebody else did that. Also when a write of ours has deleted it and not brought it back. Never
  // for our other writes. `owner` is whom it was left for, whatever the object's labels say now.
  std::function<void(const api::ObjectKey& owner, const api::ObjectId& id)> on_drift;
  // Told in its place when what we left with the manifest `desired` is gone as it has to be.
  std::function<void(const api::ObjectKey& owner, const api::ObjectId& id, std::uint64_t desired)> on_vanished;
  // Told when drift of a kind begins to go unseen, and why; with "" when it is seen again.
  std::function<void(const kube::Resource& resource, const std::string& why)> on_blindness;

  // Starts the watch of a resource, unless it is on. It stays on for good.
  void watch(const kube::Resource& resource);
  // The records are all there is, but for changes that are on their way here.
  bool is_current(const kube::Resource& resource) const;
  // Waits until it is; false if it has not come within `limit`, or the last try failed.
  rt::Task<bool> wait_current(kube::Resource resource, std::chrono::nanoseconds limit);

  // Why it is not; empty while it is. For people.
  std::string why_not_current(const kube::Resource& resource) const;

  // Null where nothing is known; valid until the loop turns.
  const LiveObject* find(const kube::Resource& resource, const api::ObjectKey& key) const;
  // How the work of what has vanished ended (on_vanished), until an object of that name is
  // seen again; null where nobody knows. Valid until the loop turns.
  const Ending* ending(const kube::Resource& resource, const api::ObjectKey& key) const;
  const LiveOptions& options() const noexcept { return options_; }
  std::size_t size() const noexcept;

  // Takes in the server's answer to a request, unless something newer is known.
  void observe(const kube::Resource& resource, const doc::Json& object);
  // `object` is the server's answer to a write of the manifest with hash `desired`. What was
  // left of the same object under another version is left no more.
  void note_left(const kube::Resource& resource, const doc::Json& object, std::uint64_t desired);
  // A dry run of the manifest with hash `desired` would change nothing of it.
  void note_unchanged(const kube::Resource& resource, const api::ObjectKey& key, std::uint64_t desired);
  // We are about to delete it, within a Write, to create it anew for `owner`: if the Write ends without
  // that, it is drift.
  void await_return(const kube::Resource& resource, const api::ObjectKey& key, api::ObjectKey owner);
  // We are about to delete it, or it is nobody's business any more: no drift.
  void disown(const kube::Resource& resource, const api::ObjectKey& key);

  // While one lives, what happens to the object is taken for our own doing; it
  // is judged when the last one goes.
  class Write {
   public:
    Write(std::shared_ptr<LiveObjects> live, kube::Resource resource, api::ObjectKey key);
    ~Write();
    Write(const Write&) = delete;
    Write& operator=(const Write&) = delete;

   private:
    std::shared_ptr<LiveObjects> live_;
    kube::Resource resource_;
    api::ObjectKey key_;
  };

  // Notified at every change of an object of this owner, and when a watch comes
  // or goes. Holders keep the owner's entry alive.
  std::shared_ptr<rt::Notify> changes_of(const api::ObjectKey& owner);

 private:
  class Kind;
  LiveObjects(rt::Runtime& runtime, std::shared_ptr<kube::Client> client, base::Logger log, LiveOptions options);

  Kind* kind_of(const kube::Resource& resource) const;
  LiveObject* record(const kube::Resource& resource, const api::ObjectKey& key) const;
  LiveObject describe(const doc::Json& object) const;
  LiveObject describe_unreadable(const doc::Json& metadata) const;
  void store(Kind& kind, const api::ObjectKey& key, LiveObject now);
  // `last_state` is the object as it was deleted, where that is known.
  void lose(Kind& kind, const api::ObjectKey& key, std::string_view version, const doc::Json* last_state = nullptr);
  void tell(const api::ObjectKey& owner);
  void note_ending(Kind& kind, const api::ObjectKey& key, const LiveObject& object);
  // The same object (by its UID) under the other versions and groups that serve it.
  void disown_other_versions(const Kind& kind, const api::ObjectKey& key);
  void tell_effect(Kind& kind, const api::ObjectKey& key, const LiveObject& object, LiveObject::Effect effect);
  void tell_all();

  rt::Runtime& runtime_;
  std::shared_ptr<kube::Client> client_;
  base::Logger log_;
  LiveOptions options_;
  std::map<std::string, std::shared_ptr<Kind>, std::less<>> kinds_;  // by group/version/plural
  std::unordered_map<api::ObjectKey, std::weak_ptr<rt::Notify>> waiting_;
};

}  // namespace sluice::apply
