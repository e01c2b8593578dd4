#include "source-controller/ignore_rules.hpp"

#include <catch2/catch.hpp>

#include "libs/git/shared_server.hpp"

using namespace sluice;
using namespace sluice::test;
using base::ErrorKind;

namespace {

struct Fixture {
  BareRepository repository = shared().repository();
  TempDir folder;

  base::Result<text::IgnoreRules> rules(const std::vector<FileChange>& files,
                                        const std::optional<std::string>& spec_ignore = std::nullopt) {
    repository.commit("main", files);
    auto remote = connect(shared().http.origin() + "/" + repository.name() + ".git");
    REQUIRE(remote);
    const git::RepositoryCache cache(folder.path());
    const auto snapshot = cache.fetch(*remote, *git::resolve({.branch = "main"}, remote->refs()));
    REQUIRE(snapshot);
    return source_controller::ignore_rules(*snapshot, spec_ignore, {});
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "without any pattern the default exclusions hold") {
  const auto found = rules({{"a", "1"}, {".sourceignore", "# a comment\n\n"}}, "\n  \n# another\n");
  REQUIRE(found);
  for (const char* path :
       {".gitignore", "x/.gitmodules", ".gitattributes", "a.jpg", "x/b.jpeg", "c.gif", "d.png", "e.wmv", "f.flv",
        "g.tar.gz", "h.zip", ".github/w.yaml", "x/.github/w.yaml", ".circleci/c", ".travis.yml", ".gitlab-ci.yml",
        "appveyor.yml", ".drone.yml", "cloudbuild.yaml", "codeship-services.yml", "codeship-steps.yml",
        ".goreleaser.yml", "x/y/.sops.yaml", ".flux.yaml"}) {
    CAPTURE(path);
    CHECK(found->ignores(path, false));
  }
  for (const char* path : {"a.yaml", ".sourceignore", "github/x", "a.tar", "kustomization.yaml"}) {
    CAPTURE(path);
    CHECK_FALSE(found->ignores(path, false));
  }
}

TEST_CASE_METHOD(Fixture, "one pattern anywhere takes the place of the defaults, but not of Git's own files") {
  const auto from_spec = rules({{"a", "1"}}, "/secret\n");
  REQUIRE(from_spec);
  CHECK(from_spec->ignores("secret", false));
  CHECK_FALSE(from_spec->ignores("logo.png", false));
  CHECK(from_spec->ignores(".gitignore", false));
  const auto from_file = rules({{"deep/down/.sourceignore", "*.md\n"}});
  REQUIRE(from_file);
  CHECK(from_file->ignores("deep/down/x.md", false));
  CHECK_FALSE(from_file->ignores("x.md", false));
  CHECK_FALSE(from_file->ignores("logo.png", false));
}

TEST_CASE_METHOD(Fixture, "a file deeper in the tree beats one above it, and the spec beats both") {
  const std::vector<FileChange> files{
      {".sourceignore", "*.txt\n"}, {"z/.sourceignore", "!keep.txt\n"}, {"z/a/.sourceignore", "keep.txt\n"}};
  const auto found = rules(files);
  REQUIRE(found);
  CHECK(found->ignores("keep.txt", false));
  CHECK_FALSE(found->ignores("z/keep.txt", false));
  CHECK(found->ignores("z/a/keep.txt", false));
  const auto with_spec = rules(files, "!keep.txt\n");
  REQUIRE(with_spec);
  CHECK_FALSE(with_spec->ignores("keep.txt", false));
  CHECK_FALSE(with_spec->ignores("z/a/keep.txt", false));
}

TEST_CASE_METHOD(Fixture, "a file that is only named alike is no list of patterns") {
  const auto found = rules({{"my.sourceignore", "*\n"}, {"x/not.sourceignore", "*\n"}});
  REQUIRE(found);
  CHECK_FALSE(found->ignores("a", false));
  CHECK(found->ignores("a.png", false));
}

TEST_CASE_METHOD(Fixture, "lists without end are refused, naming the file", "[hostile]") {
  const auto large = rules({{"x/.sourceignore", std::string(2U << 20U, '#')}});
  REQUIRE_FALSE(large);
  CHECK(large.error().kind == ErrorKind::too_large);
  CHECK(large.error().message.find("x/.sourceignore") != std::string::npos);
  // One blob of half a mebibyte, named by many folders: a small repository, no small text.
  std::vector<FileChange> bomb;
  for (int i = 0; i < 10; ++i) bomb.push_back({"f" + std::to_string(i) + "/.sourceignore", std::string(1U << 19U, '#')});
  bomb.push_back({"x/.sourceignore", ""});
  const auto all = rules(bomb);
  REQUIRE_FALSE(all);
  CHECK(all.error().kind == ErrorKind::too_large);
  std::string many;
  for (int i = 0; i < 20'000; ++i) many += "a\n";
  const auto too_many = rules({{"x/.sourceignore", many}});
  REQUIRE_FALSE(too_many);
  CHECK(too_many.error().kind == ErrorKind::too_large);
}
