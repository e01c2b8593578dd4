#include "doc/json.hpp"

#include <catch2/catch.hpp>

namespace doc = sluice::doc;

TEST_CASE("a JSON error says where, and does not repeat the text, which may be a secret") {
  const auto broken = doc::parse_json("{\n  \"password\": \"s3cret\" \"}");
  REQUIRE_FALSE(broken);
  CHECK(broken.error().message.find("line 2") != std::string::npos);
  CHECK(broken.error().message.find("s3cret") == std::string::npos);
}

TEST_CASE("text after the value, deep nesting and broken numbers are refused") {
  CHECK_FALSE(doc::parse_json("{} {}"));
  CHECK_FALSE(doc::parse_json(std::string(100'000, '[')));
  CHECK_FALSE(doc::parse_json("01"));
  CHECK_FALSE(doc::parse_json(""));
}

TEST_CASE("integers of 64 bits are exact") {
  const auto value = doc::parse_json("[9223372036854775807, 18446744073709551615, -9223372036854775808]");
  REQUIRE(value);
  CHECK(doc::print_json(*value) == "[9223372036854775807,18446744073709551615,-9223372036854775808]");
}

TEST_CASE("find follows keys and gives nothing where a step is missing or no object") {
  const doc::Json pod{{"spec", {{"nodeName", "a"}}}};
  CHECK(doc::find_string(pod, {"spec", "nodeName"}) == "a");
  CHECK(doc::find(pod, {"spec", "nodeName", "x"}) == nullptr);
  CHECK(doc::find_string(pod, {"status"}).empty());
}
