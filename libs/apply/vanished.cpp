#include "apply/vanished.hpp"

#include "api/object_meta.hpp"

namespace sluice::apply {

bool may_vanish(const doc::Json& object) {
  const doc::Json* ttl = doc::find(object, {"spec", "ttlSecondsAfterFinished"});
  return ttl != nullptr && !ttl->is_null() && api::kind_of(object) == "Job" &&
         doc::find_string(object, {"apiVersion"}).starts_with("batch/");
}

std::optional<Ending> ending_of(const doc::Json& object) {
  const doc::Json* conditions = doc::find(object, {"status", "conditions"});
  if (conditions == nullptr || !conditions->is_array()) return std::nullopt;
  std::optional<Ending> ending;
  for (const doc::Json& condition : *conditions) {
    if (doc::find_string(condition, {"status"}) != "True") continue;
    const std::string_view type = doc::find_string(condition, {"type"});
    if (type == "Failed") {
      return Ending{false, "Job failed: " + std::string(doc::find_string(condition, {"message"}))};
    }
    if (type == "Complete") ending = Ending{true, {}};
  }
  return ending;
}

void Vanished::note_created(const api::ObjectKey& owner, const api::ObjectId& id, base::SteadyPoint now) {
  entries_[{owner, id}] = {now, 0};
}

void Vanished::note_gone(const api::ObjectKey& owner, const api::ObjectId& id, std::uint64_t desired,
                         base::SteadyPoint now) {
  const auto [entry, is_new] = entries_.try_emplace({owner, id});
  if (is_new) entry->second.created = now;
  entry->second.desired = desired;
}

bool Vanished::rests(const api::ObjectKey& owner, const api::ObjectId& id, std::uint64_t desired,
                     base::SteadyPoint now, base::Duration rest) const {
  const auto found = entries_.find({owner, id});
  return found != entries_.end() && desired != 0 && found->second.desired == desired &&
         now - found->second.created < rest;
}

void Vanished::forget(const api::ObjectKey& owner) {
  std::erase_if(entries_, [&owner](const auto& entry) { return entry.first.first == owner; });
}

}  // namespace sluice::apply
