#include <stop_token>

#include "doc/yaml.hpp"

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <optional>

#include "doc/yaml_place.hpp"

using sluice::base::ErrorKind;
using sluice::doc::Json;
using sluice::doc::parse_yaml;
using sluice::doc::parse_yaml_stream;
using sluice::doc::print_yaml;
using sluice::doc::place_of;
using sluice::doc::YamlLimits;
using sluice::doc::YamlReading;

namespace {
Json read(std::string_view text) {
  auto value = parse_yaml(text);
  INFO((value ? std::string() : value.error().message));
  REQUIRE(value);
  return *value;
}
}  // namespace

TEST_CASE("plain scalars get the types that go-yaml v3 gives them") {
  const auto [text, expected] = GENERATE(table<std::string, Json>({
      {"yes", Json("yes")},
      {"true", Json(true)},
      {"False", Json(false)},
      {"~", Json()},
      {"", Json()},
      {"12", Json(12)},
      {"-7", Json(-7)},
      {"+7", Json(7)},
      {"0123", Json(83)},
      {"0o17", Json(15)},
      {"0x1F", Json(31)},
      {"0b11", Json(3)},
      {"1_000", Json(1000)},
      {"089", Json(89.0)},
      {"9223372036854775807", Json(INT64_MAX)},
      {"18446744073709551615", Json(UINT64_MAX)},
      {"1.5", Json(1.5)},
      {"1e3", Json(1000.0)},
      {".5", Json(0.5)},
      {"1.2.3", Json("1.2.3")},
      {"2001-01-01", Json("2001-01-01")},
      {"1:30", Json("1:30")},
      {"\"12\"", Json("12")},
      {"'true'", Json("true")},
      {"!!str 12", Json("12")},
      {"!!float 3", Json(3.0)},
      {"0.0.0.0/0", Json("0.0.0.0/0")},
  }));
  INFO(text);
  const Json value = read("v: " + text);
  CHECK(value["v"] == expected);
  CHECK(value["v"].type_name() == std::string(expected.type_name()));
}

TEST_CASE("binary data is the text that it holds, and a date with a tag is a time") {
  CHECK(*parse_yaml("!!binary aGk=") == "hi");
  CHECK(*parse_yaml("!!binary MTI=") == "12");
  CHECK(*parse_yaml("!!binary /w==") == "\xEF\xBF\xBD");
  CHECK_FALSE(parse_yaml("!!binary x"));
  CHECK(*parse_yaml("!!timestamp 2020-01-01") == "2020-01-01T00:00:00Z");
}

TEST_CASE("anchors, aliases and merge keys are resolved, own keys win") {
  const Json value = read(R"(
base: &base {a: 1, b: 2}
other: &other {b: 3, c: 4}
one:
  <<: *base
  b: 9
many:
  b: 7
  <<: [*other, *base]
list: [*base, "<<"]
)");
  CHECK(value["one"] == Json({{"a", 1}, {"b", 9}}));
  CHECK(value["many"] == Json({{"a", 1}, {"b", 7}, {"c", 4}}));
  CHECK(value["list"][0] == value["base"]);
}

TEST_CASE("keys that are no strings become strings") {
  CHECK(read("1: a\ntrue: b\n1.5: c\n") == Json({{"1", "a"}, {"true", "b"}, {"1.5", "c"}}));
}

TEST_CASE("a BOM and CRLF line ends are accepted") {
  CHECK(read("\xEF\xBB\xBF"
             "a: 1\r\nb: |\r\n  x\r\n  y\r\n") == Json({{"a", 1}, {"b", "x\ny\n"}}));
}

TEST_CASE("a stream yields its documents with the line where each begins") {
  const auto documents = parse_yaml_stream("# c\n---\na: 1\n---\n---\n# only a comment\n---\n\nb: 2\n...\n");
  REQUIRE(documents);
  REQUIRE(documents->size() == 2);
  CHECK((*documents)[0].line == 3);
  CHECK((*documents)[1].line == 9);
}

TEST_CASE("what is wrong is named with line and column") {
  const auto [text, start] = GENERATE(table<std::string, std::string>({
      {"a: 1\nb: 2\na: 3\n", "line 3, column 1: key \"a\" is there twice"},
      {"a: [1, 2\n", "line 2, column"},
      {"a: 1\n  b: 2\n", "line 2, column"},
      {"x: *nothing\n", "line 1, column 4"},
      {"x: &a [*a]\n", "line 1, column 8: anchor contains itself"},
      {"a: 1\nb: \xFF\n", "line 2, column 4: invalid UTF-8"},
      {"a: \x01\n", "line 1, column 4: control characters are not allowed"},
      {"? [a]\n: b\n", "line 1, column 3: a map or list as a key"},
      {"a: !!int x\n", "line 1, column 4: cannot read `x` as !!int"},
      {"a: 1\n---\nb: 2\n", "line 3, column 1: a second document"},
  }));
  const auto value = parse_yaml(text);
  INFO(text);
  REQUIRE_FALSE(value);
  CHECK(value.error().kind == ErrorKind::invalid);
  CHECK_THAT(value.error().message, Catch::StartsWith(start));
}

TEST_CASE("an alias bomb is refused before it is expanded") {
  std::string text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    const auto p = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) text += p + (k < 9 ? "," : "]\n");
  }
  YamlLimits limits;
  limits.max_nodes = 100'000;
  const auto value = parse_yaml(text, limits);
  REQUIRE_FALSE(value);
  CHECK(value.error().kind == ErrorKind::too_large);
}

TEST_CASE("nesting and number of documents are bounded") {
  CHECK(parse_yaml(std::string(100'000, '[')).error().kind == ErrorKind::too_large);
  YamlLimits limits;
  limits.max_documents = 2;
  CHECK(parse_yaml_stream("a: 1\n---\na: 1\n---\na: 1\n", limits).error().kind == ErrorKind::too_large);
}

TEST_CASE("quoted scalars of several lines are folded as YAML has it") {
  CHECK(read("v: 'a\n\n\n  b\n\n  '\n")["v"] == "a\n\nb\n");
  CHECK(read("v: \"a\\Nb\\_c\\Ld\"\n")["v"] == "a\xC2\x85" "b\xC2\xA0" "c\xE2\x80\xA8" "d");
  CHECK(read("v: 'it''s\n  one'\n")["v"] == "it's one");
  CHECK(read("v: \"a  \\\n   b\\n\n  c\"\n")["v"] == "a  b\n c");
  CHECK(read("v: \"\\u00e9\\x41\n  \\U0001F600\"\n")["v"] == "\xC3\xA9\x41 \xF0\x9F\x98\x80");
}

TEST_CASE("line separators of other scripts survive printing and reading, in short and in folded text") {
  for (const char* separator : {"\xC2\x85", "\xE2\x80\xA8", "\xE2\x80\xA9"}) {
    const std::string words = "some words and " + std::string(separator) + " then some more of them, ";
    for (const std::string& text : {"a" + std::string(separator) + "b", words + words + words, words + "\n" + words}) {
      const Json value{{"v", text}, {"list", Json::array({text})}};
      INFO(print_yaml(value));
      CHECK(read(print_yaml(value)) == value);
    }
  }
}

TEST_CASE("an alias must name an anchor that stands before it in its own document") {
  CHECK(parse_yaml_stream("a: &x 1\n---\nb: *x\n").error().message == "line 3, column 4: the alias *x has no anchor");
}

TEST_CASE("what the parser itself refuses is told with where the construct around it begins") {
  CHECK(parse_yaml("a:\n  - b\n c: d\n").error().message ==
        "line 3, column 2: did not find expected key, while parsing a block mapping that begins at line 1");
}

TEST_CASE("read as configuration, words of YAML 1.1 are booleans and the last of equal keys counts") {
  sluice::doc::YamlReading reading;
  reading.version_1_1 = true;
  reading.first_document_only = true;
  const auto value = parse_yaml("a: yes\nb: off\na: no\nc: \"yes\"\n---\nignored: [\n", reading);
  REQUIRE(value);
  CHECK(*value == Json({{"a", false}, {"b", false}, {"c", "yes"}}));
}

TEST_CASE("read as kustomize reads objects, annotations are text, dates are times, and empty nulls are told") {
  sluice::doc::YamlReading reading;
  reading.as_kustomize = true;
  reading.note_lines = true;
  const auto documents = parse_yaml_stream(
      "metadata:\n  annotations: {a: 1.10, b: True, c: , d: ~}\nspec:\n  e:\n  f: null\n  when: 2020-01-01\n  l:\n  - {g: }\n",
      reading);
  REQUIRE(documents);
  const auto& document = documents->at(0);
  CHECK(document.value["metadata"]["annotations"] == Json({{"a", "1.10"}, {"b", "True"}, {"c", nullptr}, {"d", "~"}}));
  CHECK(document.value["spec"]["when"] == "2020-01-01T00:00:00Z");
  REQUIRE(document.empty_nulls.size() == 3);
  CHECK(document.empty_nulls[0].place.to_string() == "/metadata/annotations/c");
  CHECK(document.empty_nulls[1].place.to_string() == "/spec/e");
  CHECK_FALSE(document.empty_nulls[1].in_flow);
  CHECK(document.empty_nulls[2].place.to_string() == "/spec/l/0/g");
  CHECK(document.empty_nulls[2].in_flow);
  CHECK(document.lines.at("/spec/when") == 6);
  CHECK(document.lines.at("/spec/l/0") == 8);
  CHECK_FALSE(parse_yaml("a: {1: x}\n", reading));
}

TEST_CASE("a reading as YAML 1.1 notes keys that are there twice") {
  YamlReading reading;
  reading.version_1_1 = true;
  const auto read = parse_yaml_stream("a: 1\nb:\n- {c: 1, c: 2}\na: 3\n", reading);
  REQUIRE(read);
  REQUIRE(read->front().repeated.size() == 2);
  CHECK(read->front().repeated[0].place == "/b/0/c");
  CHECK(read->front().repeated[0].line == 3);
  CHECK(read->front().repeated[1].place == "/a");
  CHECK(read->front().repeated[1].line == 4);
  CHECK(read->front().value["a"] == 3);
}

TEST_CASE("a reading as kustomize notes what is in flow style") {
  YamlReading reading;
  reading.as_kustomize = true;
  const auto read = parse_yaml_stream("a:\n  b: {c: []}\n  d:\n  - e: 1\n", reading);
  REQUIRE(read);
  const std::uint64_t b = place_of(place_of(0, "a"), "b");
  CHECK(read->front().flow == std::vector<std::uint64_t>{b, place_of(b, "c")});
}

TEST_CASE("reading ends where it is told to stop") {
  std::stop_source stop;
  YamlReading reading;
  reading.stop = stop.get_token();
  CHECK(parse_yaml("a: 1\n", reading));
  stop.request_stop();
  const auto stopped = parse_yaml("a: 1\n", reading);
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().kind == ErrorKind::cancelled);
}

TEST_CASE("notes of many values below long keys are refused before they fill the memory") {
  const auto below = [](std::size_t length, int depth, int count, const std::string& value) {
    std::string text;
    for (int i = 0; i < depth; ++i) {
      text += std::string(static_cast<std::size_t>(i), ' ') + std::string(length, 'k') + ":\n";
    }
    for (int i = 0; i < count; ++i) text += std::string(static_cast<std::size_t>(depth), ' ') + "- " + value + "\n";
    return text;
  };
  YamlReading objects;
  objects.as_kustomize = true;
  YamlReading lines;
  lines.note_lines = true;
  const auto kind = [](const std::string& text, const YamlReading& reading) {
    const auto read = parse_yaml_stream(text, reading);
    if (!read) CHECK(read.error().message.find("long keys") != std::string::npos);
    return read ? std::nullopt : std::optional(read.error().kind);
  };
  for (const char* value : {"1e3", "", "!!null"})
    CHECK(kind(below(1000, 100, 1000, value), objects) == ErrorKind::too_large);
  CHECK(kind(below(1000, 100, 1000, "x"), lines) == ErrorKind::too_large);
  // Ordinary ones, and long keys without notes.
  CHECK(kind(below(15, 20, 20'000, "1e3"), objects) == std::nullopt);
  CHECK(kind(below(15, 20, 20'000, "x"), lines) == std::nullopt);
  CHECK(kind(below(1000, 100, 1000, "x"), objects) == std::nullopt);
}

TEST_CASE("the last value that begins in a line or before is found") {
  const auto found = [](std::size_t line) {
    const std::string text =
        "a: 1\nb:\n  c:\n  - d: x\n    e: |\n      y\n      z\n  - f: [g, {h: i}]\n  - j\nk: l\n---\nm: n\n";
    std::string path;
    for (const auto& step : sluice::doc::place_at_line(text, line)) {
      path += step.in_list ? "[" + std::to_string(step.index) + "]" : "." + step.key;
    }
    return path;
  };
  CHECK(found(0).empty());
  CHECK(found(1) == ".a");
  CHECK(found(2) == ".a");
  CHECK(found(3) == ".b");
  CHECK(found(4) == ".b.c[0].d");
  CHECK(found(5) == ".b.c[0].e");
  CHECK(found(7) == ".b.c[0].e");
  CHECK(found(8) == ".b.c[1].f[1].h");
  CHECK(found(9) == ".b.c[2]");
  CHECK(found(10) == ".k");
  CHECK(found(99) == ".k");
}

TEST_CASE("aliases in aliases are refused before they are expanded") {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 9; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) bomb += (j > 0 ? ",*a" : "*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  const auto value = parse_yaml(bomb);
  ::getrusage(RUSAGE_SELF, &after);
  REQUIRE_FALSE(value);
  CHECK(value.error().kind == ErrorKind::too_large);
  CHECK(value.error().message.find("aliases") != std::string::npos);
  CHECK(after.ru_maxrss - before.ru_maxrss < 48L << 10);  // KiB
  // Long keys count like long values.
  std::string keys = "a: &a {? " + std::string(100'000, 'k') + " : 1}\nb: [*a";
  for (int i = 0; i < 10'000; ++i) keys += ", *a";
  CHECK(parse_yaml(keys + "]\n").error().kind == ErrorKind::too_large);
  // An honest file with many uses of an anchor.
  std::string honest = "a: &a {k: 1, l: [1, 2, 3]}\nb:\n";
  for (int i = 0; i < 20'000; ++i) honest += "- *a\n";
  CHECK(parse_yaml(honest));
}

TEST_CASE("UTF-16 with a BOM is read") {
  const auto utf16 = [](std::string_view text, bool big) {
    std::string out = big ? "\xFE\xFF" : "\xFF\xFE";
    for (const char c : text) out += big ? std::string{'\0', c} : std::string{c, '\0'};
    return out;
  };
  for (const bool big : {true, false})
    CHECK(*parse_yaml(utf16("a: 1\r\nb: x\r\n", big)) == Json({{"a", 1}, {"b", "x"}}));
  using namespace std::string_literals;
  CHECK(*parse_yaml("\xFF\xFE"s + "a\0:\0 \0\xE4\0\x3D\xD8\x00\xDE"s) == Json({{"a", "\xC3\xA4\xF0\x9F\x98\x80"}}));
  CHECK_FALSE(parse_yaml("\xFF\xFE"s + "a\0:\0 \0\x3D\xD8"s));
  CHECK_FALSE(parse_yaml("\xFF\xFE"s + "a"s));
}

TEST_CASE("kustomize's documents may begin with a BOM, and their separators have a comment glued on") {
  YamlReading reading;
  reading.as_kustomize = true;
  const auto documents = parse_yaml_stream(
      "\xEF\xBB\xBF"
      "a: 1\n---#c\n\xEF\xBB\xBF"
      "b: 2\n---\n\xEF\xBB\xBF"
      "c: 3\n",
      reading);
  if (!documents) FAIL(documents.error().message);
  REQUIRE(documents->size() == 3);
  CHECK((*documents)[1].value == Json({{"b", 2}}));
  CHECK((*documents)[2].line == 5);
}

TEST_CASE("merge keys need maps; in YAML 1.1 a later one wins over what is there") {
  for (const char* text : {"<<: x", "a: 1\n<<:", "<<: [1]", "<<: [{a: 1}, x]"}) CHECK_FALSE(parse_yaml(text));
  CHECK(*parse_yaml("\"<<\": x") == Json({{"<<", "x"}}));
  CHECK(parse_yaml("{<<: {a: 1}, <<: {b: 2}}").error().message.find("twice") != std::string::npos);
  YamlReading reading;
  reading.version_1_1 = true;
  const char* const text = "x: &a {p: 1}\nz: {p: 3, <<: *a}\nw: {<<: [{p: 2, q: 3}, {q: 4}], q: 5}";
  CHECK((*parse_yaml(text, reading))["z"]["p"] == 1);
  CHECK((*parse_yaml(text, reading))["w"] == Json({{"p", 2}, {"q", 5}}));
  CHECK((*parse_yaml(text))["z"]["p"] == 3);
}

TEST_CASE("what JSON cannot hold is an error in YAML 1.1") {
  YamlReading reading;
  reading.version_1_1 = true;
  for (const char* text : {"a: .inf", "a: -.Inf", "a: .nan", "~: a", "9223372036854775808: a", "a: !!float .inf"}) {
    INFO(text);
    CHECK_FALSE(parse_yaml(text, reading));
  }
  CHECK(*parse_yaml("a: !!bool yes", reading) == Json({{"a", true}}));
  CHECK(*parse_yaml("a: !!x\nb: !!x 5", reading) == Json({{"a", ""}, {"b", "5"}}));
  CHECK(*parse_yaml("---\n---\nk: 1", [&] {
    reading.first_document_only = true;
    return reading;
  }()) == Json());
}

TEST_CASE("an error quotes nothing where nothing may be quoted") {
  YamlReading reading;
  reading.quote_nothing = true;
  for (const char* text : {"a: *hunter2", "{hunter2: 1, hunter2: 2}", "a: !!int hunter2", "a: !!timestamp hunter2"}) {
    INFO(text);
    CHECK(parse_yaml(text, reading).error().message.find("hunter2") == std::string::npos);
  }
}
