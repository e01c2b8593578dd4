#include "controller/controller.hpp"

#include <algorithm>
#include <utility>

#include "api/names.hpp"
#include "controller/shell.hpp"

namespace sluice::controller {

namespace {

// Annotations whose change asks for a run.
constexpr std::string_view kTriggers[] = {api::annotation::kReconcileRequestedAt, api::annotation::kForceRequestedAt,
                                          api::annotation::kResetRequestedAt};

// Status writes, ours among them, change neither; they must not trigger.
bool asks_for_a_run(const doc::Json& before, const doc::Json& now) {
  if (api::generation_of(before) != api::generation_of(now)) return true;
  if (api::uid_of(before) != api::uid_of(now)) return true;
  if (api::is_being_deleted(before) != api::is_being_deleted(now)) return true;
  for (const auto key : kTriggers) {
    if (api::annotation_of(before, key) != api::annotation_of(now, key)) return true;
  }
  return false;
}

}  // namespace

struct Controller::Impl {
  struct Subscription {
    WatchCache& cache;
    WatchCache::HandlerId id;
  };

  Impl(Services s, std::shared_ptr<Reconciler> r, WatchCache& c, ControllerOptions o)
      : services(std::move(s)),
        name(Metrics::controller_name(r->traits().resource.kind)),
        cache(c),
        options(o),
        queue(services.clock, options.retry, &services.metrics.queue(name)),
        shell(services, std::move(r), c, o) {
    queue.limit_places(options.concurrency);
  }

  void plan(const api::ObjectKey& key, const NextRun& next) {
    switch (next.when) {
      case NextRun::When::on_change: return queue.forget(key);
      case NextRun::When::after:
        // An error with an interval of its own must not reset the backoff of others.
        if (next.result != ReconcileResult::error) queue.forget(key);
        return queue.add_after(key, next.delay);
      case NextRun::When::backoff: queue.add_failed(key);
    }
  }

  Services services;
  std::string name;
  WatchCache& cache;
  ControllerOptions options;
  WorkQueue queue;
  Shell shell;
  std::vector<Subscription> subscriptions;

  static rt::Task<void> dispatch(Impl& self, rt::TaskGroup& runs);
  static rt::Task<void> work(Impl& self, api::ObjectKey key);
};

namespace {

// Gives the key back and counts the worker out, cancelled or not.
class Shift {
 public:
  Shift(WorkQueue& queue, api::ObjectKey key, const Services& services, const std::string& name)
      : queue_(queue), key_(std::move(key)), services_(services), name_(name), since_(services.clock.steady()) {
    services_.metrics.worker_started(name_);
  }
  ~Shift() {
    services_.metrics.worker_finished(name_, result, services_.clock.steady() - since_);
    queue_.done(key_);
  }
  Shift(const Shift&) = delete;
  Shift& operator=(const Shift&) = delete;

  ReconcileResult result = ReconcileResult::requeue;

 private:
  WorkQueue& queue_;
  api::ObjectKey key_;
  const Services& services_;
  const std::string& name_;
  base::SteadyPoint since_;
};

}  // namespace

rt::Task<void> Controller::Impl::work(Impl& self, api::ObjectKey key) {
  Shift shift(self.queue, key, self.services, self.name);
  WorkerSlot slot;
  slot.release = [&self, key] { self.queue.only_waits(key); };
  slot.take_back = [&self, key] { return self.queue.take_back(key); };
  rt::Task<NextRun> run = self.shell.run(key, std::move(slot));
  const NextRun next = co_await std::move(run);
  shift.result = next.result;
  self.plan(key, next);
}

rt::Task<void> Controller::Impl::dispatch(Impl& self, rt::TaskGroup& runs) {
  for (;;) {
    const auto key = co_await self.queue.take();
    if (!key) co_return;
    // While the server is away a run could write nothing; begun for every object
    // that falls due, runs would only fail, one after the other.
    while (!self.cache.is_in_touch() && !self.queue.is_shut_down()) {
      co_await self.cache.wait_in_touch(std::chrono::seconds(1));
    }
    if (self.queue.is_shut_down()) co_return;
    runs.spawn(self.services.runtime.context(), work(self, *key));
  }
}

Controller::Controller(Services services, std::shared_ptr<Reconciler> reconciler, WatchCache& cache,
                       ControllerOptions options)
    : impl_(std::make_unique<Impl>(std::move(services), std::move(reconciler), cache, options)) {
  CacheHandlers handlers;
  handlers.added = [this](const Object& now) { enqueue(api::key_of(*now)); };
  handlers.updated = [this](const Object& before, const Object& now) {
    if (asks_for_a_run(*before, *now)) supersede(api::key_of(*now));
  };
  handlers.deleted = [this](const Object& last) { supersede(api::key_of(*last)); };
  impl_->subscriptions.push_back({cache, cache.subscribe(std::move(handlers))});
}

Controller::~Controller() {
  for (const auto& subscription : impl_->subscriptions) subscription.cache.unsubscribe(subscription.id);
}

rt::Task<void> Controller::run() {
  Impl& self = *impl_;
  self.services.metrics.max_workers(self.name, self.options.concurrency);
  // Stopping ends the taking of keys; what is being worked on goes on to its end.
  const std::stop_callback on_stop(self.services.runtime.stop_token(), [&self] { self.queue.shut_down(); });
  rt::TaskGroup runs;
  runs.spawn(self.services.runtime.context(), Impl::dispatch(self, runs));
  co_await runs.join();
}

void Controller::enqueue(api::ObjectKey key) { impl_->queue.add(std::move(key)); }
void Controller::enqueue_after(api::ObjectKey key, base::Duration delay) {
  impl_->queue.add_after(std::move(key), delay);
}
void Controller::enqueue_at_leisure(api::ObjectKey key) { impl_->queue.add(std::move(key), WorkQueue::Lane::leisure); }

void Controller::supersede(api::ObjectKey key) {
  impl_->queue.forget(key);  // what failed was the older state
  impl_->queue.add(key);
  impl_->shell.interrupt(key);
}

void Controller::interrupt_all() { impl_->shell.interrupt_all(); }

void Controller::watch(WatchCache& other, MapFunction map, bool urgent) {
  auto tell = [this, map = std::move(map), urgent](const Object& before, const Object& now) {
    for (auto& key : map(before, now)) urgent ? supersede(std::move(key)) : enqueue(std::move(key));
  };
  CacheHandlers handlers;
  handlers.added = [tell](const Object& now) { tell(nullptr, now); };
  handlers.updated = [tell](const Object& before, const Object& now) { tell(before, now); };
  handlers.deleted = [tell](const Object& last) { tell(last, nullptr); };
  impl_->subscriptions.push_back({other, other.subscribe(std::move(handlers))});
}

WatchCache& Controller::cache() noexcept { return impl_->cache; }
const WorkQueue& Controller::queue() const noexcept { return impl_->queue; }

}  // namespace sluice::controller
