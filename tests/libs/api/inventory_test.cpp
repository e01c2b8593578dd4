#include "api/inventory.hpp"

#include <catch2/catch.hpp>
#include <unordered_set>

using namespace sluice;
using api::ObjectId;

TEST_CASE("inventory ids are those of upstream") {
  const std::vector<std::pair<ObjectId, std::string>> cases{
      {{"shop", "web", "apps", "Deployment"}, "shop_web_apps_Deployment"},
      {{"shop", "web", "", "Service"}, "shop_web__Service"},
      {{"", "shop", "", "Namespace"}, "_shop__Namespace"},
      {{"", "system:a:b", "rbac.authorization.k8s.io", "ClusterRole"},
       "_system__a__b_rbac.authorization.k8s.io_ClusterRole"},
      {{"", "things.example.com", "apiextensions.k8s.io", "CustomResourceDefinition"},
       "_things.example.com_apiextensions.k8s.io_CustomResourceDefinition"},
  };
  for (const auto& [id, text] : cases) {
    INFO(text);
    CHECK(id.str() == text);
    const auto parsed = ObjectId::parse(text);
    REQUIRE(parsed);
    CHECK(*parsed == id);
  }
}

TEST_CASE("a colon is transcribed only in names of RBAC objects") {
  CHECK(ObjectId{"", "a:b", "example.com", "ClusterRole"}.str() == "_a:b_example.com_ClusterRole");
  CHECK(ObjectId{"", "a:b", "rbac.authorization.k8s.io", "Other"}.str() == "_a:b_rbac.authorization.k8s.io_Other");
}

TEST_CASE("text that is no inventory id is refused") {
  for (const auto* text : {"", "a", "a_b", "a_b_c", "ns__apps_Deployment", "ns_name_apps_"}) {
    INFO(text);
    const auto parsed = ObjectId::parse(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().kind == base::ErrorKind::invalid);
    CHECK(parsed.error().message.find("\"" + std::string(text) + "\"") != std::string::npos);
  }
}

TEST_CASE("the id of an object comes from its apiVersion, kind and metadata") {
  auto object = doc::Json::parse(
      R"({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}})");
  const auto id = ObjectId::of(object);
  REQUIRE(id);
  CHECK(id->str() == "shop_web_apps_Deployment");
  CHECK(id->display() == "Deployment/shop/web");
  object["metadata"].erase("name");
  CHECK(ObjectId::of(object).error().message == "metadata.name: is required");
  object.erase("kind");
  CHECK(ObjectId::of(object).error().message == "kind: is required");
}

TEST_CASE("an inventory is printed as it was read") {
  const auto value = doc::Json::parse(R"({"entries": [{"id": "shop_web_apps_Deployment", "v": "v1"}]})");
  const auto inventory = api::parse_inventory(value);
  REQUIRE(inventory);
  CHECK(api::to_json(*inventory) == value);
  // `entries` is required: an empty inventory is not the same as none.
  CHECK(api::to_json(api::ResourceInventory{}) == doc::Json::parse(R"({"entries": []})"));
  CHECK(api::parse_inventory(doc::Json::parse(R"({"entries": [{"id": "x"}]})")).error().message ==
        "status.inventory.entries[0].v: is required");
}

TEST_CASE("ids can stand in hash sets") {
  const std::unordered_set<ObjectId> ids{{"a", "b", "c", "d"}, {"b", "a", "c", "d"}, {"a", "b", "c", "d"}};
  CHECK(ids.size() == 2);
}
