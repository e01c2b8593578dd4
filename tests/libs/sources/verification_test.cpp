#include "sources/verification.hpp"

#include <catch2/catch.hpp>

using namespace sluice;
using sources::Verifications;
using namespace std::chrono_literals;

namespace {

const api::ObjectKey kShop{"apps", "shop"};
const Verifications::Subject kRobot{"uid-1", 3, "robot"};

}  // namespace

TEST_CASE("nothing is believed of what was never verified, or is being applied") {
  Verifications known;
  const base::SteadyPoint now{};
  CHECK(known.is_due(kShop, kRobot, now));
  known.begin(kShop);
  CHECK(known.is_due(kShop, kRobot, now));
  known.verified(kShop, kRobot, 10min, now);
  CHECK_FALSE(known.is_due(kShop, kRobot, now + 1min));
  known.begin(kShop);
  CHECK(known.is_due(kShop, kRobot, now + 1min));
  known.passed(kShop);
  CHECK_FALSE(known.is_due(kShop, kRobot, now + 1min));
  known.forget(kShop);
  CHECK(known.is_due(kShop, kRobot, now + 1min));
}

TEST_CASE("passing alone proves nothing") {
  Verifications known;
  known.begin(kShop);
  known.passed(kShop);
  CHECK(known.is_due(kShop, kRobot, {}));
}

TEST_CASE("another object, spec or identity is another subject") {
  Verifications known;
  known.verified(kShop, kRobot, 10min, {});
  CHECK(known.is_due(kShop, {"uid-2", 3, "robot"}, {}));
  CHECK(known.is_due(kShop, {"uid-1", 4, "robot"}, {}));
  CHECK(known.is_due(kShop, {"uid-1", 3, ""}, {}));
  CHECK(known.is_due({"apps", "other"}, kRobot, {}));
  CHECK_FALSE(known.is_due(kShop, kRobot, {}));
}

TEST_CASE("what was verified is believed for five intervals, an hour at most, and not by all for one time") {
  const base::SteadyPoint now{};
  for (const auto& [interval, limit] : {std::pair<base::Duration, base::Duration>{1min, 5min},
                                        {10min, 50min},
                                        {24h, 1h},
                                        {base::Duration::max(), 1h}}) {
    std::set<int> tenths;
    for (int i = 0; i < 100; ++i) {
      Verifications known;
      const api::ObjectKey key{"apps", std::to_string(i)};
      known.verified(key, kRobot, interval, now);
      CHECK_FALSE(known.is_due(key, kRobot, now + limit * 59 / 100));
      CHECK(known.is_due(key, kRobot, now + limit));
      int tenth = 0;
      while (!known.is_due(key, kRobot, now + limit * tenth / 10)) ++tenth;
      tenths.insert(tenth);
    }
    CHECK(tenths.size() >= 4);
  }
}
