#include "git/auth.hpp"

#include <catch2/catch.hpp>

using namespace sluice;

namespace {

git::Endpoint endpoint(const char* url) { return *git::parse_endpoint(url); }

}  // namespace

TEST_CASE("username and password make Basic credentials, without stray line ends", "[git][auth]") {
  const auto auth = git::auth_from_secret(endpoint("https://example.com/app"),
                                          {{"username", "ann\n"}, {"password", "pw\n"}, {"caFile", "OLD"}});
  REQUIRE(auth);
  const auto& http = std::get<git::HttpAuth>(*auth);
  CHECK(http.username == "ann");
  CHECK(http.password == "pw");
  CHECK(http.tls.ca == "OLD");
}

TEST_CASE("a bearer token wins over Basic, and ca.crt over caFile", "[git][auth]") {
  const auto auth = git::auth_from_secret(
      endpoint("https://example.com/app"),
      {{"username", "ann"}, {"password", "pw"}, {"bearerToken", "tok"}, {"caFile", "OLD"}, {"ca.crt", "NEW"}});
  REQUIRE(auth);
  const auto& http = std::get<git::HttpAuth>(*auth);
  CHECK(http.bearer_token == "tok");
  CHECK(http.username.empty());
  CHECK(http.tls.ca == "NEW");
}

TEST_CASE("without a Secret the URL's own credentials count", "[git][auth]") {
  const auto auth = git::auth_from_secret(endpoint("https://ann:pw@example.com/app"), {});
  REQUIRE(auth);
  CHECK(std::get<git::HttpAuth>(*auth).username == "ann");
  CHECK(std::get<git::HttpAuth>(*auth).password == "pw");
}

TEST_CASE("an SSH Secret brings key, passphrase and known hosts; the login comes from the URL", "[git][auth]") {
  const git::SecretData data{{"identity", "KEY"}, {"known_hosts", "HOSTS"}, {"password", "phrase"}};
  const auto named = git::auth_from_secret(endpoint("ssh://ann@example.com/app"), data);
  REQUIRE(named);
  CHECK(std::get<git::SshAuth>(*named) ==
        git::SshAuth{.username = "ann", .private_key = "KEY", .passphrase = "phrase", .known_hosts = "HOSTS"});
  const auto unnamed = git::auth_from_secret(endpoint("ssh://example.com/app"), data);
  REQUIRE(unnamed);
  CHECK(std::get<git::SshAuth>(*unnamed).username == "git");
}

TEST_CASE("incomplete credentials are refused by the name of the key", "[git][auth]") {
  struct Case {
    const char* url;
    git::SecretData data;
    const char* names;
  };
  const auto wrong = GENERATE(values<Case>({{"ssh://example.com/app", {{"known_hosts", "x"}}, "'identity'"},
                                            {"ssh://example.com/app", {{"identity", "x"}}, "'known_hosts'"},
                                            {"ssh://example.com/app", {}, "'identity'"},
                                            {"https://example.com/app", {{"tls.crt", "x"}}, "'tls.key'"},
                                            {"https://example.com/app", {{"password", "x"}}, "'username'"},
                                            {"https://example.com/app", {{"bearerToken", "a\r\nb: c"}}, "line end"}}));
  const auto auth = git::auth_from_secret(endpoint(wrong.url), wrong.data);
  REQUIRE_FALSE(auth);
  CHECK(auth.error().kind == base::ErrorKind::invalid);
  CHECK(auth.error().message.find(wrong.names) != std::string::npos);
}
