// The one list-and-watch of this project: it keeps a sink told of all objects of a resource.
// Runs on the loop.
//
//   idle --run()--> listing --last page--> opening --answered--> watching
//                    ^   |                  ^   |                   |
//                    |   +----error----+    |   +---error---+       | the server ends it, or an error
//                    |                 v    |               v       |
//                    +--must list-- pausing +--else------ pausing <-+
//   any --cancelled, satisfied, or a final error--> stopped
//
// One policy for all who watch:
//  - Paging: pages.hpp. A list is told page by page and never held; the sink marks what it is
//    told and drops the rest at the end (ListMark).
//  - Where to go on: at the version of the last event or bookmark. A new list is made only after
//    410 Gone, after an event that was too large to be read, after silence, when versions have gone
//    back, and while there was none yet.
//  - Versions that go back, as etcd was restored: a watch from a version that the server has yet to
//    reach is opened, and tells nothing. So after a broken connection, and after a watch that ended
//    early or told nothing, the server is asked for its version first (a list of one object's
//    metadata); so it is when somebody has met an answer that is older than what was told, at most
//    once in doubt_pause. If the server's is older, a list follows, which is told as `went_back`.
//    Left over: versions that have caught up before anybody looked. They are found by distrust() alone;
//    who restores etcd with `--bump-revision --mark-compacted`, as its manual says, has 410 Gone.
//  - Pausing: exponential, with jitter. Anything that was of use (an event, a watch of ten seconds)
//    starts it anew. Its ceiling depends on what is wrong: a broken connection, a refusal, a
//    resource that is not served. wake() and a change of definitions end a pause.
//  - Silence: a watch on which neither event nor bookmark came for silence_limit is dead, or waits
//    for versions that never come. A list follows. (A quiet resource's first bookmark takes up to two
//    minutes, seen on 1.3x: one that says no more than where the watch began is not sent.)
//  - Not served: only the RestMapper's proof counts. Then there are no objects, and the sink is told so.
//  - Logging: one line when something begins to be wrong or is wrong in another way, one when it
//    is over, one in ten minutes meanwhile; errors for what somebody has to mend.
//
// Facts: "Kubernetes API Concepts", sections "Efficient detection of changes", "Retrieving large
// results sets in chunks" and "Watch bookmarks"; KEP-5504, resource versions compare as integers.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"
#include "kube/client.hpp"
#include "kube/pages.hpp"
#include "kube/rest_mapper.hpp"
#include "rt/runtime.hpp"

namespace sluice::kube {

// True if `left` is an older version than `right`. Both must be of one resource
// and server. Versions that are no numbers are never older.
bool is_older_version(std::string_view left, std::string_view right) noexcept;

// Counts lists, so that a record needs four bytes to say that the last one told of it.
using ListMark = std::uint32_t;

// Who is told. Called on the loop, in the order of the changes; must not block.
class ReflectorSink {
 public:
  virtual ~ReflectorSink() = default;
  // A list begins, of the objects as they were at `version`. What is told until list_ended()
  // carries `mark`. It may break off; then the next one begins. `went_back`: versions are older
  // than what was told before, as etcd was restored; nothing that is known counts any more.
  virtual void list_began(const std::string& version, ListMark mark, bool went_back) = 0;
  // All was told: what carries another mark, and is not newer than `version`, is gone.
  virtual void list_ended(const std::string& version, ListMark mark) = 0;
  // An object of the list, or one that was added or modified.
  virtual void seen(doc::Json object) = 0;
  // Whether this very version of the object is known already, as it was the answer to a write: then it
  // counts as seen, and seen() is not called.
  virtual bool knows(const api::ObjectKey& /*key*/, std::string_view /*uid*/, std::string_view /*version*/) {
    return false;
  }
  // An object of the list that is too large to be read: only its metadata. The server knows its state.
  virtual void seen_unreadable(doc::Json metadata) = 0;
  virtual void removed(doc::Json last) = 0;
  // It is proved that the server does not serve the resource. `kind_gone`: nor the kind under any
  // other version, so all objects are gone.
  virtual void not_served(bool kind_gone) = 0;
  // state(), trouble() or is_served() has changed.
  virtual void state_changed() {}
  // True: run() returns.
  virtual bool is_satisfied() const { return false; }
};

struct ReflectorOptions {
  Resource resource;
  std::string namespace_;  // empty: all
  std::string label_selector;
  std::string field_selector;
  bool metadata_only = false;
  PageLimits pages;
  base::Duration min_pause = std::chrono::milliseconds(200);
  base::Duration max_pause = std::chrono::seconds(15);
  base::Duration max_pause_refused = std::chrono::minutes(1);     // by 401, 403 and their like
  base::Duration max_pause_not_served = std::chrono::minutes(5);  // where a change of definitions ends it
  // How long one watch request may live (asked of the server).
  std::chrono::seconds watch_timeout{290};
  // Servers send a bookmark about once a minute.
  base::Duration silence_limit = std::chrono::minutes(3);
  // Between two requests that doubt() leads to.
  base::Duration doubt_pause = std::chrono::seconds(10);
  // Proves that a resource is not served; without one that is never proved.
  std::shared_ptr<RestMapper> mapper;
  // Errors that end run(); unset: none.
  std::function<bool(const base::Error&)> is_final;
};

class Reflector {
 public:
  enum class State { idle, listing, opening, watching, pausing, stopped };

  // `clock` and `sink` outlive it.
  Reflector(std::shared_ptr<Client> client, const base::Clock& clock, base::Logger log, ReflectorOptions options,
            ReflectorSink& sink);
  Reflector(const Reflector&) = delete;
  Reflector& operator=(const Reflector&) = delete;

  // Lists and watches until it is cancelled, the sink is satisfied, or an error is final. Once.
  rt::Task<base::Result<void>> run();
  // Ends a pause: there is reason to think that it is worth trying.
  void wake();
  // The server has answered with an object that is older than the one that was told. Either the
  // answer has crossed an event, which happens, or versions have gone back: the server is asked.
  void doubt();
  // It is proved that they have, by an answer to what was asked after the newer one was known: a
  // list follows, told as `went_back`.
  void distrust();

  State state() const noexcept { return state_; }
  // A watch stands behind what was told: it is all there is, but for changes that are on their way.
  bool is_current() const noexcept { return state_ == State::watching; }
  // What went wrong since the server last answered as it should.
  const std::optional<base::Error>& trouble() const noexcept { return trouble_; }
  // False once it was proved that the resource is not served, until it is.
  bool is_served() const noexcept { return served_; }
  // Since the server was last heard; nothing before the first time.
  std::optional<base::Duration> staleness() const;
  const ReflectorOptions& options() const noexcept { return options_; }

 private:
  rt::Task<base::Result<void>> list_once();
  rt::Task<base::Result<void>> follow();
  rt::Task<void> heed_doubts();
  rt::Task<base::Result<void>> look_back();
  rt::Task<base::Result<void>> watch_once();
  rt::Task<base::Result<void>> read_events(Watch& watch);
  rt::Task<base::Result<void>> follow_watch(Watch& watch);
  rt::Task<bool> guard_watch();
  ListOptions what_to_list() const;
  rt::Task<void> look_whether_served();
  rt::Task<void> pause(const base::Result<void>& outcome, bool useful);
  void take(WatchEvent event);
  void enter(State state);
  void note_alive();
  void note_failure(const base::Error& error);
  void tell_failure(const base::Error& error);
  base::Duration ceiling_of(const base::Error& error) const;
  bool hears_of_definitions() const { return options_.mapper && options_.mapper->hears_of_changes(); }
  base::Duration spread(base::Duration pause);

  std::shared_ptr<Client> client_;
  const base::Clock& clock_;
  base::Logger log_;
  ReflectorOptions options_;
  ReflectorSink& sink_;
  PageSize page_size_;
  State state_ = State::idle;
  bool must_list_ = true;
  bool suspicious_ = false;  // the server's version is to be looked at before the next watch
  bool doubted_ = false;
  std::uint64_t distrusts_ = 0;
  std::uint64_t distrusts_settled_ = 0;  // by a list
  rt::Notify doubts_;
  rt::Notify cut_;  // what is being watched is to be left for a list
  bool served_ = true;
  std::string version_;
  using RealTime = std::chrono::steady_clock;  // silence is measured in it, whatever clock the daemon was given
  RealTime::time_point last_told_;             // when the watch last told something
  ListMark mark_ = 0;
  std::uint64_t told_ = 0;  // events
  base::Duration pause_;
  std::optional<base::Error> trouble_;
  int failures_ = 0;  // since the server was last heard
  std::optional<base::SteadyPoint> last_alive_;
  std::optional<base::ErrorKind> logged_;  // what the log says is wrong
  base::SteadyPoint logged_at_{};
  rt::Notify woken_;
  std::minstd_rand random_{std::random_device{}()};
};

std::string_view to_string(Reflector::State state) noexcept;

}  // namespace sluice::kube
