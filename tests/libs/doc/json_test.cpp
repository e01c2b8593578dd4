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

// Whatever is read in one glance must be what the full reader makes of it, kinds of numbers included.
TEST_CASE("JSON is read the same whether it is plain or not") {
  const auto same = [](const std::string& text) {
    CAPTURE(text);
    const auto read = doc::parse_json(text);
    const auto wanted = doc::Json::parse(text, nullptr, false);
    REQUIRE(read.has_value() == !wanted.is_discarded());
    if (!read) return;
    CHECK(*read == wanted);
    CHECK(read->type() == wanted.type());
    CHECK(doc::print_json(*read) == doc::print_json(wanted));
  };
  for (const char* text : {"0",
                           "-0",
                           "-1",
                           "00",
                           "1.0",
                           "1e3",
                           "-",
                           "999999999999999999",
                           "9999999999999999999",
                           "-999999999999999999",
                           "true",
                           "tru",
                           "truex",
                           "null",
                           "nul",
                           " [ ] ",
                           "[1,]",
                           "[,1]",
                           "{\"a\":1,}",
                           "{\"a\":1,\"a\":2}",
                           "{\"b\":1,\"a\":2}",
                           "{\"a\" : [ 1 , {\"x\":\"y\"} ] }",
                           "\"\\u003c\\u003e\\u0026\\u00e4\\ud83d\\ude00\"",
                           "\"\\u003C\"",
                           "\"\\x\"",
                           "\"a",
                           "\"\\",
                           "\"\x01\"",
                           "\"\x7f\"",
                           "\"\xc3\xa4\"",
                           "\"\xff\"",
                           "{a:1}",
                           "{\"a\"}",
                           "{\"a\":}",
                           "[1 2]",
                           "{} {}",
                           "",
                           " "}) {
    same(text);
  }
  same(std::string(500, '[') + std::string(500, ']'));
  same(std::string(64, '[') + "1" + std::string(64, ']'));
  // Each fault of one byte in a text that has all there is.
  const std::string sample =
      R"({"kind":"Pod","n":[-12,0,305,true,false,null,{}],"metadata":{"name":"a\n\"b\\","labels":{"x/y":"\u003cz"}},"s":""})";
  same(sample);
  for (std::size_t i = 0; i < sample.size(); ++i) {
    same(sample.substr(0, i));
    same(sample.substr(0, i) + sample.substr(i + 1));
    for (const char c : std::string("\"{}[],:\\0x -.e")) {
      std::string broken = sample;
      broken[i] = c;
      same(broken);
    }
  }
  const auto number = doc::parse_json("[1,-1]");
  REQUIRE(number);
  CHECK((*number)[0].is_number_unsigned());
  CHECK_FALSE((*number)[1].is_number_unsigned());
}
