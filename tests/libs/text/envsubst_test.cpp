#include "text/envsubst.hpp"

#include <catch2/catch.hpp>
#include <map>

using sluice::base::ErrorKind;
using sluice::text::is_variable_name;
using sluice::text::substitute;

namespace {

const std::map<std::string, std::string, std::less<>> kVariables{
    {"name", "shop"}, {"EMPTY", ""}, {"path", "a/b/c.tar.gz"}, {"mixed", "heLLo"}, {"n_1", "3"}};

std::optional<std::string> strict(std::string_view name) {
  const auto found = kVariables.find(name);
  return found == kVariables.end() ? std::nullopt : std::optional(found->second);
}

std::string lenient(std::string_view text) {
  auto result = substitute(text, [](std::string_view name) { return strict(name).value_or(""); });
  if (!result) FAIL(text << ": " << result.error().message);
  return *result;
}

std::string refused(std::string_view text) {
  auto result = substitute(text, strict);
  if (result) FAIL(text << " gave " << *result);
  CHECK(result.error().kind == ErrorKind::invalid);
  return result.error().message;
}

}  // namespace

TEST_CASE("text without expressions stays as it is") {
  for (const char* text : {"", "plain", "$name", "a$", "$", "{name}", "cost: 5$ {x}"}) {
    CHECK(lenient(text) == text);
  }
}

TEST_CASE("values, escapes and defaults") {
  CHECK(lenient("a ${name} b${n_1}${missing}.") == "a shop b3.");
  CHECK(lenient("$${name} $$ $$$$") == "${name} $ $$");
  CHECK(lenient("$$${name}") == "$shop");
  CHECK(lenient("${missing:-x}${EMPTY:=y}${name:-z}${missing=w}") == "xyshopw");
  // All of these are defaults, as upstream has it.
  CHECK(lenient("${missing:+x}${missing:?y}") == "xy");
  CHECK(lenient("${missing:-${name}-${n_1}}") == "shop-3");
  CHECK(lenient("${missing:-}") == "");
}

TEST_CASE("the functions of a shell") {
  CHECK(lenient("${#name}") == "4");
  CHECK(lenient("${mixed^} ${mixed^^} ${name^} ${mixed,} ${mixed,,}") == "HeLLo HELLO Shop heLLo hello");
  CHECK(lenient("${name:1} ${name:1:2} ${name:0:99} ${name:9} ${name: -2} ${name:x}") == "hop ho shop  shop shop");
  CHECK(lenient("${path#*/} ${path##*/} ${path%.*} ${path%%.*}") == "b/c.tar.gz c.tar.gz a/b/c.tar a/b/c");
  CHECK(lenient("${path/\\//-} ${path//\\//-} ${path/#a/x} ${path/%gz/xz} ${path/b/}") ==
        "a-b/c.tar.gz a-b-c.tar.gz x/b/c.tar.gz a/b/c.tar.xz a//c.tar.gz");
  CHECK(lenient("${name#[a-s]} ${name#[^a-s]} ${name%?}") == "hop shop sho");
}

TEST_CASE("in strict mode a variable that is not set is an error unless it has a default") {
  CHECK(refused("a\nb: ${missing}").find("line 2: variable not set (strict mode): \"missing\"") == 0);
  refused("${#missing}");
  refused("${missing^^}");
  refused("${name:-${missing}}");
  CHECK(substitute("${missing:-x}${missing=y}${EMPTY}", strict).value() == "xy");
}

TEST_CASE("what cannot be read is an error that shows where") {
  for (const char* text : {"${", "${}", "${name", "${name-x}", "${name:}", "${name#}", "${name/a}", "${name^^^}", "${#}",
                           "${name:-x", "${name:-${name}", "${ name}", "${#name:-x}"}) {
    CHECK(refused(text).find("${") != std::string::npos);
  }
}

TEST_CASE("neither depth nor size is without bounds") {
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "${missing:-";
  refused(deep);
  auto large = substitute("${name}${name}", strict, 5);
  REQUIRE_FALSE(large);
  CHECK(large.error().kind == ErrorKind::too_large);
}

TEST_CASE("names of variables") {
  for (const char* good : {"a", "_", "A_1", "abc"}) CHECK(is_variable_name(good));
  for (const char* bad : {"", "1a", "a-b", "a.b", "ä"}) CHECK_FALSE(is_variable_name(bad));
}
