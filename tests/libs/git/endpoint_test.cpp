#include "git/endpoint.hpp"

#include <catch2/catch.hpp>

using namespace sluice;
using git::parse_endpoint;

TEST_CASE("an HTTPS URL is taken apart", "[git][endpoint]") {
  const auto endpoint = parse_endpoint("https://Ann:p%40ss@Git.Example.com/team/app.git");
  REQUIRE(endpoint);
  CHECK(endpoint->scheme == git::Scheme::https);
  CHECK(endpoint->user == "Ann");
  CHECK(endpoint->password == "p@ss");
  CHECK(endpoint->host == "git.example.com");
  CHECK(endpoint->port == 443);
  CHECK(endpoint->path == "/team/app.git");
}

TEST_CASE("an SSH URL keeps its login, port and IPv6 host", "[git][endpoint]") {
  const auto endpoint = parse_endpoint("ssh://git@[2001:DB8::1]:2222/~ann/app");
  REQUIRE(endpoint);
  CHECK(endpoint->user == "git");
  CHECK(endpoint->host == "2001:db8::1");
  CHECK(endpoint->port == 2222);
  CHECK(endpoint->display() == "ssh://git@[2001:db8::1]:2222/~ann/app");
}

TEST_CASE("what is displayed and what names a cache holds no password", "[git][endpoint]") {
  const auto endpoint = parse_endpoint("https://ann:secret@example.com:443/app.git/");
  REQUIRE(endpoint);
  CHECK(endpoint->display() == "https://example.com/app.git/");
  CHECK(endpoint->cache_key() == "https://example.com/app.git");
}

TEST_CASE("only http, https and ssh are offered", "[git][endpoint]") {
  for (const char* url : {"file:///srv/app.git", "git://example.com/app", "ext::sh -c id", "ftp://example.com/app"}) {
    const auto endpoint = parse_endpoint(url);
    INFO(url);
    REQUIRE_FALSE(endpoint);
    CHECK((endpoint.error().kind == base::ErrorKind::unsupported || endpoint.error().kind == base::ErrorKind::invalid));
  }
}

TEST_CASE("local paths and scp-like addresses are refused with a hint", "[git][endpoint]") {
  for (const char* url : {"/srv/app.git", "../app", "git@example.com:team/app.git", ""}) {
    const auto endpoint = parse_endpoint(url);
    INFO(url);
    REQUIRE_FALSE(endpoint);
    CHECK(endpoint.error().kind == base::ErrorKind::invalid);
    CHECK(endpoint.error().message.find("https://") != std::string::npos);
  }
}

TEST_CASE("malformed URLs are refused", "[git][endpoint]") {
  const char* url =
      GENERATE("https://", "https:///app", "https://example.com", "https://example.com/", "https://example.com:0/app",
               "https://example.com:99999/app", "https://exa mple.com/app", "https://-oProxyCommand=x/app",
               "https://[::1/app", "https://[::1]x/app", "https://example.com/app?x=1", "https://example.com/app#x",
               "https://example.com/a\nb", "https://example.com/%zz", "ssh://a%0ab@example.com/app");
  INFO(url);
  const auto endpoint = parse_endpoint(url);
  REQUIRE_FALSE(endpoint);
  CHECK(endpoint.error().kind == base::ErrorKind::invalid);
}

TEST_CASE("a refused URL is quoted without its password", "[git][endpoint]") {
  const char* url = GENERATE("https://ann:s3cret@example.com:0/app", "gopher://ann:s3cret@example.com/app",
                             "https://ann:s3/cret@example.com", "ann:s3cret@example.com:app.git",
                             "ann:s3cret@example.com/app", "https://ann:s3\ncret@example.com/app");
  const auto endpoint = parse_endpoint(url);
  REQUIRE_FALSE(endpoint);
  INFO(endpoint.error().message);
  CHECK(endpoint.error().message.find("s3") == std::string::npos);
}

TEST_CASE("a blank in the path is the same as its escape", "[git][endpoint]") {
  const auto blank = parse_endpoint("https://dev.azure.com/org/my project/_git/my app");
  const auto escaped = parse_endpoint("https://dev.azure.com/org/my%20project/_git/my%20app");
  REQUIRE(blank);
  REQUIRE(escaped);
  CHECK(blank->path == "/org/my%20project/_git/my%20app");
  CHECK(blank->cache_key() == escaped->cache_key());
}

TEST_CASE("a refusal names the character, and what to write instead", "[git][endpoint]") {
  struct Case {
    const char* url;
    const char* said;
  };
  const std::vector<Case> cases = {
      {"git@ssh.dev.azure.com:v3/org/project/app", "write 'ssh://git@ssh.dev.azure.com/v3/org/project/app'"},
      {"git@example.com:/team/app", "write 'ssh://git@example.com/team/app'"},
      {"ssh://git@ssh.dev.azure.com:v3/org/project/app", "after a '/', not after a ':'"},
      {"https://exa mple.com/app", "the host holds a blank"},
      {"https://exa\"mple.com/app", "the host holds '\"'"},
      {"https://example.com/app?x=1", "the path holds '?'"},
      {"https://example.com/app#x", "the path holds '#'"},
      {"https://example.com/a\nb", "it holds the byte 0x0a"}};
  for (const auto& item : cases) {
    INFO(item.url);
    const auto endpoint = parse_endpoint(item.url);
    REQUIRE_FALSE(endpoint);
    INFO(endpoint.error().message);
    CHECK(endpoint.error().message.find(item.said) != std::string::npos);
    CHECK(endpoint.error().message.find('\n') == std::string::npos);
  }
}
