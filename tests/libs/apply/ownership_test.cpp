#include "apply/ownership.hpp"

#include <catch2/catch.hpp>

using namespace sluice::apply;
using sluice::doc::Json;

namespace {

// A Deployment that "ours" applied with one container and one annotation, and
// whose replica count and second annotation somebody else owns.
Json live() {
  return Json::parse(R"({
    "apiVersion": "apps/v1", "kind": "Deployment",
    "metadata": {
      "name": "web", "namespace": "apps", "resourceVersion": "7", "generation": 2,
      "annotations": {"team": "a", "deployment.kubernetes.io/revision": "1"},
      "managedFields": [
        {"manager": "ours", "operation": "Apply", "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": {
          "f:metadata": {"f:annotations": {"f:team": {}}},
          "f:spec": {"f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"app\"}": {".": {}, "f:name": {}, "f:image": {},
              "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}}}},
        {"manager": "controller", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
        {"manager": "hpa", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
      ]},
    "spec": {"replicas": 3, "template": {"spec": {"containers": [
      {"name": "sidecar", "image": "s:1"},
      {"name": "app", "image": "a:1", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}},
    "status": {"replicas": 3}})");
}

const std::vector<ForeignManager> kForeign = foreign_managers("ours", {"argo"});

Json& fields_of(Json& object, std::size_t entry) { return object["metadata"]["managedFields"][entry]["fieldsV1"]; }

void add_manager(Json& object, const char* manager, const char* operation, const char* fields) {
  Json entry = {{"manager", manager}, {"operation", operation}, {"apiVersion", "apps/v1"}};
  entry["fieldsV1"] = Json::parse(fields);
  object["metadata"]["managedFields"].push_back(entry);
}

}  // namespace

TEST_CASE("what others own does not change the hash of what is ours") {
  const std::uint64_t before = owned_hash(live(), "ours");
  REQUIRE(before != 0);
  Json changed = live();
  changed["spec"]["replicas"] = 9;
  changed["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "2";
  changed["metadata"]["resourceVersion"] = "8";
  changed["status"]["replicas"] = 9;
  changed["spec"]["template"]["spec"]["containers"][0]["image"] = "s:2";
  CHECK(owned_hash(changed, "ours") == before);
}

TEST_CASE("a changed or removed value of ours changes the hash") {
  const std::uint64_t before = owned_hash(live(), "ours");
  Json image = live();
  image["spec"]["template"]["spec"]["containers"][1]["image"] = "a:2";
  CHECK(owned_hash(image, "ours") != before);
  Json annotation = live();
  annotation["metadata"]["annotations"].erase("team");
  CHECK(owned_hash(annotation, "ours") != before);
  Json container = live();
  container["spec"]["template"]["spec"]["containers"].erase(1);
  CHECK(owned_hash(container, "ours") != before);
  Json port = live();
  port["spec"]["template"]["spec"]["containers"][1]["ports"][0]["containerPort"] = 81;
  CHECK(owned_hash(port, "ours") != before);
}

TEST_CASE("a field that another manager has taken from us changes the hash, though its value is the same") {
  Json taken = live();
  fields_of(taken, 0)["f:metadata"]["f:annotations"].erase("f:team");
  CHECK(owned_hash(taken, "ours") != owned_hash(live(), "ours"));
}

TEST_CASE("the order of a list by key does not matter, that of an atomic one does") {
  Json swapped = live();
  auto& containers = swapped["spec"]["template"]["spec"]["containers"];
  std::swap(containers[0], containers[1]);
  CHECK(owned_hash(swapped, "ours") == owned_hash(live(), "ours"));
  Json atomic = live();
  fields_of(atomic, 0) = Json::parse(R"({"f:spec": {"f:template": {"f:spec": {"f:containers": {}}}}})");
  Json atomic_swapped = atomic;
  auto& list = atomic_swapped["spec"]["template"]["spec"]["containers"];
  std::swap(list[0], list[1]);
  CHECK(owned_hash(atomic_swapped, "ours") != owned_hash(atomic, "ours"));
}

TEST_CASE("sets and indexes among our fields are found") {
  Json object = live();
  object["metadata"]["finalizers"] = {"a", "b"};
  fields_of(object, 0) = Json::parse(R"({"f:metadata": {"f:finalizers": {"v:\"a\"": {}, "i:1": {}}}})");
  const std::uint64_t before = owned_hash(object, "ours");
  Json gone = object;
  gone["metadata"]["finalizers"] = {"c", "b"};
  CHECK(owned_hash(gone, "ours") != before);
  Json out_of_range = object;
  fields_of(out_of_range, 0) = Json::parse(R"({"f:metadata": {"f:finalizers": {"i:99999999999999999999": {}}}})");
  CHECK(owned_hash(out_of_range, "ours") != 0);
}

TEST_CASE("who has applied nothing owns nothing, and an object without the record is hashed whole") {
  CHECK(owned_hash(live(), "nobody") == 0);
  CHECK(owned_hash(live(), "hpa") == 0);  // its operation is Update
  Json bare = live();
  bare["metadata"].erase("managedFields");
  const std::uint64_t before = owned_hash(bare, "ours");
  Json status = bare;
  status["status"]["replicas"] = 1;
  status["metadata"]["resourceVersion"] = "9";
  CHECK(owned_hash(status, "ours") == before);
  Json spec = bare;
  spec["spec"]["replicas"] = 4;
  CHECK(owned_hash(spec, "ours") != before);
}

TEST_CASE("objects that kubectl or an overridden manager wrote are taken over, unless they are to be merged") {
  CHECK_FALSE(needs_takeover(live(), kForeign));
  for (const auto& [manager, operation] : {std::pair{"kubectl-edit", "Update"}, std::pair{"kubectl", "Apply"},
                                           std::pair{"before-first-apply", "Update"}, std::pair{"ours", "Update"},
                                           std::pair{"argo", "Apply"}}) {
    Json object = live();
    add_manager(object, manager, operation, R"({"f:spec": {"f:paused": {}}})");
    CHECK(needs_takeover(object, kForeign));
    object["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/ssa"] = "Merge";
    CHECK_FALSE(needs_takeover(object, kForeign));
  }
  Json scaled = live();
  add_manager(scaled, "kubectl", "Update", R"({"f:spec": {"f:replicas": {}}})");
  scaled["metadata"]["managedFields"].back()["subresource"] = "scale";
  CHECK_FALSE(needs_takeover(scaled, kForeign));
  Json annotated = live();
  annotated["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = "{}";
  CHECK(needs_takeover(annotated, kForeign));
}

TEST_CASE("a takeover gives foreign fields to us, keeps those of others, and is locked to what was read") {
  Json object = live();
  object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = "{}";
  add_manager(object, "kubectl-client-side-apply", "Update", R"({"f:spec": {"f:paused": {}, "f:template": {}}})");
  const auto patch = takeover_patch(object, "ours", kForeign);
  REQUIRE(patch);
  REQUIRE(patch->size() == 3);
  CHECK((*patch)[0] == Json::parse(R"({"op": "replace", "path": "/metadata/resourceVersion", "value": "7"})"));
  CHECK((*patch)[1]["path"] == "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration");
  const Json& entries = (*patch)[2]["value"];
  REQUIRE(entries.size() == 3);
  CHECK(entries[0]["manager"] == "controller");
  CHECK(entries[1]["manager"] == "hpa");
  const Json& ours = entries[2];
  CHECK(ours["manager"] == "ours");
  CHECK(ours["operation"] == "Apply");
  CHECK(ours["fieldsV1"]["f:spec"].contains("f:paused"));
  CHECK(ours["fieldsV1"]["f:metadata"]["f:annotations"].contains("f:team"));
  // A path that was a member of one set and a parent in the other is both.
  CHECK(ours["fieldsV1"]["f:spec"]["f:template"].contains("."));
  CHECK(ours["fieldsV1"]["f:spec"]["f:template"].contains("f:spec"));
}

TEST_CASE("an object that we have never applied becomes ours by renaming its first foreign manager") {
  Json object = live();
  object["metadata"]["managedFields"] = Json::array();
  add_manager(object, "kubectl", "Apply", R"({"f:spec": {"f:paused": {}}})");
  const auto patch = takeover_patch(object, "ours", kForeign);
  REQUIRE(patch);
  const Json& entries = patch->back()["value"];
  REQUIRE(entries.size() == 1);
  CHECK(entries[0]["manager"] == "ours");
  CHECK(entries[0]["operation"] == "Apply");
  CHECK_FALSE(takeover_patch(live(), "ours", kForeign));
}

TEST_CASE("whether all that an answer makes ours is ours already is a question of sets of fields") {
  const auto with = [](const char* fields) {
    Json object = live();
    fields_of(object, 0) = Json::parse(fields);
    return object;
  };
  const Json some = with(R"({"f:spec": {"f:replicas": {}, "f:list": {"k:{\"n\":1}": {".": {}, "f:x": {}}}}})");
  CHECK(owns_all_of(some, some, "ours"));
  CHECK(owns_all_of(some, with(R"({"f:spec": {"f:replicas": {}}})"), "ours"));
  CHECK(owns_all_of(some, with(R"({"f:spec": {"f:list": {"k:{\"n\":1}": {}}}})"), "ours"));
  CHECK_FALSE(owns_all_of(some, with(R"({"f:spec": {"f:paused": {}}})"), "ours"));
  CHECK_FALSE(owns_all_of(some, with(R"({"f:spec": {"f:list": {"k:{\"n\":1}": {"f:y": {}}}}})"), "ours"));
  CHECK_FALSE(owns_all_of(some, with(R"({"f:spec": {"f:list": {}}})"), "ours"));  // all of it, where only parts are ours
  CHECK_FALSE(owns_all_of(with(R"({"f:spec": {"f:list": {}}})"), some, "ours"));
  CHECK(owns_all_of(with(R"({"f:spec": {}})"), with(R"({"f:spec": {".": {}}})"), "ours"));
  CHECK_FALSE(owns_all_of(some, some, "nobody"));
  Json bare = live();
  bare["metadata"].erase("managedFields");
  CHECK_FALSE(owns_all_of(bare, some, "ours"));
}

TEST_CASE("what a manager has applied is found by its path") {
  CHECK(has_applied(live(), "ours"));
  CHECK(has_applied(live(), "ours", {"spec", "template"}));
  CHECK_FALSE(has_applied(live(), "ours", {"spec", "replicas"}));
  CHECK_FALSE(has_applied(live(), "hpa"));  // its operation is Update
}

TEST_CASE("equal documents have equal hashes, whatever the type of their integers") {
  const Json number = 80;
  const Json counter = 80U;
  CHECK(hash_of(number) == hash_of(counter));
  CHECK(hash_of(Json::parse(R"({"a":1,"b":[2]})")) == hash_of(Json::parse(R"({"b":[2],"a":1})")));
  CHECK(hash_of(Json::parse(R"({"a":"1"})")) != hash_of(Json::parse(R"({"a":1})")));
  CHECK(hash_of(Json::parse(R"(["ab","c"])")) != hash_of(Json::parse(R"(["a","bc"])")));
}
