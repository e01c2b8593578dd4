#include "git/wire/known_hosts.hpp"

#include <catch2/catch.hpp>

using namespace sluice;
using git::wire::KnownHosts;

namespace {

constexpr const char* kKey = "AAAAC3NzaC1lZDI1NTE5AAAAIP33rxbypl9u2RvL3I31U6yxaAOiMxmxJ0QMR12d5iH3";
constexpr const char* kOther = "AAAAC3NzaC1lZDI1NTE5AAAAIIbu8TwnqMmA4/NhebwQOG7DpmvWuhXbA8Ekx2ilLcBh";
// Written by ssh-keygen -H for git.example.com, and for its port 2222.
constexpr const char* kHashed = "|1|3wVJnnVZA24JDzIVZR7yoWcQmzs=|Ib5WSz0tuqsIJTvo4AoOW956Teg=";
constexpr const char* kHashedPort = "|1|rsnPHgzHCDv/CJylXA15TalC+6c=|ZeXbwPvLf3UAanZ9VUI01uX3kYs=";

std::string line(const std::string& hosts, const std::string& key = kKey, const std::string& type = "ssh-ed25519") {
  return hosts + " " + type + " " + key + " a comment\n";
}

base::Result<void> check(const std::string& text, const char* host = "git.example.com", int port = 22,
                         const char* key = kKey) {
  const auto hosts = KnownHosts::parse(text, host, port);
  if (!hosts) return base::unexpected(hosts.error());
  return hosts->check("ssh-ed25519", key);
}

}  // namespace

TEST_CASE("a listed key is trusted under plain, listed, wildcard and hashed names", "[git][known_hosts]") {
  CHECK(check(line("git.example.com")));
  CHECK(check(line("a.example.com,Git.Example.Com,192.0.2.1")));
  CHECK(check(line("*.example.com")));
  CHECK(check(line("gi?.example.c*")));
  CHECK(check(line(kHashed)));
  CHECK(check(line("[git.example.com]:2222"), "git.example.com", 2222));
  CHECK(check(line(kHashedPort), "git.example.com", 2222));
  CHECK(check("# comment\n\n \t\n" + line("other.example.com", kOther) + line("git.example.com")));
}

TEST_CASE("a host that is not listed is refused", "[git][known_hosts]") {
  const auto text = GENERATE(std::string(), line("example.com"), line("*.example.com,!git.example.com"),
                             line("[git.example.com]:2222"), line(kHashedPort));
  const auto checked = check(text);
  INFO(text);
  REQUIRE_FALSE(checked);
  CHECK(checked.error().kind == base::ErrorKind::untrusted);
  CHECK(checked.error().message.find("no key for git.example.com") != std::string::npos);
}

TEST_CASE("a host on another port is another host", "[git][known_hosts]") {
  const auto checked = check(line("git.example.com"), "git.example.com", 2222);
  REQUIRE_FALSE(checked);
  CHECK(checked.error().message.find("[git.example.com]:2222") != std::string::npos);
}

TEST_CASE("a changed host key is refused as such", "[git][known_hosts]") {
  const auto checked = check(line("git.example.com"), "git.example.com", 22, kOther);
  REQUIRE_FALSE(checked);
  CHECK(checked.error().kind == base::ErrorKind::untrusted);
  CHECK(checked.error().message.find("changed") != std::string::npos);
}

TEST_CASE("any one of several keys will do", "[git][known_hosts]") {
  CHECK(check(line("git.example.com", kOther) + line("git.example.com")));
}

TEST_CASE("a revoked key is refused even if another line lists it", "[git][known_hosts]") {
  const auto checked = check(line("git.example.com") + line("@revoked *"));
  REQUIRE_FALSE(checked);
  CHECK(checked.error().kind == base::ErrorKind::untrusted);
  CHECK(checked.error().message.find("revoked") != std::string::npos);
}

TEST_CASE("certificate authorities are refused clearly where they concern the host", "[git][known_hosts]") {
  const auto checked = check(line("@cert-authority *.example.com"));
  REQUIRE_FALSE(checked);
  CHECK(checked.error().kind == base::ErrorKind::unsupported);
  CHECK(checked.error().message.find("line 1") != std::string::npos);
  CHECK(check(line("@cert-authority *.example.org") + line("git.example.com")));
}

TEST_CASE("a malformed line names its number", "[git][known_hosts]") {
  const auto text = GENERATE("#\n|1|not base64|x ssh-ed25519 AAAA\n", "#\n|1|AAAA ssh-ed25519 AAAA\n",
                             "#\ngit.example.com ssh-ed25519\n", "#\ngit.example.com ssh-ed25519 ###\n");
  const auto checked = check(text);
  INFO(text);
  REQUIRE_FALSE(checked);
  CHECK(checked.error().kind == base::ErrorKind::invalid);
  CHECK(checked.error().message.find("line 2") != std::string::npos);
}

TEST_CASE("key types are listed for negotiation, each once, without revoked ones", "[git][known_hosts]") {
  const auto hosts =
      KnownHosts::parse(line("git.example.com", kKey, "ssh-rsa") + line("git.example.com") +
                            line("git.example.com", kOther) + line("@revoked git.example.com", kKey, "x"),
                        "git.example.com", 22);
  REQUIRE(hosts);
  CHECK(hosts->key_types() == std::vector<std::string>{"ssh-rsa", "ssh-ed25519"});
}
