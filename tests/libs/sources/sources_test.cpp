#include "sources/sources.hpp"

#include <catch2/catch.hpp>

#include "support/fake_kube.hpp"
#include "support/run_task.hpp"

using namespace sluice;
using namespace std::chrono_literals;

namespace {

const kube::Resource kRepositories{"source.toolkit.fluxcd.io", "v1", "GitRepository", "gitrepositories", true};
const api::ObjectKey kApps{"flux-system", "apps"};

doc::Json repository(const std::string& digest) {
  doc::Json object = {{"metadata", {{"name", kApps.name}, {"namespace", kApps.namespace_}}}};
  object["status"]["artifact"] = {{"digest", digest}, {"revision", "main@sha1:" + digest}};
  return object;
}

struct Fixture {
  std::shared_ptr<test::FakeKube> kube = std::make_shared<test::FakeKube>();
  rt::Runtime runtime{1};
  std::shared_ptr<sources::Sources> sources;
  bool refuses_watches = false;

  Fixture() {
    kube->serve({kRepositories});
    kube->authorize = [this](const test::FakeKube::Request& request) -> std::optional<base::Error> {
      if (refuses_watches && (request.verb == "list" || request.verb == "watch")) {
        return test::make_error(base::ErrorKind::forbidden, "no");
      }
      return std::nullopt;
    };
    sources = std::make_shared<sources::Sources>(sources::SourceServices{
        runtime, kube, std::make_shared<kube::RestMapper>(kube), base::system_clock(), base::Logger(), ""});
  }
  std::string digest() {
    api::CrossNamespaceSourceReference ref;
    ref.kind = "GitRepository";
    ref.name = kApps.name;
    const auto found = test::run(runtime, sources->find(ref, kApps));
    return found ? std::string(doc::find_string(**found, {"status", "artifact", "digest"})) : found.error().message;
  }
  void turn(std::chrono::milliseconds time = 20ms) {
    runtime.context().restart();
    runtime.context().run_for(time);
  }
};

}  // namespace

TEST_CASE("a source is known from its watch, without a request") {
  Fixture f;
  f.kube->put(kRepositories, repository("one"));
  CHECK(f.digest() == "one");
  f.turn();
  const std::size_t before = f.kube->count("get", kRepositories.plural);
  f.kube->put(kRepositories, repository("two"));
  f.turn();
  CHECK(f.digest() == "two");
  CHECK(f.kube->count("get", kRepositories.plural) == before);
}

TEST_CASE("a watch that is refused since is not believed: the server is asked") {
  Fixture f;
  f.kube->put(kRepositories, repository("one"));
  CHECK(f.digest() == "one");
  f.turn();
  f.refuses_watches = true;
  f.kube->cut_watches(kRepositories, test::make_error(base::ErrorKind::forbidden, "no"));
  f.turn(400ms);
  f.kube->put(kRepositories, repository("two"));
  CHECK(f.digest() == "two");
  f.kube->erase(kRepositories, kApps);
  CHECK(f.digest().find("not found") != std::string::npos);
}
