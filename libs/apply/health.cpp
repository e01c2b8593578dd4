#include "apply/health.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "apply/object_watch.hpp"
#include "base/clock.hpp"

namespace sluice::apply {

using base::ErrorKind;
using base::Result;
using doc::Json;

namespace {

constexpr std::chrono::seconds kWatchStart{10};  // for a kind's first list
constexpr std::size_t kMaxNamed = 10;            // of a message's objects

// One target while it is waited for.
struct Waited {
  HealthTarget target;
  std::optional<kube::Resource> resource;  // none: the server does not serve the kind
  bool by_name = false;                    // watched by name, as the live records do not hold it
  bool current = false;
  bool lost = false;             // absent, and not because its work has ended
  std::optional<Ending> ending;  // of what is watched by name, as it was last seen
  Health health = Health::in_progress;
  std::string state = "Unknown";
  std::string why;
};

struct Waiting {
  HealthServices services;
  api::ObjectKey owner;
  HealthOptions options;
  std::vector<Waited> targets;
  std::shared_ptr<rt::Notify> changes;
  base::SteadyPoint deadline;
  Result<void> result;
};

void set_state(Waited& waited, Health health, std::string why) {
  waited.health = health;
  waited.current = health == Health::current;
  waited.state = std::string(to_string(health));
  waited.why = std::move(why);
  waited.lost = false;
}

// Only of a Job that is known to have succeeded is it in order that it is gone.
void set_absent(const Waiting& waiting, Waited& waited) {
  if (waited.target.may_vanish) {
    const Ending* ending =
        waited.ending ? &*waited.ending : waiting.services.live->ending(*waited.resource, waited.target.id.key());
    if (ending != nullptr && ending->succeeded) return set_state(waited, Health::current, {});
    if (ending != nullptr) return set_state(waited, Health::failed, ending->why);
  }
  waited.lost = true;
  waited.health = Health::in_progress;
  waited.current = false;
  waited.state = "NotFound";
  waited.why.clear();
}

void set_unknown(Waited& waited, std::string why) {
  waited.health = Health::in_progress;
  waited.current = false;
  waited.state = "Unknown";
  waited.why = std::move(why);
}

std::string describe(const Waiting& waiting, bool only_failed) {
  std::string all;
  std::size_t named = 0;
  std::size_t more = 0;
  for (const Waited& waited : waiting.targets) {
    if (waited.current || (only_failed && waited.health != Health::failed)) continue;
    if (named == kMaxNamed) {
      ++more;
      continue;
    }
    all += fmt::format("{}{} status: '{}'{}{}", named++ == 0 ? "" : ", ", waited.target.id.display(), waited.state,
                       waited.why.empty() ? "" : ": ", waited.why);
  }
  if (more > 0) all += fmt::format(", and {} more", more);
  return all;
}

// Looks the live records up; true if one of the objects is not as we left it.
bool refresh(Waiting& waiting) {
  bool drifted = false;
  for (Waited& waited : waiting.targets) {
    if (!waited.resource) continue;
    if (waited.by_name) {
      // Of others it is not ours to bring them back.
      drifted = drifted || (waited.lost && waited.target.may_vanish);
      continue;
    }
    // What was on record before the watch broke says nothing of now.
    if (!waiting.services.live->is_current(*waited.resource)) {
      set_unknown(waited, waiting.services.live->why_not_current(*waited.resource));
      continue;
    }
    const LiveObject* live = waiting.services.live->find(*waited.resource, waited.target.id.key());
    if (live == nullptr) {
      set_absent(waiting, waited);
      drifted = drifted || waited.lost;
      continue;
    }
    set_state(waited, live->health, live->message);
    drifted = drifted || (live->left != 0 && !live->stands() && !live->switched_off);
  }
  return drifted;
}

std::optional<Result<void>> verdict(const Waiting& waiting) {
  bool all = true;
  bool failed = false;
  bool pending = false;
  for (const Waited& waited : waiting.targets) {
    all = all && waited.current;
    failed = failed || waited.health == Health::failed;
    pending = pending || (!waited.current && waited.health != Health::failed);
  }
  if (all) return Result<void>();
  if (failed && (waiting.options.fail_fast || !pending)) {
    return Result<void>(base::unexpected(
        ErrorKind::invalid, fmt::format("failed early due to stalled resources: [{}]", describe(waiting, true))));
  }
  if (base::system_clock().steady() >= waiting.deadline) {
    return Result<void>(
        base::unexpected(ErrorKind::timeout, fmt::format("timeout waiting for: [{}]", describe(waiting, false))));
  }
  return std::nullopt;
}

rt::Task<void> watch_by_name(Waiting& waiting, Waited& waited) {
  std::function<bool(const Json*)> seen = [&waiting, &waited](const Json* object) {
    if (object == nullptr) {
      set_absent(waiting, waited);
    } else {
      waited.ending = ending_of(*object);
      Readiness readiness = assess(*object);
      set_state(waited, readiness.health, std::move(readiness.message));
    }
    waiting.changes->notify_all();
    return false;
  };
  auto following = follow_object(waiting.services.client, *waited.resource, waited.target.id.key(), std::move(seen));
  auto followed = co_await std::move(following);
  if (followed) co_return;
  // Told at the timeout: what forbids reading may be granted meanwhile, but not to this wait.
  set_state(waited, Health::failed, std::move(followed).error().message);
  waiting.changes->notify_all();
}

void will_wait(Waiting& waiting) {
  if (const auto tell = std::exchange(waiting.options.on_wait, nullptr)) tell();
}

rt::Task<void> resolve(Waiting& waiting, Waited& waited) {
  HealthTarget& target = waited.target;
  // The kind of what was not applied just now may have to be asked for.
  if (target.version.empty()) will_wait(waiting);
  Result<kube::Resource> found = base::unexpected(ErrorKind::internal, "");
  if (target.version.empty()) {
    found = co_await waiting.services.mapper->resource_for_group_kind(target.id.group, target.id.kind);
  } else {
    api::GroupVersionKind kind{target.id.group, target.version, target.id.kind};
    found = co_await waiting.services.mapper->resource_for(std::move(kind));
  }
  if (!found) {
    waited.why = std::move(found).error().message;
    co_return;
  }
  waited.resource = *std::move(found);
  if (!waited.resource->namespaced) target.id.namespace_.clear();
  if (waited.resource->namespaced && target.id.namespace_.empty()) {
    waited.resource.reset();  // there is nothing to look at
    set_state(waited, Health::failed, "its kind is namespaced, and no namespace is given");
    co_return;
  }
  LiveObjects& live = *waiting.services.live;
  live.watch(*waited.resource);
  if (!live.is_current(*waited.resource)) will_wait(waiting);
  const bool current = co_await live.wait_current(*waited.resource, kWatchStart);
  const LiveObject* known = live.find(*waited.resource, target.id.key());
  waited.by_name = !current || known == nullptr || known->owner != waiting.owner || known->unreadable;
}

// Ends with a verdict in `waiting.result`, and ends the watches with it.
rt::Task<void> wait_all(Waiting& waiting, rt::TaskGroup& tasks) {
  // This task cancels its own group at the end. Asio lets a task end well after
  // that only if it has been suspended before: its co_spawn_entry_point else
  // awaits once more, which throws where nobody can catch it.
  co_await rt::sleep_for(std::chrono::nanoseconds(0));
  for (Waited& waited : waiting.targets) {
    co_await resolve(waiting, waited);
    if (waited.by_name) tasks.spawn(waiting.services.runtime.context(), watch_by_name(waiting, waited));
  }
  std::string told;
  base::SteadyPoint tell_at = base::system_clock().steady() + waiting.options.patience;
  for (;;) {
    const bool drifted = refresh(waiting);
    if (drifted && waiting.options.repair) {
      will_wait(waiting);  // a repair takes a worker for itself
      rt::Task<Result<void>> task = waiting.options.repair();
      auto repaired = co_await std::move(task);
      if (!repaired) {
        waiting.result = std::move(repaired);
        break;
      }
      refresh(waiting);
    }
    if (auto end = verdict(waiting)) {
      waiting.result = *std::move(end);
      break;
    }
    will_wait(waiting);
    const base::SteadyPoint now = base::system_clock().steady();
    base::SteadyPoint until = waiting.deadline;
    if (waiting.options.on_pending) {
      if (now >= tell_at) {
        tell_at = now + waiting.options.patience;
        std::string pending = describe(waiting, false);
        if (pending != told) waiting.options.on_pending(pending);
        told = std::move(pending);
      }
      until = std::min(until, tell_at);
    }
    const bool notified = co_await waiting.changes->wait_for(until - now);
    static_cast<void>(notified);
  }
  tasks.cancel();
}

}  // namespace

rt::Task<Result<void>> await_health(HealthServices services, api::ObjectKey owner, std::vector<HealthTarget> targets,
                                    HealthOptions options) {
  Waiting waiting{services, owner, std::move(options), {}, services.live->changes_of(owner), {}, {}};
  waiting.deadline = base::system_clock().steady() + waiting.options.timeout;
  for (HealthTarget& target : targets) {
    Waited waited;
    waited.target = std::move(target);
    waiting.targets.push_back(std::move(waited));
  }
  rt::TaskGroup tasks;
  tasks.spawn(waiting.services.runtime.context(), wait_all(waiting, tasks));
  co_await tasks.join();
  co_return std::move(waiting.result);
}

}  // namespace sluice::apply
