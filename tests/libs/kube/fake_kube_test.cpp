// The fake API server itself: what other tests trust it for.
#include "support/fake_kube.hpp"

#include <catch2/catch.hpp>

#include "support/run_task.hpp"

using sluice::base::ErrorKind;
using sluice::doc::Json;
using sluice::test::FakeKube;
using sluice::test::run;
namespace kube = sluice::kube;

namespace {

const kube::Resource kMaps{"", "v1", "ConfigMap", "configmaps", true};

Json config_map(Json data) {
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata", {{"name", "a"}, {"namespace", "apps"}}},
          {"data", data}};
}

std::string owners(const Json& object) {
  std::string all;
  for (const Json& entry : object["metadata"]["managedFields"]) {
    all += entry["manager"].get<std::string>() + ":";
    const Json fields = entry["fieldsV1"].value("f:data", Json::object());
    for (const auto& [field, nothing] : fields.items()) all += field;
    all += " ";
  }
  return all;
}

}  // namespace

TEST_CASE("the fake server keeps who owns which field, takes away what nobody owns, and knows conflicts") {
  sluice::rt::Runtime runtime(1);
  auto fake = std::make_shared<FakeKube>();
  fake->tracks_fields = true;
  const kube::ApplyOptions ours{"ours", true, false};
  const auto first = run(runtime, fake->apply(kMaps, config_map({{"x", "1"}, {"y", "1"}}), ours));
  REQUIRE(first);
  CHECK(owners(*first) == "ours:f:xf:y ");
  const auto same = run(runtime, fake->apply(kMaps, config_map({{"x", "1"}, {"y", "1"}}), ours));
  REQUIRE(same);
  CHECK(sluice::api::resource_version_of(*same) == sluice::api::resource_version_of(*first));
  kube::PatchOptions by_hand;
  by_hand.field_manager = "kubectl";
  const Json change = {{"data", {{"y", "2"}}}};
  const auto patched = run(runtime, fake->patch(kMaps, {"apps", "a"}, kube::PatchType::merge, change, by_hand));
  REQUIRE(patched);
  CHECK(owners(*patched) == "kubectl:f:y ours:f:x ");
  const kube::ApplyOptions polite{"ours", false, false};
  const auto refused = run(runtime, fake->apply(kMaps, config_map({{"x", "1"}, {"y", "1"}}), polite));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::conflict);
  const auto less = run(runtime, fake->apply(kMaps, config_map({{"y", "1"}}), ours));
  REQUIRE(less);
  CHECK((*less)["data"] == Json{{"y", "1"}});
  CHECK(owners(*less) == "ours:f:y ");
}

TEST_CASE("the fake server knows who asks, and refuses by that") {
  sluice::rt::Runtime runtime(1);
  auto fake = std::make_shared<FakeKube>();
  fake->authorize = [](const FakeKube::Request& request) -> std::optional<sluice::base::Error> {
    if (request.user != "guest") return std::nullopt;
    return sluice::test::make_error(ErrorKind::forbidden, "guest may not " + request.verb);
  };
  REQUIRE(run(runtime, fake->create(kMaps, config_map({{"x", "1"}}), "test")));
  const auto guest = fake->impersonate("guest", {});
  CHECK(run(runtime, guest->get(kMaps, {"apps", "a"})).error().kind == ErrorKind::forbidden);
  CHECK(run(runtime, fake->impersonate("member", {})->get(kMaps, {"apps", "a"})));
  CHECK(run(runtime, fake->get(kMaps, {"apps", "a"})));
  CHECK(fake->requests.back().user.empty());
}
