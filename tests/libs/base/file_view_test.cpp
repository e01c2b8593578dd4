#include "base/file_view.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "base/detail/open_beneath.hpp"
#include "support/temp_folder.hpp"

using namespace sluice::base;
using sluice::test::TempFolder;

namespace {

std::string names_of(const Result<std::vector<DirEntry>>& entries) {
  if (!entries) return std::string(to_string(entries.error().kind));
  std::string out;
  for (const DirEntry& entry : *entries) out += entry.name + (entry.type == FileType::directory ? "/ " : " ");
  return out;
}

template <class T>
ErrorKind kind_of(const Result<T>& result) {
  REQUIRE_FALSE(result);
  return result.error().kind;
}

std::unique_ptr<FileView> view_of(const TempFolder& folder, std::uint64_t max = 1U << 20U) {
  auto view = make_disk_view(folder.path().string(), max);
  REQUIRE(view);
  return *std::move(view);
}

}  // namespace

TEST_CASE("views in memory and on disk answer alike") {
  const TempFolder folder;
  std::map<std::string, std::string, std::less<>> files{
      {"a.yaml", "a"}, {"a/b.yaml", "b"}, {"a/c/d", ""}, {"a-b", "x"}, {"z/\xc3\xa4", "utf8"}};
  for (const auto& [name, bytes] : files) folder.write(name, bytes);
  const auto memory = make_memory_view(files);
  const auto disk = view_of(folder);
  for (const FileView* view : {memory.get(), disk.get()}) {
    CAPTURE(view == memory.get());
    CHECK(names_of(view->list("")) == "a/ a-b a.yaml z/ ");
    CHECK(names_of(view->list("a")) == "b.yaml c/ ");
    CHECK(kind_of(view->list("a.yaml")) == ErrorKind::invalid);
    CHECK(kind_of(view->list("nope")) == ErrorKind::not_found);
    CHECK(*view->read("a/b.yaml") == "b");
    CHECK(view->read("a/c/d")->empty());
    CHECK(*view->read("z/\xc3\xa4") == "utf8");
    CHECK(kind_of(view->read("a")) == ErrorKind::invalid);
    CHECK(kind_of(view->read("")) == ErrorKind::invalid);
    CHECK(kind_of(view->read("a/nope")) == ErrorKind::not_found);
    CHECK(kind_of(view->read("a.yaml/below")) == ErrorKind::not_found);
    CHECK(*view->type("") == FileType::directory);
    CHECK(*view->type("a/c") == FileType::directory);
    CHECK(*view->type("a-b") == FileType::file);
    CHECK(kind_of(view->type("a/x")) == ErrorKind::not_found);
  }
}

TEST_CASE("a path that could leave the root is refused before the disk is asked") {
  const TempFolder folder;
  folder.write("a/b", "x");
  const auto view = view_of(folder);
  for (const std::string& path : {std::string("/etc/passwd"), std::string(".."), std::string("a/../../etc/passwd"),
                                  std::string("a/.."), std::string("./a"), std::string("a//b"), std::string("a/"),
                                  std::string("a/b\0c", 5), std::string("/")}) {
    CAPTURE(path);
    CHECK(kind_of(view->read(path)) == ErrorKind::invalid);
    CHECK(kind_of(view->list(path)) == ErrorKind::invalid);
    CHECK(kind_of(view->type(path)) == ErrorKind::invalid);
  }
}

TEST_CASE("links are followed below the root, and refused where they leave it") {
  const TempFolder outside;
  outside.write("secret", "secret");
  const TempFolder folder;
  folder.write("real/deep/file", "bytes");
  folder.write("other", "o");
  folder.link("to_file", "real/deep/file");
  folder.link("to_folder", "real/deep");
  folder.link("real/deep/up", "../../other");
  folder.link("absolute", (outside.path() / "secret").string());
  folder.link("absolute_inside", (folder.path() / "other").string());
  folder.link("relative", "../" + outside.path().filename().string() + "/secret");
  folder.link("folder_outside", outside.path().string());
  folder.link("real/sneaky", "../real/../../" + outside.path().filename().string());
  folder.link("circle", "circle2");
  folder.link("circle2", "circle");
  folder.link("dangling", "nothing");
  const auto view = view_of(folder);
  CHECK(*view->read("to_file") == "bytes");
  CHECK(*view->read("to_folder/file") == "bytes");
  CHECK(*view->read("to_folder/up") == "o");
  CHECK(*view->type("to_folder") == FileType::directory);
  CHECK(names_of(view->list("to_folder")) == "file up ");
  for (const char* path : {"absolute", "absolute_inside", "relative", "folder_outside/secret", "folder_outside",
                           "real/sneaky/secret", "circle"}) {
    CAPTURE(path);
    const auto read = view->read(path);
    REQUIRE_FALSE(read);
    CHECK(read.error().kind == ErrorKind::invalid);
    CHECK(read.error().message.find("symbolic link") != std::string::npos);
    CHECK(kind_of(view->type(path)) == ErrorKind::invalid);
  }
  CHECK(kind_of(view->list("folder_outside")) == ErrorKind::invalid);
  CHECK(kind_of(view->read("dangling")) == ErrorKind::not_found);
  CHECK(names_of(view->list("")) ==
        "absolute absolute_inside circle circle2 dangling folder_outside other real/ relative to_file to_folder/ ");
}

TEST_CASE("where the kernel cannot, walking the path says the same") {
  const TempFolder outside;
  outside.write("secret", "secret");
  const TempFolder folder;
  folder.write("real/deep/file", "bytes");
  folder.write("other", "o");
  folder.link("to_folder", "./real//deep");
  folder.link("real/deep/up", "../../other");
  folder.link("absolute", (outside.path() / "secret").string());
  folder.link("relative", "real/../../" + outside.path().filename().string() + "/secret");
  folder.link("circle", "circle");
  const detail::Fd root(::open(folder.path().c_str(), O_PATH | O_DIRECTORY));
  REQUIRE(root);
  const auto open = [&root](const char* path, detail::OpenMethod method) {
    errno = 0;
    const detail::Fd fd = detail::open_beneath(root.get(), false, path, O_RDONLY, method);
    return fd ? 0 : errno;
  };
  const std::pair<const char*, int> cases[] = {
      {"", 0},           {"real", 0},          {"real/deep/file", 0}, {"to_folder/file", 0}, {"to_folder/up", 0},
      {"absolute", EXDEV}, {"relative", EXDEV}, {"circle", ELOOP},    {"nope", ENOENT},      {"other/x", ENOTDIR},
      {"to_folder/nope", ENOENT}};
  for (const auto& [path, expected] : cases) {
    CAPTURE(path);
    CHECK(open(path, detail::OpenMethod::walk) == expected);
    CHECK(open(path, detail::OpenMethod::best) == expected);
  }
  const detail::Fd all = detail::open_beneath(root.get(), true, "relative", O_RDONLY, detail::OpenMethod::walk);
  CHECK_FALSE(all);  // ".." stops at the root, and there is nothing of that name
}

TEST_CASE("the real path of something has no links in it") {
  const TempFolder folder, outside;
  folder.write("real/deep/file", "x");
  outside.write("secret", "s");
  folder.link("to_folder", "real/deep");
  folder.link("real/top", "..");
  folder.link("out", (outside.path() / "secret").string());
  const auto view = view_of(folder);
  CHECK(*view->real_path("real/deep/file") == "real/deep/file");
  CHECK(*view->real_path("to_folder/file") == "real/deep/file");
  CHECK(*view->real_path("real/top/to_folder") == "real/deep");
  CHECK(view->real_path("real/top")->empty());
  CHECK(view->real_path("")->empty());
  CHECK(kind_of(view->real_path("nope")) == ErrorKind::not_found);
  CHECK(kind_of(view->real_path("out")) == ErrorKind::invalid);
  CHECK(*make_memory_view({{"a/b", ""}})->real_path("a/b") == "a/b");
}

TEST_CASE("somebody who swaps a folder for a link outside during a read gets nothing out of it") {
  const TempFolder outside;
  outside.write("file", "SECRET");
  const TempFolder folder;
  folder.write("a/file", "plain");
  folder.link("evil", outside.path().string());
  const auto method = GENERATE(detail::OpenMethod::best, detail::OpenMethod::walk);
  const detail::Fd root(::open(folder.path().c_str(), O_PATH | O_DIRECTORY));
  std::atomic<bool> stop = false;
  std::thread swapper([&] {
    const std::string a = (folder.path() / "a").string();
    const std::string evil = (folder.path() / "evil").string();
    while (!stop) ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, evil.c_str(), RENAME_EXCHANGE);
  });
  int good = 0;
  bool leaked = false;
  for (int i = 0; i < 3000; ++i) {
    const detail::Fd file = detail::open_beneath(root.get(), false, "a/file", O_RDONLY, method);
    char bytes[8] = {};
    if (!file || ::read(file.get(), bytes, sizeof bytes - 1) <= 0) continue;
    leaked = leaked || std::string_view(bytes) == "SECRET";
    good += std::string_view(bytes) == "plain" ? 1 : 0;
  }
  stop = true;
  swapper.join();
  CHECK_FALSE(leaked);
  CHECK(good > 0);
}

TEST_CASE("what is no plain file is refused, and nothing waits for it") {
  const TempFolder folder;
  REQUIRE(::mkfifo((folder.path() / "fifo").c_str(), 0600) == 0);
  const auto view = view_of(folder);
  const auto read = view->read("fifo");
  REQUIRE_FALSE(read);
  CHECK(read.error().kind == ErrorKind::invalid);
  CHECK(read.error().message == "'fifo' is not a regular file");
  CHECK(*view->type("fifo") == FileType::file);
}

TEST_CASE("a file over the limit is too large, one at the limit is not") {
  const TempFolder folder;
  folder.write("at", std::string(100, 'x'));
  folder.write("over", std::string(101, 'x'));
  const auto view = view_of(folder, 100);
  CHECK(view->read("at")->size() == 100);
  CHECK(kind_of(view->read("over")) == ErrorKind::too_large);
}

TEST_CASE("a root that is missing or a file is refused; one behind a link is not") {
  const TempFolder folder;
  folder.write("real/x", "1");
  folder.link("link", "real");
  CHECK(kind_of(make_disk_view((folder.path() / "nope").string())) == ErrorKind::not_found);
  CHECK(kind_of(make_disk_view((folder.path() / "real/x").string())) == ErrorKind::invalid);
  const auto view = make_disk_view((folder.path() / "link").string());
  REQUIRE(view);
  CHECK(*(*view)->read("x") == "1");
}

TEST_CASE("with the whole machine as root, absolute links lead where they say") {
  const TempFolder folder;
  folder.write("x", "1");
  folder.link("link", (folder.path() / "x").string());
  const auto view = make_disk_view("/");
  REQUIRE(view);
  const auto read = (*view)->read((folder.path() / "link").string().substr(1));
  REQUIRE(read);
  CHECK(*read == "1");
}

TEST_CASE("paths are joined below the root, and never above it") {
  const auto join = [](const char* base, const char* relative) {
    const auto joined = join_path(base, relative);
    return joined ? *joined : "! " + joined.error().message;
  };
  CHECK(join("a/b", "../c") == "a/c");
  CHECK(join("", "./a//b/.") == "a/b");
  CHECK(join("a", "..") == "");
  CHECK(join("a", "b/../../c") == "c");
  CHECK(join("a", "../..") == "! '../..' in 'a' leaves the root");
  CHECK(join("", "..") == "! '..' in '' leaves the root");
  CHECK(join("a", "/etc").starts_with("! '/etc' is absolute"));
}
