// A set against an API server in memory: what cannot be arranged on a real one, or not so surely.
#include "apply/apply_set.hpp"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include "apply/adoption.hpp"
#include "apply/ownership.hpp"
#include "support/fake_kube.hpp"
#include "support/run_task.hpp"

using namespace sluice;
using namespace std::chrono_literals;
using apply::Action;
using apply::Outcome;
using base::ErrorKind;
using doc::Json;
using test::FakeKube;

namespace {

const kube::Resource kMaps{"", "v1", "ConfigMap", "configmaps", true};
const kube::Resource kClaims{"", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true};
const kube::Resource kRoles{"rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false};
const kube::Resource kDefinitions{"apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions",
                                  false};
const kube::Resource kWidgets{"example.com", "v1", "Widget", "widgets", true};
const kube::Resource kNewWidgets{"example.com", "v2", "Widget", "widgets", true};
const kube::Resource kIngresses{"networking.k8s.io", "v1", "Ingress", "ingresses", true};
const kube::Resource kOldIngresses{"extensions", "v1beta1", "Ingress", "ingresses", true};
const std::vector<kube::Resource> kServed{kMaps, kClaims, kRoles, kDefinitions, kWidgets, kIngresses, kOldIngresses};

Json object_of(const kube::Resource& resource, const std::string& name) {
  Json object = {{"apiVersion", resource.api_version()}, {"kind", resource.kind}, {"metadata", {{"name", name}}}};
  if (resource.namespaced) object["metadata"]["namespace"] = "apps";
  return object;
}

Json config_map(const std::string& name, const std::string& value = "1") {
  Json object = object_of(kMaps, name);
  object["data"]["k"] = value;
  return object;
}

Json definition(bool is_established) {
  Json object = object_of(kDefinitions, "widgets.example.com");
  object["spec"] = {{"group", "example.com"}, {"names", {{"plural", "widgets"}, {"kind", "Widget"}}}};
  if (is_established) {
    object["status"]["conditions"] = {{{"type", "NamesAccepted"}, {"status", "True"}},
                                      {{"type", "Established"}, {"status", "True"}}};
  }
  return object;
}

std::vector<Action> actions(const Outcome& outcome) {
  if (outcome.error) FAIL(outcome.error->message);
  std::vector<Action> out;
  for (const auto& change : outcome.changes) out.push_back(change.action);
  return out;
}

struct Fixture {
  std::shared_ptr<FakeKube> kube = std::make_shared<FakeKube>();
  std::unique_ptr<rt::Runtime> runtime = std::make_unique<rt::Runtime>(1);
  std::shared_ptr<kube::RestMapper> mapper;
  std::shared_ptr<apply::LiveObjects> live;
  const apply::Owner owner{"kustomize.toolkit.fluxcd.io", "apps", "flux-system", "ours"};
  std::optional<apply::ApplySet> set;

  explicit Fixture(kube::RestMapperOptions patience = {1ms, 5ms, 50ms, 0ms}) {
    kube->serve(kServed);
    kube->tracks_fields = true;
    mapper = std::make_shared<kube::RestMapper>(kube, patience);
    apply::LiveOptions options;
    options.owner_group = owner.group;
    options.field_manager = owner.field_manager;
    options.foreign = apply::foreign_managers(owner.field_manager, {});
    options.min_backoff = 5ms;
    options.max_backoff = 20ms;
    live = apply::LiveObjects::create(*runtime, kube, base::Logger::discard(), std::move(options));
    set.emplace(apply::ApplyServices{*runtime, kube, mapper, live}, owner);
  }
  ~Fixture() { runtime.reset(); }

  rt::Task<Outcome> applying(std::vector<Json> objects, apply::ApplyOptions options = {}) {
    auto made = apply::make_manifests(std::move(objects), owner);
    REQUIRE(made);
    return set->apply(std::make_shared<const std::vector<apply::Manifest>>(*std::move(made)), std::move(options));
  }
  Outcome apply(std::vector<Json> objects, apply::ApplyOptions options = {}) {
    return test::run(*runtime, applying(std::move(objects), std::move(options)));
  }
  Outcome prune(std::vector<api::InventoryEntry> entries, std::vector<apply::Change> kept = {}) {
    return test::run(*runtime, set->prune(std::move(entries), std::move(kept), {}));
  }
  // As an owner has left it.
  void put_owned(const kube::Resource& resource, const std::string& name, const std::string& by = "apps",
                 const std::string& of = "flux-system") {
    Json object = object_of(resource, name);
    object["metadata"]["labels"] = {{owner.group + "/name", by}, {owner.group + "/namespace", of}};
    kube->put(resource, std::move(object));
  }
  void patch_as_somebody(const kube::Resource& resource, const std::string& name, Json patch) {
    kube::PatchOptions options;
    options.field_manager = "somebody";
    REQUIRE(test::run(*runtime, kube->patch(resource, {"apps", name}, kube::PatchType::merge, patch, options)));
  }
  Json get(const kube::Resource& resource, const std::string& name) const {
    return kube->object(resource, {resource.namespaced ? "apps" : "", name});
  }
  std::string value(const std::string& name) const { return get(kMaps, name)["data"]["k"].get<std::string>(); }
  // The nth apply of the object; the first is its dry run, the second its write.
  void at_apply(const std::string& name, int nth, std::function<void()> act) const {
    kube->before = [name, nth, act = std::move(act), n = 0](const FakeKube::Request& request) mutable {
      if (request.verb == "apply" && request.key.name == name && ++n == nth) act();
    };
  }
  void fail_next(const std::string& verb, ErrorKind kind) const {
    kube->fail_next(verb, test::make_error(kind, "as asked for"));
  }
  void until(const std::function<bool()>& is_so) const {
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    runtime->context().restart();
    while (!is_so()) {
      if (std::chrono::steady_clock::now() > deadline) FAIL("it never became so");
      runtime->context().run_one_for(5ms);
    }
  }
};

}  // namespace

// --- writing ---

TEST_CASE("each object is asked about once and written once, and again only after a conflict") {
  Fixture f;
  CHECK(actions(f.apply({config_map("a"), config_map("b")})) == std::vector{Action::created, Action::created});
  CHECK(f.kube->count("apply") == 4);
  f.at_apply("c", 2, [&f] { f.fail_next("apply", ErrorKind::conflict); });
  CHECK(actions(f.apply({config_map("c")})) == std::vector{Action::created});
  CHECK(f.value("c") == "1");
}

TEST_CASE("what was written is told beside the error of what was not") {
  Fixture f;
  f.at_apply("a", 2, [&f] { f.fail_next("apply", ErrorKind::forbidden); });
  const Outcome outcome = f.apply({config_map("a"), config_map("b")});
  REQUIRE(outcome.error);
  CHECK(outcome.error->message.find("ConfigMap/apps/a apply failed") != std::string::npos);
  REQUIRE(outcome.changes.size() == 1);
  CHECK(outcome.changes[0].id.str() == "apps_b__ConfigMap");
  CHECK(outcome.changes[0].action == Action::created);
}

TEST_CASE("records of a watch that is down are not believed") {
  Fixture f;
  CHECK(actions(f.apply({config_map("a")})) == std::vector{Action::created});
  f.kube->before = [&f](const FakeKube::Request& request) {
    if (request.verb == "list" || request.verb == "watch") f.fail_next(request.verb, ErrorKind::unavailable);
  };
  f.kube->cut_watches(kMaps, test::make_error(ErrorKind::unavailable, "reset"));
  f.until([&f] { return !f.live->is_current(kMaps); });
  f.patch_as_somebody(kMaps, "a", {{"data", {{"k", "by hand"}}}});
  CHECK(actions(f.apply({config_map("a")})) == std::vector{Action::configured});
  CHECK(f.value("a") == "1");
}

TEST_CASE("an object without a namespace is known by an id without one, whatever its manifest says") {
  Fixture f;
  Json role = object_of(kRoles, "r");
  role["metadata"]["namespace"] = "apps";
  const Outcome outcome = f.apply({role});
  CHECK(actions(outcome) == std::vector{Action::created});
  CHECK(outcome.changes[0].id.str() == "_r_rbac.authorization.k8s.io_ClusterRole");
}

TEST_CASE("what somebody has switched off in the cluster is left, and costs no request when that is on record") {
  Fixture f;
  const Json off = {{"metadata", {{"annotations", {{"kustomize.toolkit.fluxcd.io/reconcile", "disabled"}}}}}};
  SECTION("not on record") {
    Json theirs = config_map("a", "theirs");
    theirs.merge_patch(off);
    f.kube->put(kMaps, theirs);
    CHECK(actions(f.apply({config_map("a")})) == std::vector{Action::skipped});
    CHECK(f.value("a") == "theirs");
  }
  SECTION("on record") {
    CHECK(actions(f.apply({config_map("a")})) == std::vector{Action::created});
    f.patch_as_somebody(kMaps, "a", off);
    f.until([&f] { return f.live->find(kMaps, {"apps", "a"})->switched_off; });
    const std::size_t asked = f.kube->count("apply");
    CHECK(actions(f.apply({config_map("a", "2")})) == std::vector{Action::skipped});
    CHECK(f.kube->count("apply") == asked);
    CHECK(f.value("a") == "1");
  }
}

// --- stages ---

TEST_CASE("nothing that may need a definition is looked at before that is established") {
  Fixture f;
  std::optional<Outcome> outcome;
  const auto apply_all = [](Fixture& fixture, std::optional<Outcome>& into) -> rt::Task<void> {
    auto applying = fixture.applying({definition(false), object_of(kWidgets, "w")});
    Outcome done = co_await std::move(applying);
    into.emplace(std::move(done));
  };
  f.runtime->spawn("apply", apply_all(f, outcome), rt::AtShutdown::cancel);
  f.until([&f] { return !f.get(kDefinitions, "widgets.example.com").is_null(); });
  f.runtime->context().run_for(30ms);
  CHECK(f.kube->count("apply", "widgets") == 0);
  Json established = f.get(kDefinitions, "widgets.example.com");
  established["status"] = definition(true)["status"];
  f.kube->put(kDefinitions, established);
  f.until([&outcome] { return outcome.has_value(); });
  CHECK(actions(*outcome) == std::vector{Action::created, Action::created});
}

TEST_CASE("a version that a definition of the same set brings is known at once") {
  Fixture f({1ms, 5ms, 50ms, 1h});  // who is told nothing looks once an hour
  REQUIRE(test::run(*f.runtime, f.mapper->resource_for({"example.com", "v1", "Widget"})));
  f.at_apply("widgets.example.com", 2, [&f] {
    std::vector<kube::Resource> more = kServed;
    more.push_back(kNewWidgets);
    f.kube->serve(more);
  });
  CHECK(actions(f.apply({definition(true), object_of(kNewWidgets, "w")})) ==
        std::vector{Action::created, Action::created});
}

// --- what is not ours ---

TEST_CASE("what another Flux controller has labelled is not marked as there before, though no record knows it") {
  Fixture f;
  f.kube->authorize = [](const FakeKube::Request& request) -> std::optional<base::Error> {
    if (request.verb == "list" && request.plural == kClaims.plural) return test::make_error(ErrorKind::forbidden, "no");
    return std::nullopt;
  };
  f.put_owned(kClaims, "theirs", "other", "elsewhere");
  f.kube->put(kClaims, object_of(kClaims, "by-hand"));
  const auto is_marked = [&f](const char* name) {
    return !api::annotation_of(f.get(kClaims, name), apply::kExistedBefore).empty();
  };
  CHECK(actions(f.apply({object_of(kClaims, "theirs"), object_of(kClaims, "by-hand")})) ==
        std::vector{Action::configured, Action::configured});
  CHECK_FALSE(is_marked("theirs"));
  CHECK(is_marked("by-hand"));
}

TEST_CASE("what was there before us and cannot be marked so is not applied") {
  Fixture f;
  f.kube->put(kClaims, object_of(kClaims, "data"));
  f.fail_next("patch", ErrorKind::forbidden);
  const Outcome outcome = f.apply({object_of(kClaims, "data")});
  REQUIRE(outcome.error);
  CHECK(outcome.changes.empty());
  CHECK(api::label_of(f.get(kClaims, "data"), f.owner.group + "/name").empty());
}

TEST_CASE("an object that took the place of the one to be recreated is not deleted") {
  Fixture f;
  CHECK(actions(f.apply({config_map("a")})) == std::vector{Action::created});
  base::Error immutable = test::make_error(ErrorKind::invalid, "field is immutable");
  immutable.http_status = 422;
  immutable.reason = "Invalid";
  f.kube->before = [&f, immutable, refused = false](const FakeKube::Request& request) mutable {
    if (request.verb == "apply" && !std::exchange(refused, true)) f.kube->fail_next("apply", immutable);
    if (request.verb != "delete") return;
    f.kube->erase(kMaps, {"apps", "a"});
    f.kube->put(kMaps, config_map("a", "theirs"));
  };
  apply::ApplyOptions options;
  options.force = true;
  const Outcome outcome = f.apply({config_map("a", "2")}, options);
  CHECK(outcome.error);
  CHECK(f.kube->count("delete") == 1);
  CHECK(f.value("a") == "theirs");
}

// --- pruning ---

TEST_CASE("an owner of the same name in another namespace keeps its object") {
  Fixture f;
  f.put_owned(kMaps, "a", "apps", "tenant-b");
  const Outcome outcome = f.prune({{"apps_a__ConfigMap", "v1"}});
  CHECK(actions(outcome) == std::vector{Action::skipped});
  CHECK(outcome.changes[0].why == "it belongs to tenant-b/apps");
  CHECK_FALSE(f.get(kMaps, "a").is_null());
}

TEST_CASE("an object of the set is known under any id: by what it is called, and by its UID in another group") {
  Fixture f;
  f.put_owned(kRoles, "r");
  const api::ObjectId role{"", "r", kRoles.group, kRoles.kind};
  const apply::Change left_alone{role, "v1", Action::skipped, {}, {}};
  CHECK(actions(f.prune({{"apps_r_rbac.authorization.k8s.io_ClusterRole", "v1"}}, {left_alone})) ==
        std::vector{Action::skipped});
  CHECK_FALSE(f.get(kRoles, "r").is_null());
  const Outcome applied = f.apply({object_of(kIngresses, "web")});
  CHECK(actions(applied) == std::vector{Action::created});
  CHECK(actions(f.prune({{"apps_web_extensions_Ingress", "v1beta1"}}, applied.changes)) ==
        std::vector{Action::skipped});
  CHECK_FALSE(f.get(kIngresses, "web").is_null());
}

TEST_CASE("what was applied under a version that is served no more is deleted under another") {
  Fixture f;
  f.put_owned(kWidgets, "w");
  CHECK(actions(f.prune({{"apps_w_example.com_Widget", "v1beta1"}})) == std::vector{Action::deleted});
  CHECK(f.get(kWidgets, "w").is_null());
}

TEST_CASE("one object that cannot be deleted, or not be read, keeps no other, and is not told as deleted") {
  Fixture f;
  const bool is_unread = GENERATE(false, true);
  std::vector<api::InventoryEntry> entries;
  for (int i = 0; i < 40; ++i) {  // more than are deleted at a time
    f.put_owned(kMaps, "m" + std::to_string(i));
    entries.push_back({"apps_m" + std::to_string(i) + "__ConfigMap", "v1"});
  }
  f.kube->before = [&f, is_unread](const FakeKube::Request& request) {
    if (request.key.name == "m3" && request.verb == (is_unread ? "get" : "delete")) {
      f.fail_next(request.verb, is_unread ? ErrorKind::unavailable : ErrorKind::forbidden);
    }
  };
  const Outcome outcome = f.prune(entries);
  REQUIRE(outcome.error);
  CHECK(outcome.error->message.find("ConfigMap/apps/m3") != std::string::npos);
  CHECK(outcome.changes.size() == 39);
  REQUIRE(f.kube->all(kMaps).size() == 1);
  CHECK(api::name_of(f.kube->all(kMaps)[0]) == "m3");
}
