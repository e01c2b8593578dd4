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

TEST_CASE("a value is masked as Go writes it in JSON, where HTML could take it for its own") {
  CHECK(masked({"a<b>&c\"d"}, R"(value "a\u003cb\u003e\u0026c\"d")") == R"(value "*****")");
  CHECK(masked({"a<b>&c\"d"}, R"(value "a<b>&c\"d")") == R"(value "*****")");
}

TEST_CASE("a long value is masked whole, and what a message has cut of it") {
  std::string secret;
  for (int i = 0; i < 40; ++i) secret += "part-" + std::to_string(i) + "!";
  CHECK(masked({secret}, "<" + secret + ">") == "<*****>");
  CHECK(masked({secret}, "<" + base64_encode(secret) + ">") == "<*****>");
  CHECK(masked({secret}, "<" + secret.substr(0, 3 * Masks::kPiece) + "...>") == "<*****...>");
  CHECK(masked({secret}, "<" + secret.substr(0, Masks::kPiece - 1) + ">") != "<*****>");
}

TEST_CASE("values made to look alike cost a text no more than others") {
  Masks masks;
  std::string lines;
  for (int i = 0; i < 110000; ++i) lines += "aaaa" + std::to_string(10000 + i) + "\n";
  masks.add(lines);
  for (std::size_t size = 1; size < Masks::kPiece; ++size) masks.add(std::string(size, 'a') + "0");
  const std::string text(100000, 'a');
  CHECK(masks.apply(text) == text);
  CHECK(masks.probes() > 0);
  CHECK(masks.probes() <= text.size() * (Masks::kPiece - Masks::kShortest + 1));
  CHECK(masks.apply("<aaaa10000> <aaaa10255>") == "<*****> <*****>");
  masks.add(text);
  CHECK(masks.apply(text) == "*****");
}

TEST_CASE("of a value's many lines the first ones are known, and of the others the long ones, up to a number") {
  Masks masks;
  std::string lines;
  for (std::size_t i = 0; i < Masks::kLines; ++i) lines += "first-" + std::to_string(100000 + i) + "\n";
  lines += "short-one-behind\na-long-line-behind-them\n";
  for (std::size_t i = 0; i < Masks::kMaxLines; ++i)
    lines += "and-another-long-line-" + std::to_string(10000 + i) + "\n";
  masks.add(lines);
  CHECK(masks.apply("<first-100000> <first-100255>") == "<*****> <*****>");
  CHECK(masks.apply("<short-one-behind>") == "<short-one-behind>");
  CHECK(masks.apply("<a-long-line-behind-them>") == "<*****>");
  CHECK(masks.apply("<and-another-long-line-10100>") == "<*****>");
  CHECK(masks.apply("<and-another-long-line-" + std::to_string(10000 + Masks::kMaxLines - 1) + " >") != "<***** >");
  CHECK(masks.apply("<" + lines.substr(0, lines.size() - 1) + ">") == "<*****>");
  CHECK(masks.pieces() < lines.size() / Masks::kPiece * 3 + Masks::kMaxLines * 2);
}

TEST_CASE("where more values are known than can be told apart, no text is told") {
  Masks masks;
  for (std::size_t i = 0; i < Masks::kMaxPieces; ++i) masks.add(std::to_string(10000000 + i));
  CHECK(masks.pieces() == Masks::kMaxPieces);
  CHECK(masks.apply("what nobody has ever added") == Masks::kHidden);
}

TEST_CASE("a very long text is cut, and no value with it") {
  const std::string_view secret = "hunter2-hunter2";
  std::string text(Masks::kMaxText - 5, '.');
  text += secret;
  text.append(100, '.');
  CHECK(masked({secret}, text) == std::string(Masks::kMaxText - 5, '.') + "*****" + std::string(Masks::kCut));
  CHECK(masked({secret}, std::string(2 * Masks::kMaxText, '.')).size() == Masks::kMaxText + Masks::kCut.size());
  const std::string fits(Masks::kMaxText, '.');
  CHECK(masked({secret}, fits) == fits);
}

TEST_CASE("ten thousand values cost no ten thousand searches") {
  Masks masks;
  for (int i = 0; i < 10000; ++i) masks.add("value-number-" + std::to_string(i) + "-of-many");
  std::string text;
  for (int i = 0; i < 20; ++i) text += "nothing secret here, line " + std::to_string(i) + "\n";
  CHECK(masks.apply(text) == text);
  CHECK(masks.apply("<value-number-77-of-many>") == "<*****>");
}
