#include "kustomize-controller/handover.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

#include "support/fake_kube.hpp"
#include "support/run_task.hpp"

using namespace sluice;
using kustomize_controller::Claims;
using kustomize_controller::HandoverInput;
using kustomize_controller::Rendered;

namespace {

const api::InventoryEntry kClaim{"shop_data__PersistentVolumeClaim", "v1"};
const api::InventoryEntry kMap{"shop_map__ConfigMap", "v1"};
const api::InventoryEntry kSpace{"_shop__Namespace", "v1"};

doc::Json config_map(const char* name, const char* space = "shop") {
  return {{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", name}, {"namespace", space}}}};
}

doc::Json kustomization(const std::string& name, const char* source = "apps") {
  doc::Json object{{"apiVersion", "kustomize.toolkit.fluxcd.io/v1"}, {"kind", "Kustomization"}};
  object["metadata"] = {{"name", name}, {"namespace", "flux-system"}};
  object["spec"] = {{"path", "./" + name}, {"sourceRef", {{"kind", "GitRepository"}, {"name", source}}}};
  return object;
}

std::shared_ptr<const Rendered> rendered(std::vector<doc::Json> objects) {
  auto made = apply::make_manifests(std::move(objects), {"kustomize.toolkit.fluxcd.io", "x", "flux-system", "m"});
  REQUIRE(made);
  auto out = std::make_shared<Rendered>();
  out->manifests = std::make_shared<const std::vector<apply::Manifest>>(*std::move(made));
  return out;
}

// One that has had these entries accepted by the server.
doc::Json with_inventory(doc::Json object, const std::vector<api::InventoryEntry>& entries) {
  object["status"]["inventory"] = api::to_json(api::ResourceInventory{entries});
  return object;
}

// Who is there, and what is in whose folder; a folder that is not there does not build.
struct World {
  rt::Runtime runtime{1};
  std::vector<doc::Json> kustomizations{kustomization("old"), kustomization("new")};
  std::map<std::string, std::vector<doc::Json>> folders{{"./old", {}}, {"./new", {}}};
  std::vector<std::string> built;
  bool is_deletion = false;
  bool has_artifact = true;
  sources::AccessRules rules;
  base::Error failure = test::make_error(base::ErrorKind::invalid, "it does not build");

  rt::Task<base::Result<std::shared_ptr<const Rendered>>> build(controller::Object object) {
    built.emplace_back(api::name_of(*object));
    const auto found = folders.find(std::string(doc::find_string(*object, {"spec", "path"})));
    if (found == folders.end()) co_return base::unexpected(failure);
    co_return rendered(found->second);
  }
  Claims claims(std::vector<api::InventoryEntry> entries) {
    HandoverInput input;
    input.self = {"flux-system", "old"};
    input.source = kustomize_controller::source_text(kustomizations[0]);
    for (const doc::Json& object : kustomizations) input.kustomizations.push_back(std::make_shared<doc::Json>(object));
    input.entries = std::move(entries);
    input.is_deletion = is_deletion;
    input.rules = rules;
    if (has_artifact) input.build = [this](controller::Object object) { return build(std::move(object)); };
    return test::run(runtime, kustomize_controller::find_claims(std::move(input)));
  }
  bool is_held(const api::InventoryEntry& entry, bool is_patient = true) {
    return !claims({entry}).why_held(entry, {}, is_patient).empty();
  }
};

}  // namespace

TEST_CASE("what a sibling builds is held for it, and it is named; the rest is not") {
  World world;
  world.folders["./new"] = {config_map("map"), config_map("data")};
  const Claims claims = world.claims({kMap, kClaim});
  CHECK(claims.why_held(kMap, {}, false).find("flux-system/new") != std::string::npos);
  CHECK(claims.why_held(kClaim, {}, true).empty());  // another kind of that name
  CHECK(claims.holders({kMap}) == std::set<api::ObjectKey>{{"flux-system", "new"}});
  CHECK(claims.holders({kClaim}).empty());
  world.folders["./new"] = {config_map("map", "elsewhere")};
  CHECK_FALSE(world.is_held(kMap));
}

TEST_CASE("an object without a namespace is found, whatever its manifest says") {
  World world;
  doc::Json space{{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "shop"}, {"namespace", "odd"}}}};
  world.folders["./new"] = {space};
  CHECK(world.is_held(kSpace, false));
}

TEST_CASE("a definition is held for as long as a sibling builds something of its kind") {
  World world;
  doc::Json gadget{{"apiVersion", "example.com/v1"}, {"kind", "Gadget"}};
  gadget["metadata"] = {{"name", "g"}, {"namespace", "shop"}};
  world.folders["./new"] = {gadget};
  const auto entry = [](const char* name) {
    return api::InventoryEntry{std::string("_") + name + "_apiextensions.k8s.io_CustomResourceDefinition", "v1"};
  };
  const auto live = [](const char* group, const char* kind) {
    return doc::Json{{"spec", {{"group", group}, {"names", {{"kind", kind}}}}}};
  };
  const Claims claims = world.claims({entry("gadgets.example.com"), entry("widgets.example.com")});
  const std::string why = claims.why_held(entry("gadgets.example.com"), live("example.com", "Gadget"), false);
  CHECK(why == "Kustomization/flux-system/new builds Gadget/shop/g, which is of its kind");
  CHECK_FALSE(claims.why_left(entry("gadgets.example.com"), live("example.com", "Gadget"), true).empty());
  CHECK(claims.why_held(entry("widgets.example.com"), live("example.com", "Widget"), true).empty());
  CHECK(claims.why_held(entry("gadgets.example.org"), live("example.org", "Gadget"), true).empty());
  CHECK(claims.holders({entry("gadgets.example.com")}).size() == 1);
  CHECK(world.claims({kMap}).holders({kMap}).empty());
}

TEST_CASE("a manifest that is not applied claims nothing") {
  World world;
  doc::Json object = config_map("map");
  object["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/ssa"] = "Ignore";
  world.folders["./new"] = {object};
  CHECK_FALSE(world.is_held(kMap));
}

TEST_CASE("who is being deleted, or applies to another cluster, claims nothing") {
  World world;
  world.folders["./new"] = {config_map("map")};
  SECTION("being deleted") { world.kustomizations[1]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"; }
  SECTION("another cluster") { world.kustomizations[1]["spec"]["kubeConfig"] = {{"secretRef", {{"name", "x"}}}}; }
  CHECK_FALSE(world.is_held(kMap));
}

TEST_CASE("a suspended sibling holds what it builds, but not against a deletion") {
  World world;
  world.folders["./new"] = {config_map("map")};
  world.kustomizations[1]["spec"]["suspend"] = true;
  CHECK(world.is_held(kMap));
  world.is_deletion = true;
  CHECK_FALSE(world.is_held(kMap));
  world.kustomizations[1]["spec"]["suspend"] = false;
  CHECK(world.is_held(kMap));
}

TEST_CASE("a sibling that does not build holds all for a while, and what holds others for longer") {
  World world;
  world.folders.erase("./new");
  CHECK(world.is_held(kMap, true));
  CHECK_FALSE(world.is_held(kMap, false));
  CHECK(world.is_held(kClaim, false));
  CHECK(world.claims({kMap}).holders({kMap}) == std::set<api::ObjectKey>{{"flux-system", "new"}});
  world.is_deletion = true;
  CHECK(world.is_held(kClaim, false));
  CHECK_FALSE(world.is_held(kMap, false));
}

TEST_CASE("what passes by itself deletes nothing, nor does on a deletion what mostly comes by itself") {
  World world;
  world.folders.erase("./new");
  const auto kind = GENERATE(base::ErrorKind::unavailable, base::ErrorKind::timeout, base::ErrorKind::cancelled,
                             base::ErrorKind::io, base::ErrorKind::rate_limited, base::ErrorKind::unauthorized);
  world.failure = test::make_error(kind, "not now");
  for (const bool is_deletion : {false, true}) {
    world.is_deletion = is_deletion;
    CHECK(world.claims({kMap}).why_held(kMap, {}, false).find("flux-system/new of the same source") !=
          std::string::npos);
    CHECK(world.claims({kMap}).why_held(kMap, {}, false).find("not now") != std::string::npos);
  }
  world.failure = test::make_error(base::ErrorKind::not_found, "no Secret");
  world.failure.reason = kustomize_controller::kNotYet;
  CHECK(world.is_held(kMap, false));
  world.is_deletion = false;
  CHECK_FALSE(world.is_held(kMap, false));
}

TEST_CASE("a deletion waits for all that is held, and in the end only for nothing, leaving what holds others") {
  World world;
  world.is_deletion = true;
  world.folders["./new"] = {config_map("map")};
  Claims claims = world.claims({kMap});
  CHECK_FALSE(claims.why_left(kMap, {}, false).empty());
  CHECK(claims.why_left(kMap, {}, true).empty());
  CHECK(claims.why_left(kClaim, {}, false).empty());
  claims.not_now = "it cannot be told";
  CHECK(claims.why_left(kClaim, {}, true) == "it cannot be told");
  CHECK(claims.why_left({"shop_other__ConfigMap", "v1"}, {}, false) == "it cannot be told");
  CHECK(claims.why_left({"shop_other__ConfigMap", "v1"}, {}, true).empty());
}

TEST_CASE("a manifest that is applied only for want of its object claims nothing") {
  World world;
  doc::Json object = config_map("map");
  object["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/ssa"] = "IfNotPresent";
  world.folders["./new"] = {object};
  CHECK_FALSE(world.is_held(kMap));
}

TEST_CASE("a Kustomization that a sibling is about to bring along counts, with the spec that it will have") {
  World world;
  world.folders["./all"] = {kustomization("younger")};
  world.folders["./younger"] = {config_map("map")};
  world.kustomizations.push_back(kustomization("all"));
  CHECK(world.is_held(kMap));
  CHECK(std::count(world.built.begin(), world.built.end(), "younger") == 1);
  world.folders["./all"] = {kustomization("younger", "another-source")};
  CHECK_FALSE(world.is_held(kMap));
  // It is there already, and is about to be given another folder.
  doc::Json moved = kustomization("new");
  moved["spec"]["path"] = "./younger";
  world.folders["./all"] = {moved};
  CHECK(world.is_held(kMap));
  // What it says of the one that asks is not asked: it asks for itself.
  doc::Json self = kustomization("old");
  self["spec"]["path"] = "./younger";
  world.folders["./all"] = {self};
  CHECK_FALSE(world.is_held(kMap));
}

TEST_CASE("Kustomizations that build each other, or themselves with another spec, come to an end") {
  World world;
  SECTION("to and fro") {
    doc::Json to = kustomization("new");
    to["spec"]["path"] = "./other";
    world.folders["./new"] = {to};
    world.folders["./other"] = {kustomization("new")};
    CHECK_FALSE(world.is_held(kMap));
    CHECK(world.built.size() == 2);
    return;
  }
  SECTION("ever new ones") {
    for (int i = 0; i < 100; ++i) {
      world.folders[i == 0 ? "./new" : "./n" + std::to_string(i)] = {kustomization("n" + std::to_string(i + 1))};
    }
    CHECK_FALSE(world.is_held(kMap));
    CHECK(world.built.size() < 10);
    return;
  }
  world.folders["./new"] = {kustomization("new"), kustomization("other")};
  world.folders["./other"] = {kustomization("new"), kustomization("other")};
  CHECK_FALSE(world.is_held(kMap));
  CHECK(world.built.size() <= 4);
}

TEST_CASE("of Kustomizations of other sources only what they have applied counts, and none is built") {
  World world;
  const doc::Json other = kustomization("new", "infra");
  world.folders["./new"] = {config_map("map")};
  world.kustomizations[1] = other;
  CHECK_FALSE(world.is_held(kMap));
  world.folders.erase("./new");  // that it does not build says nothing either
  CHECK_FALSE(world.is_held(kClaim));
  world.kustomizations[1] = with_inventory(other, {kMap});
  CHECK(world.claims({kMap}).why_held(kMap, {}, false).find("applies it too") != std::string::npos);
  CHECK(world.claims({kMap}).holders({kMap}) == std::set<api::ObjectKey>{api::key_of(other)});
  CHECK_FALSE(world.is_held(kClaim));
  CHECK(world.built.empty());
  SECTION("but not to another cluster") {
    world.kustomizations[1]["spec"]["kubeConfig"] = {{"secretRef", {{"name", "x"}}}};
    CHECK_FALSE(world.is_held(kMap));
  }
  SECTION("nor suspended, against a deletion") {
    world.is_deletion = true;
    CHECK(world.is_held(kMap));
    world.kustomizations[1]["spec"]["suspend"] = true;
    CHECK_FALSE(world.is_held(kMap));
  }
}

TEST_CASE("what is listed in another namespace holds nothing but what holds others, and none of it is built") {
  World world;
  doc::Json other = kustomization("new");
  other["metadata"]["namespace"] = "evil";
  other["spec"]["sourceRef"]["namespace"] = "flux-system";
  REQUIRE(kustomize_controller::source_text(other) == kustomize_controller::source_text(world.kustomizations[0]));
  world.folders["./new"] = {config_map("map")};
  world.kustomizations[1] = other;
  CHECK_FALSE(world.is_held(kMap));
  world.kustomizations[1] = with_inventory(other, {kMap, kClaim});  // by whose hand nobody knows
  CHECK_FALSE(world.is_held(kMap));
  CHECK(world.claims({kClaim}).why_held(kClaim, {}, false).find("applies it too") != std::string::npos);
  CHECK(world.claims({kMap, kClaim}).holders({kMap, kClaim}) == std::set<api::ObjectKey>{api::key_of(other)});
  CHECK(world.built.empty());
}

TEST_CASE("who may not use its source claims nothing") {
  World world;
  world.kustomizations[1]["metadata"]["namespace"] = "evil";
  world.kustomizations[1]["spec"]["sourceRef"]["namespace"] = "flux-system";
  world.kustomizations[1] = with_inventory(world.kustomizations[1], {kClaim});
  CHECK(world.is_held(kClaim));
  world.rules.no_cross_namespace_refs = true;
  CHECK_FALSE(world.is_held(kClaim));
}

TEST_CASE("where there is no artifact to build, what siblings have applied counts") {
  World world;
  world.has_artifact = false;
  CHECK_FALSE(world.is_held(kMap));
  world.kustomizations[1] = with_inventory(kustomization("new"), {kMap});
  CHECK(world.is_held(kMap));
}

TEST_CASE("one that has got further is news to those who wait for it") {
  const auto with = [](const char* field, const char* value) {
    doc::Json object = kustomization("new");
    object["status"][field] = value;
    return object;
  };
  using kustomize_controller::decides_claims;
  CHECK(decides_claims(kustomization("new"), with("lastAppliedRevision", "main@sha1:1")));
  CHECK(decides_claims(kustomization("new"), with("lastAttemptedRevision", "main@sha1:1")));
  CHECK_FALSE(decides_claims(kustomization("new"), with("lastHandledReconcileAt", "x")));
  CHECK(decides_claims(with_inventory(kustomization("new"), {kMap}), with_inventory(kustomization("new"), {})));
  doc::Json going = kustomization("new");
  going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  CHECK(decides_claims(kustomization("new"), going));
  doc::Json edited = kustomization("new");
  edited["metadata"]["generation"] = 2;
  CHECK(decides_claims(kustomization("new"), edited));
}
