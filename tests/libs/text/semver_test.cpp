#include "text/semver.hpp"

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

using namespace sluice::text;

TEST_CASE("tags are read as loosely as Flux reads them", "[text][semver]") {
  CHECK(Semver::parse("v2025.02.03")->str() == "2025.2.3");
  CHECK(Semver::parse("01.1.3")->str() == "1.1.3");
  CHECK(Semver::parse("1.2-rc.1")->str() == "1.2.0-rc.1");
  CHECK(Semver::parse("1-a.b.c")->str() == "1.0.0-a.b.c");
  CHECK(*Semver::parse("2025.02.03") == *Semver::parse("2025.2.3"));
  CHECK_FALSE(Semver::parse("1.0.0-" + std::string(300, 'a')));
  // A number past 64 bits is a word, which comes after numbers.
  CHECK(*Semver::parse("1.0.0-999999999999999999999") > *Semver::parse("1.0.0-1000"));
  CHECK(*Semver::parse("1.0.0-123abc") < *Semver::parse("1.0.0-999999999999999999999"));
}

TEST_CASE("ranges have the bounds and habits of Masterminds/semver", "[text][semver]") {
  const auto matches = [](const char* range, const char* version) {
    const auto read = SemverRange::parse(range);
    return read && read->matches(*Semver::parse(version));
  };
  CHECK(matches("1\n-\n2", "1.5.0"));
  CHECK(matches("1 - 2>1.4", "1.5.0"));
  CHECK_FALSE(matches("1 - 2>1.4", "1.4.0"));
  for (const char* range : {">=1.0.0-01", "1.0.0||2.0.0 - 3.0.0", ">=1.0 2 - 3", "1.2.3x", ""}) {
    INFO(range);
    CHECK_FALSE(SemverRange::parse(range));
  }
  CHECK_FALSE(SemverRange::parse(">=1.0.0" + std::string(600, ' ')));
}

TEST_CASE("the parts of a version", "[text][semver]") {
  const auto version = Semver::parse("v1.22.333-rc.1+build.7");
  REQUIRE(version);
  CHECK(version->major == 1);
  CHECK(version->minor == 22);
  CHECK(version->patch == 333);
  CHECK(version->prerelease == "rc.1");
  CHECK(version->metadata == "build.7");
  CHECK(version->str() == "1.22.333-rc.1+build.7");
}

TEST_CASE("what is no version is invalid", "[text][semver]") {
  const char* text = GENERATE("", "1", "1.2", "1.2.3.4", "1.2-rc", "1.2.3-", "1.2.3-01", "1.2.3-a..b", "1.2.3+",
                              "1.2.x", "V1.2.3", "vv1.2.3", "1.2.3 ", "1.2.-3", "99999999999999999999.0.0", "latest");
  INFO(text);
  const auto version = Semver::parse(text);
  REQUIRE_FALSE(version);
  CHECK(version.error().kind == sluice::base::ErrorKind::invalid);
}

TEST_CASE("versions are ordered as semver.org's item 11 has it", "[text][semver]") {
  const char* ascending[] = {"1.0.0-alpha",  "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta",
                             "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",       "1.0.0",
                             "1.0.1",        "1.1.0",         "1.10.0",           "2.0.0"};
  for (std::size_t i = 0; i < std::size(ascending); ++i) {
    for (std::size_t j = 0; j < std::size(ascending); ++j) {
      const auto left = *Semver::parse(ascending[i]);
      const auto right = *Semver::parse(ascending[j]);
      INFO(ascending[i] << " and " << ascending[j]);
      CHECK((left < right) == (i < j));
      CHECK((left == right) == (i == j));
    }
  }
  CHECK(*Semver::parse("1.0.0+a") == *Semver::parse("1.0.0+b"));
}

TEST_CASE("ranges match what Masterminds/semver 3.5 matches", "[text][semver]") {
  std::ifstream table("tests/golden/text/semver_ranges.tsv");
  std::string line;
  REQUIRE(std::getline(table, line));
  std::vector<std::string> versions;
  std::istringstream words(line.substr(line.find(": ") + 2));
  for (std::string word; words >> word;) versions.push_back(word);
  int rows = 0;
  for (; std::getline(table, line); ++rows) {
    const auto tab = line.find('\t');
    const auto range = SemverRange::parse(line.substr(0, tab));
    std::string matched;
    for (const auto& version : versions) {
      if (range && range->matches(*Semver::parse(version))) matched += (matched.empty() ? "" : " ") + version;
    }
    INFO("range '" << line.substr(0, tab) << "'");
    CHECK((range ? matched : "invalid") == line.substr(tab + 1));
  }
  CHECK(rows > 50);
}
