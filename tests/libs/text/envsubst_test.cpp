#include "text/envsubst.hpp"

#include <catch2/catch.hpp>
#include <chrono>
#include <map>
#include <thread>

#include "text/glob.hpp"

using sluice::base::ErrorKind;
using sluice::text::is_variable_name;
using sluice::text::substitute;

namespace {

const std::map<std::string, std::string, std::less<>> kVariables{
    {"name", "shop"}, {"EMPTY", ""}, {"path", "a/b/c.tar.gz"}, {"mixed", "heLLo"}, {"n_1", "3"}};

std::optional<std::string_view> strict(std::string_view name) {
  const auto found = kVariables.find(name);
  if (found == kVariables.end()) return std::nullopt;
  return found->second;
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
  CHECK(refused("a\nb: ${missing}") == "variable not set (strict mode): \"missing\"");
  refused("${#missing}");
  refused("${missing^^}");
  refused("${name:-${missing}}");
  CHECK(substitute("${missing:-x}${missing=y}${EMPTY}", strict).value() == "xy");
}

TEST_CASE("what cannot be read is an error that names the line and the variable") {
  for (const char* text : {"${", "${}", "${name", "${name-x}", "${name:}", "${name#}", "${name/a}", "${name^^^}",
                           "${#}", "${name:-x", "${name:-${name}", "${ name}", "${#name:-x}"}) {
    INFO(text);
    CHECK_FALSE(refused(text).empty());
  }
  CHECK(refused("a\nb: ${name} ${n_1") == "missing closing brace (variable 'n_1')");
  std::size_t line = 0;
  CHECK_FALSE(substitute("a: ${name}\nb: ${name} ${n_1\n", strict, {}, {}, &line));
  CHECK(line == 2);
}

TEST_CASE("no error quotes text around a variable") {
  for (const char* text : {"postgres://${user}:hunter2@db ${", "postgres://${user:hunter2@db", "${user|hunter2}",
                           "${name:-hunter2", "${name/hunter2", "${name^^hunter2}", "hunter2 ${-hunter2}"}) {
    CHECK(refused(text).find("hunter2") == std::string::npos);
  }
}

TEST_CASE("what functions make of a value is told, and what is none of it is not") {
  std::vector<std::string> told;
  sluice::text::WorkBudget budget;
  const auto lookup = [](std::string_view name) {
    return std::optional<std::string_view>(name == "p" ? "pass-word" : "");
  };
  const auto note = [&](std::string_view name, std::string_view value, std::string_view made) {
    CHECK(value == "pass-word");
    told.push_back(std::string(name) + "=" + std::string(made));
  };
  const auto result = substitute(
      "${p} ${#p} ${p:-x} ${e:-fallback} ${e^^} ${p^^} ${p:0:4} ${p#pass} ${p/word/key} ${e:-${p%word}}${p,,}", lookup,
      {}, budget, nullptr, note);
  REQUIRE(result);
  CHECK(*result == "pass-word 9 pass-word fallback  PASS-WORD pass -word pass-key pass-pass-word");
  CHECK(told == std::vector<std::string>{"p=PASS-WORD", "p=pass", "p=-word", "p=pass-key", "p=pass-"});
}

TEST_CASE("letters past ASCII") {
  const std::map<std::string, std::string, std::less<>> values{{"U", "äöü"}, {"I", "ıİ"}, {"ß", "x"}, {"bad", "a\xFF"}};
  const auto text_of = [&](std::string_view text) {
    return substitute(text,
                      [&](std::string_view name) -> std::optional<std::string_view> {
                        const auto found = values.find(name);
                        if (found == values.end()) return std::nullopt;
                        return found->second;
                      })
        .value();
  };
  CHECK(text_of("${U^} ${U^^} ${I,,} ${ß}") == "Äöü ÄÖÜ ıi x");
  CHECK(text_of("${U#[ä]} ${U##[^a]} ${U#[a-z]} ${U%[ü]}") == "öü öü äöü äöü");
  CHECK(text_of("${bad^^}") == "A\xEF\xBF\xBD");
}

TEST_CASE("a negative length counts from the end") {
  CHECK(lenient("${mixed:1:-1} ${mixed:0:-2} ${mixed:4:-3}${mixed: -3:-1}${mixed:1:-9}") == "eLL heL heLLo");
  CHECK(lenient("${mixed:9:x}") == "heLLo");
}

TEST_CASE("an empty text is found before every character") {
  CHECK(lenient("${mixed//${EMPTY}/-}") == "-h-e-L-L-o-");
  CHECK(lenient("${mixed/${EMPTY}/-}") == "-heLLo");
}

namespace {

using Clock = std::chrono::steady_clock;

// How long one expression takes over a value, in seconds.
double seconds(std::string_view text, std::string_view value, bool may_fail = false) {
  const auto start = Clock::now();
  const auto result = substitute(text, [value](std::string_view) { return std::optional(value); });
  CHECK((result || may_fail));
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

TEST_CASE("every function is linear in the size of a value") {
  const std::string large(300'000, 'a');
  // Quadratic work would be 10^11 steps and more, hours in this build.
  for (const char* text :
       {"${x##*b}", "${x#*b}", "${x%%b*}", "${x%b*}", "${x##*a}", "${x%%a*}", "${x##*a*a*a*a*b}", "${x//aaaaaaaaab/c}",
        "${x//a/bb}", "${x^^}", "${x/#*/b}", "${x##*[b-z]?}", "${x%[a-z]*b}"}) {
    INFO(text);
    CHECK(seconds(text, large) < 30);
  }
  const std::string half = std::string(150'000, 'a') + "b";
  CHECK(seconds("${x//" + half + "/c}", large) < 30);
  CHECK(seconds("${x##*" + half + "}", large, true) < 30);
}

TEST_CASE("work without end is refused by the name of the variable") {
  const std::string large(300'000, 'a');
  std::string text;
  for (int i = 0; i < 2'000; ++i) text += "${big##*b}";
  const auto result = substitute(text, [&](std::string_view) { return std::optional<std::string_view>(large); });
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == ErrorKind::too_large);
  CHECK(result.error().message.find("'big'") != std::string::npos);
  std::string many;
  for (int i = 0; i < 20; ++i) many += "${name}";
  CHECK(substitute(many, strict, {.max_expressions = 10}).error().kind == ErrorKind::too_large);
}

TEST_CASE("texts that share a budget of work have it once, not each") {
  const std::string large(160'000, 'a');
  const auto lookup = [&](std::string_view) { return std::optional<std::string_view>(large); };
  sluice::text::WorkBudget budget{.steps = 100'000};
  int done = 0;
  while (done < 10 && substitute("${x}", lookup, {}, budget)) ++done;
  CHECK(done == 4);  // a step for 16 bytes, once of the value and once of the result
  // What values become is paid for, though nothing be left of it.
  sluice::text::WorkBudget small{.steps = 100'000};
  const auto either = [&](std::string_view name) {
    return std::optional<std::string_view>(name == "s" ? std::string_view("aaaaaaaaaa") : large);
  };
  const auto thrown_away = substitute("${s:-${s//a/${x}}}", either, {}, small);
  REQUIRE_FALSE(thrown_away);
  CHECK(thrown_away.error().kind == ErrorKind::too_large);
}

TEST_CASE("a substitution ends soon after it is asked to") {
  const std::string large(300'000, 'a');
  std::string text;
  for (int i = 0; i < 40; ++i) text += "${x##*a*a*a*b}";
  std::stop_source stop;
  std::jthread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    stop.request_stop();
  });
  const auto result = substitute(
      text, [&](std::string_view) { return std::optional<std::string_view>(large); }, {}, stop.get_token());
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == ErrorKind::cancelled);
}

TEST_CASE("neither depth nor size is without bounds") {
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "${missing:-";
  refused(deep);
  auto large = substitute("${name}${name}", strict, {.max_bytes = 5});
  REQUIRE_FALSE(large);
  CHECK(large.error().kind == ErrorKind::too_large);
}

TEST_CASE("names of variables") {
  for (const char* good : {"a", "_", "A_1", "abc"}) CHECK(is_variable_name(good));
  for (const char* bad : {"", "1a", "a-b", "a.b", "ä"}) CHECK_FALSE(is_variable_name(bad));
}
