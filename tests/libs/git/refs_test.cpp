#include "git/refs.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

using namespace sluice;
using git::resolve;

namespace {

const std::string kMain(40, 'a');
const std::string kFeature(40, 'b');
const std::string kTagObject(40, 'c');
const std::string kTagged(40, 'd');
const std::string kOld(40, 'e');

git::RefList refs() {
  return {.refs = {{"refs/heads/feature/x", kFeature, ""},
                   {"refs/heads/main", kMain, ""},
                   {"refs/heads/master", kOld, ""},
                   {"refs/pull/7/head", kFeature, ""},
                   {"refs/tags/nightly", kOld, ""},
                   {"refs/tags/v1.2.0", kOld, ""},
                   {"refs/tags/v1.10.0", kTagObject, kTagged},
                   {"refs/tags/v2.0.0", kMain, ""}},
          .head = "refs/heads/main"};
}

git::RefList sorted() {
  auto list = refs();
  std::sort(list.refs.begin(), list.refs.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return list;
}

}  // namespace

TEST_CASE("revisions are printed as Flux prints them", "[git][refs]") {
  struct Case {
    git::RefSpec spec;
    std::string revision;
  };
  const auto wanted =
      GENERATE_COPY(values<Case>({{{}, "master@sha1:" + kOld},
                                  {{.branch = "main"}, "main@sha1:" + kMain},
                                  {{.branch = "feature/x"}, "feature/x@sha1:" + kFeature},
                                  {{.branch = "main", .tag = "v1.2.0"}, "v1.2.0@sha1:" + kOld},
                                  {{.tag = "v1.10.0"}, "v1.10.0@sha1:" + kTagged},
                                  {{.tag = "v1.2.0", .semver = "1.x"}, "v1.10.0@sha1:" + kTagged},
                                  {{.semver = "1.x", .name = "refs/heads/main"}, "refs/heads/main@sha1:" + kMain},
                                  {{.name = "refs/pull/7/head"}, "refs/pull/7/head@sha1:" + kFeature},
                                  {{.name = "refs/tags/v1.10.0"}, "refs/tags/v1.10.0@sha1:" + kTagged},
                                  {{.name = "refs/tags/v1.10.0^{}"}, "refs/tags/v1.10.0^{}@sha1:" + kTagged},
                                  {{.commit = kMain}, "sha1:" + kMain},
                                  {{.branch = "main", .commit = kOld}, "main@sha1:" + kOld},
                                  {{.name = "refs/heads/main", .commit = kOld}, "refs/heads/main@sha1:" + kOld}}));
  const auto target = resolve(wanted.spec, sorted());
  REQUIRE(target);
  CHECK(target->revision == wanted.revision);
  CHECK(wanted.revision.ends_with(target->commit));
}

TEST_CASE("an annotated tag is fetched by its object and built from its commit", "[git][refs]") {
  const auto target = resolve({.tag = "v1.10.0"}, sorted());
  REQUIRE(target);
  CHECK(target->wanted == kTagObject);
  CHECK(target->commit == kTagged);
  CHECK(target->advertised);
}

TEST_CASE("a commit that nothing points to is known to be so", "[git][refs]") {
  const std::string buried(40, '7');
  const auto target = resolve({.branch = "main", .commit = buried}, sorted());
  REQUIRE(target);
  CHECK_FALSE(target->advertised);
  CHECK(target->ref == "refs/heads/main");
  CHECK(resolve({.commit = kMain}, sorted())->advertised);
}

TEST_CASE("a missing reference is named", "[git][refs]") {
  struct Case {
    git::RefSpec spec;
    std::string name;
  };
  const auto wanted = GENERATE(values<Case>({{{.branch = "nope"}, "branch 'nope'"},
                                             {{.tag = "v9"}, "tag 'v9'"},
                                             {{.semver = "9.x"}, "'9.x'"},
                                             {{.name = "refs/heads/nope"}, "'refs/heads/nope'"},
                                             {{.branch = "nope", .commit = std::string(40, '7')}, "branch 'nope'"}}));
  const auto target = resolve(wanted.spec, sorted());
  REQUIRE_FALSE(target);
  CHECK(target.error().kind == base::ErrorKind::not_found);
  CHECK(target.error().message.find(wanted.name) != std::string::npos);
}

TEST_CASE("a short name is answered with the full ones that exist", "[git][refs]") {
  auto list = refs();
  list.refs.push_back({"refs/tags/main", kOld, ""});
  std::sort(list.refs.begin(), list.refs.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  const auto message = [&](const std::string& name) {
    const auto target = resolve({.name = name}, list);
    REQUIRE_FALSE(target);
    CHECK(target.error().kind == base::ErrorKind::not_found);
    return target.error().message;
  };
  const std::string missing = "not found in the repository";
  CHECK(message("feature/x") == "reference 'feature/x' " + missing + ": a full name is needed: refs/heads/feature/x");
  CHECK(message("v1.10.0^{}") == "reference 'v1.10.0^{}' " + missing + ": a full name is needed: refs/tags/v1.10.0");
  CHECK(message("pull/7/head") == "reference 'pull/7/head' " + missing + ": a full name is needed: refs/pull/7/head");
  CHECK(message("main") ==
        "reference 'main' " + missing + ": a full name is needed: refs/heads/main or refs/tags/main");
  CHECK(message("refs/heads/nope") == "reference 'refs/heads/nope' " + missing);
}

TEST_CASE("malformed references are invalid rather than missing", "[git][refs]") {
  const auto spec = GENERATE(values<git::RefSpec>({{.commit = "abc123"},
                                                   {.commit = std::string(40, 'G')},
                                                   {.semver = "not a range"},
                                                   {.name = "/refs/heads/main"},
                                                   {.name = "refs/heads/main/"}}));
  const auto target = resolve(spec, sorted());
  REQUIRE_FALSE(target);
  CHECK(target.error().kind == base::ErrorKind::invalid);
}

TEST_CASE("an empty repository is told apart from a missing branch", "[git][refs]") {
  const auto target = resolve({.branch = "main"}, {});
  REQUIRE_FALSE(target);
  CHECK(target.error().reason == "EmptyGitRepository");
  CHECK(target.error().message == "git repository is empty");
}
