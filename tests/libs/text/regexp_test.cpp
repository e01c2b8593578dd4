#include <catch2/catch.hpp>

#include "text/find.hpp"
#include "text/regexp.hpp"

using sluice::base::ErrorKind;
using sluice::text::find_text;
using sluice::text::Regexp;
using sluice::text::WorkBudget;

TEST_CASE("a regular expression is found anywhere in a text", "[regexp]") {
  const auto expression = Regexp::compile("health check .*failed");
  REQUIRE(expression);
  CHECK(*expression->matches("the health check of web failed at last"));
  CHECK_FALSE(*expression->matches("all is well"));
}

TEST_CASE("a regular expression can be asked to match the whole text", "[regexp]") {
  const auto expression = Regexp::compile("web|api");
  REQUIRE(expression);
  CHECK(*expression->matches_all("web"));
  CHECK(*expression->matches_all("api"));
  CHECK_FALSE(*expression->matches_all("web-1"));
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
  const auto found = expression->matches(std::string(100'000, 'a'));
  REQUIRE(found);
  CHECK_FALSE(*found);
}

TEST_CASE("what Go writes and RE2 does not know is translated", "[regexp]") {
  const auto matches = [](const char* expression, const char* text) {
    const auto compiled = Regexp::compile(expression);
    if (!compiled) FAIL(compiled.error().message);
    CHECK(compiled->expression() == expression);
    return *compiled->matches_all(text);
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

TEST_CASE("a match that may take more than the budget is refused before it begins", "[regexp]") {
  const auto expression = Regexp::compile("[ab]*a[ab]{1000}[ab]{1000}[ab]{500}c");
  REQUIRE(expression);
  const std::string text(39'000, 'a');
  CHECK(expression->steps(text) > text.size() * 2500);
  WorkBudget budget{1U << 20U};
  for (const auto& answer : {expression->matches(text, budget), expression->matches_all(text, budget),
                             expression->matches(text), expression->matches_all(text)}) {
    REQUIRE_FALSE(answer);
    CHECK(answer.error().kind == ErrorKind::too_large);
    CHECK(answer.error().message.find("39000 bytes") != std::string::npos);
    CHECK(answer.error().message.size() < 500);
  }
  CHECK(budget.steps == 1U << 20U);  // what was refused has cost nothing
  const auto small = expression->matches(text.substr(0, 100), budget);
  REQUIRE(small);
  CHECK_FALSE(*small);
  CHECK(budget.steps == (1U << 20U) - expression->steps(text.substr(0, 100)));
  std::stop_source stop;
  stop.request_stop();
  WorkBudget stopped{1U << 20U, stop.get_token()};
  const auto cancelled = expression->matches("a", stopped);
  REQUIRE_FALSE(cancelled);
  CHECK(cancelled.error().kind == ErrorKind::cancelled);
}

TEST_CASE("texts with .* between them are found in a step for each byte, and where RE2 finds them", "[regexp]") {
  const std::string long_text(1U << 24U, 'a');
  const auto plain = Regexp::compile("a.*a.*b");
  REQUIRE(plain);
  CHECK(plain->steps(long_text) == long_text.size());
  const auto found = plain->matches(long_text);
  REQUIRE(found);
  CHECK_FALSE(*found);
  for (const std::string expression : {"ab", "a.*b", ".*a.*b.*", "a.*", ".*", "", "a.*a", "ab.*b", ".*.*b", "a.*?b",
                                       "a.**", "x.*y", "a\nb", "a\nb.*c", ".*+"}) {
    const auto fast = Regexp::compile(expression);
    const auto slow = Regexp::compile("(?:" + expression + ")");  // which is no plain text
    INFO(expression);
    REQUIRE(fast.has_value() == slow.has_value());
    for (const std::string text :
         {"", "a", "ab", "b\na", "a\nb", "a\nb\na b", "abb", "aab", "axa\n", "\n", "ba", "a\nb c"}) {
      if (!fast) continue;
      INFO(text);
      CHECK(*fast->matches(text) == *slow->matches(text));
    }
  }
}

TEST_CASE("expressions that take much to read are refused before they are read", "[regexp]") {
  std::string classes;
  for (int i = 0; i < 257; ++i) classes += "\\pL?";
  for (const std::string& expression : {classes, std::string((128U << 10U) + 1, 'a')}) {
    const auto compiled = Regexp::compile(expression);
    REQUIRE_FALSE(compiled);
    CHECK(compiled.error().kind == ErrorKind::too_large);
    CHECK(compiled.error().message.size() < 500);
  }
}

TEST_CASE("a text is found in a text") {
  CHECK(find_text("abcabc", "c") == 2);
  CHECK(find_text("abcabc", "c", 3) == 5);
  CHECK(find_text("abcabc", "", 6) == 6);
  CHECK(find_text("abcabc", "", 7) == std::string_view::npos);
  CHECK(find_text("abcabc", "d") == std::string_view::npos);
  CHECK(find_text("", "d") == std::string_view::npos);
  // The product of the lengths would be hours.
  CHECK(find_text(std::string(8U << 20U, 'a'), std::string(1U << 20U, 'a') + "b") == std::string_view::npos);
}
