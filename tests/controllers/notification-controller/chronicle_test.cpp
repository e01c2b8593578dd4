#include "notification-controller/chronicle.hpp"

#include "support.hpp"

using namespace sluice;
using namespace sluice::test;
using notification_controller::Chronicle;
using notification_controller::InvolvedObject;

namespace {

InvolvedObject object(const std::string& name, const std::string& uid) {
  InvolvedObject out;
  out.kind = "Kustomization";
  out.namespace_ = "apps";
  out.name = name;
  out.uid = uid;
  return out;
}

}  // namespace

TEST_CASE("a chronicle tells what is about an object, but for one of its name that was there before") {
  Chronicle chronicle;
  const doc::Json first = make_event("shop", "one");
  doc::Json before = make_event("shop", "of the one before");
  before["involvedObject"]["uid"] = "another";
  doc::Json unknown = make_event("shop", "of nobody knows which");
  unknown["involvedObject"].erase("uid");
  doc::Json foreign = make_event("shop", "from another namespace");
  foreign["metadata"]["namespace"] = "evil";
  for (const auto& event : {first, before, unknown, foreign, make_event("bank", "two")}) chronicle.take_in(event);
  CHECK(chronicle.objects() == 2);
  CHECK(chronicle.about(object("shop", "uid-shop")).size() == 2);
  CHECK(chronicle.about(object("shop", "")).size() == 3);
  CHECK(chronicle.about_name_of(object("shop", "uid-shop")).size() == 3);
  CHECK(chronicle.about(object("nobody", "")).empty());
  chronicle.take_in(first);  // told again
  CHECK(chronicle.about(object("shop", "uid-shop")).size() == 2);
  for (const auto& event : {first, before, unknown, foreign}) chronicle.forget(event);
  CHECK(chronicle.objects() == 1);
}

TEST_CASE("a chronicle keeps late words apart, also those that change sides") {
  Chronicle chronicle;
  doc::Json event = make_event("shop", "one");
  event["source"]["component"] = "notification-controller";
  chronicle.take_in(event);
  CHECK(chronicle.late_words_about(object("shop", "uid-shop")).empty());
  event["metadata"]["annotations"]["notification.toolkit.fluxcd.io/ready-since"] = "2026-01-31T10:00:00Z";
  chronicle.take_in(event);
  REQUIRE(chronicle.late_words_about(object("shop", "uid-shop")).size() == 1);
  CHECK(chronicle.emitters_words_about(object("shop", "uid-shop")).empty());
  CHECK(chronicle.late_words_about(object("shop", "uid-shop"))[0]->telling.ready_since == at("2026-01-31T10:00:00Z"));
}
