#include "kube/rest_mapper.hpp"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <thread>

#include "support/fake_kube.hpp"
#include "support/run_task.hpp"

using namespace std::chrono_literals;
using sluice::base::ErrorKind;
using sluice::base::Result;
using sluice::doc::Json;
using sluice::kube::Resource;
using sluice::kube::RestMapper;
using sluice::test::FakeKube;
using sluice::test::make_error;
namespace kube = sluice::kube;

namespace {

const Resource kMaps{"", "v1", "ConfigMap", "configmaps", true};
const Resource kWidgets{"example.com", "v1", "Widget", "widgets", true};
const Resource kOldWidgets{"example.com", "v1beta1", "Widget", "widgets", true};
const Resource kGadgets{"example.com", "v1", "Gadget", "gadgets", true};
const Resource kDefinitions{"apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions",
                            false};
const Resource kServices{"apiregistration.k8s.io", "v1", "APIService", "apiservices", false};

struct Fixture {
  std::shared_ptr<FakeKube> kube = std::make_shared<FakeKube>();
  std::unique_ptr<sluice::rt::Runtime> runtime = std::make_unique<sluice::rt::Runtime>(1);
  std::optional<RestMapper> mapper;

  explicit Fixture(kube::RestMapperOptions options = {20ms, 60ms, 50ms, 0ms}) {
    kube->serve({kMaps, kWidgets});
    mapper.emplace(kube, options);
  }
  ~Fixture() { runtime.reset(); }

  Result<Resource> ask(const Resource& of) {
    return sluice::test::run(*runtime, mapper->resource_for({of.group, of.version, of.kind}));
  }
  Result<Resource> ask_any(const Resource& of) {
    return sluice::test::run(*runtime, mapper->resource_for_group_kind(of.group, of.kind));
  }
  void define(const Resource& resource) {
    Json definition = {{"metadata", {{"name", resource.plural + "." + resource.group}}}};
    definition["spec"] = {{"group", resource.group}, {"names", {{"kind", resource.kind}, {"plural", resource.plural}}}};
    kube->put(kDefinitions, std::move(definition));
  }
  void forbid(const std::string& plural) {
    kube->authorize = [plural](const FakeKube::Request& request) -> std::optional<sluice::base::Error> {
      if (request.plural == plural) return make_error(ErrorKind::forbidden, "no");
      return std::nullopt;
    };
  }
};

bool is_gone(const Result<Resource>& answer) {
  return !answer && answer.error().kind == ErrorKind::not_found && answer.error().reason == RestMapper::kNoKindMatch;
}
bool is_unknown(const Result<Resource>& answer) {
  return !answer && answer.error().kind == ErrorKind::unavailable &&
         answer.error().reason == RestMapper::kDiscoveryIncomplete;
}

}  // namespace

TEST_CASE("a kind is served in its version and in the preferred one") {
  Fixture f;
  f.kube->serve({kMaps, kWidgets, kOldWidgets});
  CHECK(f.ask(kMaps)->plural == "configmaps");
  CHECK(f.ask(kOldWidgets)->version == "v1beta1");
  CHECK(f.ask_any(kWidgets)->version == "v1");
  const std::size_t asked = f.kube->requests.size();
  CHECK(f.ask(kWidgets));
  CHECK(f.kube->requests.size() == asked);
}

TEST_CASE("a kind that nothing declares is not served, but not by one discovery") {
  Fixture f({100ms, 1s, 50ms, 0ms});
  const auto before = std::chrono::steady_clock::now();
  CHECK(is_gone(f.ask(kGadgets)));
  CHECK(std::chrono::steady_clock::now() - before >= 100ms);
  const auto discoveries = f.kube->count("get", "/apis");
  CHECK(discoveries >= 2);
  // From then on it takes one look.
  const auto again = std::chrono::steady_clock::now();
  CHECK(is_gone(f.ask_any(kGadgets)));
  CHECK(std::chrono::steady_clock::now() - again < 90ms);
}

TEST_CASE("what a discovery leaves out stays known while something declares it") {
  Fixture f;
  f.define(kWidgets);
  CHECK(f.ask(kWidgets));
  f.kube->serve({kMaps});  // as a server that starts
  f.mapper->invalidate();
  CHECK(f.ask(kWidgets));
  CHECK(f.ask_any(kWidgets));
  f.mapper->doubt({kWidgets.group, kWidgets.kind});
  CHECK(f.ask(kWidgets));
  f.kube->erase(kDefinitions, {"", "widgets.example.com"});
  f.mapper->invalidate();
  CHECK(is_gone(f.ask(kWidgets)));
  CHECK(is_gone(f.ask_any(kWidgets)));
}

TEST_CASE("a definition that is not served yet is waited for, and unknown after that") {
  Fixture f({20ms, 60ms, 400ms, 0ms});
  f.define(kGadgets);
  std::size_t looks = 0;
  f.kube->before = [&](const FakeKube::Request& request) {
    if (request.plural == "/apis" && ++looks == 2) f.kube->serve({kMaps, kWidgets, kGadgets});
  };
  CHECK(f.ask(kGadgets));
  const Resource other{"example.com", "v1", "Other", "others", true};
  f.define(other);
  CHECK(is_unknown(f.ask(other)));
}

TEST_CASE("a definition of another kind in the same group declares nothing") {
  Fixture f;
  f.define(kWidgets);
  CHECK(is_gone(f.ask(kGadgets)));
}

TEST_CASE("while the server says that it is not ready, nothing is gone") {
  Fixture f;
  CHECK(f.ask(kWidgets));
  f.kube->serve({});
  f.kube->not_ready = make_error(ErrorKind::unavailable, "poststarthook/crd-informer-synced failed");
  f.mapper->invalidate();
  CHECK(f.ask(kWidgets));
  CHECK(is_unknown(f.ask(kGadgets)));
  f.kube->not_ready.reset();
  f.mapper->invalidate();
  CHECK(is_gone(f.ask(kWidgets)));
}

TEST_CASE("a group that is listed as stale is unknown; what was known of it stays") {
  Fixture f;
  CHECK(f.ask(kWidgets));
  f.kube->serve({kMaps}, {"example.com"});
  f.mapper->invalidate();
  CHECK(f.ask(kWidgets));
  CHECK(is_unknown(f.ask(kGadgets)));
  CHECK(is_unknown(f.ask(kOldWidgets)));
}

TEST_CASE("a discovery that could not have listed the kind is none of the two that prove its absence") {
  Fixture f({100ms, 1s, 10ms, 0ms});
  const bool is_stale = GENERATE(false, true);
  const bool was_proved = GENERATE(false, true);  // before the server went, and nobody knows what it is when it is back
  f.kube->serve({kMaps});
  if (was_proved) CHECK(is_gone(f.ask(kGadgets)));
  f.mapper->invalidate();
  f.kube->serve({kMaps}, is_stale ? std::vector<std::string>{"example.com"} : std::vector<std::string>());
  if (!is_stale) f.kube->not_ready = make_error(ErrorKind::unavailable, "poststarthook/crd-informer-synced failed");
  CHECK(is_unknown(f.ask(kGadgets)));
  std::this_thread::sleep_for(150ms);
  f.kube->serve({kMaps});
  f.kube->not_ready.reset();
  f.mapper->invalidate();
  const auto before = std::chrono::steady_clock::now();
  CHECK(is_gone(f.ask(kGadgets)));
  CHECK(std::chrono::steady_clock::now() - before >= 100ms);
}

TEST_CASE("a group that another server has is unknown while it is not listed, and proved by its own list") {
  Fixture f;
  Json service = {{"metadata", {{"name", "v1.metrics.k8s.io"}}}};
  service["spec"] = {{"group", "metrics.k8s.io"}, {"service", {{"name", "metrics"}, {"namespace", "kube-system"}}}};
  f.kube->put(kServices, service);
  const Resource metrics{"metrics.k8s.io", "v1", "PodMetrics", "pods", true};
  const Resource nodes{"metrics.k8s.io", "v1", "NodeMetrics", "nodes", false};
  CHECK(is_unknown(f.ask(metrics)));
  f.kube->serve({kMaps, nodes});
  f.mapper->invalidate();
  CHECK(is_gone(f.ask(metrics)));
}

TEST_CASE(
    "without the right to read definitions, a ready server and a longer time are proof; with neither nothing is") {
  Fixture f({20ms, 200ms, 50ms, 0ms});
  f.forbid(kDefinitions.plural);
  const auto before = std::chrono::steady_clock::now();
  CHECK(is_gone(f.ask(kGadgets)));
  CHECK(std::chrono::steady_clock::now() - before >= 200ms);
  Fixture g;
  g.forbid(kServices.plural);
  g.kube->not_ready = make_error(ErrorKind::forbidden, "no");
  const auto answer = g.ask(kGadgets);
  CHECK(is_unknown(answer));
  CHECK(answer.error().message.find("rights") != std::string::npos);
}

TEST_CASE("an error of discovery is no answer, and takes nothing away") {
  Fixture f;
  CHECK(f.ask(kWidgets));
  f.kube->fail_next("get", make_error(ErrorKind::unavailable, "refused"), 100'000);  // asked without a pause here
  f.mapper->invalidate();
  CHECK(f.ask(kWidgets));
  CHECK(is_unknown(f.ask(kGadgets)));
  Fixture g;
  g.kube->raw["/apis"] = Json::object();
  const auto answer = g.ask(kWidgets);
  REQUIRE_FALSE(answer);
  CHECK(answer.error().kind == ErrorKind::unsupported);
}

TEST_CASE("a discovery that failed is made up for by the next question") {
  Fixture f;
  CHECK(f.ask(kWidgets));
  f.kube->serve({kMaps});
  f.mapper->invalidate();
  f.kube->fail_next("get", make_error(ErrorKind::unavailable, "refused"));
  CHECK(f.ask(kWidgets));
  CHECK(is_gone(f.ask(kWidgets)));
}

TEST_CASE("a version that was retired is not served, while the kind is") {
  Fixture f;
  f.kube->serve({kMaps, kWidgets, kOldWidgets});
  CHECK(f.ask(kOldWidgets));
  f.kube->serve({kMaps, kWidgets});
  f.mapper->invalidate();
  CHECK(is_gone(f.ask(kOldWidgets)));
  CHECK(f.ask_any(kOldWidgets)->version == "v1");
}

TEST_CASE("those who ask at the same time share one proof") {
  Fixture f({100ms, 1s, 50ms, 1s});
  int answers = 0;
  for (int i = 0; i < 16; ++i) {
    struct Ask {
      static sluice::rt::Task<void> go(RestMapper mapper, int& answers) {
        auto answer = co_await mapper.resource_for_group_kind("example.com", "Gadget");
        answers += is_gone(answer) ? 1 : 0;
      }
    };
    f.runtime->spawn("ask", Ask::go(*f.mapper, answers));
  }
  const auto deadline = std::chrono::steady_clock::now() + 5s;
  f.runtime->context().restart();
  while (answers < 16 && std::chrono::steady_clock::now() < deadline) f.runtime->context().run_one_for(5ms);
  CHECK(answers == 16);
  CHECK(f.kube->count("get", "/apis") <= 2);
}

TEST_CASE("definitions that come, change or go invalidate what is known and are told, a list once") {
  Fixture f;
  int told = 0;
  f.define(kWidgets);
  f.define(kGadgets);
  f.mapper->on_change([&told] { ++told; });
  f.mapper->follow_definitions(*f.runtime, sluice::base::Logger::discard());
  const auto until = [&](const std::function<bool()>& is_so) {
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    f.runtime->context().restart();
    while (!is_so()) {
      if (std::chrono::steady_clock::now() > deadline) FAIL("it never became so");
      f.runtime->context().run_one_for(5ms);
    }
  };
  until([&] { return f.mapper->hears_of_changes(); });
  CHECK(told == 1);
  f.kube->erase(kDefinitions, {"", "gadgets.example.com"});
  until([&] { return told == 2; });
  f.define(kGadgets);
  until([&] { return told == 3; });
  f.kube->serve({kMaps, kWidgets, kGadgets});
  CHECK(f.ask(kGadgets));
}
