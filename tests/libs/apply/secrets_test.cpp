#include "apply/secrets.hpp"

#include <catch2/catch.hpp>

using namespace sluice::apply;
using sluice::doc::Json;

TEST_CASE("every value of a Secret is masked in both its forms, and nothing else is") {
  const Owner owner{"example.com", "shop", "apps", "manager"};
  auto made = make_manifests({Json::parse(R"({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
      "data": {"a": "aHVudGVyMi1odW50ZXIy", "b": "not base64 at all!"}, "stringData": {"c": "correct horse"}})"),
                              Json::parse(R"({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t"},
      "stringData": {"pin": 987654321}})"),
                              Json::parse(R"({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"},
      "data": {"a": "public value"}})")},
                             owner);
  REQUIRE(made);
  sluice::base::Masks masks;
  add_secrets(*made, masks);
  const auto masked = [&masks](const char* text) { return masks.apply(text); };
  CHECK(masked("got hunter2-hunter2, sent").find("hunter2") == std::string::npos);
  CHECK(masked("got aHVudGVyMi1odW50ZXIy, sent").find("aHVudGVy") == std::string::npos);
  CHECK(masked("got not base64 at all!, sent").find("at all") == std::string::npos);
  CHECK(masked("got correct horse, sent").find("horse") == std::string::npos);
  CHECK(masked("got Y29ycmVjdCBob3JzZQ==, sent").find("Y29ycmVj") == std::string::npos);
  CHECK(masked("value 987654321, sent").find("987654321") == std::string::npos);
  CHECK(masked("got public value, sent") == "got public value, sent");
}
