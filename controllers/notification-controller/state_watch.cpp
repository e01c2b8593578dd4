#include "state_watch.hpp"

#include <vector>

#include "api/kind.hpp"

namespace sluice::notification_controller {

namespace {

constexpr base::Duration kSlice = std::chrono::milliseconds(5);

std::size_t hash_of(const State& state) {
  const doc::Json what = doc::Json::array({state.ok, state.reason, state.message, state.revision});
  return std::hash<std::string>()(doc::print_json(what));
}

}  // namespace

StateWatch::StateWatch(const base::Clock& clock, base::Duration grace, Look look)
    : clock_(clock), grace_(grace), look_(std::move(look)) {}

void StateWatch::changed(const doc::Json& object) {
  if (grace_ <= base::Duration::zero()) return;
  const auto state = read_state(object);
  if (!state) {
    if (!is_busy(object)) gone(object);
    return;
  }
  const Identity identity{api::kind_of(object), api::key_of(object)};
  Standing& standing = standing_[identity];
  const std::size_t what = hash_of(*state);
  // One that is well again, in the words of before, may have failed in between unseen. What is
  // to be looked at already keeps its time.
  const bool is_well_again = state->ok && standing.since != state->since && !standing.due;
  standing.since = state->since;
  if (standing.what == what && !is_well_again) return;
  standing.what = what;
  schedule(identity, standing);
  changed_.notify_all();
}

void StateWatch::gone(const doc::Json& object) {
  standing_.erase({std::string(api::kind_of(object)), api::key_of(object)});
}

void StateWatch::look_again(const std::set<std::string>& kinds) {
  for (auto& [identity, standing] : standing_) {
    if (!standing.due && kinds.contains(identity.first)) schedule(identity, standing);
  }
  changed_.notify_all();
}

void StateWatch::schedule(const Identity& identity, Standing& standing) {
  standing.due = clock_.steady() + grace_;
  due_.emplace(*standing.due, identity);
}

rt::Task<bool> StateWatch::look_at_next() {
  if (due_.empty() || due_.begin()->first > clock_.steady()) co_return false;
  const base::SteadyPoint due = due_.begin()->first;
  const Identity identity = due_.begin()->second;
  due_.erase(due_.begin());
  const auto it = standing_.find(identity);
  if (it == standing_.end() || it->second.due != due) co_return true;  // it has changed, or is gone
  it->second.due.reset();
  rt::Task<bool> looking = look_(identity.first, identity.second);
  const bool done = co_await std::move(looking);
  const auto after = standing_.find(identity);
  if (!done && after != standing_.end() && !after->second.due) schedule(identity, after->second);
  co_return true;
}

rt::Task<void> StateWatch::run() {
  for (;;) {
    base::SteadyPoint until = clock_.steady() + kSlice;
    for (;;) {
      rt::Task<bool> looking = look_at_next();
      const bool looked = co_await std::move(looking);
      if (!looked) break;
      if (clock_.steady() < until) continue;
      co_await rt::sleep_for(base::Duration::zero());
      until = clock_.steady() + kSlice;
    }
    if (due_.empty()) {
      co_await changed_.wait();
      continue;
    }
    const auto pause = due_.begin()->first - clock_.steady();
    const bool notified = co_await changed_.wait_for(std::max<base::Duration>(pause, base::Duration::zero()));
    static_cast<void>(notified);
  }
}

}  // namespace sluice::notification_controller
