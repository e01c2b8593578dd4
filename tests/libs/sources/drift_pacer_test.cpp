#include "sources/drift_pacer.hpp"

#include <catch2/catch.hpp>

using sluice::sources::DriftPacer;
using namespace std::chrono_literals;

namespace {

const sluice::api::ObjectKey kShop{"apps", "shop"};
const sluice::api::ObjectId kWeb{"apps", "web", "apps", "Deployment"};
const sluice::api::ObjectId kConfig{"apps", "config", "", "ConfigMap"};
const sluice::base::SteadyPoint kStart = sluice::base::SteadyPoint() + 24h;

}  // namespace

TEST_CASE("drift is corrected at once, and ever later when it comes back again and again") {
  DriftPacer pacer;
  auto now = kStart;
  for (int i = 0; i < DriftPacer::kAtOnce; ++i) {
    CHECK(pacer.seen(kShop, kWeb, now) == 0s);
    pacer.corrected(kShop, now);
    now += 1s;
  }
  CHECK(pacer.seen(kShop, kWeb, now) == 1s);
  CHECK_FALSE(pacer.may_correct(kShop, now));
  CHECK(pacer.may_correct(kShop, now + 1s));
  pacer.corrected(kShop, now);
  CHECK(pacer.seen(kShop, kWeb, now + 1s) == 2s);
  for (int i = 0; i < 40; ++i) {
    pacer.corrected(kShop, now);
    now += 5min;
    CHECK(pacer.seen(kShop, kWeb, now) <= DriftPacer::kLongest);
  }
}

TEST_CASE("drift that is seen again before it is corrected counts once, and quiet makes it start anew") {
  DriftPacer pacer;
  for (int i = 0; i < 100; ++i) CHECK(pacer.seen(kShop, kWeb, kStart) == 0s);
  pacer.corrected(kShop, kStart);
  for (int i = 0; i < 10; ++i) {
    static_cast<void>(pacer.seen(kShop, kWeb, kStart));
    pacer.corrected(kShop, kStart);
  }
  CHECK(pacer.seen(kShop, kWeb, kStart) > 0s);
  pacer.corrected(kShop, kStart);
  CHECK(pacer.seen(kShop, kWeb, kStart + 1h) == 0s);
  CHECK(pacer.may_correct({"apps", "other"}, kStart));
}

TEST_CASE("an object that is fought over holds up no other of its owner") {
  DriftPacer pacer;
  for (int i = 0; i < 12; ++i) {
    static_cast<void>(pacer.seen(kShop, kWeb, kStart));
    pacer.corrected(kShop, kStart);
  }
  CHECK(pacer.seen(kShop, kWeb, kStart) > 10s);
  CHECK_FALSE(pacer.may_correct(kShop, kStart));
  CHECK(pacer.seen(kShop, kConfig, kStart) == 0s);
  CHECK(pacer.may_correct(kShop, kStart));
  // What corrects one corrects all, and the pace of each goes on from where it was.
  pacer.corrected(kShop, kStart);
  CHECK(pacer.may_correct(kShop, kStart));
  CHECK(pacer.seen(kShop, kWeb, kStart) > 10s);
}
