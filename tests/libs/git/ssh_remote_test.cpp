// SSH against OpenSSH's own server.
#include <catch2/catch.hpp>

#include "shared_server.hpp"

using namespace sluice;
using namespace sluice::test;
using Files = std::map<std::string, std::string>;

namespace {

struct Ssh {
  TempDir folder;
  BareRepository repository{folder.path(), "it's app"};
  std::string commit = repository.commit("main", {{"a", "1"}});
  SshKey host{folder, "host_ed25519", "ed25519"};
  SshKey other_host{folder, "host_ecdsa", "ecdsa"};
  SshKey user{folder, "user", "ed25519"};
  SshKey locked_user{folder, "locked", "ecdsa", "open sesame"};
  SshKey rsa_user{folder, "rsa", "rsa"};
  SshKey stranger{folder, "stranger", "ed25519"};
  SshServer server{{host, other_host}, {user, locked_user, rsa_user}};

  std::string url() const { return server.origin() + folder.path().string() + "/it%27s%20app.git"; }
  std::string known(const SshKey& key) const { return server.known_hosts_name() + " " + key.base64() + "\n"; }
  git::SshAuth auth(const SshKey& key) const {
    return {.username = endpoint(url()).user,
            .private_key = key.private_key(),
            .passphrase = {},
            .known_hosts = known(host)};
  }
};

// Null, loudly, where there is no sshd to test against.
Ssh* ssh() {
  if (!SshServer::available()) {
    WARN("SKIPPED: /usr/sbin/sshd is not installed");
    return nullptr;
  }
  static Ssh instance;
  return &instance;
}

}  // namespace

TEST_CASE("a repository is listed and fetched over SSH", "[git][ssh]") {
  if (!ssh()) return;
  auto remote = connect(ssh()->url(), ssh()->auth(ssh()->user));
  REQUIRE(remote);
  CHECK(remote->refs().find("refs/heads/main")->oid == ssh()->commit);
  TempDir folder;
  const git::RepositoryCache cache(folder.path());
  const auto snapshot = cache.fetch(*remote, *git::resolve({.branch = "main"}, remote->refs()));
  REQUIRE(snapshot);
  CHECK(files_of(*snapshot) == Files{{"a", "1"}});
}

TEST_CASE("RSA keys work, and keys with a passphrase", "[git][ssh]") {
  if (!ssh()) return;
  CHECK(connect(ssh()->url(), ssh()->auth(ssh()->rsa_user)));
  auto locked = ssh()->auth(ssh()->locked_user);
  locked.passphrase = "open sesame";
  CHECK(connect(ssh()->url(), locked));
}

TEST_CASE("a wrong or missing passphrase is invalid, and not quoted", "[git][ssh]") {
  if (!ssh()) return;
  for (const char* passphrase : {"", "wr0ng"}) {
    auto locked = ssh()->auth(ssh()->locked_user);
    locked.passphrase = passphrase;
    const auto remote = connect(ssh()->url(), locked);
    REQUIRE_FALSE(remote);
    CHECK(remote.error().kind == base::ErrorKind::invalid);
    CHECK(remote.error().message.find("password") != std::string::npos);
    CHECK(remote.error().message.find("wr0ng") == std::string::npos);
  }
}

TEST_CASE("a key that the server does not know is unauthorized", "[git][ssh]") {
  if (!ssh()) return;
  const auto remote = connect(ssh()->url(), ssh()->auth(ssh()->stranger));
  REQUIRE_FALSE(remote);
  CHECK(remote.error().kind == base::ErrorKind::unauthorized);
  CHECK(remote.error().message.find(ssh()->server.known_hosts_name().substr(1, 9)) != std::string::npos);
}

TEST_CASE("text that is no key is invalid", "[git][ssh]") {
  if (!ssh()) return;
  auto auth = ssh()->auth(ssh()->user);
  auth.private_key = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
  const auto remote = connect(ssh()->url(), auth);
  REQUIRE_FALSE(remote);
  CHECK(remote.error().kind == base::ErrorKind::invalid);
  CHECK(remote.error().message.find("AAAA") == std::string::npos);
}

TEST_CASE("any of the server's host keys may be the known one", "[git][ssh]") {
  if (!ssh()) return;
  auto auth = ssh()->auth(ssh()->user);
  auth.known_hosts = ssh()->known(ssh()->other_host);  // ECDSA, which the server would not show by itself
  CHECK(connect(ssh()->url(), auth));
}

TEST_CASE("a host that known_hosts lacks is refused before the key is shown", "[git][ssh]") {
  if (!ssh()) return;
  auto auth = ssh()->auth(ssh()->user);
  auth.known_hosts = "example.com " + ssh()->host.base64() + "\n";
  const auto remote = connect(ssh()->url(), auth);
  REQUIRE_FALSE(remote);
  CHECK(remote.error().kind == base::ErrorKind::untrusted);
}

TEST_CASE("a changed host key is refused", "[git][ssh]") {
  if (!ssh()) return;
  auto auth = ssh()->auth(ssh()->user);
  auth.known_hosts = ssh()->known(ssh()->stranger);
  const auto same_type = connect(ssh()->url(), auth);
  REQUIRE_FALSE(same_type);
  CHECK(same_type.error().kind == base::ErrorKind::untrusted);
  CHECK(same_type.error().message.find("changed") != std::string::npos);
  auth.known_hosts = ssh()->known(ssh()->rsa_user);  // of a type that the server has none of
  const auto other_type = connect(ssh()->url(), auth);
  REQUIRE_FALSE(other_type);
  CHECK(other_type.error().kind == base::ErrorKind::untrusted);
}

TEST_CASE("a repository that is not on the SSH server is not found", "[git][ssh]") {
  if (!ssh()) return;
  const auto remote = connect(ssh()->server.origin() + "/nowhere/app.git", ssh()->auth(ssh()->user));
  REQUIRE_FALSE(remote);
  CHECK(remote.error().kind == base::ErrorKind::not_found);
}

TEST_CASE("a commit that nothing points to is found through its branch over SSH", "[git][ssh]") {
  if (!ssh()) return;
  BareRepository repository(ssh()->folder.path(), "history");
  const auto first = repository.commit("main", {{"a", "1"}});
  repository.commit("main", {{"a", "2"}});
  auto remote =
      connect(ssh()->server.origin() + ssh()->folder.path().string() + "/history.git", ssh()->auth(ssh()->user));
  REQUIRE(remote);
  TempDir folder;
  const git::RepositoryCache cache(folder.path());
  const auto snapshot = cache.fetch(*remote, *git::resolve({.branch = "main", .commit = first}, remote->refs()));
  if (!snapshot) FAIL(snapshot.error().message);
  CHECK(files_of(*snapshot) == Files{{"a", "1"}});
}

TEST_CASE("a stop request ends an SSH handshake", "[git][ssh]") {
  // A server that accepts and stays silent.
  if (!ssh()) return;
  std::stop_source source;
  source.request_stop();
  const auto remote = connect(ssh()->url(), ssh()->auth(ssh()->user), kTimeout, source.get_token());
  REQUIRE_FALSE(remote);
  CHECK(remote.error().kind == base::ErrorKind::cancelled);
}
