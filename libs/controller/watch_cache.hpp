// A local copy of all objects of one resource, kept current by a kube::Reflector. Runs
// on the loop.
//
// Readers share the objects and never change them, nor send them back whole:
// what only the server and kubectl read is cut off. What the daemon writes
// itself it hands in with observe_write(), so its next reconcile does not see
// an older state than it has left ("read your own writes").
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "controller/object_shelf.hpp"
#include "doc/json.hpp"
#include "kube/client.hpp"
#include "kube/reflector.hpp"
#include "kube/rest_mapper.hpp"
#include "rt/runtime.hpp"

namespace sluice::controller {

struct WatchCacheOptions {
  kube::Resource resource;
  std::string namespace_;  // empty: all
  std::string label_selector;
  std::string field_selector;
  bool metadata_only = false;
  // So many objects are kept ready for use; others rest as text (ObjectShelf), and list() has each made anew.
  std::size_t kept_whole = std::numeric_limits<std::size_t>::max();
  // Cuts an object down to what is needed; metadata.managedFields and kubectl's
  // copy of the object in its annotations are gone already. What it has cut it may get again.
  std::function<void(doc::Json&)> transform;
  base::Duration min_backoff = std::chrono::milliseconds(200);
  base::Duration max_backoff = std::chrono::seconds(15);
  // How long one watch request may live (asked of the server).
  std::chrono::seconds watch_timeout{290};
  // A watch on which neither event nor bookmark came for this long is opened anew.
  base::Duration silence_limit = std::chrono::minutes(3);
  // Proves that the resource is not served: then there are no objects, and the cache counts as synced.
  std::shared_ptr<kube::RestMapper> mapper;
};

// Called on the loop, in the order of the changes; must not block. Unset
// functions are skipped. A relist reports only what differs.
struct CacheHandlers {
  std::function<void(const Object& now)> added;
  std::function<void(const Object& before, const Object& now)> updated;
  std::function<void(const Object& last)> deleted;
};

class WatchCache : private kube::ReflectorSink {
 public:
  using State = kube::Reflector::State;
  // Names under which an object is found by keys_by_index().
  using IndexFunction = std::function<std::vector<std::string>(const doc::Json&)>;
  using HandlerId = std::uint64_t;

  WatchCache(std::shared_ptr<kube::Client> client, const base::Clock& clock, base::Logger log,
             WatchCacheOptions options);
  ~WatchCache() override;
  WatchCache(const WatchCache&) = delete;
  WatchCache& operator=(const WatchCache&) = delete;

  // May be called at any time; what is cached already is indexed at once.
  void add_index(std::string name, IndexFunction keys_of);
  // What is cached already is reported as added before this returns.
  HandlerId subscribe(CacheHandlers handlers);
  void unsubscribe(HandlerId id);

  // Lists and watches until it is cancelled. Exactly one at a time.
  rt::Task<void> run();

  // True once the first list is in, or it is proved that the server does not serve the
  // resource: then there are none, and it is looked for on.
  bool has_synced() const noexcept { return synced_; }
  // Waits for that; false if it has not come within `limit`.
  rt::Task<bool> wait_synced(base::Duration limit);
  State state() const noexcept { return reflector_.state(); }
  // Time since the server was last known to agree with the cache: zero while a
  // watch is open and alive, nothing before the first list.
  std::optional<base::Duration> staleness() const { return reflector_.staleness(); }
  // False while the server does not answer: what would be read here may be old,
  // and nothing could be written.
  bool is_in_touch() const noexcept;
  // Waits until it is, or for `limit`.
  rt::Task<void> wait_in_touch(base::Duration limit);
  // What went wrong since the server last answered; nothing while all is well.
  const std::optional<base::Error>& last_error() const noexcept { return reflector_.trouble(); }
  // The daemon is of no use without these objects: that the resource is not served counts against it.
  void require() noexcept { required_ = true; }
  // For /readyz; empty while the cache is as it should be, or the server merely away for a while.
  std::string why_not_ready() const;

  // Null where there is none.
  Object find(const api::ObjectKey& key) const;
  std::vector<Object> list() const;
  std::vector<api::ObjectKey> keys_by_index(std::string_view index, std::string_view name) const;
  std::size_t size() const noexcept { return shelf_.size(); }
  const kube::Resource& resource() const noexcept { return options_.resource; }

  // Takes in the server's answer to a write of ours, unless something newer is
  // cached. Handlers are told as for any change.
  void observe_write(doc::Json object);
  // Takes in an object that the server has answered with after a newer version of it was known:
  // versions have gone back. It counts, and the cache is filled anew.
  void observe_went_back(doc::Json object);

 private:
  struct Index {
    IndexFunction keys_of;
    std::map<std::string, std::set<api::ObjectKey>, std::less<>> entries;
  };
  void list_began(const std::string& version, kube::ListMark mark, bool went_back) override;
  void list_ended(const std::string& version, kube::ListMark mark) override;
  void seen(doc::Json object) override;
  bool knows(const api::ObjectKey& key, std::string_view uid, std::string_view version) override;
  void seen_unreadable(doc::Json metadata) override;
  void removed(doc::Json last) override;
  void not_served(bool kind_gone) override;
  void state_changed() override;

  static kube::ReflectorOptions reflecting(const WatchCacheOptions& options);
  void note_synced();
  Object prepare(doc::Json object) const;
  // `whatever_version`: it counts though what is cached looks newer.
  void store(doc::Json object, bool whatever_version = false);
  void drop(const api::ObjectKey& key, Object last);
  static void index(Index& index, const doc::Json& object, bool insert);
  void reindex(const Object& before, const Object& now);
  void notify(const Object& before, const Object& now);

  const base::Clock& clock_;
  WatchCacheOptions options_;
  bool synced_ = false;
  bool required_ = false;
  mutable ObjectShelf shelf_;  // to look may have to make a tree
  kube::ListMark mark_ = 0;
  bool went_back_ = false;  // the list that is being told is right, however old its versions are
  std::map<std::string, Index, std::less<>> indexes_;
  std::map<HandlerId, std::shared_ptr<const CacheHandlers>> handlers_;
  HandlerId next_handler_ = 1;
  rt::Notify synced_notify_;
  rt::Notify in_touch_notify_;
  kube::Reflector reflector_;
};

using kube::is_older_version;

}  // namespace sluice::controller
