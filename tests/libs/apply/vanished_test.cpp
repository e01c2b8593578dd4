#include "apply/vanished.hpp"

#include <catch2/catch.hpp>

using namespace sluice::apply;
using sluice::api::ObjectId;
using sluice::api::ObjectKey;
using sluice::doc::Json;

namespace {

const ObjectKey kOwner{"flux-system", "apps"};
const ObjectId kJob{"apps", "once", "batch", "Job"};

Json job(const char* spec, const char* status = "{}") {
  Json object{{"apiVersion", "batch/v1"}, {"kind", "Job"}, {"metadata", {{"name", "once"}}}};
  object["spec"] = Json::parse(spec);
  object["status"] = Json::parse(status);
  return object;
}

}  // namespace

TEST_CASE("only a Job with a TTL may vanish, and only one that is complete or failed has finished, each in its way") {
  CHECK(may_vanish(job(R"({"ttlSecondsAfterFinished": 0})")));
  CHECK_FALSE(may_vanish(job("{}")));
  CHECK_FALSE(may_vanish(job(R"({"ttlSecondsAfterFinished": null})")));
  Json other = job(R"({"ttlSecondsAfterFinished": 0})");
  other["apiVersion"] = "example.com/v1";
  CHECK_FALSE(may_vanish(other));
  CHECK_FALSE(ending_of(job("{}")));
  CHECK_FALSE(ending_of(job("{}", R"({"conditions": [{"type": "Suspended", "status": "True"}]})")));
  CHECK_FALSE(ending_of(job("{}", R"({"conditions": [{"type": "Complete", "status": "False"}]})")));
  const auto complete = ending_of(job("{}", R"({"conditions": [{"type": "Complete", "status": "True"}]})"));
  REQUIRE(complete);
  CHECK(complete->succeeded);
  const auto failed =
      ending_of(job("{}", R"({"conditions": [{"type": "Failed", "status": "True", "message": "too many tries"}]})"));
  REQUIRE(failed);
  CHECK_FALSE(failed->succeeded);
  CHECK(failed->why == "Job failed: too many tries");
}

TEST_CASE("what vanished rests for a while from its creation on, while its manifest is the same") {
  Vanished vanished;
  const sluice::base::SteadyPoint start{std::chrono::hours(1)};
  const auto at = [start](int minutes) { return start + std::chrono::minutes(minutes); };
  const auto rests = [&](std::uint64_t hash, int minutes) {
    return vanished.rests(kOwner, kJob, hash, at(minutes), std::chrono::minutes(10));
  };
  CHECK_FALSE(rests(1, 0));
  vanished.note_created(kOwner, kJob, at(0));
  CHECK_FALSE(rests(1, 1));  // it is not gone
  vanished.note_gone(kOwner, kJob, 1, at(5));
  CHECK(rests(1, 9));
  CHECK_FALSE(rests(1, 10));
  CHECK_FALSE(rests(2, 9));
  CHECK_FALSE(rests(0, 9));
  vanished.note_created(kOwner, kJob, at(10));
  CHECK_FALSE(rests(1, 11));
  vanished.note_gone(kOwner, kJob, 1, at(11));
  CHECK(rests(1, 19));
  vanished.forget({"flux-system", "other"});
  CHECK(rests(1, 19));
  vanished.forget(kOwner);
  CHECK_FALSE(rests(1, 19));
}

TEST_CASE("what was created by a process before this one rests from when it was seen to vanish") {
  Vanished vanished;
  const sluice::base::SteadyPoint now{std::chrono::hours(1)};
  vanished.note_gone(kOwner, kJob, 1, now);
  CHECK(vanished.rests(kOwner, kJob, 1, now + std::chrono::minutes(9), std::chrono::minutes(10)));
  CHECK_FALSE(vanished.rests(kOwner, kJob, 1, now + std::chrono::minutes(10), std::chrono::minutes(10)));
}
