// What discovery has said so far: never forgotten because of what a later answer leaves out.
// Pure; private to libs/kube.
//
//   of a kind           listed before   listed now   group whole now   what is known then
//   confirmed                -               yes            -           served
//   doubtful                yes              no             -           served, unless its absence is proved
//   missing                  -               no            yes          nothing; since when is noted
//   hidden                   -               no            no           nothing; the server could not tell
//
// A group is whole if none of its versions is listed as stale. Facts: KEP-3352 (aggregated
// discovery; `freshness` is "Current" or "Stale", the latter for an APIService that does not answer).
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"
#include "kube/client.hpp"

namespace sluice::kube::detail {

class Discovery {
 public:
  // Takes in APIGroupDiscoveryLists of /api and /apis, as of `now`. `unsupported` if one is something else.
  // `is_complete` is false if the server said meanwhile that it is not ready.
  base::Result<void> take(const doc::Json& core, const doc::Json& groups, bool is_complete, base::SteadyPoint now);
  // Confirmed kinds become doubtful.
  void doubt(const api::GroupKind& kind);

  struct Known {
    Resource resource;
    bool confirmed = false;  // listed by the last answer, and not doubted since
  };
  const Known* find(const api::GroupVersionKind& kind) const;
  const Known* find(const api::GroupKind& kind) const;  // in the preferred version
  // The group was listed by the last answer / with all of its versions fresh.
  bool lists(const std::string& group) const { return listed_.contains(group); }
  bool is_stale(const std::string& group) const { return stale_.contains(group); }
  // Since when answers that could have listed the kind have not; asking notes it for the next time. To be asked
  // only if the last one could have; one that could not begins the time anew.
  base::SteadyPoint missing_since(const api::GroupKind& kind, base::SteadyPoint now);
  void forget_missing(const api::GroupKind& kind) { missing_.erase(kind); }
  // Its absence is proved.
  void drop(const api::GroupKind& kind);
  void drop(const api::GroupVersionKind& kind) { by_kind_.erase(kind); }

 private:
  void take_group(const doc::Json& group);

  std::map<api::GroupVersionKind, Known> by_kind_;
  std::map<api::GroupKind, Known> preferred_;
  std::map<api::GroupKind, base::SteadyPoint> missing_;
  std::set<std::string> listed_;
  std::set<std::string> stale_;
};

}  // namespace sluice::kube::detail
