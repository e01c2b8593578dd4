#include <catch2/catch.hpp>

#include "http/client.hpp"

using sluice::http::Url;

TEST_CASE("a URL is taken apart, with the default port filled in") {
  const auto url = Url::parse("HTTPS://user:pw@example.com/a/b?c=d#e");
  REQUIRE(url);
  CHECK(url->scheme == "https");
  CHECK(url->host == "example.com");
  CHECK(url->port == "443");
  CHECK(url->target == "/a/b?c=d");
  CHECK(url->userinfo == "user:pw");
  CHECK(Url::parse("http://[::1]:8080")->origin() == "http://[::1]:8080");
  CHECK(Url::parse("http://x")->target == "/");
  CHECK(Url::parse("http://x?y")->target == "/?y");
}

TEST_CASE("what is no HTTP URL is refused, and a password in it is not repeated") {
  for (const char* bad : {"", "example.com", "ftp://x", "http://", "http://x:0", "http://x:99999", "http://x:y",
                          "http://[::1", "http://[::1]x", "http://x/a b", "http://x/\r\nInjected: 1"}) {
    CAPTURE(bad);
    CHECK_FALSE(Url::parse(bad));
  }
  const auto secret = Url::parse("ftp://user:s3cret@host");
  REQUIRE_FALSE(secret);
  CHECK(secret.error().message.find("s3cret") == std::string::npos);
}

TEST_CASE("header names compare without case") {
  sluice::http::Headers headers{{"Content-Type", "a"}};
  headers.set("content-type", "b");
  CHECK(headers.all().size() == 1);
  CHECK(headers.find("CONTENT-TYPE") == "b");
  CHECK(headers.find("Other").empty());
}

TEST_CASE("a status becomes the kind of error that says what to do, with Retry-After") {
  using sluice::base::ErrorKind;
  sluice::http::Response response;
  response.status = 429;
  response.headers.set("Retry-After", "7");
  const auto error = sluice::http::status_error(response, "x");
  CHECK(error.kind == ErrorKind::rate_limited);
  CHECK(error.retry_after == std::chrono::seconds(7));
  response.status = 503;
  CHECK(sluice::http::status_error(response, "x").kind == ErrorKind::unavailable);
}
