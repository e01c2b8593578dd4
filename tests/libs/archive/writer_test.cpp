#include "archive/writer.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "archive/gzip.hpp"
#include "archive/unpack.hpp"
#include "temporary_folder.hpp"

namespace archive = sluice::archive;
using sluice::base::ErrorKind;

namespace {

struct Written {
  std::string bytes;
  archive::Summary summary;
};

Written write_tree(sluice::base::DigestAlgorithm algorithm = sluice::base::DigestAlgorithm::sha256) {
  archive::StringSink sink;
  archive::Writer writer(sink, algorithm);
  REQUIRE(writer.add_folder("apps"));
  REQUIRE(writer.add_file("apps/a.yaml", "kind: A\n"));
  REQUIRE(writer.add_file("apps/run.sh", "#!/bin/sh\n", true));
  auto summary = writer.finish();
  REQUIRE(summary);
  return {sink.bytes, *summary};
}

archive::Files read_back(const std::string& bytes) {
  archive::MemorySource source(bytes);
  auto files = archive::unpack_to_memory(source, {}, {});
  if (!files) FAIL(files.error().message);
  return *files;
}

}  // namespace

TEST_CASE("the same tree gives the same bytes, and digest and size are those of the bytes") {
  const Written first = write_tree();
  const Written second = write_tree();
  CHECK(first.bytes == second.bytes);
  CHECK(first.summary.digest == sluice::base::sha256_digest(first.bytes));
  CHECK(first.summary.size == first.bytes.size());
  CHECK(first.summary.entries == 3);
  CHECK(write_tree(sluice::base::DigestAlgorithm::sha512).summary.digest.starts_with("sha512:"));
}

TEST_CASE("the gzip header tells neither time nor name nor system") {
  const std::string bytes = write_tree().bytes;
  CHECK(bytes.substr(0, 8) == std::string("\x1f\x8b\x08\0\0\0\0\0", 8));
  CHECK(static_cast<unsigned char>(bytes[9]) == 255);
}

TEST_CASE("what is written is read back, long and foreign names too") {
  const std::string deep = std::string(90, 'd') + "/" + std::string(90, 'e') + "/" + std::string(200, 'f') + ".yaml";
  // 'e' and a combining accent: must not be turned into the composed letter.
  const std::string decomposed = "cafe\xcc\x81.yaml";
  const std::string latin1 = "caf\xe9.yaml";
  const std::string split = std::string(120, 'p') + "/" + std::string(60, 'q');
  archive::StringSink sink;
  archive::Writer writer(sink);
  for (const std::string& name : {deep, decomposed, latin1, split}) REQUIRE(writer.add_file(name, name));
  REQUIRE(writer.add_file("empty", ""));
  REQUIRE(writer.add_file("block", std::string(512, 'x')));
  REQUIRE(writer.finish());
  const archive::Files files = read_back(sink.bytes);
  CHECK(files.size() == 6);
  for (const std::string& name : {deep, decomposed, latin1, split}) {
    REQUIRE(files.contains(name));
    CHECK(files.find(name)->second == name);
  }
  CHECK(files.find("block")->second == std::string(512, 'x'));
}

TEST_CASE("a path that is not clean, or a link that leaves, is not written") {
  archive::StringSink sink;
  archive::Writer writer(sink);
  for (const char* path : {"", "/etc/passwd", "../up", "a/../b", "a//b", "./a", "a/"}) {
    INFO(path);
    auto added = writer.add_file(path, "x");
    REQUIRE_FALSE(added);
    CHECK(added.error().kind == ErrorKind::invalid);
  }
  CHECK_FALSE(writer.add_symlink("a/link", "../../etc"));
  CHECK(writer.add_symlink("a/link", "../b"));
}

TEST_CASE("a file that is not as long as it was said to be is an error") {
  archive::StringSink sink;
  archive::Writer writer(sink);
  archive::MemorySource source("four");
  const std::uint64_t said = GENERATE(std::uint64_t{3}, std::uint64_t{5});
  auto added = writer.add_file("a", source, said, false);
  REQUIRE_FALSE(added);
  CHECK(added.error().message.find("'a'") != std::string::npos);
}

TEST_CASE("the tar program reads what we write, with the modes of Flux's archives") {
  const sluice::test::TemporaryFolder folder;
  std::ofstream(folder / "a.tar.gz", std::ios::binary) << write_tree().bytes;
  const std::string command = "TZ=UTC tar --full-time -tvzf " + (folder / "a.tar.gz") + " > " + (folder / "list");
  REQUIRE(std::system(command.c_str()) == 0);
  std::stringstream list;
  list << std::ifstream(folder / "list").rdbuf();
  CHECK(list.str() ==
        "drwxr-x--- 0/0               0 1970-01-01 00:00:00 apps/\n"
        "-rw------- 0/0               8 1970-01-01 00:00:00 apps/a.yaml\n"
        "-rwx------ 0/0              10 1970-01-01 00:00:00 apps/run.sh\n");
}
