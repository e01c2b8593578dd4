#include "apply/live_object.hpp"

#include <catch2/catch.hpp>

using sluice::apply::LiveObject;
using Effect = LiveObject::Effect;
using State = LiveObject::State;

namespace {

LiveObject seen(const char* version, std::uint64_t owned, const char* uid = "u1") {
  LiveObject object;
  object.resource_version = version;
  object.uid = uid;
  object.owner = {"flux-system", "shop"};
  object.owned = owned;
  return object;
}

LiveObject standing() {
  LiveObject object;
  object.see(seen("10", 7));
  object.leave({"flux-system", "shop"}, 1, 7);
  return object;
}

}  // namespace

TEST_CASE("a record is expected while nothing but our write is known, and goes with it") {
  LiveObject object;
  object.begin_write();
  CHECK(object.state() == State::expected);
  CHECK_FALSE(object.is_there());
  bool forget = false;
  CHECK(object.end_write(forget) == Effect::none);
  CHECK(forget);
}

TEST_CASE("what is seen is foreign until we have left it; then it stands or has drifted") {
  LiveObject object;
  CHECK(object.see(seen("10", 7)) == Effect::changed);
  CHECK(object.state() == State::foreign);
  CHECK(object.see(seen("11", 8)) == Effect::changed);  // nobody's business
  object.leave({"flux-system", "shop"}, 1, 8);
  CHECK(object.state() == State::standing);
  CHECK(object.see(seen("12", 8)) == Effect::changed);
  CHECK(object.see(seen("13", 9)) == Effect::drifted);
  CHECK(object.state() == State::drifted);
  CHECK(object.see(seen("14", 8)) == Effect::changed);  // put back by whoever it was
  CHECK(object.state() == State::standing);
}

TEST_CASE("what is older, or the same, is ignored") {
  LiveObject object = standing();
  CHECK(object.see(seen("9", 99)) == Effect::none);
  CHECK(object.see(seen("10", 99)) == Effect::none);
  CHECK(object.owned == 7);
  bool forget = true;
  CHECK(object.lose("9", forget) == Effect::none);
  CHECK_FALSE(forget);
}

TEST_CASE("what is listed carries the list's mark, changed or not") {
  LiveObject object = standing();
  LiveObject same = seen("10", 7);
  same.mark = 5;
  CHECK(object.see(same) == Effect::none);
  CHECK(object.mark == 5);
}

TEST_CASE("an object of the same name that is another one is drift of the one that we left") {
  LiveObject object = standing();
  CHECK(object.see(seen("20", 7, "u2")) == Effect::drifted);
  CHECK(object.state() == State::foreign);
  LiveObject foreign;
  foreign.see(seen("10", 7));
  CHECK(foreign.see(seen("20", 7, "u2")) == Effect::changed);
}

TEST_CASE("a deletion is drift of what we left, and of nothing else") {
  bool forget = false;
  LiveObject object = standing();
  CHECK(object.lose("11", forget) == Effect::drifted);
  CHECK(forget);
  LiveObject foreign;
  foreign.see(seen("10", 7));
  CHECK(foreign.lose("11", forget) == Effect::changed);
  CHECK(forget);
  LiveObject disowned = standing();
  disowned.disown();
  CHECK(disowned.lose("11", forget) == Effect::changed);
  LiveObject of_a_kind_that_is_gone = standing();
  CHECK(of_a_kind_that_is_gone.lose("", forget) == Effect::drifted);
  CHECK(forget);
}

TEST_CASE("what may vanish is no drift when it does, also behind our answer") {
  bool forget = false;
  LiveObject object = standing();
  object.may_vanish = true;
  CHECK(object.lose("11", forget) == Effect::vanished);
  object = standing();
  object.may_vanish = true;
  object.begin_write();
  object.lose("11", forget);
  object.leave({"flux-system", "shop"}, 2, 7);
  CHECK(object.end_write(forget) == Effect::vanished);
  CHECK(forget);
}

TEST_CASE("while a write of ours is on nothing is drift; it is judged when the last one ends") {
  bool forget = false;
  LiveObject object = standing();
  object.begin_write();
  object.begin_write();
  CHECK(object.see(seen("11", 8)) == Effect::changed);
  CHECK(object.end_write(forget) == Effect::none);
  object.leave({"flux-system", "shop"}, 2, 8);
  CHECK(object.end_write(forget) == Effect::none);
  CHECK(object.state() == State::standing);
  object.begin_write();
  object.see(seen("12", 9));
  CHECK(object.end_write(forget) == Effect::drifted);
  CHECK_FALSE(forget);
}

TEST_CASE("our own recreation keeps what we left; a deletion behind our answer is drift at the end") {
  bool forget = false;
  LiveObject object = standing();
  object.begin_write();
  CHECK(object.see(seen("20", 7, "u2")) == Effect::changed);
  object.leave({"flux-system", "shop"}, 2, 7);
  CHECK(object.end_write(forget) == Effect::none);
  CHECK(object.state() == State::standing);
  object.begin_write();
  CHECK(object.lose("30", forget) == Effect::changed);
  CHECK(object.state() == State::gone);
  CHECK_FALSE(object.is_there());
  CHECK(object.see(seen("25", 7, "u2")) == Effect::none);  // our answer, older than the deletion
  object.leave({"flux-system", "shop"}, 3, 7);
  CHECK(object.end_write(forget) == Effect::drifted);
  CHECK(forget);
}

TEST_CASE("what is switched off may be anything; what cannot be read may stand, but does not for sure") {
  LiveObject object = standing();
  LiveObject off = seen("11", 9);
  off.switched_off = true;
  CHECK(object.see(off) == Effect::changed);
  CHECK(object.state() == State::released);
  CHECK(object.see(seen("12", 9)) == Effect::drifted);
  object = standing();
  LiveObject large = seen("11", 0);
  large.unreadable = true;
  CHECK(object.see(large) == Effect::changed);
  CHECK_FALSE(object.stands());
  CHECK(object.see(seen("12", 9)) == Effect::drifted);
}

TEST_CASE("after versions have gone back the next that is told counts") {
  LiveObject object = standing();
  object.forget_version();
  CHECK(object.see(seen("3", 9)) == Effect::drifted);
  object = standing();
  object.forget_version();
  CHECK(object.see(seen("3", 7)) == Effect::changed);
  CHECK(object.state() == State::standing);
}

TEST_CASE("a dry run that would change nothing makes it stand") {
  LiveObject object;
  object.see(seen("10", 7));
  object.confirm(4);
  CHECK(object.state() == State::standing);
  CHECK(object.desired == 4);
}

TEST_CASE("drift concerns who left the object, until another one of our kind has applied it") {
  LiveObject object = standing();
  LiveObject edited = seen("11", 9);
  edited.owner.name = "other";
  CHECK(object.see(edited) == Effect::drifted);
  CHECK(object.concerned().name == "shop");
  LiveObject taken = seen("12", 10);
  taken.owner.name = "other";
  taken.labels_applied = true;
  CHECK(object.see(taken) == Effect::drifted);
  CHECK(object.concerned().name == "other");
  CHECK(object.state() == State::foreign);
}

TEST_CASE("who takes it over while we write is told when the write has ended") {
  bool forget = false;
  LiveObject object = standing();
  object.begin_write();
  LiveObject taken = seen("12", 10);
  taken.owner.name = "other";
  taken.labels_applied = true;
  CHECK(object.see(taken) == Effect::changed);
  CHECK(object.end_write(forget) == Effect::drifted);
  CHECK(object.concerned().name == "other");
}

TEST_CASE("what we left and what is to return is missed when the write that saw it go has failed") {
  bool forget = false;
  const bool is_ours = GENERATE(true, false);
  const bool is_seen = GENERATE(true, false);
  LiveObject object;
  if (is_ours) object = standing();
  object.begin_write();
  object.may_vanish = true;  // a Job that has done its work, and is created anew for a new manifest
  object.await_return({"flux-system", "shop"});
  if (is_seen) CHECK(object.lose("20", forget) == Effect::changed);
  const Effect end = object.end_write(forget);
  if (is_seen || !is_ours) {
    CHECK(end == Effect::drifted);
    CHECK(forget);
  } else {
    CHECK(end == Effect::none);
    CHECK(object.lose("20", forget) == Effect::drifted);
  }
  CHECK(object.concerned().name == "shop");
  object = standing();
  object.begin_write();
  object.lose("20", forget);
  CHECK(object.end_write(forget) == Effect::drifted);
  object = standing();
  object.begin_write();
  object.await_return({"flux-system", "shop"});
  object.lose("20", forget);
  object.see(seen("21", 7, "u2"));
  object.leave({"flux-system", "shop"}, 2, 7);
  CHECK(object.end_write(forget) == Effect::none);
  CHECK(object.state() == State::standing);
}
