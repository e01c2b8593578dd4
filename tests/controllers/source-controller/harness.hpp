// A source-controller without its process: the reconciler under the shell, on
// an API server in memory, with real Git servers and a real folder.
#pragma once

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>

#include "api/conditions.hpp"
#include "archive/unpack.hpp"
#include "base/digest.hpp"
#include "controller/controller.hpp"
#include "libs/git/shared_server.hpp"
#include "source-controller/git_repository_reconciler.hpp"
#include "support/fake_kube.hpp"

namespace sluice::test {

inline const kube::Resource kRepositories{"source.toolkit.fluxcd.io", "v1", "GitRepository", "gitrepositories", true};
inline const kube::Resource kSecrets{"", "v1", "Secret", "secrets", true};

inline api::ObjectKey key_of(const std::string& name) { return {"flux-system", name}; }

class RecordedEvents final : public controller::EventRecorder {
 public:
  void emit(const doc::Json& object, controller::EventRecord record) override {
    objects.emplace_back(api::name_of(object));
    records.push_back(std::move(record));
  }
  std::size_t count(const std::string& reason) const {
    return static_cast<std::size_t>(
        std::count_if(records.begin(), records.end(), [&](const auto& r) { return r.reason == reason; }));
  }
  std::vector<std::string> objects;
  std::vector<controller::EventRecord> records;
};

// Runs as a process does: start() and stop() may alternate over one storage.
class SourceHarness {
 public:
  SourceHarness() {
    options.concurrency = 4;
    options.jitter_percent = 0;
    options.retry.min = std::chrono::milliseconds(20);
    options.retry.max = std::chrono::milliseconds(100);
    options.progress_delay = std::chrono::milliseconds(1);
    store_options.root = storage.path();
    store_options.advertised_address = "sc.flux-system.svc.cluster.local.";
  }
  ~SourceHarness() { stop(); }
  SourceHarness(const SourceHarness&) = delete;
  SourceHarness& operator=(const SourceHarness&) = delete;

  void start() {
    runtime_ = std::make_unique<rt::Runtime>(4);
    auto opened = artifact::Store::open(store_options, base::system_clock());
    if (!opened) FAIL(opened.error().message);
    store = *opened;
    auto reconciler = make_reconciler(*runtime_);
    controller::WatchCacheOptions cache_options;
    cache_options.resource = resource;
    const auto log = base::Logger::discard();
    cache_ = std::make_unique<controller::WatchCache>(kube, base::system_clock(), log, cache_options);
    controller::Services services{*runtime_, kube, base::system_clock(), log, events, metrics_};
    subject_ = std::make_unique<controller::Controller>(services, reconciler, *cache_, options);
    runtime_->spawn("cache", cache_->run());
    runtime_->spawn("controller", subject_->run());
  }
  // As kill -9 does it: nothing is finished.
  void stop() {
    runtime_.reset();
    subject_.reset();
    cache_.reset();
  }

  // Turns the loop until `is_so`, or fails.
  void until(const std::function<bool()>& is_so, std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    runtime_->context().restart();
    while (!is_so()) {
      if (std::chrono::steady_clock::now() > deadline) FAIL("it never became so: " + describe());
      runtime_->context().run_one_for(std::chrono::milliseconds(10));
    }
  }
  void until_ready(const std::string& name = "app") {
    until([&] { return is_settled(name) && conditions(name).is_true("Ready"); });
  }
  void until_failed(const std::string& reason, const std::string& name = "app") {
    until([&] { return conditions(name).is_false("Ready") && conditions(name).reason("Ready") == reason; });
  }
  void settle(std::chrono::milliseconds time = std::chrono::milliseconds(50)) {
    runtime_->context().restart();
    runtime_->context().run_for(time);
  }

  void put(const std::string& url, doc::Json spec = doc::Json::object(), const std::string& name = "app") const {
    doc::Json object = doc::Json::object();
    object["metadata"]["name"] = name;
    object["metadata"]["namespace"] = "flux-system";
    if (!spec.contains("ref")) spec["ref"]["branch"] = "main";
    if (!spec.contains("interval")) spec["interval"] = "1h";
    spec["url"] = url;
    object["spec"] = std::move(spec);
    kube->put(resource, std::move(object));
  }
  void put_secret(const std::map<std::string, std::string>& data, const std::string& name = "login") const {
    doc::Json object = doc::Json::object();
    object["metadata"]["name"] = name;
    object["metadata"]["namespace"] = "flux-system";
    for (const auto& [key, value] : data) object["data"][key] = base::base64_encode(value);
    kube->put(kSecrets, std::move(object));
  }
  void edit(const std::function<void(doc::Json&)>& change, const std::string& name = "app") const {
    doc::Json copy = object(name);
    change(copy);
    kube->put(resource, std::move(copy));
  }
  // "Look now", and waits until that was answered.
  void request(const std::string& name = "app") {
    const std::string token = "t" + std::to_string(++requests_);
    edit([&](doc::Json& o) { o["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"] = token; }, name);
    until([&] { return doc::find_string(object(name), {"status", "lastHandledReconcileAt"}) == token; });
  }

  doc::Json object(const std::string& name = "app") const { return kube->object(resource, key_of(name)); }
  api::Conditions conditions(const std::string& name = "app") const { return api::conditions_of(object(name)); }
  std::string message(const std::string& name = "app") const {
    return std::string(conditions(name).message("Ready"));
  }
  std::int64_t observed(const std::string& name = "app") const {
    const auto found = object(name);
    const auto* value = doc::find(found, {"status", "observedGeneration"});
    return value == nullptr ? 0 : value->get<std::int64_t>();
  }
  bool is_settled(const std::string& name) const {
    const auto found = object(name);
    return !found.is_null() && observed(name) == api::generation_of(found) && !conditions(name).has("Reconciling");
  }
  std::optional<api::Artifact> artifact(const std::string& name = "app") const {
    auto found = api::artifact_of(object(name));
    if (!found) FAIL(found.error().message);
    return *found;
  }
  // The files of the artifact that the status names, checked against its digest and size.
  archive::Files files(const std::string& name = "app") const {
    const auto named = artifact(name);
    REQUIRE(named);
    const std::string bytes = read_file(storage.path() / named->path);
    CHECK(named->digest == base::sha256_digest(bytes));
    CHECK(named->size == static_cast<std::int64_t>(bytes.size()));
    archive::MemorySource source(bytes);
    auto unpacked = archive::unpack_to_memory(source, {}, {});
    if (!unpacked) FAIL(unpacked.error().message);
    return *unpacked;
  }
  // kstatus-sane, and observedGeneration right, whatever the test is about.
  void check_sane(bool settled = true, const std::string& name = "app") const {
    const auto found = object(name);
    const auto faults = api::check_conditions(conditions(name), api::generation_of(found), observed(name), settled);
    CAPTURE(found.dump(), faults);
    CHECK(faults.empty());
  }

  // What is under test; another kind's test sets others before start().
  kube::Resource resource = kRepositories;
  std::function<std::shared_ptr<controller::Reconciler>(rt::Runtime&)> make_reconciler = [this](rt::Runtime& runtime) {
    return std::make_shared<source_controller::GitRepositoryReconciler>(
        runtime, base::system_clock(), store, git::RepositoryCache(storage.path() / ".git-copies"));
  };

  std::shared_ptr<FakeKube> kube = std::make_shared<FakeKube>();
  RecordedEvents events;
  TempDir storage;
  controller::ControllerOptions options;
  artifact::StoreOptions store_options;
  std::shared_ptr<artifact::Store> store;

 private:
  std::string describe() const {
    std::string all;
    for (const auto& found : kube->all(resource)) all += found.dump() + "\n";
    return all;
  }

  controller::Metrics metrics_;
  std::unique_ptr<rt::Runtime> runtime_;
  std::unique_ptr<controller::WatchCache> cache_;
  std::unique_ptr<controller::Controller> subject_;
  int requests_ = 0;
};

// A repository of its own for the test, with its URL on the shared server.
struct Upstream {
  BareRepository repository = shared().repository();
  std::string url(const std::string& fault = {}) const {
    return shared().http.origin() + fault + "/" + repository.name() + ".git";
  }
  // Requests that the server has seen for it: listings, and packs.
  std::size_t seen(const std::string& method) const {
    std::size_t count = 0;
    for (const auto& line : shared().http.requests()) {
      count += line.starts_with(method + " ") && line.find("/" + repository.name() + ".git/") != std::string::npos;
    }
    return count;
  }
  std::size_t listings() const { return seen("GET"); }
  std::size_t packs() const { return seen("POST"); }
};

}  // namespace sluice::test
