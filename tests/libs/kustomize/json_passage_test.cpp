#include "kustomize/objects/json_passage.hpp"

#include <catch2/catch.hpp>
#include <cmath>

using namespace sluice;
using doc::Json;

namespace {

std::string passed(const std::string& text) {
  Json value{{"k", text}};
  REQUIRE(kustomize::pass_through_json(value));
  return value["k"].get<std::string>();
}

std::string refused(Json value) {
  const auto done = kustomize::pass_through_json(value);
  REQUIRE_FALSE(done);
  CHECK(done.error().kind == base::ErrorKind::invalid);
  return done.error().message;
}

}  // namespace

TEST_CASE("a next-line character folds as a line break") {
  CHECK(passed("a\xC2\x85z") == "a z");
  CHECK(passed("a  \xC2\x85  z") == "a z");
  CHECK(passed("a\xC2\x85 \xC2\x85\xC2\x85z") == "a\n\nz");
  CHECK(passed("\xC2\x85") == " ");
  CHECK(passed("a\t\xC2\x85\n") == "a\t \n");
  CHECK(passed("a  b ") == "a  b ");
}

TEST_CASE("what is neither JSON nor YAML is refused with its place") {
  CHECK(refused({{"a", {1, {{"b", std::nan("")}}}}}) == "a.1.b: NaN can't be written as JSON");
  CHECK(refused({{"a", -INFINITY}}) == "a: -Inf can't be written as JSON");
  CHECK(refused({{"a", "\x7F"}}) == "a: the character U+007F is not allowed in YAML");
  CHECK(refused({{"a", "\xC2\x9F"}}) == "a: the character U+009F is not allowed in YAML");
  CHECK(refused({{"a", "\xEF\xBF\xBF"}}) == "a: the character U+FFFF is not allowed in YAML");
  CHECK(refused({{"a\xC2\x85", 1}}) == "the character U+0085 is not allowed in a key");
  CHECK(refused({{std::string(1023, 'k'), 1}}) == "a key of more than 1022 characters");
  CHECK(refused({{std::string(200, '<'), 1}}) == "a key of more than 1022 characters");
}

TEST_CASE("all else passes as it is") {
  const Json before{{"a", "\x01\t\xC2\xA0\xEF\xBB\xBF\xEF\xBF\xBD\xF0\x9F\x98\x80"}, 
                    {std::string(1022, 'k'), {1, 2.5, nullptr}}};
  Json after = before;
  CHECK(kustomize::pass_through_json(after));
  CHECK(after == before);
}
