#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "controller/app.hpp"

#include <atomic>
#include <thread>

#include "harness.hpp"
#include "http/client.hpp"
#include "support/run_task.hpp"

using namespace std::chrono_literals;
using namespace sluice::test;
using sluice::base::ErrorKind;
namespace base = sluice::base;
namespace controller = sluice::controller;
namespace rt = sluice::rt;

namespace {

class MarkReady final : public controller::Reconciler {
 public:
  const controller::KindTraits& traits() const override { return kind; }
  rt::Task<controller::StepResult> reconcile(controller::RunContext& context) override {
    context.event(controller::Severity::info, "Ready", "done");
    co_return controller::Done{};
  }
  controller::KindTraits kind{kFoos, "", "foo-controller", {}, true};
};

rt::Task<void> run_until_end(controller::App& app, std::optional<base::Result<void>>& result) {
  auto ended = co_await app.run();
  result = std::move(ended);
}

sluice::http::Response fetch(rt::Runtime& runtime, int port, const std::string& path) {
  auto client = sluice::http::Client::create(runtime, "http://127.0.0.1:" + std::to_string(port));
  sluice::http::Request request;
  request.target = path;
  auto answer = run(runtime, (*client)->send(request));
  return answer ? *answer : sluice::http::Response{};
}

struct AppHarness : Harness {
  AppHarness() {
    options = controller::default_options("foo-controller");
    options.metrics_addr = "127.0.0.1:0";
    options.health_addr = "127.0.0.1:0";
    options.graceful_shutdown = 100ms;
    options.runtime_namespace = "flux-system";
    options.leader_election.retry_period = 2ms;
  }
  ~AppHarness() {
    app.reset();
    runtime.reset();
  }
  void start() {
    app = std::make_unique<controller::App>(*runtime, options, base::Logger::discard(), kube);
    app->add(std::make_shared<MarkReady>());
    runtime->spawn("app", run_until_end(*app, result));
  }
  bool is_ready(const std::string& name, const std::string& space = "apps") const {
    return sluice::api::conditions_of(kube->object(kFoos, {space, name})).is_true("Ready");
  }

  controller::Options options;
  std::unique_ptr<controller::App> app;
  std::optional<base::Result<void>> result;
};

}  // namespace

TEST_CASE("an app reconciles, writes events, and ends in order when it is told to stop") {
  AppHarness h;
  h.kube->put(kFoos, make_foo("a"));
  h.start();
  until(*h.runtime, [&] { return h.is_ready("a") && !h.kube->all(kEvents).empty(); });
  h.runtime->shutdown(5s);
  until(*h.runtime, [&] { return h.result.has_value(); });
  CHECK(h.result->has_value());
  CHECK(h.kube->open_watches() == 0);
}

TEST_CASE("only the leader reconciles, and the lease is given up at the end") {
  AppHarness h;
  const sluice::kube::Resource leases{"coordination.k8s.io", "v1", "Lease", "leases", true};
  auto lease = sluice::doc::Json::object();
  lease["metadata"] = {{"name", "foo-controller-leader-election"}, {"namespace", "flux-system"}};
  lease["spec"] = {{"holderIdentity", "another"}, {"leaseDurationSeconds", 35}};
  h.kube->put(leases, lease);
  h.kube->put(kFoos, make_foo("a"));
  h.options.leader_election.enabled = true;
  h.start();
  settle(*h.runtime, 30ms);
  CHECK_FALSE(h.is_ready("a"));
  lease["spec"]["holderIdentity"] = "";
  h.kube->put(leases, lease);
  until(*h.runtime, [&] { return h.is_ready("a"); });
  h.runtime->shutdown(5s);
  until(*h.runtime, [&] { return h.result.has_value(); });
  CHECK(h.kube->object(leases, {"flux-system", "foo-controller-leader-election"})["spec"]["holderIdentity"] == "");
}

TEST_CASE("losing the lease ends the app with an error") {
  AppHarness h;
  const sluice::kube::Resource leases{"coordination.k8s.io", "v1", "Lease", "leases", true};
  h.kube->put(kFoos, make_foo("a"));
  h.options.leader_election.enabled = true;
  h.start();
  until(*h.runtime, [&] { return h.is_ready("a"); });
  auto lease = h.kube->all(leases).at(0);
  lease["spec"]["holderIdentity"] = "thief";
  h.kube->put(leases, lease);
  until(*h.runtime, [&] { return h.result.has_value(); });
  CHECK_FALSE(h.result->has_value());
}

namespace {
// Waits for what never comes.
class WaitForever final : public controller::Reconciler {
 public:
  const controller::KindTraits& traits() const override { return kind; }
  rt::Task<controller::StepResult> reconcile(controller::RunContext&) override {
    waiting = true;
    co_await rt::sleep_for(1h);
    co_return controller::Done{};
  }
  controller::KindTraits kind{kFoos, "", "foo-controller", {}, true};
  bool waiting = false;
};
}  // namespace

TEST_CASE("told to stop, runs that wait are cut long before the grace is over, with the lease still held") {
  AppHarness h;
  const sluice::kube::Resource leases{"coordination.k8s.io", "v1", "Lease", "leases", true};
  h.options.leader_election.enabled = true;
  h.options.graceful_shutdown = 200ms;
  h.kube->put(kFoos, make_foo("a"));
  auto waiter = std::make_shared<WaitForever>();
  h.app = std::make_unique<controller::App>(*h.runtime, h.options, base::Logger::discard(), h.kube);
  h.app->add(waiter);
  h.runtime->spawn("app", run_until_end(*h.app, h.result));
  until(*h.runtime, [&] { return waiter->waiting; });
  const auto started = std::chrono::steady_clock::now();
  h.runtime->shutdown(1min);
  settle(*h.runtime, 20ms);
  CHECK_FALSE(h.kube->all(leases).at(0)["spec"]["holderIdentity"] == "");
  until(*h.runtime, [&] { return h.result.has_value(); });
  CHECK(h.result->has_value());
  CHECK(std::chrono::steady_clock::now() - started >= 50ms);
  CHECK(h.kube->all(leases).at(0)["spec"]["holderIdentity"] == "");
}

namespace {
// A process would end where such a test ends, and give back what nobody can reach any more.
struct NoLeakCheck {
#ifdef __SANITIZE_ADDRESS__
  NoLeakCheck() { __lsan_disable(); }
  ~NoLeakCheck() { __lsan_enable(); }
#endif
};

// Has work on the pool that heeds no stop token.
class Hang final : public controller::Reconciler {
 public:
  explicit Hang(rt::Runtime& r) : runtime(r) {}
  const controller::KindTraits& traits() const override { return kind; }
  rt::Task<controller::StepResult> reconcile(controller::RunContext&) override {
    auto work = [state = state](std::stop_token) {
      state->begun = true;
      while (!state->let_go) std::this_thread::sleep_for(1ms);
      return 0;
    };
    auto working = rt::run_blocking(runtime, "apps", std::move(work));
    const int result = co_await std::move(working);
    static_cast<void>(result);
    co_return controller::Done{};
  }
  struct State {
    std::atomic<bool> begun = false;
    std::atomic<bool> let_go = false;
  };
  rt::Runtime& runtime;
  controller::KindTraits kind{kFoos, "", "foo-controller", {}, true};
  std::shared_ptr<State> state = std::make_shared<State>();
};
}  // namespace

TEST_CASE("told to stop, an app ends after its grace and gives the lease up, whatever hangs on the pool") {
  [[maybe_unused]] const NoLeakCheck what_a_run_that_hangs_holds;
  AppHarness h;
  const sluice::kube::Resource leases{"coordination.k8s.io", "v1", "Lease", "leases", true};
  h.options.leader_election.enabled = true;
  h.kube->put(kFoos, make_foo("a"));
  auto hang = std::make_shared<Hang>(*h.runtime);
  h.app = std::make_unique<controller::App>(*h.runtime, h.options, base::Logger::discard(), h.kube);
  h.app->add(hang);
  h.runtime->spawn("app", run_until_end(*h.app, h.result));
  until(*h.runtime, [&] { return hang->state->begun.load(); });
  h.runtime->shutdown(1min);
  until(
      *h.runtime, [&] { return h.result.has_value(); }, 20s);
  CHECK(h.app->hangs());
  CHECK(h.kube->all(leases).at(0)["spec"]["holderIdentity"] == "");
  hang->state->let_go = true;
}

TEST_CASE("a daemon limited to its namespace lists and watches only that") {
  AppHarness h;
  h.options.watch_all_namespaces = false;
  h.kube->put(kFoos, make_foo("a", 1, "apps"));
  h.kube->put(kFoos, make_foo("b", 1, "flux-system"));
  h.start();
  until(*h.runtime, [&] { return h.is_ready("b", "flux-system"); });
  CHECK_FALSE(h.is_ready("a"));
  for (const auto& request : h.kube->requests) {
    if (request.verb == "list" || request.verb == "watch") CHECK(request.key.namespace_ == "flux-system");
  }
  h.runtime->shutdown(5s);
  until(*h.runtime, [&] { return h.result.has_value(); });
}

TEST_CASE("one resource has one cache, however often it is asked for") {
  AppHarness h;
  h.start();
  controller::WatchCacheOptions options;
  options.resource = kFoos;
  auto& first = h.app->cache(options);
  CHECK(&h.app->cache(options) == &first);
  options.label_selector = "x=y";
  CHECK(&h.app->cache(options) != &first);
  h.runtime->shutdown(5s);
  until(*h.runtime, [&] { return h.result.has_value(); });
}

TEST_CASE("readiness says which cache is missing, and health and metrics are served") {
  AppHarness h;
  h.kube->fail_next("list", make_error(ErrorKind::forbidden, "foos is forbidden"), 3);
  h.start();
  until(*h.runtime, [&] { return h.app->health_port() != 0 && h.kube->count("list") > 0; });
  const auto ask = [&](int port, const std::string& path) { return fetch(*h.runtime, port, path); };
  const auto before = ask(h.app->health_port(), "/readyz");
  CHECK(before.status == 503);
  CHECK(before.body.find("cache of foos has not synced") != std::string::npos);
  CHECK(ask(h.app->health_port(), "/healthz").status == 200);
  until(*h.runtime, [&] { return ask(h.app->health_port(), "/readyz").status == 200; });
  const auto metrics = ask(h.app->metrics_port(), "/metrics");
  CHECK(metrics.status == 200);
  CHECK(metrics.body.find("workqueue_depth{controller=\"foo\",name=\"foo\"} 0") != std::string::npos);
  CHECK(ask(h.app->metrics_port(), "/other").status == 404);
  h.runtime->shutdown(5s);
  until(*h.runtime, [&] { return h.result.has_value(); });
}

TEST_CASE("an address that cannot be bound ends the start with the flag's name") {
  AppHarness h;
  h.options.metrics_addr = "nonsense";
  h.start();
  until(*h.runtime, [&] { return h.result.has_value(); });
  REQUIRE_FALSE(h.result->has_value());
  CHECK(h.result->error().message.find("--metrics-addr") != std::string::npos);
}
