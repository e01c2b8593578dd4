// A local copy of all objects of one resource, kept current by a watch. Runs on
// the loop.
//
//   listing -> watching -> (stream ends) watching -> (410 Gone) listing
//      ^          |
//      +- backoff-+  (errors; exponential, with the objects kept as they are)
//
// Readers share the objects and never change them, nor send them back whole:
// what only the server and kubectl read is cut off. What the daemon writes
// itself it hands in with observe_write(), so its next reconcile does not see
// an older state than it has left ("read your own writes").
// Facts: "Kubernetes API Concepts", sections "Efficient detection of changes"
// and "Watch bookmarks".
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"
#include "kube/client.hpp"
#include "rt/runtime.hpp"

namespace sluice::controller {

using Object = std::shared_ptr<const doc::Json>;

struct WatchCacheOptions {
  kube::Resource resource;
  std::string namespace_;  // empty: all
  std::string label_selector;
  std::string field_selector;
  bool metadata_only = false;
  // Cuts an object down to what is needed; metadata.managedFields and kubectl's
  // copy of the object in its annotations are gone already. What it has cut it may get again.
  std::function<void(doc::Json&)> transform;
  base::Duration min_backoff = std::chrono::milliseconds(200);
  base::Duration max_backoff = std::chrono::seconds(15);
  // How long one watch request may live (asked of the server).
  std::chrono::seconds watch_timeout{290};
  // A watch on which neither event nor bookmark came for this long is cut and
  // opened anew: servers send a bookmark about once a minute.
  base::Duration silence_limit = std::chrono::minutes(3);
};

// Called on the loop, in the order of the changes; must not block. Unset
// functions are skipped. A relist reports only what differs.
struct CacheHandlers {
  std::function<void(const Object& now)> added;
  std::function<void(const Object& before, const Object& now)> updated;
  std::function<void(const Object& last)> deleted;
};

class WatchCache {
 public:
  enum class State { stopped, listing, watching, backing_off };
  // Names under which an object is found by by_index().
  using IndexFunction = std::function<std::vector<std::string>(const doc::Json&)>;
  using HandlerId = std::uint64_t;

  WatchCache(std::shared_ptr<kube::Client> client, const base::Clock& clock, base::Logger log,
             WatchCacheOptions options);
  ~WatchCache();
  WatchCache(const WatchCache&) = delete;
  WatchCache& operator=(const WatchCache&) = delete;

  // May be called at any time; what is cached already is indexed at once.
  void add_index(std::string name, IndexFunction keys_of);
  // What is cached already is reported as added before this returns.
  HandlerId subscribe(CacheHandlers handlers);
  void unsubscribe(HandlerId id);

  // Lists and watches until it is cancelled. Exactly one at a time.
  rt::Task<void> run();

  // True once the first list is in, or the server has said time and again that it
  // does not serve the resource: then there are none, and it is asked on.
  bool has_synced() const noexcept { return synced_; }
  // Waits for that; false if it has not come within `limit`.
  rt::Task<bool> wait_synced(base::Duration limit);
  State state() const noexcept { return state_; }
  // Time since the server was last known to agree with the cache: zero while a
  // watch is open and alive, nothing before the first list.
  std::optional<base::Duration> staleness() const;
  // False while the server does not answer: what would be read here may be old,
  // and nothing could be written.
  bool is_in_touch() const noexcept;
  // Waits until it is, or for `limit`.
  rt::Task<void> wait_in_touch(base::Duration limit);
  // Why it is backing off; nothing while all is well.
  const std::optional<base::Error>& last_error() const noexcept { return last_error_; }

  // Null where there is none.
  Object find(const api::ObjectKey& key) const;
  std::vector<Object> list() const;
  std::vector<Object> by_index(std::string_view index, std::string_view name) const;
  std::size_t size() const noexcept { return objects_.size(); }
  const kube::Resource& resource() const noexcept { return options_.resource; }

  // Takes in the server's answer to a write of ours, unless something newer is
  // cached. Handlers are told as for any change.
  void observe_write(doc::Json object);

 private:
  struct Index {
    IndexFunction keys_of;
    std::map<std::string, std::set<api::ObjectKey>, std::less<>> entries;
  };
  rt::Task<base::Result<void>> list_all();
  rt::Task<base::Result<void>> watch_once();
  void enter(State state);
  void note_alive();
  void note_synced();
  void note_failure(const base::Error& error, base::Duration pause);
  void cut(doc::Json& object) const;
  Object prepare(doc::Json object) const;
  base::Duration pause_after(const base::Result<void>& outcome, base::Duration backoff);
  base::Duration spread(base::Duration pause);
  void store(doc::Json object, bool even_if_older);
  void drop(const api::ObjectKey& key, Object last);
  void replace_all(kube::ObjectList all);
  void index(Index& index, const Object& object, bool insert);
  void reindex(const Object& before, const Object& now);
  void notify(const Object& before, const Object& now);

  std::shared_ptr<kube::Client> client_;
  const base::Clock& clock_;
  base::Logger log_;
  WatchCacheOptions options_;
  State state_ = State::stopped;
  bool synced_ = false;
  std::string resource_version_;
  std::optional<base::SteadyPoint> last_alive_;
  std::optional<base::Error> last_error_;
  std::unordered_map<api::ObjectKey, Object> objects_;
  std::uint64_t changes_seen_ = 0;
  std::map<std::string, Index, std::less<>> indexes_;
  std::map<HandlerId, std::shared_ptr<const CacheHandlers>> handlers_;
  HandlerId next_handler_ = 1;
  rt::Notify synced_notify_;
  // Of the failures since the server was last heard.
  int failures_ = 0;
  base::SteadyPoint logged_at_{};
  rt::Notify in_touch_notify_;
  std::minstd_rand random_{std::random_device{}()};
};

// True if `left` is an older version than `right`. Both must be of one resource
// and server. Versions that are no numbers are never older.
// Fact: KEP-5504, resource versions are comparable as integers.
bool is_older_version(std::string_view left, std::string_view right) noexcept;

}  // namespace sluice::controller
