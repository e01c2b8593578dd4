#include "kustomize/objects/shared_entries.hpp"

#include <catch2/catch.hpp>

using namespace sluice;
using doc::Json;
using kustomize::SharedEntries;

namespace {

struct Fixture {
  Json object{{"a", {{"k", "old"}}}, {"list", {{{"m", {{"k", "old"}}}}}}, {"other", {{"k", "old"}}}};
  SharedEntries shared;

  Fixture() { shared.share(object, {{"k", {&object["a"]["k"], &object["list"][0]["m"]["k"]}}}); }
  void set(Json& field, const Json& value) {
    REQUIRE(shared.set(object, field, [&](Json& into) -> base::Result<void> {
      into = value;
      return {};
    }));
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a change of one entry is a change of those that share it") {
  set(object["list"][0]["m"]["k"], "new");
  CHECK(object["a"]["k"] == "new");
  CHECK(object["other"]["k"] == "old");
  set(object["a"]["k"], 5);
  CHECK(object["list"][0]["m"]["k"] == 5);
  set(object["other"]["k"], "own");
  CHECK(object["a"]["k"] == 5);
}

TEST_CASE_METHOD(Fixture, "a copy of an object shares within itself") {
  Fixture copy(*this);
  copy.set(copy.object["a"]["k"], "new");
  CHECK(copy.object["list"][0]["m"]["k"] == "new");
  CHECK(object["list"][0]["m"]["k"] == "old");
}

TEST_CASE_METHOD(Fixture, "an entry that is gone, or in a map that is written anew, is on its own") {
  SECTION("gone") { object["a"].erase("k"); }
  SECTION("written anew") { shared.forget(object, object["a"]); }
  SECTION("with what is around it") { shared.forget(object, object["list"]); }
  set(object["list"][0]["m"]["k"], "new");
  CHECK((!object["a"].contains("k") || object["a"]["k"] == "old"));
  CHECK(shared.empty());
}

TEST_CASE_METHOD(Fixture, "a merge may move entries and change one") {
  shared.put_marks(object);
  object["list"].insert(object["list"].begin(), Json::object());
  REQUIRE(shared.value_of(object["a"]["k"]) != nullptr);
  CHECK(*shared.value_of(object["a"]["k"]) == "old");
  CHECK(shared.value_of(object["other"]["k"]) == nullptr);
  shared.take(object["a"]["k"], "merged");
  shared.take_marks(object);
  CHECK(object["list"][1]["m"]["k"] == "merged");
  CHECK(object["a"]["k"] == "merged");
  CHECK(object["other"]["k"] == "old");
  set(object["a"]["k"], "new");
  CHECK(object["list"][1]["m"]["k"] == "new");
}

TEST_CASE("an entry alone is not shared") {
  const Json object{{"a", {{"k", "v"}}}};
  SharedEntries shared;
  shared.share(object, {{"k", {&object["a"]["k"]}}});
  CHECK(shared.empty());
}
