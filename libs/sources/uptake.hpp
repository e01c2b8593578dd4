// Which artifact each object has taken up, so that one that comes wakes those, and only those, that
// have not seen it. Pure.
#pragma once

#include <string>
#include <unordered_map>

#include "api/artifact.hpp"
#include "api/object_meta.hpp"

namespace sluice::sources {

// Tells artifacts of one source apart.
inline std::string artifact_id(const api::Artifact& artifact) { return artifact.digest + artifact.revision; }

class Uptake {
 public:
  // A run of `who` has looked at the source: there was this artifact, or none.
  void took(const api::ObjectKey& who, const api::Artifact& artifact) { taken_[who] = artifact_id(artifact); }
  void found_none(const api::ObjectKey& who) { taken_[who].clear(); }
  // False also while no run has looked: the one that will, sees it.
  bool is_news(const api::ObjectKey& who, const std::string& artifact) const {
    const auto found = taken_.find(who);
    return found != taken_.end() && found->second != artifact;
  }
  // What it has taken up is of this digest.
  bool has_taken(const api::ObjectKey& who, const std::string& digest) const {
    const auto found = taken_.find(who);
    return found != taken_.end() && !digest.empty() && found->second.starts_with(digest);
  }
  void forget(const api::ObjectKey& who) { taken_.erase(who); }

 private:
  std::unordered_map<api::ObjectKey, std::string> taken_;
};

}  // namespace sluice::sources
