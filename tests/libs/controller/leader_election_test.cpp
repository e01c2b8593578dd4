#include "controller/leader_election.hpp"

#include "harness.hpp"
#include "support/run_task.hpp"

using namespace std::chrono_literals;
using namespace sluice::test;
using sluice::base::ErrorKind;
using sluice::controller::LeaderElectionOptions;
using sluice::controller::LeaderElector;
using sluice::doc::Json;

namespace {

const sluice::kube::Resource kLeases{"coordination.k8s.io", "v1", "Lease", "leases", true};
const sluice::api::ObjectKey kLease{"flux-system", "foo-controller-leader-election"};

struct ElectionHarness : Harness {
  ElectionHarness() {
    options.enabled = true;
    options.lease_duration = 15s;
    options.renew_deadline = 10s;
    options.retry_period = 2ms;
  }
  ~ElectionHarness() { runtime.reset(); }
  std::unique_ptr<LeaderElector> elector(const std::string& identity) {
    return std::make_unique<LeaderElector>(kube, clock, sluice::base::Logger::discard(), kLease, identity, options);
  }
  Json spec() const { return kube->object(kLeases, kLease)["spec"]; }

  sluice::base::ManualClock clock{sluice::base::TimePoint(1000h)};
  LeaderElectionOptions options;
};

sluice::rt::Task<void> lead(LeaderElector& elector, bool& acquired, bool& lost) {
  co_await elector.acquire();
  acquired = true;
  co_await elector.keep();
  lost = true;
}

}  // namespace

TEST_CASE("the first replica gets the lease, with the record that client-go writes") {
  ElectionHarness h;
  auto a = h.elector("a");
  bool acquired = false;
  bool lost = false;
  h.runtime->spawn("a", lead(*a, acquired, lost));
  until(*h.runtime, [&] { return acquired && h.kube->count("update") >= 2; });
  CHECK(h.spec()["holderIdentity"] == "a");
  CHECK(h.spec()["leaseDurationSeconds"] == 15);
  CHECK(h.spec()["leaseTransitions"] == 0);
  CHECK(a->is_leader());
  CHECK_FALSE(lost);
  h.runtime.reset();
}

TEST_CASE("a second replica waits while the lease is renewed, and takes over when it is not") {
  ElectionHarness h;
  auto a = h.elector("a");
  auto b = h.elector("b");
  bool acquired = false;
  bool lost = false;
  {
    bool a_acquired = false;
    bool a_lost = false;
    sluice::rt::Runtime other(1);
    other.spawn("a", lead(*a, a_acquired, a_lost));
    until(other, [&] { return a_acquired; });
  }  // killed: it renews no more
  h.runtime->spawn("b", lead(*b, acquired, lost));
  settle(*h.runtime);
  h.clock.advance(14s);
  settle(*h.runtime);
  CHECK_FALSE(acquired);
  h.clock.advance(2s);
  until(*h.runtime, [&] { return acquired; });
  CHECK(h.spec()["holderIdentity"] == "b");
  CHECK(h.spec()["leaseTransitions"] == 1);
  h.runtime.reset();
}

TEST_CASE("a leader that cannot renew within the deadline steps down") {
  ElectionHarness h;
  auto a = h.elector("a");
  bool acquired = false;
  bool lost = false;
  h.runtime->spawn("a", lead(*a, acquired, lost));
  until(*h.runtime, [&] { return acquired; });
  h.kube->fail_next("get", make_error(ErrorKind::unavailable, "no route"), 10000);
  settle(*h.runtime);
  CHECK_FALSE(lost);
  h.clock.advance(11s);
  until(*h.runtime, [&] { return lost; });
  CHECK_FALSE(a->is_leader());
}

TEST_CASE("a leader steps down at its renew deadline, before anybody may take the lease, if the server hangs") {
  ElectionHarness h;
  h.options.lease_duration = 600ms;
  h.options.renew_deadline = 200ms;
  h.options.retry_period = 20ms;
  auto a = std::make_unique<LeaderElector>(h.kube, sluice::base::system_clock(), sluice::base::Logger::discard(),
                                           kLease, "a", h.options);
  bool acquired = false;
  bool lost = false;
  h.runtime->spawn("a", lead(*a, acquired, lost));
  until(*h.runtime, [&] { return acquired; });
  h.kube->latency = 1h;
  const auto hung = std::chrono::steady_clock::now();
  until(*h.runtime, [&] { return lost; });
  CHECK(std::chrono::steady_clock::now() - hung < h.options.lease_duration);
  CHECK_FALSE(a->is_leader());
  h.runtime.reset();
}

TEST_CASE("the time of a renewal counts from before the request, as the others see it") {
  ElectionHarness h;
  auto a = h.elector("a");
  bool acquired = false;
  bool lost = false;
  h.runtime->spawn("a", lead(*a, acquired, lost));
  until(*h.runtime, [&] { return acquired; });
  // The answer of a renewal takes nine seconds of the ten; what follows it fails.
  bool slow = true;
  h.kube->before = [&](const FakeKube::Request& request) {
    if (request.verb != "update" || !std::exchange(slow, false)) return;
    h.clock.advance(9s);
    h.kube->fail_next("get", make_error(ErrorKind::unavailable, "no route"), 100000);
  };
  until(*h.runtime, [&] { return !slow; });
  settle(*h.runtime);
  CHECK_FALSE(lost);
  h.clock.advance(2s);
  until(*h.runtime, [&] { return lost; });
}

TEST_CASE("a leader whose lease somebody else took steps down at once") {
  ElectionHarness h;
  auto a = h.elector("a");
  bool acquired = false;
  bool lost = false;
  h.runtime->spawn("a", lead(*a, acquired, lost));
  until(*h.runtime, [&] { return acquired; });
  auto lease = h.kube->object(kLeases, kLease);
  lease["spec"]["holderIdentity"] = "thief";
  h.kube->put(kLeases, lease);
  until(*h.runtime, [&] { return lost; });
  CHECK(h.spec()["holderIdentity"] == "thief");
}

TEST_CASE("a released lease is free at once") {
  ElectionHarness h;
  auto a = h.elector("a");
  auto b = h.elector("b");
  run(*h.runtime, [](LeaderElector& e) -> sluice::rt::Task<int> {
    co_await e.acquire();
    co_await e.release();
    co_return 0;
  }(*a));
  CHECK(h.spec()["holderIdentity"] == "");
  bool acquired = false;
  bool lost = false;
  h.runtime->spawn("b", lead(*b, acquired, lost));
  until(*h.runtime, [&] { return acquired; });
  h.runtime.reset();
}

TEST_CASE("of two that reach for a free lease at once only the faster one leads") {
  ElectionHarness h;
  Json lease = {{"metadata", {{"name", kLease.name}, {"namespace", kLease.namespace_}}}};
  lease["spec"] = {{"holderIdentity", ""}, {"leaseDurationSeconds", 1}};
  h.kube->put(kLeases, lease);
  bool raced = false;
  h.kube->before = [&](const FakeKube::Request& request) {
    if (request.verb != "update" || std::exchange(raced, true)) return;
    lease["spec"]["holderIdentity"] = "faster";
    h.kube->put(kLeases, lease);
  };
  auto a = h.elector("a");
  bool acquired = false;
  bool lost = false;
  h.runtime->spawn("a", lead(*a, acquired, lost));
  until(*h.runtime, [&] { return raced; });
  settle(*h.runtime);
  CHECK_FALSE(acquired);
  CHECK_FALSE(a->is_leader());
  CHECK(h.spec()["holderIdentity"] == "faster");
  h.runtime.reset();
}

TEST_CASE("a lease that is another's by now is not released in its name") {
  ElectionHarness h;
  auto a = h.elector("a");
  run(*h.runtime, [](ElectionHarness& harness, LeaderElector& e) -> sluice::rt::Task<int> {
    co_await e.acquire();
    auto lease = harness.kube->object(kLeases, kLease);
    lease["spec"]["holderIdentity"] = "b";
    harness.kube->put(kLeases, lease);
    co_await e.release();
    co_return 0;
  }(h, *a));
  CHECK_FALSE(a->is_leader());
  CHECK(h.spec()["holderIdentity"] == "b");
}
