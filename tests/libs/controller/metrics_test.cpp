#include "controller/metrics.hpp"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using sluice::controller::Metrics;
using sluice::controller::ReconcileResult;

namespace {
bool has(const std::string& text, const std::string& line) { return text.find(line + "\n") != std::string::npos; }
}  // namespace

TEST_CASE("metrics have the names and labels that dashboards read") {
  Metrics metrics;
  metrics.max_workers("Foo", 4);
  metrics.worker_started("Foo");
  metrics.worker_finished("Foo", ReconcileResult::error, 30ms);
  metrics.reconciled("Foo", {"apps", "a"}, 30ms);
  metrics.queue("Foo").added();
  metrics.queue("Foo").depth(3);
  metrics.api_request("apply", 200, "https://10.0.0.1");
  metrics.api_request("get", 0, "https://10.0.0.1");
  metrics.leader("foo-leader-election", true);
  const std::string text = metrics.text();
  CHECK(has(text, "controller_runtime_reconcile_total{controller=\"Foo\",result=\"error\"} 1"));
  CHECK(has(text, "controller_runtime_reconcile_errors_total{controller=\"Foo\"} 1"));
  CHECK(has(text, "controller_runtime_active_workers{controller=\"Foo\"} 0"));
  CHECK(has(text, "controller_runtime_max_concurrent_reconciles{controller=\"Foo\"} 4"));
  CHECK(has(text, "controller_runtime_reconcile_time_seconds_count{controller=\"Foo\"} 1"));
  CHECK(has(text, "gotk_reconcile_duration_seconds_count{kind=\"Foo\",name=\"a\",namespace=\"apps\"} 1"));
  CHECK(has(text, "workqueue_depth{controller=\"Foo\",name=\"Foo\"} 3"));
  CHECK(has(text, "workqueue_adds_total{controller=\"Foo\",name=\"Foo\"} 1"));
  CHECK(has(text, "rest_client_requests_total{code=\"200\",host=\"https://10.0.0.1\",method=\"PATCH\"} 1"));
  CHECK(has(text, "rest_client_requests_total{code=\"<error>\",host=\"https://10.0.0.1\",method=\"GET\"} 1"));
  CHECK(has(text, "leader_election_master_status{name=\"foo-leader-election\"} 1"));
  CHECK(text.find("process_resident_memory_bytes ") != std::string::npos);
}

TEST_CASE("the series of an object that has gone go with it") {
  Metrics metrics;
  metrics.reconciled("Foo", {"apps", "a"}, 1s);
  metrics.reconciled("Foo", {"apps", "b"}, 1s);
  metrics.forget("Foo", {"apps", "a"});
  metrics.forget("Foo", {"apps", "a"});
  const std::string text = metrics.text();
  CHECK(text.find("name=\"a\"") == std::string::npos);
  CHECK(text.find("name=\"b\"") != std::string::npos);
}

TEST_CASE("a daemon adds numbers of its own") {
  Metrics metrics;
  metrics.count("sluice_things_total", "Things.", {{"kind", "x"}});
  metrics.count("sluice_things_total", "A later help is ignored.", {{"kind", "x"}}, 2);
  metrics.set("sluice_level", "Level.", {}, 7);
  const std::string text = metrics.text();
  CHECK(has(text, "sluice_things_total{kind=\"x\"} 3"));
  CHECK(has(text, "sluice_level 7"));
}
