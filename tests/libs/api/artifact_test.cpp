#include "api/artifact.hpp"

#include <catch2/catch.hpp>

using namespace sluice;

TEST_CASE("a revision splits at its last @ and prints as it was") {
  const std::string sha(40, 'a');
  const std::vector<std::pair<std::string, api::Revision>> cases{
      {"main@sha1:" + sha, {"main", "sha1", sha}},
      {"sha1:" + sha, {"", "sha1", sha}},
      {"feature/x@home@sha256:00ff", {"feature/x@home", "sha256", "00ff"}},
      {"6.0.3", {"6.0.3", "", ""}},
      {"6.0.3+1", {"6.0.3+1", "", ""}},
      {"user@host", {"user@host", "", ""}},
      {"main@sha1:", {"main@sha1:", "", ""}},
      {"main@sha1:xyz", {"main@sha1:xyz", "", ""}},
      {"@sha1:ab", {"", "sha1", "ab"}},
      {"", {"", "", ""}},
  };
  for (const auto& [text, expected] : cases) {
    INFO(text);
    CHECK(api::parse_revision(text) == expected);
    if (text.front() != '@') CHECK(api::parse_revision(text).str() == text);
  }
}

TEST_CASE("a revision for people keeps at least seven digits and never cuts the algorithm") {
  const auto revision = api::parse_revision("main@sha1:0123456789abcdef0123456789abcdef01234567");
  CHECK(revision.shorten() == "main@sha1:01234567");
  CHECK(revision.shorten(12) == "main@sha1:0123456789ab");
  CHECK(revision.shorten(2) == "main@sha1:0123456");
  CHECK(revision.shorten(100) == revision.str());
  CHECK(api::parse_revision("6.0.3").shorten() == "6.0.3");
}

TEST_CASE("an artifact is printed as it was read") {
  const auto value = doc::Json::parse(R"({
    "digest": "sha256:ab", "path": "gitrepository/a/b/c.tar.gz", "url": "http://s/x", "revision": "main@sha1:ab",
    "lastUpdateTime": "2026-01-31T10:00:00Z", "size": 0, "metadata": {"k": "v"}})");
  const auto artifact = api::parse_artifact(value);
  REQUIRE(artifact);
  CHECK(artifact->size == 0);
  CHECK(api::to_json(*artifact) == value);
}

TEST_CASE("the artifact of a source of any kind") {
  auto object = doc::Json::parse(R"({"kind": "Anything", "status": {}})");
  auto artifact = api::artifact_of(object);
  REQUIRE(artifact);
  CHECK_FALSE(artifact->has_value());

  object["status"]["artifact"] = doc::Json::parse(R"({"digest": "sha256:ab", "path": "p", "revision": "r",
      "lastUpdateTime": "2026-01-31T10:00:00Z"})");
  artifact = api::artifact_of(object);
  REQUIRE_FALSE(artifact);
  CHECK(artifact.error().message == "status.artifact.url: is required");

  object["status"]["artifact"]["url"] = "http://s/x";
  artifact = api::artifact_of(object);
  REQUIRE(artifact);
  REQUIRE(artifact->has_value());
  CHECK((*artifact)->url == "http://s/x");
}
