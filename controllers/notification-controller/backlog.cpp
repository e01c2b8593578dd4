#include "backlog.hpp"

#include <algorithm>
#include <charconv>
#include <set>
#include <tuple>
#include <utility>

namespace sluice::notification_controller {

Backlog::Backlog(const base::Clock& clock, const Audience& audience, Handlers handlers)
    : clock_(clock), audience_(audience), handlers_(std::move(handlers)) {}

void Backlog::adopt(const api::ObjectKey& alert) {
  owners_.of(alert.namespace_).adopted.push_back(alert);
  added_.notify_all();
}

void Backlog::add(controller::Object event) {
  std::vector<controller::Object> events;
  events.push_back(std::move(event));
  add(std::move(events));
}

void Backlog::add(std::vector<controller::Object> events) {
  std::set<const Audience::Alerts*> audiences;
  for (const auto& event : events) audiences.insert(&audience_.of(*event));
  std::set<std::string> owners;
  for (const auto* alerts : audiences) {
    for (auto& owner : Audience::owners(*alerts)) owners.insert(std::move(owner));
  }
  if (owners.empty()) return;
  auto batch = std::make_shared<Batch>();
  batch->events = std::move(events);
  for (const auto& owner : owners) {
    Round round;
    round.batch = batch;
    owners_.of(owner).rounds.push_back(std::move(round));
  }
  added_.notify_all();
}

void Backlog::add_for(const api::ObjectKey& alert, std::vector<controller::Object> events) {
  if (events.empty()) return;
  Round round;
  round.batch = std::make_shared<Batch>();
  round.batch->events = std::move(events);
  round.alert = alert;
  owners_.of(alert.namespace_).rounds.push_back(std::move(round));
  added_.notify_all();
}

void Backlog::prepare(Batch& batch) {
  controller::Object event = std::move(batch.events[batch.items.size()]);
  handlers_.note(*event);
  Item item{nullptr, read_event_time(*event), 0};
  const std::string_view version = api::resource_version_of(*event);
  std::from_chars(version.data(), version.data() + version.size(), item.version);
  item.event = std::move(event);
  batch.items.push_back(std::move(item));
  if (batch.items.size() < batch.events.size()) return;
  std::stable_sort(batch.items.begin(), batch.items.end(), [](const Item& a, const Item& b) {
    // Within a second only the server knows; its versions grow.
    return std::tie(a.happened, a.version) < std::tie(b.happened, b.version);
  });
}

std::optional<api::ObjectKey> Backlog::next_alert(const std::string& owner, const Round& round,
                                                  const doc::Json& event) const {
  const Audience::Alerts& alerts = audience_.of(event);
  if (round.alert) {
    const bool is_to_hear = !round.last && alerts.contains(*round.alert);
    return is_to_hear ? round.alert : std::nullopt;
  }
  const auto next = round.last ? alerts.upper_bound(*round.last) : alerts.lower_bound({owner, std::string()});
  if (next == alerts.end() || next->namespace_ != owner) return std::nullopt;
  return *next;
}

bool Backlog::go_on(Round& round) {
  round.last.reset();
  round.what.reset();
  if (++round.at < round.batch->items.size()) return true;
  if (round.judges) return false;
  round.judges = true;
  round.at = 0;
  return true;
}

bool Backlog::step(const std::string& owner, Round& round) {
  Batch& batch = *round.batch;
  if (batch.items.size() < batch.events.size()) {
    prepare(batch);
    return true;
  }
  const controller::Object event = batch.items[round.at].event;
  const auto alert = next_alert(owner, round, *event);
  if (!alert) return go_on(round);
  if (!round.judges) {
    round.last = alert;
    handlers_.take_in(*event, *alert);
    return true;
  }
  if (!round.what) {
    auto what = read_occurrence(*event);
    if (!what) return go_on(round);
    round.what = std::make_shared<const Occurrence>(*std::move(what));
  }
  if (handlers_.judge(event, round.what, *alert)) round.last = alert;
  return true;
}

void Backlog::turn(Turns<Owner>::Owner owner) {
  const base::SteadyPoint until = clock_.steady() + kTurn;
  Owner& mine = owner->second;
  do {
    if (!mine.adopted.empty()) {
      const api::ObjectKey alert = std::move(mine.adopted.front());
      mine.adopted.pop_front();
      handlers_.adopt(alert);
    } else if (!mine.rounds.empty()) {
      const bool goes_on = step(owner->first, mine.rounds.front());
      if (!goes_on) mine.rounds.pop_front();
    } else {
      owners_.take_out(owner);
      return;
    }
  } while (clock_.steady() < until);
}

rt::Task<void> Backlog::run() {
  for (;;) {
    if (owners_.empty()) co_await added_.wait();
    const base::SteadyPoint until = clock_.steady() + kSlice;
    while (!owners_.empty() && clock_.steady() < until) {
      turn(owners_.next());
    }
    co_await rt::sleep_for(base::Duration::zero());
  }
}

}  // namespace sluice::notification_controller
