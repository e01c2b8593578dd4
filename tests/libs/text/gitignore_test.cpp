#include "text/gitignore.hpp"

#include <catch2/catch.hpp>
#include <fstream>

using namespace sluice::text;

namespace {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    const auto at = text.find(separator);
    parts.emplace_back(text.substr(0, at));
    if (at == text.npos) return parts;
    text.remove_prefix(at + 1);
  }
}

}  // namespace

TEST_CASE("patterns leave out what fluxcd/pkg sourceignore leaves out", "[text][gitignore]") {
  std::ifstream table("tests/golden/text/gitignore.tsv");
  std::string line;
  REQUIRE(std::getline(table, line));
  const auto paths = split(std::string_view(line).substr(line.find(": ") + 2), '|');
  int rows = 0;
  for (; std::getline(table, line); ++rows) {
    const auto columns = split(line, '\t');
    IgnoreRules rules;
    for (const auto& pattern : split(columns[1], '|')) rules.add(pattern, columns[0]);
    std::string ignored;
    for (const auto& path : paths) {
      const bool folder = path.ends_with('/');
      const auto bare = std::string_view(path).substr(0, path.size() - (folder ? 1 : 0));
      if (rules.ignores(bare, folder)) ignored += (ignored.empty() ? "" : "|") + path;
    }
    INFO("patterns '" << columns[1] << "' in '" << columns[0] << "'");
    CHECK(ignored == columns[2]);
  }
  CHECK(rows > 100);
}

TEST_CASE("the lines of an ignore file become patterns, without comments and blanks", "[text][gitignore]") {
  IgnoreRules rules;
  CHECK(rules.empty());
  rules.add_lines("# comment\n\n   \n*.log\r\n!keep.log\n/top");
  CHECK(rules.ignores("a/b.log", false));
  CHECK_FALSE(rules.ignores("a/keep.log", false));
  CHECK(rules.ignores("top", false));
  CHECK_FALSE(rules.ignores("a/top", false));
  CHECK_FALSE(rules.ignores("# comment", false));
}

TEST_CASE("a later pattern brings back a file of an excluded folder", "[text][gitignore]") {
  IgnoreRules rules;
  rules.add_lines("/*\n!/deploy");
  CHECK(rules.ignores("src/main.cpp", false));
  CHECK_FALSE(rules.ignores("deploy", true));
  CHECK_FALSE(rules.ignores("deploy/app/x.yaml", false));
}

TEST_CASE("a pattern of stars takes no exponential time", "[text][gitignore]") {
  std::string pattern;
  for (int i = 0; i < 30; ++i) pattern += "*a";
  CHECK_FALSE(match_name(pattern + "b", std::string(2000, 'a')));
}
