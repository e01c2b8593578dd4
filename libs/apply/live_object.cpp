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

LiveObject::Effect LiveObject::judge() noexcept {
  if (writes > 0) return Effect::changed;
  const Effect effect = state() == State::drifted ? Effect::drifted : Effect::changed;
  const bool taken_over = left != 0 && labels_applied && owner != left_by;
  if (taken_over) disown();
  return effect;
}

LiveObject::Effect LiveObject::loss() const noexcept {
  return may_vanish && !to_return ? Effect::vanished : Effect::drifted;
}

LiveObject::Effect LiveObject::see(LiveObject now) {
  mark = now.mark;
  if (!resource_version.empty() &&
      (resource_version == now.resource_version || kube::is_older_version(now.resource_version, resource_version))) {
    return Effect::none;
  }
  const bool another = !gone && !uid.empty() && uid != now.uid;
  const bool was_left = is_missed() && !switched_off;
  now.writes = writes;
  if (!another || writes > 0) {
    now.desired = desired;
    now.left = left;
    now.left_by = left_by;
    now.to_return = to_return && !another && !gone;
  } else if (was_left && !now.labels_applied) {
    now.left_by = left_by;  // it is nobody's of our kind who has put another in its place
  }
  *this = std::move(now);
  if (another && was_left && writes == 0) return Effect::drifted;
  return judge();
}

LiveObject::Effect LiveObject::lose(std::string_view version, bool& forget) {
  forget = false;
  // A newer object of that name, written by us, may be known already.
  if (kube::is_older_version(version, resource_version)) return Effect::none;
  if (writes == 0) {
    forget = true;
    return is_missed() ? loss() : Effect::changed;
  }
  LiveObject rest;
  rest.owner = owner;
  rest.desired = desired;
  rest.left = left;
  rest.left_by = left_by;
  rest.to_return = to_return;
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
  if (is_there()) return judge() == Effect::drifted ? Effect::drifted : Effect::none;
  // Never seen, or deleted meanwhile.
  forget = true;
  return is_missed() ? loss() : Effect::none;
}

void LiveObject::leave(api::ObjectKey by, std::uint64_t desired_then, std::uint64_t owned_then) noexcept {
  desired = desired_then;
  left = owned_then;
  left_by = std::move(by);
  to_return = false;
}

void LiveObject::await_return(api::ObjectKey by) noexcept {
  left_by = std::move(by);
  to_return = true;
}

void LiveObject::confirm(std::uint64_t desired_then) {
  desired = desired_then;
  left = owned;
  left_by = owner;
  to_return = false;
}

void LiveObject::disown() noexcept {
  desired = 0;
  left = 0;
  left_by = {};
  to_return = false;
}

}  // namespace sluice::apply
