#include "controller/object_shelf.hpp"

#include <catch2/catch.hpp>

using namespace sluice;
using controller::Object;
using controller::ObjectShelf;

namespace {

api::ObjectKey key(int i) { return {"apps", "x" + std::to_string(i)}; }

doc::Json object(int i, int size = 1) {
  return {{"metadata", {{"name", key(i).name}, {"namespace", "apps"}}},
          {"spec", {{"size", size}, {"ratio", 0.5}, {"big", 18446744073709551615U}, {"text", "\"ü\n"}}}};
}

Object make(doc::Json json) { return std::make_shared<const doc::Json>(std::move(json)); }

}  // namespace

TEST_CASE("objects that rest are the same when they are asked for") {
  ObjectShelf shelf(2);
  for (int i = 0; i < 10; ++i) shelf.put(key(i), make(object(i)), 7);
  CHECK(shelf.size() == 10);
  CHECK(shelf.resting() == 8);
  for (int i = 0; i < 10; ++i) {
    CHECK(*shelf.look(key(i)) == object(i));
    CHECK(shelf.mark(key(i)) == kube::ListMark(7));
  }
  CHECK(shelf.resting() == 8);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 10; ++i) CHECK(*shelf.find(key(i)) == object(i));
  }
  CHECK(shelf.resting() == 8);
  CHECK_FALSE(shelf.find(key(10)));
  CHECK_FALSE(shelf.look(key(10)));
  CHECK_FALSE(shelf.mark(key(10)));
}

TEST_CASE("those that were asked for last stay as they are") {
  ObjectShelf shelf(2);
  for (int i = 0; i < 3; ++i) shelf.put(key(i), make(object(i)), 0);
  const doc::Json* const one = shelf.find(key(1)).get();
  shelf.put(key(3), make(object(3)), 0);  // 2 is the one that rests
  CHECK(shelf.find(key(1)).get() == one);
  CHECK(shelf.resting() == 2);
}

TEST_CASE("who holds an object shares it with who asks for it while it rests") {
  ObjectShelf shelf(1);
  shelf.put(key(0), make(object(0)), 0);
  const Object held = shelf.find(key(0));
  shelf.put(key(1), make(object(1)), 0);
  CHECK(shelf.resting() == 1);
  CHECK(shelf.look(key(0)) == held);
  CHECK(shelf.find(key(0)) == held);
}

TEST_CASE("what is put anew counts, whether the one before rests or not") {
  ObjectShelf shelf(1);
  for (int i = 0; i < 4; ++i) shelf.put(key(i), make(object(i)), 1);
  for (int i = 0; i < 4; ++i) shelf.put(key(i), make(object(i, 2)), 2);
  shelf.put(key(3), make(object(3, 3)), 3);
  CHECK(*shelf.find(key(0)) == object(0, 2));
  CHECK(*shelf.find(key(3)) == object(3, 3));
  CHECK(shelf.mark(key(3)) == kube::ListMark(3));
  shelf.set_mark(key(0), 9);
  CHECK(shelf.mark(key(0)) == kube::ListMark(9));
  CHECK(shelf.resting() == 3);
  for (int i = 0; i < 4; ++i) shelf.erase(key(i));
  shelf.erase(key(0));
  CHECK(shelf.size() == 0);
  CHECK(shelf.resting() == 0);
  CHECK(shelf.keys().empty());
}

TEST_CASE("an object whose text is not read in an instant does not rest") {
  ObjectShelf shelf(1);
  doc::Json large = object(0);
  for (int i = 0; i < 5000; ++i) large["status"]["entries"].push_back(i);
  shelf.put(key(0), make(large), 0);
  const doc::Json* const tree = shelf.find(key(0)).get();
  for (int i = 1; i < 4; ++i) shelf.put(key(i), make(object(i)), 0);
  CHECK(shelf.resting() == 2);
  CHECK(shelf.find(key(0)).get() == tree);
  shelf.put(key(0), make(object(0)), 0);  // smaller now
  shelf.put(key(1), make(object(1)), 0);
  CHECK(shelf.resting() == 3);
  CHECK(*shelf.find(key(0)) == object(0));
  shelf.put(key(0), make(large), 0);
  shelf.put(key(1), make(object(1)), 0);
  shelf.erase(key(0));
  CHECK(shelf.resting() == 2);
}
