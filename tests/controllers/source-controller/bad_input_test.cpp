// Each of these ends in Ready=False with the contract's reason and a message
// that names the cause, keeps the artifact that is served, is tried again, and
// heals by itself.
#include "harness.hpp"

using namespace sluice;
using namespace sluice::test;
using namespace std::chrono_literals;
using Json = doc::Json;
namespace fs = std::filesystem;

namespace {

const archive::Files kFirst{{"a", "1"}};

// A repository that was Ready once, with one file.
struct Served : SourceHarness {
  Served() {
    oid = up.repository.commit("main", {{"a", "1"}});
    put(up.url());
    start();
    until_ready();
    before = artifact();
  }
  // What every failure must leave as it was; the object is retried.
  void check_failed(const std::string& reason, const std::string& part_of_message) {
    until_failed(reason);
    check_sane(false);
    CAPTURE(message());
    CHECK(message().find(part_of_message) != std::string::npos);
    CHECK(conditions().is_true("FetchFailed"));
    CHECK(conditions().reason("FetchFailed") == reason);
    CHECK(conditions().is_true("Reconciling"));
    CHECK(conditions().reason("Reconciling") == "ProgressingWithRetry");
    CHECK_FALSE(conditions().has("Stalled"));
    CHECK(artifact() == before);
    CHECK(files() == kFirst);
    const auto failures = events.count(reason);
    CHECK(failures >= 1);
    until([&] { return events.count(reason) > failures; });
  }
  void check_heals() {
    until_ready();
    check_sane();
    CHECK(artifact()->revision == before->revision);
    CHECK(events.count("Succeeded") == 1);  // recovered, and says so once
    CHECK_FALSE(conditions().has("FetchFailed"));
  }
  void set_url(const std::string& url) {
    edit([&](Json& o) { o["spec"]["url"] = url; });
  }

  Upstream up;
  std::string oid;
  std::optional<api::Artifact> before;
};

}  // namespace

TEST_CASE_METHOD(Served, "a repository that cannot be reached") {
  set_url("http://127.0.0.1:1/nobody.git");
  check_failed("GitOperationFailed", "http://127.0.0.1:1/nobody.git");
  set_url(up.url());
  check_heals();
}

TEST_CASE_METHOD(Served, "a host name that nobody knows") {
  set_url("http://no-such-host.invalid/r.git");
  check_failed("GitOperationFailed", "no-such-host.invalid");
  set_url(up.url());
  check_heals();
}

TEST_CASE_METHOD(Served, "a repository that does not exist") {
  set_url(shared().http.origin() + "/none.git");
  check_failed("GitOperationFailed", "none.git");
}

TEST_CASE_METHOD(Served, "a server in trouble, or that asks to slow down, is left alone for as long as it says") {
  const std::string status = GENERATE("503", "429");
  set_url(up.url("/status/" + status));
  until_failed("GitOperationFailed");
  check_sane(false);
  CHECK(message().find(status) != std::string::npos);
  settle(300ms);
  CHECK(events.count("GitOperationFailed") == 1);  // it said 7 seconds
  CHECK(artifact() == before);
  set_url(up.url());  // whoever edits need not wait
  check_heals();
}

TEST_CASE_METHOD(Served, "a server that accepts and never answers") {
  edit([&](Json& o) {
    o["spec"]["url"] = shared().http.origin() + "/stall-refs/" + up.repository.name() + ".git";
    o["spec"]["timeout"] = "200ms";
  });
  check_failed("GitOperationFailed", "timeout");
}

TEST_CASE_METHOD(Served, "a pack that never comes, and one that is cut off") {
  up.repository.commit("main", {{"a", "2"}});
  const std::string fault = GENERATE("/stall", "/truncate");
  edit([&](Json& o) {
    o["spec"]["url"] = up.url(fault);
    o["spec"]["timeout"] = "300ms";
  });
  check_failed("GitOperationFailed", "fetching from");
  set_url(up.url());
  until_ready();
  CHECK(files() == archive::Files{{"a", "2"}});
}

TEST_CASE_METHOD(Served, "a reference that is missing, until it is there") {
  edit([](Json& o) { o["spec"]["ref"] = {{"tag", "v1.0.0"}}; });
  check_failed("GitOperationFailed", "tag 'v1.0.0' not found");
  up.repository.git({"tag", "v1.0.0", oid});
  until_ready();
  CHECK(artifact()->revision == "v1.0.0@sha1:" + oid);
}

TEST_CASE_METHOD(Served, "a range that no tag satisfies, and one that is none") {
  edit([](Json& o) { o["spec"]["ref"] = {{"semver", ">=9.0.0"}}; });
  check_failed("GitOperationFailed", "no tag matches semver range '>=9.0.0'");
  edit([](Json& o) { o["spec"]["ref"] = {{"semver", "not a range"}}; });
  until([&] { return message().find("'not a range'") != std::string::npos; });
  CHECK(artifact() == before);
}

TEST_CASE_METHOD(Served, "a commit that is not in the repository") {
  edit([](Json& o) { o["spec"]["ref"] = {{"commit", std::string(40, 'a')}}; });
  check_failed("GitOperationFailed", std::string(40, 'a'));
}

TEST_CASE_METHOD(Served, "an empty repository, until somebody pushes") {
  BareRepository empty = shared().repository();
  set_url(shared().http.origin() + "/" + empty.name() + ".git");
  check_failed("EmptyGitRepository", "git repository is empty");
  const auto pushed = empty.commit("main", {{"a", "9"}});
  until_ready();
  CHECK(artifact()->revision == "main@sha1:" + pushed);
}

TEST_CASE_METHOD(Served, "history that was rewritten is a new revision like any other") {
  const auto rewritten = up.repository.force("main", {{"b", "other"}});
  request();
  until_ready();
  check_sane();
  CHECK(artifact()->revision == "main@sha1:" + rewritten);
  CHECK(files() == archive::Files{{"b", "other"}});
  up.repository.git({"update-ref", "refs/heads/main", oid});  // and back
  request();
  until_ready();
  CHECK(files() == kFirst);
  CHECK(artifact()->digest == before->digest);
}

TEST_CASE_METHOD(Served, "credentials that the server refuses, until they are right") {
  TempDir root;
  BareRepository repository(root.path(), "r");
  const auto pushed = repository.commit("main", {{"a", "private"}});
  const GitHttpServer server(root.path(), {"--user", "ann", "--password", "s3cret"});
  put_secret({{"username", "ann"}, {"password", "wr0ng"}});
  edit([&](Json& o) {
    o["spec"]["url"] = server.origin() + "/r.git";
    o["spec"]["secretRef"]["name"] = "login";
  });
  check_failed("AuthenticationFailed", "401");
  CHECK(kube->object(kRepositories, key_of("app")).dump().find("wr0ng") == std::string::npos);
  for (const auto& event : events.records) CHECK(event.message.find("wr0ng") == std::string::npos);
  put_secret({{"username", "ann"}, {"password", "s3cret"}});
  until_ready();
  CHECK(artifact()->revision == "main@sha1:" + pushed);
}

TEST_CASE_METHOD(Served, "a Secret that is missing, incomplete or for something else") {
  edit([&](Json& o) { o["spec"]["secretRef"]["name"] = "login"; });
  check_failed("AuthenticationFailed", "failed to get secret 'flux-system/login'");
  put_secret({{"password", "without a name"}});
  until([&] { return message().find("'password' requires 'username'") != std::string::npos; });
  CHECK(conditions().reason("Ready") == "AuthenticationFailed");
  CHECK(message().find("without a name") == std::string::npos);
  put_secret({{"githubAppID", "1"}});
  until_failed("InvalidProviderConfiguration");
  CHECK(artifact() == before);
  put_secret({{"username", "ann"}, {"password", "x"}});
  until_ready();
}

TEST_CASE_METHOD(Served, "an authority that is not trusted, and a certificate for somebody else") {
  TempDir root;
  BareRepository repository(root.path(), "r");
  repository.commit("main", {{"a", "1"}});
  const Certificate right(root, "right");
  const Certificate wrong(root, "wrong");
  const GitHttpServer server(root.path(), {"--cert", right.cert.string(), "--key", right.key.string()});
  put_secret({{"ca.crt", read_file(wrong.cert)}});
  edit([&](Json& o) {
    o["spec"]["url"] = server.origin() + "/r.git";
    o["spec"]["secretRef"]["name"] = "login";
  });
  check_failed("GitOperationFailed", "certificate");
  put_secret({{"ca.crt", read_file(right.cert)}});
  until_ready();
}

TEST_CASE_METHOD(Served, "a malformed URL, or a scheme that is not offered, stalls until it is edited") {
  const std::string url = GENERATE("https://", "file:///etc", "git@example.com:a/b.git", "http://[::1/x");
  set_url(url);
  until([&] { return conditions().is_true("Stalled"); });
  check_sane();
  CHECK(conditions().reason("Stalled") == "URLInvalid");
  CHECK(conditions().reason("Ready") == "URLInvalid");
  CHECK(conditions().is_true("FetchFailed"));
  CHECK(message().starts_with("failed to parse url '"));
  CHECK(artifact() == before);
  const auto said = events.records.size();
  settle();
  CHECK(events.records.size() == said);  // not tried again
  set_url(up.url());
  until_ready();
}

TEST_CASE("a host key that has changed is not trusted, until known_hosts says so") {
  if (!SshServer::available()) {
    WARN("SKIPPED: /usr/sbin/sshd is not installed");
    return;
  }
  TempDir root;
  BareRepository repository(root.path(), "r");
  const auto oid = repository.commit("main", {{"a", "1"}});
  const SshKey host(root, "host", "ed25519");
  const SshKey before(root, "before", "ed25519");
  const SshKey user(root, "user", "ed25519");
  const SshKey stranger(root, "stranger", "ed25519");
  const SshServer server({host}, {user});
  const auto known = [&](const SshKey& key) { return server.known_hosts_name() + " " + key.base64() + "\n"; };
  SourceHarness h;
  h.put_secret({{"identity", user.private_key()}, {"known_hosts", known(before)}});
  h.put(server.origin() + root.path().string() + "/r.git", Json{{"secretRef", {{"name", "login"}}}});
  h.start();
  h.until_failed("GitOperationFailed");
  CHECK(h.message().find("host key") != std::string::npos);
  h.put_secret({{"identity", stranger.private_key()}, {"known_hosts", known(host)}});
  h.until_failed("AuthenticationFailed");
  h.check_sane(false);
  h.put_secret({{"identity", user.private_key()}, {"known_hosts", known(host)}});
  h.until_ready();
  CHECK(h.artifact()->revision == "main@sha1:" + oid);
  CHECK(h.files() == kFirst);
}

TEST_CASE_METHOD(Served, "a disk that refuses is a failure of the storage, and heals") {
  fs::remove_all(storage.path() / "gitrepository");
  write_file(storage.path() / "gitrepository", "a file in the way");
  const auto second = up.repository.commit("main", {{"a", "2"}});
  edit([](Json& o) { o["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"] = "now"; });
  until_failed("DirectoryCreationFailed");
  check_sane(false);
  CHECK(conditions().is_true("StorageOperationFailed"));
  CHECK_FALSE(conditions().has("ArtifactInStorage"));
  fs::remove(storage.path() / "gitrepository");
  until_ready();
  CHECK(artifact()->revision == "main@sha1:" + second);
  CHECK_FALSE(conditions().has("StorageOperationFailed"));
}

TEST_CASE_METHOD(Served, "a local copy that was damaged is fetched anew") {
  for (const auto& file : fs::recursive_directory_iterator(storage.path() / ".git-copies")) {
    if (file.path().extension() == ".pack") fs::resize_file(file.path(), 20);
  }
  up.repository.commit("main", {{"a", "2"}});
  request();
  until_ready();
  CHECK(files() == archive::Files{{"a", "2"}});
}

TEST_CASE_METHOD(Served, "an API server that refuses the status is asked again") {
  kube->fail_next("patch", make_error(base::ErrorKind::unavailable, "503"), 3);
  const auto second = up.repository.commit("main", {{"a", "2"}});
  edit([](Json& o) { o["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"] = "now"; });
  until([&] { return artifact()->revision == "main@sha1:" + second; });
  until_ready();
  check_sane();
}

TEST_CASE_METHOD(Served, "a newer spec cancels waiting on a server that does not answer") {
  edit([&](Json& o) { o["spec"]["url"] = shared().http.origin() + "/stall-refs/" + up.repository.name() + ".git"; });
  settle(100ms);
  const auto began = std::chrono::steady_clock::now();
  set_url(up.url());
  until_ready();
  CHECK(std::chrono::steady_clock::now() - began < 20s);  // spec.timeout is a minute
}

TEST_CASE_METHOD(Served, "one repository that does not answer delays no other") {
  edit([&](Json& o) { o["spec"]["url"] = shared().http.origin() + "/stall-refs/" + up.repository.name() + ".git"; });
  settle(50ms);
  put(up.url(), Json::object(), "other");
  until_ready("other");
  CHECK(files("other") == kFirst);
}

TEST_CASE_METHOD(Served, "killed at any moment, a start makes good, and nothing half-made is left or named") {
  for (int i = 2; i < 12; ++i) {
    const std::string content = std::to_string(i);
    const auto next = up.repository.commit("main", {{"a", content}});
    edit([&](Json& o) { o["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"] = content; });
    settle(std::chrono::milliseconds(i * 7));
    stop();
    // Whatever the status names is whole.
    if (fs::exists(storage.path() / artifact()->path)) CHECK(files().size() == 1);
    start();
    until([&] { return artifact()->revision == "main@sha1:" + next; });
    until_ready();
    CHECK(files() == archive::Files{{"a", content}});
    CHECK(fs::is_empty(storage.path() / ".partial"));
  }
  check_sane();
}
