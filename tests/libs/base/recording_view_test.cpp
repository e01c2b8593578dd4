#include <catch2/catch.hpp>

#include "base/digest.hpp"
#include "base/file_view.hpp"
#include "support/temp_folder.hpp"

using namespace sluice::base;
using sluice::test::TempFolder;

namespace {

using Files = std::map<std::string, std::string, std::less<>>;

const Files kFiles{{"apps/a.yaml", "a"}, {"apps/b.yaml", "b"}, {"base/k.yaml", "k"}, {"apps/sub/c.yaml", "c"}};

// Asks what a build would.
RecordingView::Records ask(const FileView& view) {
  const RecordingView recording(view);
  static_cast<void>(recording.type("apps"));
  static_cast<void>(recording.list("apps"));
  static_cast<void>(recording.read("apps/a.yaml"));
  static_cast<void>(recording.read("apps/missing.yaml"));
  static_cast<void>(recording.read("apps"));
  static_cast<void>(recording.type("base/k.yaml"));
  static_cast<void>(recording.list("nowhere"));
  static_cast<void>(recording.read("../outside"));
  return recording.records();
}

// Whether the records hold for a changed tree, by reading it and by its digests,
// which must say the same.
bool holds_for(const RecordingView::Records& records, const Files& files) {
  const auto view = make_memory_view(files);
  const auto digests = digest_tree(*view);
  REQUIRE(digests);
  const bool by_reading = RecordingView::still_holds(records, *view);
  const bool by_digest = RecordingView::still_holds(records, *digests);
  CHECK(by_reading == by_digest);
  return by_reading && by_digest;
}

Files with(Files files, const std::string& path, const std::string& bytes) {
  files[path] = bytes;
  return files;
}
Files without(Files files, const std::string& path) {
  files.erase(path);
  return files;
}

// Answers every question with the same error.
class BrokenView final : public FileView {
 public:
  explicit BrokenView(ErrorKind kind) : kind_(kind) {}
  Result<std::string> read(std::string_view) const override { return unexpected(kind_, "broken"); }
  Result<std::vector<DirEntry>> list(std::string_view) const override { return unexpected(kind_, "broken"); }
  Result<FileType> type(std::string_view) const override { return unexpected(kind_, "broken"); }

 private:
  ErrorKind kind_;
};

}  // namespace

TEST_CASE("a recording answers as its view does and notes each question once") {
  const auto view = make_memory_view(kFiles);
  const auto records = ask(*view);
  CHECK(records.at("apps/a.yaml") == sha256_hex("a"));
  CHECK(records.at("apps/missing.yaml") == "-");
  CHECK(records.at("apps") == "!invalid");
  CHECK(records.at("apps//") == "directory");
  CHECK(records.at("base/k.yaml//") == "file");
  CHECK(records.at("nowhere/") == "-");
  CHECK(records.at("apps/").size() == 64);
  CHECK(records.size() == 7);  // and none of the path that no tree can have
}

TEST_CASE("a result stands while what it was made from does, and falls with each part of it") {
  const auto records = ask(*make_memory_view(kFiles));
  CHECK(holds_for(records, kFiles));
  CHECK(holds_for(records, with(kFiles, "elsewhere/x", "1")));
  CHECK(holds_for(records, with(kFiles, "apps/b.yaml", "not read")));
  CHECK(holds_for(records, with(kFiles, "apps/sub/d.yaml", "not listed")));
  CHECK(holds_for(records, with(kFiles, "base/k.yaml", "only its type was asked")));
  CHECK_FALSE(holds_for(records, with(kFiles, "apps/a.yaml", "other")));
  CHECK_FALSE(holds_for(records, without(kFiles, "apps/a.yaml")));
  CHECK_FALSE(holds_for(records, with(kFiles, "apps/missing.yaml", "there now")));
  CHECK_FALSE(holds_for(records, with(kFiles, "apps/missing.yaml/x", "a folder now")));
  CHECK_FALSE(holds_for(records, with(kFiles, "apps/new.yaml", "listed")));
  CHECK_FALSE(holds_for(records, without(kFiles, "apps/sub/c.yaml")));
  CHECK_FALSE(holds_for(records, with(kFiles, "nowhere/x", "listed")));
  CHECK_FALSE(holds_for(records, without(kFiles, "base/k.yaml")));
  CHECK_FALSE(holds_for(records, with(without(kFiles, "base/k.yaml"), "base/k.yaml/x", "a folder")));
}

TEST_CASE("that a folder was read as a file is a fact too, and holds") {
  const auto view = make_memory_view(kFiles);
  const RecordingView recording(*view);
  CHECK_FALSE(recording.read("apps"));
  CHECK_FALSE(recording.list("apps/a.yaml"));
  CHECK(holds_for(recording.records(), kFiles));
  CHECK_FALSE(holds_for(recording.records(), {{"apps", "a file now"}}));
}

TEST_CASE("names that sort around a slash do not confuse a listing by digests") {
  const Files files{{"a", "1"}, {"b-x", "2"}, {"b/c", "3"}, {"b/d/e", "4"}, {"b.y", "5"}, {"b0", "6"}, {"bb/x", "7"}};
  const auto view = make_memory_view(files);
  const RecordingView recording(*view);
  CHECK(recording.list(""));
  CHECK(recording.list("b"));
  CHECK(holds_for(recording.records(), files));
  CHECK_FALSE(holds_for(recording.records(), without(files, "b0")));
}

TEST_CASE("after an I/O error nothing holds; it is neither absence nor a fact") {
  const BrokenView broken(ErrorKind::io);
  const RecordingView recording(broken);
  CHECK_FALSE(recording.read("a"));
  CHECK(recording.records().at("a") != "-");
  CHECK_FALSE(RecordingView::still_holds(recording.records(), broken));
  CHECK_FALSE(RecordingView::still_holds(recording.records(), *make_memory_view({})));
  CHECK_FALSE(RecordingView::still_holds(recording.records(), DigestMap{}));

  const auto records = ask(*make_memory_view(kFiles));
  CHECK_FALSE(RecordingView::still_holds(records, broken));
  CHECK_FALSE(digest_tree(broken));
}

TEST_CASE("on disk, links, empty folders and files too large have their place in the digests") {
  const TempFolder folder;
  folder.write("real/file", "bytes");
  folder.write("large", std::string(200, 'x'));
  folder.link("to_file", "real/file");
  folder.link("leaves", "/etc/passwd");
  std::filesystem::create_directory(folder.path() / "empty");
  const auto view = make_disk_view(folder.path().string(), 100);
  REQUIRE(view);
  const RecordingView recording(**view);
  for (const char* path : {"to_file", "leaves", "large", "empty", "real"}) static_cast<void>(recording.read(path));
  for (const char* path : {"", "empty", "real"}) CHECK(recording.list(path));
  CHECK(recording.type("empty"));
  CHECK(recording.records().at("large") == "!too large");
  CHECK(recording.records().at("leaves") == "!invalid");
  const auto digests = digest_tree(**view);
  REQUIRE(digests);
  CHECK(RecordingView::still_holds(recording.records(), **view));
  CHECK(RecordingView::still_holds(recording.records(), *digests));
  folder.write("empty/now_not", "");
  CHECK_FALSE(RecordingView::still_holds(recording.records(), **view));
  CHECK_FALSE(RecordingView::still_holds(recording.records(), *digest_tree(**view)));
}

TEST_CASE("a tree without end, and a stop, end the hashing with an error") {
  const TempFolder folder;
  folder.link("loop", ".");
  const auto view = make_disk_view(folder.path().string());
  REQUIRE(view);
  const auto endless = digest_tree(**view);
  CHECK((!endless || endless->size() < 100));  // the kernel's limit on links may come first
  std::stop_source stop;
  stop.request_stop();
  const auto stopped = digest_tree(*make_memory_view(kFiles), stop.get_token());
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().kind == ErrorKind::cancelled);
}

TEST_CASE("a link that leads elsewhere than before is noticed") {
  const TempFolder folder;
  folder.write("one/a", "same");
  folder.write("two/a", "same");
  folder.link("link", "one");
  const auto view = make_disk_view(folder.path().string());
  const RecordingView recording(**view);
  CHECK(*recording.real_path("link") == "one");
  CHECK(*recording.real_path("two") == "two");
  CHECK(RecordingView::still_holds(recording.records(), **view));
  CHECK_FALSE(RecordingView::still_holds(recording.records(), *digest_tree(**view)));
  std::filesystem::remove(folder.path() / "link");
  folder.link("link", "two");
  CHECK_FALSE(RecordingView::still_holds(recording.records(), **view));
}
