#include "kube/pages.hpp"

#include <catch2/catch.hpp>

#include "support/fake_kube.hpp"
#include "support/run_task.hpp"

using sluice::base::ErrorKind;
using sluice::doc::Json;
using sluice::test::FakeKube;
namespace kube = sluice::kube;

namespace {

const kube::Resource kMaps{"", "v1", "ConfigMap", "configmaps", true};

Json config_map(const std::string& name, std::size_t bytes) {
  return {{"metadata", {{"name", name}, {"namespace", "apps"}}}, {"data", {{"k", std::string(bytes, 'x')}}}};
}

kube::PageLimits limits() {
  kube::PageLimits limits;
  limits.objects = 16;
  limits.page_bytes = 10'000;
  limits.object_bytes = 20'000;
  return limits;
}

struct Walk {
  std::vector<std::string> read;
  std::vector<std::string> unreadable;
  std::size_t pages = 0;
};

Walk walk(FakeKube& kube, kube::PageSize& size) {
  sluice::rt::Runtime runtime(1);
  Walk walked;
  kube::PageReader reader(kube, kMaps, {}, size);
  while (!reader.is_done()) {
    auto page = sluice::test::run(runtime, reader.next());
    REQUIRE(page);
    ++walked.pages;
    for (const Json& object : page->objects) walked.read.emplace_back(sluice::api::name_of(object));
    for (const Json& object : page->unreadable) walked.unreadable.emplace_back(sluice::api::name_of(object));
  }
  return walked;
}

}  // namespace

TEST_CASE("pages shrink until they can be read, and what is too large even alone hides no other object") {
  auto kube = std::make_shared<FakeKube>();
  for (int i = 0; i < 4; ++i) kube->put(kMaps, config_map("a" + std::to_string(i), 4'000));
  kube->put(kMaps, config_map("b", 30'000));
  kube->put(kMaps, config_map("c", 15'000));  // over a page's limit, within an object's
  kube->put(kMaps, config_map("d", 10));
  kube::PageSize size(limits());
  const Walk walked = walk(*kube, size);
  CHECK(walked.read == std::vector<std::string>{"a0", "a1", "a2", "a3", "c", "d"});
  CHECK(walked.unreadable == std::vector<std::string>{"b"});
}

TEST_CASE("the number of objects a page halves down to one, and grows back slowly while pages are small") {
  kube::PageSize size(limits());
  CHECK(size.objects() == 16);
  CHECK(size.bytes() == 10'000);
  for (const int expected : {8, 4, 2, 1}) {
    CHECK(size.halve());
    CHECK(size.objects() == expected);
  }
  CHECK_FALSE(size.halve());
  CHECK(size.bytes() == 20'000);
  size.took(9'000);
  CHECK(size.objects() == 1);
  for (const int expected : {2, 3, 4, 6}) {
    size.took(100);
    CHECK(size.objects() == expected);
  }
  for (int i = 0; i < 20; ++i) size.took(100);
  CHECK(size.objects() == 16);
}

TEST_CASE("what was learned of sizes serves the next list") {
  auto kube = std::make_shared<FakeKube>();
  for (int i = 0; i < 16; ++i) kube->put(kMaps, config_map("a" + std::to_string(i), 4'000));
  kube::PageSize size(limits());
  CHECK(walk(*kube, size).read.size() == 16);
  const std::size_t first = kube->count("list");
  CHECK(walk(*kube, size).read.size() == 16);
  CHECK(kube->count("list") - first == 8);  // two a page, with no try too large
}

TEST_CASE("a list whose token has expired is begun anew once by those who hold it whole") {
  auto kube = std::make_shared<FakeKube>();
  for (int i = 0; i < 5; ++i) kube->put(kMaps, config_map("a" + std::to_string(i), 10));
  sluice::rt::Runtime runtime(1);
  int lists = 0;
  kube->before = [&](const FakeKube::Request&) {
    if (++lists == 2) kube->expire_lists();
  };
  kube::ListOptions options;
  options.page_size = 3;
  auto all = sluice::test::run(runtime, kube->list(kMaps, options));
  REQUIRE(all);
  CHECK(all->items.size() == 5);
  CHECK(lists == 4);
}
