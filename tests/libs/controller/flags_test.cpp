#include "controller/options.hpp"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using sluice::base::ErrorKind;
using sluice::controller::FlagSet;
using sluice::controller::Options;

namespace {

struct Parsed {
  Options options = sluice::controller::default_options("foo-controller");
  FlagSet flags{"foo-controller", "Tests flags"};
  sluice::base::Result<void> result;
  explicit Parsed(const std::vector<std::string>& arguments) {
    sluice::controller::add_common_flags(flags, options);
    result = flags.parse(arguments);
  }
};

}  // namespace

TEST_CASE("the arguments of upstream's manifests are understood") {
  Parsed p({"--events-addr=http://notification-controller.flux-system.svc.cluster.local./",
            "--watch-all-namespaces=false", "--log-level=debug", "--log-encoding=json", "--enable-leader-election",
            "--concurrent=20", "--kube-api-qps=500", "--kube-api-burst=1000", "--requeue-dependency=5s",
            "--feature-gates=A=true,B=false", "--min-retry-delay", "1s500ms"});
  REQUIRE(p.result);
  CHECK(p.options.events_addr == "http://notification-controller.flux-system.svc.cluster.local./");
  CHECK_FALSE(p.options.watch_all_namespaces);
  CHECK(p.options.watched_namespace() == p.options.runtime_namespace);
  CHECK(p.options.log_level == "debug");
  CHECK(p.options.leader_election.enabled);
  CHECK(p.options.concurrent == 20);
  CHECK(p.options.requeue_dependency == 5s);
  CHECK(p.options.retry.min == 1500ms);
  CHECK(p.options.is_enabled("A", false));
  CHECK_FALSE(p.options.is_enabled("B", true));
  CHECK(p.options.is_enabled("C", true));
  CHECK(sluice::controller::check_options(p.options));
}

TEST_CASE("without arguments the defaults are upstream's") {
  Parsed p({});
  REQUIRE(p.result);
  CHECK(p.options.metrics_addr == ":8080");
  CHECK(p.options.health_addr == ":9440");
  CHECK(p.options.retry.min == 750ms);
  CHECK(p.options.retry.max == 15min);
  CHECK(p.options.leader_election.lease_duration == 35s);
  CHECK(p.options.leader_election.renew_deadline == 30s);
  CHECK(p.options.leader_election.retry_period == 5s);
  CHECK(p.options.leader_election.release_on_cancel);
  CHECK(p.options.interval_jitter_percentage == 5);
  CHECK(p.options.watched_namespace().empty());
}

TEST_CASE("a wrong flag or value is an error that names it") {
  for (const auto& [argument, named] :
       std::vector<std::pair<std::string, std::string>>{{"--no-such-flag=1", "--no-such-flag"},
                                                        {"--concurrent=many", "--concurrent"},
                                                        {"--min-retry-delay=soon", "--min-retry-delay"},
                                                        {"stray", "stray"}}) {
    Parsed p({argument});
    CAPTURE(argument);
    REQUIRE_FALSE(p.result);
    CHECK(p.result.error().kind == ErrorKind::invalid);
    CHECK(p.result.error().message.find(named) != std::string::npos);
  }
}

TEST_CASE("values that do not fit together are refused") {
  Options options = sluice::controller::default_options("foo-controller");
  REQUIRE(sluice::controller::check_options(options));
  options.leader_election.renew_deadline = 40s;
  CHECK_FALSE(sluice::controller::check_options(options));
  options = sluice::controller::default_options("foo-controller");
  options.interval_jitter_percentage = 100;
  CHECK_FALSE(sluice::controller::check_options(options));
  options.interval_jitter_percentage = 0;
  options.feature_gates = {"A"};
  CHECK_FALSE(sluice::controller::check_options(options));
}

TEST_CASE("help names each flag, its default, and what has no effect") {
  Parsed p({"--help"});
  REQUIRE(p.result);
  CHECK(p.flags.help_asked());
  const std::string help = p.flags.help();
  CHECK(help.find("--leader-election-lease-duration") != std::string::npos);
  CHECK(help.find("35s") != std::string::npos);
  const auto qps = help.find("--kube-api-qps");
  REQUIRE(qps != std::string::npos);
  CHECK(help.find("No effect", qps) < help.find("--kube-api-burst"));
}

TEST_CASE("every program says its version") {
  Parsed p({"--version"});
  REQUIRE(p.result);
  CHECK(p.flags.help_asked());
  CHECK(p.flags.help() == "foo-controller " + sluice::controller::version() + "\n");
  CHECK(sluice::controller::version().find('.') != std::string::npos);
}

TEST_CASE("a daemon may give a flag that is only accepted a meaning of its own") {
  Options options = sluice::controller::default_options("foo-controller");
  FlagSet flags("foo-controller", "Tests flags");
  sluice::controller::add_common_flags(flags, options);
  std::string events;
  flags.add("events-addr", events, "Where events are received.");
  REQUIRE(flags.parse({"--events-addr=:9090"}));
  CHECK(events == ":9090");
  CHECK(flags.help().find("Where events are received.") != std::string::npos);
}

TEST_CASE("shards have leases of their own, named as upstream names them") {
  Options options = sluice::controller::default_options("foo");
  CHECK(options.lease_name() == "foo-leader-election");
  options.watch_label_selector = "bar";
  CHECK(options.lease_name() == "foo-leader-election-fcde2b2e");
}
