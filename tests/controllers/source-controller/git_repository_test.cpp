#include "harness.hpp"

using namespace sluice;
using namespace sluice::test;
using namespace std::chrono_literals;
using Json = doc::Json;
namespace fs = std::filesystem;

TEST_CASE("a branch becomes an artifact, and everything that the contract promises is in the status") {
  SourceHarness h;
  Upstream up;
  const auto oid = up.repository.commit("main", {{"apps/a.yaml", "kind: A\n"}}, "Add a\n\nbody");
  h.put(up.url());
  h.start();
  h.until_ready();
  h.check_sane();
  CHECK(h.object()["metadata"]["finalizers"] == Json{"finalizers.fluxcd.io"});
  const auto artifact = h.artifact();
  REQUIRE(artifact);
  CHECK(artifact->revision == "main@sha1:" + oid);
  CHECK(artifact->path == "gitrepository/flux-system/app/" + oid + ".tar.gz");
  CHECK(artifact->url == "http://sc.flux-system.svc.cluster.local./" + artifact->path);
  CHECK(h.files() == archive::Files{{"apps/a.yaml", "kind: A\n"}});
  const auto conditions = h.conditions();
  CHECK(conditions.reason("Ready") == "Succeeded");
  CHECK(conditions.message("Ready") == "stored artifact for revision 'main@sha1:" + oid + "'");
  CHECK(conditions.is_true("ArtifactInStorage"));
  CHECK(conditions.reason("ArtifactInStorage") == "Succeeded");
  CHECK(conditions.items().size() == 2);
  REQUIRE(h.events.count("NewArtifact") == 1);
  const auto& event = h.events.records.front();
  CHECK(event.message == "stored artifact for commit 'Add a'");
  CHECK(event.severity == controller::Severity::info);
  CHECK(event.annotations.at("source.toolkit.fluxcd.io/revision") == artifact->revision);
  CHECK(event.annotations.at("source.toolkit.fluxcd.io/digest") == artifact->digest);
}

TEST_CASE("while the branch stands still nothing is fetched, written or said; a request is answered") {
  SourceHarness h;
  Upstream up;
  up.repository.commit("main", {{"a", "1"}});
  h.put(up.url());
  h.start();
  h.until_ready();
  const auto before = h.artifact();
  h.request();
  h.check_sane();
  CHECK(h.artifact() == before);
  CHECK(up.packs() == 1);
  CHECK(up.listings() == 2);
  CHECK(h.events.records.size() == 1);
}

TEST_CASE("a new commit becomes a new artifact, the one before stays for those who still read it") {
  SourceHarness h;
  Upstream up;
  up.repository.commit("main", {{"a", "1"}});
  h.put(up.url());
  h.start();
  h.until_ready();
  const auto first = h.artifact();
  const auto second = up.repository.commit("main", {{"a", "2"}});
  h.request();
  h.until_ready();
  h.check_sane();
  CHECK(h.artifact()->revision == "main@sha1:" + second);
  CHECK(h.files() == archive::Files{{"a", "2"}});
  CHECK(fs::exists(h.storage.path() / first->path));
  CHECK(h.events.count("NewArtifact") == 2);
  const auto third = up.repository.commit("main", {{"a", "3"}});
  h.request();
  h.until_ready();
  h.request();  // collects: two are kept
  CHECK(h.artifact()->revision == "main@sha1:" + third);
  CHECK_FALSE(fs::exists(h.storage.path() / first->path));
  CHECK(fs::exists(h.storage.path() / h.artifact()->path));
}

TEST_CASE("the interval alone finds a new commit") {
  SourceHarness h;
  Upstream up;
  up.repository.commit("main", {{"a", "1"}});
  h.put(up.url(), Json{{"interval", "100ms"}});
  h.start();
  h.until_ready();
  const auto second = up.repository.commit("main", {{"a", "2"}});
  h.until([&] { return h.artifact()->revision == "main@sha1:" + second; });
}

TEST_CASE("who asks is not told what another has seen a moment before") {
  SourceHarness h;
  Upstream up;
  up.repository.commit("main", {{"a", "1"}});
  h.put(up.url());
  h.put(up.url(), Json::object(), "other");
  h.start();
  h.until_ready();
  h.until_ready("other");
  h.request();
  h.request("other");  // by now the references are kept for whoever shares them
  const auto second = up.repository.commit("main", {{"a", "2"}});
  h.request();
  CHECK(h.artifact()->revision == "main@sha1:" + second);
}

TEST_CASE("every kind of reference finds its commit and has its revision") {
  SourceHarness h;
  Upstream up;
  const auto first = up.repository.commit("main", {{"a", "1"}});
  up.repository.git({"tag", "v1.0.0", first});
  const auto second = up.repository.commit("main", {{"a", "2"}});
  up.repository.annotated_tag("v1.1.0", second);
  up.repository.git({"tag", "v2.0.0-rc.1", second});
  const auto third = up.repository.commit("main", {{"a", "3"}});
  up.repository.git({"update-ref", "refs/pull/420/head", first});
  struct Case {
    Json ref;
    std::string revision;
    std::string content;
  };
  const std::vector<Case> cases = {{{{"branch", "main"}}, "main@sha1:" + third, "3"},
                                   {{{"tag", "v1.0.0"}}, "v1.0.0@sha1:" + first, "1"},
                                   {{{"tag", "v1.1.0"}}, "v1.1.0@sha1:" + second, "2"},
                                   {{{"semver", ">=1.0.0 <2.0.0"}}, "v1.1.0@sha1:" + second, "2"},
                                   {{{"semver", ">=1.0.0-0"}}, "v2.0.0-rc.1@sha1:" + second, "2"},
                                   {{{"name", "refs/pull/420/head"}}, "refs/pull/420/head@sha1:" + first, "1"},
                                   {{{"commit", first}}, "sha1:" + first, "1"},
                                   {{{"branch", "main"}, {"commit", second}}, "main@sha1:" + second, "2"}};
  h.put(up.url());
  h.start();
  for (const auto& item : cases) {
    CAPTURE(item.ref.dump());
    h.edit([&](Json& o) { o["spec"]["ref"] = item.ref; });
    h.until([&] { return h.is_settled("app") && h.artifact() && h.artifact()->revision == item.revision; });
    h.check_sane();
    CHECK(h.files() == archive::Files{{"a", item.content}});
  }
}

TEST_CASE("the same tree gives the same digest, whoever asks and from wherever it was cloned") {
  SourceHarness h;
  Upstream one;
  Upstream two;
  const std::vector<FileChange> files{{"b/x.sh", "#!/bin/sh\n", "100755"}, {"a", "1"}, {"b/y", "2"}};
  one.repository.commit("main", files, "one");
  two.repository.commit("main", {{"zzz", "will go"}}, "first");
  auto changes = files;
  changes.push_back({"zzz", "", ""});
  two.repository.commit("main", changes, "second");
  h.put(one.url(), Json::object(), "one");
  h.put(two.url(), Json::object(), "two");
  h.start();
  h.until_ready("one");
  h.until_ready("two");
  CHECK(h.artifact("one")->digest == h.artifact("two")->digest);
  CHECK(h.artifact("one")->revision != h.artifact("two")->revision);
}

TEST_CASE("a change of spec.ignore makes a new artifact of the same commit, and a pattern replaces the defaults") {
  SourceHarness h;
  Upstream up;
  up.repository.commit("main", {{"a.yaml", "1"}, {"logo.png", "2"}, {".github/ci.yaml", "3"}, {".gitignore", "4"}});
  h.put(up.url());
  h.start();
  h.until_ready();
  CHECK(h.files() == archive::Files{{"a.yaml", "1"}});
  CHECK_FALSE(h.object()["status"].contains("observedIgnore"));
  const auto first = h.artifact();
  h.edit([](Json& o) { o["spec"]["ignore"] = "a.yaml\n"; });
  h.until([&] { return h.is_settled("app") && h.artifact()->digest != first->digest; });
  CHECK(h.files() == archive::Files{{"logo.png", "2"}, {".github/ci.yaml", "3"}});
  CHECK(h.object()["status"]["observedIgnore"] == "a.yaml\n");
  CHECK(h.artifact()->revision == first->revision);
  CHECK(up.packs() == 1);  // the commit was here
  h.edit([](Json& o) { o["spec"].erase("ignore"); });
  h.until([&] { return h.is_settled("app") && h.artifact()->digest == first->digest; });
  CHECK_FALSE(h.object()["status"].contains("observedIgnore"));
  h.check_sane();
}

TEST_CASE("basic and bearer credentials come from the Secret") {
  TempDir root;
  BareRepository repository(root.path(), "r");
  repository.commit("main", {{"a", "1"}});
  const bool bearer = GENERATE(false, true);
  const GitHttpServer server(root.path(), bearer ? std::vector<std::string>{"--bearer", "t0ken"}
                                                 : std::vector<std::string>{"--user", "ann", "--password", "s3cret"});
  SourceHarness h;
  h.put_secret(bearer ? std::map<std::string, std::string>{{"bearerToken", "t0ken"}}
                      : std::map<std::string, std::string>{{"username", "ann"}, {"password", "s3cret\n"}});
  h.put(server.origin() + "/r.git", Json{{"secretRef", {{"name", "login"}}}});
  h.start();
  h.until_ready();
  CHECK(h.files() == archive::Files{{"a", "1"}});
}

TEST_CASE("a certificate of one's own authority is trusted for the repository that names it, and for no other") {
  TempDir root;
  BareRepository repository(root.path(), "r");
  repository.commit("main", {{"a", "1"}});
  const Certificate certificate(root, "git");
  const GitHttpServer server(root.path(), {"--cert", certificate.cert.string(), "--key", certificate.key.string()});
  SourceHarness h;
  h.put_secret({{"ca.crt", read_file(certificate.cert)}});
  h.put(server.origin() + "/r.git", Json{{"secretRef", {{"name", "login"}}}});
  h.put(server.origin() + "/r.git", Json::object(), "trusting-nobody");
  h.start();
  h.until_ready();
  h.until_failed("GitOperationFailed", "trusting-nobody");
  CHECK(h.message("trusting-nobody").find("certificate") != std::string::npos);
}

TEST_CASE("a restart with the storage in place changes nothing, and one without it builds the same again") {
  SourceHarness h;
  Upstream up;
  up.repository.commit("main", {{"a", "1"}});
  h.put(up.url());
  h.start();
  h.until_ready();
  const auto before = h.artifact();
  h.stop();
  SECTION("in place") {
    h.start();
    h.request();
    CHECK(h.artifact() == before);
    CHECK(up.packs() == 1);
    CHECK(h.events.records.size() == 1);
  }
  SECTION("gone") {
    for (const auto& entry : fs::directory_iterator(h.storage.path())) fs::remove_all(entry.path());
    h.start();
    h.request();
    h.until_ready();
    CHECK(h.artifact()->digest == before->digest);
    CHECK(h.files() == archive::Files{{"a", "1"}});
    CHECK(h.events.count("NewArtifact") == 1);  // it is not new: upstream says nothing either
  }
  SECTION("damaged") {
    write_file(h.storage.path() / before->path, "rubbish");
    h.start();
    h.request();
    h.until_ready();
    CHECK(h.artifact()->digest == before->digest);
    CHECK(h.files() == archive::Files{{"a", "1"}});
    CHECK(h.events.count("ArtifactVerificationFailed") == 1);
  }
  SECTION("served under another name") {
    h.store_options.advertised_address = "elsewhere:80";
    h.start();
    h.request();
    CHECK(h.artifact()->url == "http://elsewhere:80/" + before->path);
    CHECK(h.artifact()->digest == before->digest);
  }
  h.check_sane();
}

TEST_CASE("deleting a repository removes its artifacts and lets it go, even if it is suspended") {
  SourceHarness h;
  Upstream up;
  up.repository.commit("main", {{"a", "1"}});
  h.put(up.url());
  h.put(up.url(), Json::object(), "other");
  h.start();
  h.until_ready();
  h.until_ready("other");
  const bool suspended = GENERATE(false, true);
  h.edit([&](Json& o) { o["spec"]["suspend"] = suspended; });
  h.settle();
  h.kube->erase(kRepositories, key_of("app"));
  h.until([&] { return h.object().is_null(); });
  CHECK_FALSE(fs::exists(h.storage.path() / "gitrepository/flux-system/app"));
  CHECK(fs::exists(h.storage.path() / h.artifact("other")->path));
}

TEST_CASE("a suspended repository is left alone until it is resumed") {
  SourceHarness h;
  Upstream up;
  up.repository.commit("main", {{"a", "1"}});
  h.put(up.url());
  h.start();
  h.until_ready();
  const auto before = h.artifact();
  h.edit([](Json& o) { o["spec"]["suspend"] = true; });
  const auto second = up.repository.commit("main", {{"a", "2"}});
  h.edit([](Json& o) { o["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"] = "now"; });
  h.settle(100ms);
  CHECK(h.artifact() == before);
  h.edit([](Json& o) { o["spec"]["suspend"] = false; });
  h.until([&] { return h.artifact()->revision == "main@sha1:" + second; });
}

TEST_CASE("a field that is not honoured yet stalls the object and keeps its artifact") {
  SourceHarness h;
  Upstream up;
  up.repository.commit("main", {{"a", "1"}});
  h.put(up.url());
  h.start();
  h.until_ready();
  const auto before = h.artifact();
  h.edit([](Json& o) { o["spec"]["recurseSubmodules"] = true; });
  h.until([&] { return h.conditions().is_true("Stalled"); });
  h.check_sane();
  CHECK(h.conditions().reason("Stalled") == "UnsupportedField");
  CHECK(h.message().find("spec.recurseSubmodules") != std::string::npos);
  CHECK(h.artifact() == before);
  h.edit([](Json& o) { o["spec"].erase("recurseSubmodules"); });
  h.until_ready();
}

TEST_CASE("links are left out, executables stay executable, and a submodule is an empty folder") {
  SourceHarness h;
  Upstream up;
  const auto oid = up.repository.commit("main", {{"run.sh", "#!/bin/sh\n", "100755"},
                                                 {"link", "run.sh", "120000"},
                                                 {"escape", "../../etc/passwd", "120000"},
                                                 {"sub", std::string(40, '1'), "160000"},
                                                 {"dir/file", "x"}});
  h.put(up.url());
  h.start();
  h.until_ready();
  CHECK(h.files() == archive::Files{{"run.sh", "#!/bin/sh\n"}, {"dir/file", "x"}});
  const auto listing = test::run({"tar", "-tvzf", (h.storage.path() / h.artifact()->path).string()});
  CHECK(listing.find("-rwx------ 0/0") != std::string::npos);
  CHECK(listing.find(" sub/") != std::string::npos);
  CHECK(listing.find("drwxr-x---") != std::string::npos);
  CHECK(listing.find("1970-01-01") != std::string::npos);
  CHECK(listing.find("link") == std::string::npos);
  CHECK(h.artifact()->revision == "main@sha1:" + oid);
}

TEST_CASE("what is in no artifact is named by an event, but for what a rule leaves out") {
  SourceHarness h;
  Upstream up;
  std::vector<FileChange> files{{"a", "1"}, {"hidden", "a", "120000"}, {"sub", std::string(40, '1'), "160000"}};
  for (int i = 0; i < 7; ++i) files.push_back({"link" + std::to_string(i), "a", "120000"});
  up.repository.commit("main", files);
  h.put(up.url(), Json{{"ignore", "hidden\n"}});
  h.start();
  h.until_ready();
  REQUIRE(h.events.count("ArtifactIncomplete") == 1);
  const std::string& said = h.events.records.back().message;
  CHECK(said.starts_with("not in the artifact: 7 symbolic links, as artifacts hold none ('link0', 'link1', "));
  CHECK(said.find("'link4', ...)") != std::string::npos);
  CHECK(said.find("1 submodule, ") != std::string::npos);
  CHECK(said.find("'sub'") != std::string::npos);
  CHECK(said.find("hidden") == std::string::npos);
}

TEST_CASE("a commit that is here from another branch is not taken for one of this branch") {
  SourceHarness h;
  Upstream up;
  up.repository.commit("main", {{"a", "1"}});
  const auto elsewhere = up.repository.commit("side", {{"a", "side"}});
  h.put(up.url(), Json{{"ref", {{"branch", "side"}}}});
  h.start();
  h.until_ready();
  const auto before = h.artifact();
  h.edit([&](Json& o) { o["spec"]["ref"] = {{"branch", "main"}, {"commit", elsewhere}}; });
  h.until_failed("GitOperationFailed");
  CHECK(h.message().find("was not found in 'refs/heads/main'") != std::string::npos);
  CHECK(h.artifact() == before);
}

TEST_CASE("a status that somebody has broken is written anew") {
  SourceHarness h;
  Upstream up;
  up.repository.commit("main", {{"a", "1"}});
  h.put(up.url());
  h.start();
  h.until_ready();
  h.edit([](Json& o) {
    o["status"]["artifact"] = "broken";
    o["status"]["observedIgnore"] = 7;
    o["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"] = "now";
  });
  h.until([&] { return h.object()["status"]["artifact"].is_object() && h.is_settled("app"); });
  h.check_sane();
  CHECK(h.files() == archive::Files{{"a", "1"}});
  CHECK_FALSE(h.object()["status"].contains("observedIgnore"));
}
