// Waits until objects are healthy. Event-driven: nothing is asked twice. Runs
// on the loop.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/inventory.hpp"
#include "apply/live_objects.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"
#include "kube/rest_mapper.hpp"
#include "rt/runtime.hpp"

namespace sluice::apply {

struct HealthTarget {
  api::ObjectId id;
  std::string version;      // of its apiVersion; "" is any that is served
  bool may_vanish = false;  // absent, it is as its work ended, where that is known
};

struct HealthServices {
  rt::Runtime& runtime;
  std::shared_ptr<kube::Client> client;  // reads what the live records do not hold
  std::shared_ptr<kube::RestMapper> mapper;
  std::shared_ptr<LiveObjects> live;
};

struct HealthOptions {
  std::chrono::nanoseconds timeout = std::chrono::seconds(60);
  bool fail_fast = true;  // do not wait for others once one has failed
  // Called when an object stands no more as we left it, or one that may vanish is gone
  // and nobody knows how its work ended; an error ends the wait.
  std::function<rt::Task<base::Result<void>>()> repair;
  // Called once, before the first wait; never where a first look finds the verdict. Whoever holds a
  // worker lets it go then: runs that find all well go on, as many at once as there are workers.
  std::function<void()> on_wait;
  // Told what is waited for, as the error would say it, once the wait has lasted for `patience`, and
  // after that at most that often, when it has changed.
  std::function<void(const std::string& pending)> on_pending;
  std::chrono::nanoseconds patience = std::chrono::seconds(10);
};

// Returns when all targets are current. `timeout` or `invalid` (one has failed
// for good) name each that is not, with its state and why. Objects of `owner`
// are judged from the live records, others by a watch on their name.
rt::Task<base::Result<void>> await_health(HealthServices services, api::ObjectKey owner,
                                          std::vector<HealthTarget> targets, HealthOptions options);

}  // namespace sluice::apply
