// Objects that go by themselves when their work is done: Jobs with
// spec.ttlSecondsAfterFinished. That they are gone is no drift, or each of them
// would run again at once, for ever. On the loop.
//
// Such an object is created again when its manifest changes, when somebody asks
// for it, and otherwise not before some time has passed since it was created:
// about the interval of its owner, at which upstream creates it anew. What
// vanished is known to this process only; after a restart it is created once
// more, as upstream does.
// Facts: "Automatic Cleanup for Finished Jobs" in the Kubernetes documentation.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "api/inventory.hpp"
#include "base/clock.hpp"
#include "doc/json.hpp"

namespace sluice::apply {

// True for a Job that its TTL deletes some time after it has finished. Pure.
bool may_vanish(const doc::Json& object);
// How a Job's work has ended. That it is gone afterwards is no drift either way, but only one that
// has succeeded has done what it was there for.
struct Ending {
  bool succeeded = false;
  std::string why;  // it has failed, in the words of its readiness
};
// Of a Job that is complete or has failed for good; none of one that has not finished. Pure.
std::optional<Ending> ending_of(const doc::Json& object);

class Vanished {
 public:
  // We have created an object that may vanish.
  void note_created(const api::ObjectKey& owner, const api::ObjectId& id, base::SteadyPoint now);
  // It has finished, well or not, and is gone; `desired` is the hash of its manifest.
  void note_gone(const api::ObjectKey& owner, const api::ObjectId& id, std::uint64_t desired, base::SteadyPoint now);
  // True while it is to be left gone: it vanished, its manifest is the same, and less than `rest` has passed
  // since it was created.
  bool rests(const api::ObjectKey& owner, const api::ObjectId& id, std::uint64_t desired, base::SteadyPoint now,
             base::Duration rest) const;
  void forget(const api::ObjectKey& owner);

 private:
  struct Entry {
    base::SteadyPoint created{};
    std::uint64_t desired = 0;  // 0 while it is there
  };
  std::map<std::pair<api::ObjectKey, api::ObjectId>, Entry> entries_;
};

}  // namespace sluice::apply
