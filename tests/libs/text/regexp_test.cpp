#include <catch2/catch.hpp>

#include "text/regexp.hpp"

using sluice::base::ErrorKind;
using sluice::text::Regexp;

TEST_CASE("a regular expression is found anywhere in a text", "[regexp]") {
  const auto expression = Regexp::compile("health check .*failed");
  REQUIRE(expression);
  CHECK(expression->matches("the health check of web failed at last"));
  CHECK_FALSE(expression->matches("all is well"));
}

TEST_CASE("a regular expression can be asked to match the whole text", "[regexp]") {
  const auto expression = Regexp::compile("web|api");
  REQUIRE(expression);
  CHECK(expression->matches_all("web"));
  CHECK(expression->matches_all("api"));
  CHECK_FALSE(expression->matches_all("web-1"));
}

TEST_CASE("a malformed regular expression is invalid and quoted", "[regexp]") {
  const auto expression = Regexp::compile("a(b");
  REQUIRE_FALSE(expression);
  CHECK(expression.error().kind == ErrorKind::invalid);
  CHECK(expression.error().message.find("'a(b'") != std::string::npos);
}

TEST_CASE("a regular expression that is built to explode is refused", "[regexp]") {
  const auto expression = Regexp::compile("((((a{100}){100}){100}){100}){100}");
  REQUIRE_FALSE(expression);
}

TEST_CASE("a match takes time in the length of the text only", "[regexp]") {
  const auto expression = Regexp::compile("(a*)*b");
  REQUIRE(expression);
  CHECK_FALSE(expression->matches(std::string(100'000, 'a')));
}

TEST_CASE("what Go writes and RE2 does not know is translated", "[regexp]") {
  const auto matches = [](const char* expression, const char* text) {
    const auto compiled = Regexp::compile(expression);
    if (!compiled) FAIL(compiled.error().message);
    CHECK(compiled->expression() == expression);
    return compiled->matches_all(text);
  };
  CHECK(matches("(?<year>\\d{4})-(?P<m>\\d\\d)", "2024-01"));
  CHECK(matches("\\p{Letter}+", "aä"));
  CHECK(matches("\\p{uppercase_letter}\\pl\\PL", "Ab1"));
  CHECK(matches("\\p{LC}", "a"));
  CHECK_FALSE(matches("\\p{LC}", "1"));
  CHECK(matches("[^\\p{ASCII}]", "ä"));
  CHECK(matches("\\P{Ascii}\\p{^ASCII}", "äö"));
  CHECK(matches("[\\p{Assigned}]\\p{greek}\\p{Greek}", "aαβ"));
  CHECK(matches("\\Q(?<n>\\pl\\E[[:alpha:]\\]]", "(?<n>\\pl]"));
  CHECK(matches("[](?<n>]+", "](?<n>"));
}

TEST_CASE("what Go refuses is refused", "[regexp]") {
  for (const char* expression :
       {"\\C", "(?P<é>a)", "(?<é>a)", "(?<=a)b", "(?<n", "\\p{NoSuch}", "\\p{", "[\\p{Letter]"}) {
    INFO(expression);
    CHECK_FALSE(Regexp::compile(expression));
  }
}
