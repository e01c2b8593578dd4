#include "git/wire/upload_pack.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>

#include "git/wire/pkt_line.hpp"

using namespace sluice;
using namespace sluice::git;

namespace {

// Bytes that arrive a few at a time.
class Bytes final : public wire::ByteStream {
 public:
  explicit Bytes(std::string data, std::size_t piece = 7) : data_(std::move(data)), piece_(piece) {}
  base::Result<std::size_t> read(std::span<char> into) override {
    const auto count = std::min({into.size(), piece_, data_.size() - at_});
    std::memcpy(into.data(), data_.data() + at_, count);
    at_ += count;
    return count;
  }

 private:
  std::string data_;
  std::size_t piece_;
  std::size_t at_ = 0;
};

const std::string kA(40, 'a');
const std::string kB(40, 'b');

std::string packets(const std::vector<std::string>& lines, const std::string& end = "0000") {
  std::string out;
  for (const auto& line : lines) wire::append_packet(out, line);
  return out + end;
}

std::string first_line(const std::string& rest = "refs/heads/main") {
  return kA + " " + rest + std::string("\0", 1) + "side-band-64k shallow symref=HEAD:refs/heads/main\n";
}

base::Result<std::string> pack_of(const std::string& answer, bool shallow = false) {
  Bytes stream(answer);
  std::string pack;
  auto done = wire::read_pack(stream, shallow, [&](std::string_view bytes) {
    pack += bytes;
    return base::Result<void>();
  });
  if (!done) return base::unexpected(done.error());
  return pack;
}

}  // namespace

TEST_CASE("references, peeled tags, HEAD and capabilities are read", "[git][wire]") {
  for (const std::string prefix : {"", "001e# service=git-upload-pack\n0000"}) {
    Bytes stream(prefix + packets({first_line("HEAD"), kB + " refs/tags/v1\n", kA + " refs/tags/v1^{}\n",
                                   kA + " refs/heads/main\n"}));
    const auto listed = wire::read_advertisement(stream);
    REQUIRE(listed);
    REQUIRE(listed->refs.refs.size() == 2);
    CHECK(listed->refs.head == "refs/heads/main");
    CHECK(listed->refs.find("refs/heads/main")->target() == kA);
    CHECK(listed->refs.find("refs/tags/v1")->oid == kB);
    CHECK(listed->refs.find("refs/tags/v1")->target() == kA);
    CHECK(listed->can("shallow"));
    CHECK_FALSE(listed->can("thin-pack"));
  }
}

TEST_CASE("an empty repository has no references, in either way of saying so", "[git][wire]") {
  Bytes modern(packets({std::string(40, '0') + " capabilities^{}" + std::string("\0", 1) + "side-band-64k\n"}));
  const auto listed = wire::read_advertisement(modern);
  REQUIRE(listed);
  CHECK(listed->refs.empty());
  CHECK(listed->can("side-band-64k"));
  Bytes old("001e# service=git-upload-pack\n00000000");
  const auto nothing = wire::read_advertisement(old);
  REQUIRE(nothing);
  CHECK(nothing->refs.empty());
}

TEST_CASE("what is not Git's protocol is refused", "[git][wire]") {
  const auto text =
      GENERATE(std::string("<html>hello</html>"), std::string("0003"), std::string("ffff"), std::string("00"),
               std::string("0032abc"), std::string(), packets({first_line()}, ""), packets({"nonsense\n"}),
               packets({first_line(), "short\n"}), packets({first_line(), kA + "\trefs/heads/x\n"}));
  Bytes stream(text);
  INFO(text);
  const auto listed = wire::read_advertisement(stream);
  REQUIRE_FALSE(listed);
  CHECK(listed.error().kind == base::ErrorKind::unavailable);
}

TEST_CASE("the server's own error is passed on in one line", "[git][wire]") {
  Bytes stream(packets({"ERR access denied or repository not found\x1b[31m\nmore\n"}));
  const auto listed = wire::read_advertisement(stream);
  REQUIRE_FALSE(listed);
  CHECK(listed.error().kind == base::ErrorKind::not_found);
  CHECK(listed.error().message.find('\n') == std::string::npos);
  CHECK(listed.error().message.find('\x1b') == std::string::npos);
}

TEST_CASE("SHA-256 repositories are unsupported", "[git][wire]") {
  Bytes stream(packets({kA + " refs/heads/main" + std::string("\0", 1) + "object-format=sha256\n"}));
  const auto listed = wire::read_advertisement(stream);
  REQUIRE_FALSE(listed);
  CHECK(listed.error().kind == base::ErrorKind::unsupported);
}

TEST_CASE("a request names what is wanted, held and shallow in one go", "[git][wire]") {
  wire::Advertisement server;
  server.capabilities = {"side-band-64k", "shallow", "thin-pack"};
  const auto request = wire::encode_request({.wants = {kA}, .haves = {kB}, .shallow = {kB}, .depth = 1}, server);
  CHECK(request ==
        packets({"want " + kA + " agent=git/sluice side-band-64k thin-pack\n", "shallow " + kB + "\n", "deepen 1\n"}) +
            packets({"have " + kB + "\n", "done\n"}, ""));
}

TEST_CASE("a server without shallow support is asked for all", "[git][wire]") {
  const auto request = wire::encode_request({.wants = {kA}, .haves = {}, .shallow = {}, .depth = 1}, {});
  CHECK(request == packets({"want " + kA + " agent=git/sluice\n"}) + packets({"done\n"}, ""));
}

TEST_CASE("a pack is taken out of its bands", "[git][wire]") {
  const auto pack = pack_of(packets({"shallow " + kA + "\n"}) + packets({"ACK " + kB + " common\n", "ACK " + kB + "\n",
                                                                         "\x02progress", "\x01PA", "\x02more",
                                                                         "\x01"
                                                                         "CK"}),
                            true);
  REQUIRE(pack);
  CHECK(*pack == "PACK");
}

TEST_CASE("a pack that breaks off, or is refused midway, is an error", "[git][wire]") {
  CHECK(pack_of(packets({"NAK\n", "\x01PA"}, "")).error().kind == base::ErrorKind::unavailable);
  CHECK(pack_of(packets({"NAK\n", "\x01PA"}, "0100\x01")).error().kind == base::ErrorKind::unavailable);
  CHECK(pack_of(packets({"NAK\n", "\x03out of memory"})).error().message.find("out of memory") != std::string::npos);
  CHECK(pack_of(packets({"NAK\n", "\x09x"})).error().kind == base::ErrorKind::unavailable);
  CHECK(pack_of(packets({"HELLO\n"})).error().kind == base::ErrorKind::unavailable);
  CHECK(pack_of(packets({"ERR upload-pack: not our ref " + kA})).error().kind == base::ErrorKind::not_found);
}
