#include "apply/live_object.hpp"

#include <utility>

namespace sluice::apply {

LiveObject::State LiveObject::state() const noexcept {
  if (gone) return State::gone;
  if (resource_version.empty()) return State::expected;
  if (switched_off) return State::released;
  if (left == 0) return State::foreign;
  // What cannot be read may stand; it is the server that knows.
  return stands() || unreadable ? State::standing : State::drifted;
}

LiveObject::Effect LiveObject::judged() const noexcept {
  return writes == 0 && state() == State::drifted ? Effect::drifted : Effect::changed;
}

LiveObject::Effect LiveObject::loss() const noexcept { return may_vanish ? Effect::vanished : Effect::drifted; }

LiveObject::Effect LiveObject::see(LiveObject now) {
  mark = now.mark;
  if (!resource_version.empty() &&
      (resource_version == now.resource_version || kube::is_older_version(now.resource_version, resource_version))) {
    return Effect::none;
  }
  const bool another = !gone && !uid.empty() && uid != now.uid;
  const bool was_left = left != 0 && !switched_off;
  now.writes = writes;
  if (!another || writes > 0) {
    now.desired = desired;
    now.left = left;
  }
  *this = std::move(now);
  if (another && was_left && writes == 0) return Effect::drifted;
  return judged();
}

LiveObject::Effect LiveObject::lose(std::string_view version, bool& forget) {
  forget = false;
  // A newer object of that name, written by us, may be known already.
  if (kube::is_older_version(version, resource_version)) return Effect::none;
  if (writes == 0) {
    forget = true;
    return left != 0 ? loss() : Effect::changed;
  }
  LiveObject rest;
  rest.owner = owner;
  rest.writes = writes;
  rest.resource_version = version.empty() ? resource_version : std::string(version);
  rest.gone = true;
  rest.may_vanish = may_vanish;
  rest.has_failed = has_failed;
  rest.message = message;
  rest.mark = mark;
  *this = std::move(rest);
  return Effect::changed;
}

LiveObject::Effect LiveObject::end_write(bool& forget) {
  forget = false;
  if (writes > 0) --writes;
  if (writes > 0) return Effect::none;
  if (is_there()) return state() == State::drifted ? Effect::drifted : Effect::none;
  // Never seen, or deleted meanwhile.
  forget = true;
  return left != 0 ? loss() : Effect::none;
}

void LiveObject::leave(std::uint64_t desired_then, std::uint64_t owned_then) noexcept {
  desired = desired_then;
  left = owned_then;
}

void LiveObject::confirm(std::uint64_t desired_then) noexcept {
  desired = desired_then;
  left = owned;
}

void LiveObject::disown() noexcept {
  desired = 0;
  left = 0;
}

}  // namespace sluice::apply
