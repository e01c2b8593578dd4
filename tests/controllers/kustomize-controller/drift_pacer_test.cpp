#include "kustomize-controller/drift_pacer.hpp"

#include <catch2/catch.hpp>

using sluice::kustomize_controller::DriftPacer;
using namespace std::chrono_literals;

namespace {

const sluice::api::ObjectKey kShop{"apps", "shop"};
const sluice::base::SteadyPoint kStart = sluice::base::SteadyPoint() + 24h;

}  // namespace

TEST_CASE("drift is corrected at once, and ever later when it comes back again and again") {
  DriftPacer pacer;
  auto now = kStart;
  for (int i = 0; i < DriftPacer::kAtOnce; ++i) {
    CHECK(pacer.seen(kShop, now) == 0s);
    pacer.corrected(kShop);
    now += 1s;
  }
  CHECK(pacer.seen(kShop, now) == 1s);
  CHECK_FALSE(pacer.may_correct(kShop, now));
  CHECK(pacer.may_correct(kShop, now + 1s));
  pacer.corrected(kShop);
  CHECK(pacer.seen(kShop, now + 1s) == 2s);
  for (int i = 0; i < 40; ++i) {
    pacer.corrected(kShop);
    now += 5min;
    CHECK(pacer.seen(kShop, now) <= DriftPacer::kLongest);
  }
}

TEST_CASE("several objects that drift together count once, and quiet makes it start anew") {
  DriftPacer pacer;
  for (int i = 0; i < 100; ++i) CHECK(pacer.seen(kShop, kStart) == 0s);
  pacer.corrected(kShop);
  for (int i = 0; i < 10; ++i) {
    static_cast<void>(pacer.seen(kShop, kStart));
    pacer.corrected(kShop);
  }
  CHECK(pacer.seen(kShop, kStart) > 0s);
  pacer.corrected(kShop);
  CHECK(pacer.seen(kShop, kStart + 1h) == 0s);
  CHECK(pacer.may_correct({"apps", "other"}, kStart));
}
