#include "base/digest.hpp"

#include <catch2/catch.hpp>

using namespace sluice::base;

TEST_CASE("digests are those of FIPS 180") {
  const auto hash = [](DigestAlgorithm algorithm, std::string_view text) {
    Hasher hasher(algorithm);
    hasher.update(text);
    return hasher.finish_hex();
  };
  CHECK(hash(DigestAlgorithm::sha1, "abc") == "a9993e364706816aba3e25717850c26c9cd0d89d");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_digest("") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hash(DigestAlgorithm::sha384, "abc").starts_with("cb00753f45a35e8bb5a03d699ac65007"));
  CHECK(hash(DigestAlgorithm::sha512, "abc").starts_with("ddaf35a193617abacc417349ae204131"));
}

TEST_CASE("a hasher takes pieces, and starts anew after each digest") {
  Hasher hasher;
  hasher.update("a");
  hasher.update("");
  hasher.update("bc");
  CHECK(hasher.finish_digest() == sha256_digest("abc"));
  CHECK(hasher.finish_hex() == sha256_hex(""));
  hasher.update("abc");
  Hasher moved = std::move(hasher);
  CHECK(moved.finish_hex() == sha256_hex("abc"));
}

TEST_CASE("an HMAC is that of RFC 4231, with any key") {
  CHECK(hmac_hex(DigestAlgorithm::sha256, "Jefe", "what do ya want for nothing?") ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(hmac_hex(DigestAlgorithm::sha256, std::string(131, '\xaa'),
                 "Test Using Larger Than Block-Size Key - Hash Key First") ==
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  CHECK(hmac_hex(DigestAlgorithm::sha256, "", "") ==
        "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST_CASE("a digest's text is its algorithm and as many lower-case digits as that has") {
  const std::string good = sha256_digest("x");
  const auto digest = Digest::parse(good);
  REQUIRE(digest);
  CHECK(digest->str() == good);
  CHECK(digest->algorithm == DigestAlgorithm::sha256);
  for (const std::string& bad :
       {std::string(), std::string("sha256"), std::string("sha256:"), good + "0", good.substr(0, good.size() - 1),
        "md5:" + good.substr(7), "SHA256:" + good.substr(7), "sha512:" + good.substr(7),
        "sha256:" + std::string(64, 'G'), "sha256:" + std::string(64, 'A'), " " + good}) {
    CAPTURE(bad);
    const auto refused = Digest::parse(bad);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::invalid);
  }
}

TEST_CASE("base64 is that of RFC 4648, both ways") {
  const std::pair<const char*, const char*> cases[] = {{"", ""},          {"f", "Zg=="},         {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},   {"foob", "Zm9vYg=="},  {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : cases) {
    CHECK(base64_encode(plain) == coded);
    const auto decoded = base64_decode(coded);
    REQUIRE(decoded);
    CHECK(*decoded == plain);
  }
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  CHECK(*base64_decode(base64_encode(all)) == all);
  CHECK(*base64_decode("Zm9v\r\n YmFy\n") == "foobar");
}

TEST_CASE("what is no base64 is refused") {
  for (const char* bad : {"Zg", "Zg=", "Z", "Z===", "=", "====", "Zg==Zg==", "Zm9v=", "Zm-_", "Zm9v!", "Z\xc3\xa4=="}) {
    CAPTURE(bad);
    const auto refused = base64_decode(bad);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::invalid);
  }
  CHECK_FALSE(base64_decode(std::string_view("Zg\0=", 4)));
}
