#include "backlog.hpp"

#include <algorithm>
#include <charconv>
#include <tuple>
#include <utility>

#include "occurrence.hpp"

namespace sluice::notification_controller {

Backlog::Backlog(const base::Clock& clock, Handlers handlers) : clock_(clock), handlers_(std::move(handlers)) {}

void Backlog::add(controller::Object event) {
  std::vector<controller::Object> events;
  events.push_back(std::move(event));
  add(std::move(events));
}

void Backlog::add(std::vector<controller::Object> events, std::optional<api::ObjectKey> alert) {
  if (events.empty()) return;
  Batch batch;
  batch.alert = std::move(alert);
  batch.events = std::move(events);
  batches_.push_back(std::move(batch));
  added_.notify_all();
}

void Backlog::take_in(Batch& batch) {
  controller::Object event = std::move(batch.events[batch.taken_in.size()]);
  handlers_.take_in(*event, batch.alert);
  Item item{nullptr, read_event_time(*event), 0};
  const std::string_view version = api::resource_version_of(*event);
  std::from_chars(version.data(), version.data() + version.size(), item.version);
  item.event = std::move(event);
  batch.taken_in.push_back(std::move(item));
  if (batch.taken_in.size() < batch.events.size()) return;
  std::stable_sort(batch.taken_in.begin(), batch.taken_in.end(), [](const Item& a, const Item& b) {
    // Within a second only the server knows; its versions grow.
    return std::tie(a.happened, a.version) < std::tie(b.happened, b.version);
  });
}

void Backlog::step() {
  Batch& batch = batches_.front();
  if (batch.taken_in.size() < batch.events.size()) {
    take_in(batch);
    return;
  }
  const controller::Object event = std::move(batch.taken_in[batch.judged].event);
  ++batch.judged;
  const std::optional<api::ObjectKey> alert = batch.alert;
  if (batch.judged == batch.taken_in.size()) batches_.pop_front();
  handlers_.judge(*event, alert);
}

rt::Task<void> Backlog::run() {
  for (;;) {
    if (batches_.empty()) co_await added_.wait();
    const base::SteadyPoint until = clock_.steady() + kSlice;
    while (!batches_.empty() && clock_.steady() < until) step();
    co_await rt::sleep_for(base::Duration::zero());
  }
}

}  // namespace sluice::notification_controller
