#include "base/masks.hpp"

#include <catch2/catch.hpp>

#include "base/digest.hpp"

using sluice::base::base64_encode;
using sluice::base::Masks;

namespace {
std::string masked(std::initializer_list<std::string_view> values, std::string text) {
  Masks masks;
  for (const auto value : values) masks.add(value);
  return masks.apply(std::move(text));
}
}  // namespace

TEST_CASE("a secret value is masked wherever it stands") {
  CHECK(masked({"hunter2-hunter2"}, "postgres://app:hunter2-hunter2@db, xhunter2-hunter2x") ==
        "postgres://app:*****@db, x*****x");
  CHECK(masked({"hunter2-hunter2"}, "hunter2-hunter") == "hunter2-hunter");
  CHECK(masked({}, "hunter2") == "hunter2");
}

TEST_CASE("white space around a value, as an editor leaves it, hides nothing") {
  CHECK(masked({"  swordfish\n"}, "no: swordfish!") == "no: *****!");
}

TEST_CASE("short values are masked as whole words, very short ones between quotes alone") {
  CHECK(masked({"flux"}, "user flux of flux-system and xflux") == "user ***** of flux-system and xflux");
  CHECK(masked({"hunter2"}, "postgres://app:hunter2@db") == "postgres://app:*****@db");
  CHECK(masked({"abc"}, "Invalid value: \"abc\" of abcd, abc") == "Invalid value: \"*****\" of abcd, abc");
  CHECK(masked({"1"}, "1 of 11: '1'") == "1 of 11: '*****'");
}

TEST_CASE("words that say nothing are no secrets") {
  CHECK(masked({"true", "", " \n", "Null", "git"}, "true \"true\" null \"git\"") == "true \"true\" null \"git\"");
}

TEST_CASE("values that overlap or touch leave nothing of either") {
  CHECK(masked({"abcdefgh", "efghijkl"}, "<abcdefghijkl>") == "<*****>");
  CHECK(masked({"abcdefgh", "ijklmnop"}, "<abcdefghijklmnop>") == "<*****>");
  CHECK(masked({"abcdefgh", "abcdefgh-longer"}, "abcdefgh-longer abcdefgh") == "***** *****");
}

TEST_CASE("the base64 form is masked, with what a line end behind the value makes of it") {
  const std::string secret = "swordfish-42";
  CHECK(masked({secret}, "data: " + base64_encode(secret) + " end") == "data: ***** end");
  CHECK(masked({secret}, "data: " + base64_encode(secret + "\n") + " end") == "data: ***** end");
  CHECK(masked({"sword"}, "data: \"" + base64_encode("sword") + "\"") == "data: \"" + base64_encode("sword") + "\"");
  CHECK(masked({"swordfish"}, "\"" + base64_encode("swordfish") + "\"") == "\"*****\"");
}

TEST_CASE("a value of several lines is masked line by line, whole, folded and escaped") {
  const std::string key = "-----BEGIN KEY-----\nMIIBVgIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n";
  CHECK(masked({key}, "at MIIBVgIBADANBgkq: bad") == "at *****: bad");
  CHECK(masked({key}, "-----BEGIN KEY-----") == "-----BEGIN KEY-----");
  CHECK(masked({"first line\nsecond line"}, R"(got "first line\nsecond line")") == R"(got "*****")");
  CHECK(masked({"first line\nsecond line"}, "got first linesecond line.") == "got *****.");
}

TEST_CASE("a value is masked as JSON and URLs spell it") {
  CHECK(masked({"pa\"ss\\word"}, R"(value "pa\"ss\\word")") == R"(value "*****")");
  CHECK(masked({"p@ss/word"}, "https://u:p%40ss%2Fword@host") == "https://u:*****@host");
}

TEST_CASE("ten thousand values cost no ten thousand searches") {
  Masks masks;
  for (int i = 0; i < 10000; ++i) masks.add("value-number-" + std::to_string(i) + "-of-many");
  std::string text;
  for (int i = 0; i < 20; ++i) text += "nothing secret here, line " + std::to_string(i) + "\n";
  CHECK(masks.apply(text) == text);
  CHECK(masks.apply("<value-number-77-of-many>") == "<*****>");
}
