#include <catch2/catch.hpp>

#include "doc/yaml.hpp"

using sluice::doc::Json;
using sluice::doc::parse_yaml;
using sluice::doc::print_yaml;

TEST_CASE("strings are quoted where a YAML 1.1 reader would mistake them") {
  const auto [text, expected] = GENERATE(table<std::string, std::string>({
      {"plain", "plain"},
      {"yes", "\"yes\""},
      {"off", "\"off\""},
      {"y", "\"y\""},
      {"0123", "\"0123\""},
      {"1e3", "\"1e3\""},
      {"null", "\"null\""},
      {"", "\"\""},
      {"2001-01-01", "\"2001-01-01\""},
      {"1:30", "\"1:30\""},
      {"12.5", "\"12.5\""},
      {"a: b", "'a: b'"},
      {"a #b", "'a #b'"},
      {"it's", "it's"},
      {"*x", "'*x'"},
      {" lead", "' lead'"},
      {"tab\there", "\"tab\\there\""},
      {"caf\xC3\xA9", "caf\xC3\xA9"},
      {"\xF0\x9F\x98\x80", "\"\\U0001F600\""},
      {"-", "'-'"},
      {"-a", "-a"},
      {"a\nb", "|-\n  a\n  b"},
      {"a\nb\n", "|\n  a\n  b"},
      {"a\n\n", "|+\n  a\n"},
      {" a\nb", "|2-\n   a\n  b"},
      {"a \nb", "\"a \\nb\""},
  }));
  const std::string printed = print_yaml({{"k", text}});
  CHECK(printed == "k: " + expected + "\n");
  CHECK(*parse_yaml(printed) == Json({{"k", text}}));
}

TEST_CASE("lists stand at the column of their key and maps inside of them two further") {
  const Json value = {{"a", {1, {{"b", {"x"}}, {"c", nullptr}}, Json::array({Json::array({1, 2})})}},
                      {"e", Json::array()},
                      {"o", Json::object()}};
  CHECK(print_yaml(value) == "a:\n- 1\n- b:\n  - x\n  c: null\n- - - 1\n    - 2\ne: []\no: {}\n");
}

TEST_CASE("numbers keep their kind and their digits") {
  CHECK(print_yaml({{"a", 18446744073709551615U}, {"b", -5}, {"c", 1.5}, {"d", 1e21}, {"e", 3.0}}) ==
        "a: 18446744073709551615\nb: -5\nc: 1.5\nd: 1e+21\ne: 3\n");
}

TEST_CASE("a negative zero is zero") { CHECK(print_yaml({{"k", -0.0}}) == "k: 0\n"); }

TEST_CASE("a key of several lines has a mark in front, and is printed as a value would be") {
  CHECK(print_yaml({{"a\nb", {{"c", 1}}}}) == "? |-\n  a\n  b\n: c: 1\n");
  CHECK(print_yaml({{"a \nb", "c"}}) == "? \"a \\nb\"\n: c\n");
}

TEST_CASE("line separators of other scripts begin a line that is indented") {
  CHECK(print_yaml({{"k", "a\xE2\x80\xA8z"}}) == "k: 'a\xE2\x80\xA8  z'\n");
  CHECK(print_yaml({{"k", "a\n\xE2\x80\xA8z\n"}}) == "k: |\n  a\n\xE2\x80\xA8  z\n");
}

TEST_CASE("a text that begins with a byte order mark is escaped to its end") {
  CHECK(print_yaml({{"k", "\xEF\xBB\xBFz "}}) == "k: \"\\uFEFF\\x7A\\x20\"\n");
}

TEST_CASE("keys are ordered by the numbers in them, and letters come last") {
  CHECK(print_yaml({{"a10", 1}, {"a2", 1}, {"_x", 1}, {"A", 1}, {"a-b", 1}, {"ab", 1}}) ==
        "_x: 1\nA: 1\na-b: 1\na2: 1\na10: 1\nab: 1\n");
}

TEST_CASE("long lines are folded at the first space past the eightieth column") {
  const std::string words = "this is a very long line that goes on and on and on until it is longer than eighty columns";
  CHECK(print_yaml({{"long", words}}) ==
        "long: this is a very long line that goes on and on and on until it is longer than\n  eighty columns\n");
  CHECK(print_yaml({{"long", "a: " + words}}) ==
        "long: 'a: this is a very long line that goes on and on and on until it is longer than\n  eighty columns'\n");
  for (const char* start : {"", "a: ", "tab\t"}) {
    const Json value{{"k", Json::array({start + words + "  " + words})}};
    CHECK(*parse_yaml(print_yaml(value)) == value);
  }
}
