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
  for (const char* name : {"process_resident_memory_bytes ", "process_virtual_memory_bytes ", "process_open_fds ",
                           "process_max_fds ", "process_cpu_seconds_total ", "process_start_time_seconds "}) {
    CHECK(text.find(std::string("\n") + name) != std::string::npos);
  }
  for (const char* name : {"reconcile_panics", "terminal_reconcile_errors", "reconcile_timeouts"}) {
    CHECK(has(text, std::string("controller_runtime_") + name + "_total{controller=\"Foo\"} 0"));
  }
  metrics.timed_out("Foo");
  metrics.stalled("Foo");
  CHECK(has(metrics.text(), "controller_runtime_reconcile_timeouts_total{controller=\"Foo\"} 1"));
  CHECK(has(metrics.text(), "controller_runtime_terminal_reconcile_errors_total{controller=\"Foo\"} 1"));
}

TEST_CASE("what is being worked on is measured when it is asked for") {
  Metrics metrics;
  auto& queue = metrics.queue("foo");
  const auto value = [&](const std::string& name) {
    const std::string text = metrics.text();
    const std::string line = "workqueue_" + name + "_seconds{controller=\"foo\",name=\"foo\"} ";
    return std::stod(text.substr(text.find(line) + line.size()));
  };
  CHECK(value("unfinished_work") == 0);
  const auto now = std::chrono::steady_clock::now();
  queue.started(now - 10s);
  queue.started(now - 3s);
  CHECK(value("longest_running_processor") == Approx(10).margin(2));
  CHECK(value("unfinished_work") == Approx(13).margin(4));
  queue.worked(now - 10s, now);
  CHECK(value("longest_running_processor") == Approx(3).margin(2));
  queue.worked(now - 3s, now);
  CHECK(value("unfinished_work") == 0);
}

TEST_CASE("the series of an object that has gone go with it") {
  Metrics metrics;
  metrics.reconciled("Foo", {"apps", "a"}, 1s);
  metrics.reconciled("Foo", {"apps", "b"}, 1s);
  metrics.forget("Foo", sluice::api::ObjectKey{"apps", "a"});
  metrics.forget("Foo", sluice::api::ObjectKey{"apps", "a"});
  const std::string text = metrics.text();
  CHECK(text.find("name=\"a\"") == std::string::npos);
  CHECK(text.find("name=\"b\"") != std::string::npos);
}

TEST_CASE("what a daemon counts of an object goes with the object, and begins anew with the next of its name") {
  Metrics metrics;
  for (const char* name : {"a", "b"}) {
    for (const char* result : {"sent", "failed"})
      metrics.count("sent_total", "Sent.", {{"name", name}, {"result", result}});
    metrics.observe("took_seconds", "Time.", {{"name", name}}, 1);
    metrics.set("level", "Level.", {{"name", name}}, 1);
  }
  const Metrics::Labels gone{{"name", "a"}};
  for (const char* series : {"sent_total", "took_seconds", "level", "nothing"}) metrics.forget(series, gone);
  CHECK(metrics.text().find("name=\"a\"") == std::string::npos);
  CHECK(has(metrics.text(), "sent_total{name=\"b\",result=\"failed\"} 1"));
  CHECK(has(metrics.text(), "took_seconds_count{name=\"b\"} 1"));
  metrics.count("sent_total", "Sent.", {{"name", "a"}, {"result", "sent"}});
  CHECK(has(metrics.text(), "sent_total{name=\"a\",result=\"sent\"} 1"));
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
