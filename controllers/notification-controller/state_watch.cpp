#include "state_watch.hpp"

#include <algorithm>
#include <utility>

#include "api/kind.hpp"

namespace sluice::notification_controller {

namespace {

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

void StateWatch::look_again(const std::string& kind, const api::ObjectKey& key) {
  const auto known = standing_.find({kind, key});
  if (known == standing_.end() || known->second.due) return;
  schedule(known->first, known->second);
  changed_.notify_all();
}

void StateWatch::schedule(const Identity& identity, Standing& standing) {
  standing.due = clock_.steady() + grace_;
  due_.emplace(*standing.due, identity);
}

void StateWatch::line_up() {
  const base::SteadyPoint now = clock_.steady();
  while (!due_.empty() && due_.begin()->first <= now) {
    Identity identity = std::move(due_.begin()->second);
    const std::string space = identity.second.namespace_;
    lined_up_.of(space).push_back({due_.begin()->first, std::move(identity)});
    due_.erase(due_.begin());
  }
}

rt::Task<void> StateWatch::look_at(Due due) {
  const auto it = standing_.find(due.identity);
  if (it == standing_.end() || it->second.due != due.at) co_return;  // it has changed, or is gone
  it->second.due.reset();
  rt::Task<bool> looking = look_(due.identity.first, due.identity.second);
  const bool done = co_await std::move(looking);
  const auto after = standing_.find(due.identity);
  if (!done && after != standing_.end() && !after->second.due) schedule(due.identity, after->second);
}

rt::Task<void> StateWatch::turn() {
  const auto owner = lined_up_.next();
  std::deque<Due>& waiting = owner->second;
  const base::SteadyPoint until = clock_.steady() + kTurn;
  do {
    Due next = std::move(waiting.front());
    waiting.pop_front();
    rt::Task<void> looking = look_at(std::move(next));
    co_await std::move(looking);
  } while (!waiting.empty() && clock_.steady() < until);
  if (waiting.empty()) lined_up_.take_out(owner);
}

rt::Task<void> StateWatch::run() {
  base::SteadyPoint until = clock_.steady() + kSlice;
  for (;;) {
    line_up();
    if (!lined_up_.empty()) {
      rt::Task<void> taking = turn();
      co_await std::move(taking);
      if (clock_.steady() < until) continue;
      co_await rt::sleep_for(base::Duration::zero());
    } else if (due_.empty()) {
      co_await changed_.wait();
    } else {
      const auto pause = due_.begin()->first - clock_.steady();
      const bool notified = co_await changed_.wait_for(std::max<base::Duration>(pause, base::Duration::zero()));
      static_cast<void>(notified);
    }
    until = clock_.steady() + kSlice;
  }
}

}  // namespace sluice::notification_controller
