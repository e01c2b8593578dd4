#include "apply/readiness.hpp"

#include <catch2/catch.hpp>

using sluice::apply::assess;
using sluice::apply::Health;
using sluice::doc::Json;

namespace {

Json object(const char* text) { return Json::parse(text); }

Json deployment(int want, int total, int updated, int available, const char* available_condition) {
  return {{"apiVersion", "apps/v1"},
          {"kind", "Deployment"},
          {"metadata", {{"generation", 3}}},
          {"spec", {{"replicas", want}}},
          {"status",
           {{"observedGeneration", 3},
            {"replicas", total},
            {"updatedReplicas", updated},
            {"availableReplicas", available},
            {"readyReplicas", available},
            {"conditions",
             Json::array({{{"type", "Available"}, {"status", available_condition}},
                          {{"type", "Progressing"}, {"status", "True"}, {"reason", "NewReplicaSetAvailable"}}})}}}};
}

}  // namespace

TEST_CASE("a Deployment is current when its rollout is complete") {
  CHECK(assess(deployment(2, 2, 2, 2, "True")).health == Health::current);
  CHECK(assess(deployment(0, 0, 0, 0, "True")).health == Health::current);
}

TEST_CASE("a Deployment in the middle of a rollout says which count is short") {
  CHECK(assess(deployment(3, 2, 2, 2, "True")).message == "Replicas: 2/3");
  CHECK(assess(deployment(3, 3, 1, 3, "True")).message == "Updated: 1/3");
  CHECK(assess(deployment(2, 3, 2, 2, "True")).message == "Pending termination: 1");
  CHECK(assess(deployment(2, 2, 2, 1, "True")).message == "Available: 1/2");
  CHECK(assess(deployment(2, 2, 2, 2, "False")).health == Health::in_progress);
}

TEST_CASE("a Deployment past its progress deadline has failed") {
  Json stuck = deployment(2, 2, 1, 1, "False");
  stuck["status"]["conditions"][1]["reason"] = "ProgressDeadlineExceeded";
  CHECK(assess(stuck).health == Health::failed);
}

TEST_CASE("a Deployment that its controller has not seen is in progress") {
  CHECK(assess(object(R"({"apiVersion":"apps/v1","kind":"Deployment","spec":{"replicas":0}})")).health ==
        Health::in_progress);
  Json stale = deployment(2, 2, 2, 2, "True");
  stale["metadata"]["generation"] = 4;
  CHECK(assess(stale).message == "Generation is 4, but the observed generation is 3");
}

TEST_CASE("an object that is being deleted is terminating, whatever its status says") {
  Json going = deployment(2, 2, 2, 2, "True");
  going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  CHECK(assess(going).health == Health::terminating);
}

TEST_CASE("any kind is judged by Stalled, Reconciling and Ready") {
  const auto with = [](const char* type, const char* status) {
    return Json{{"apiVersion", "example.com/v1"},
                {"kind", "Widget"},
                {"status", {{"conditions", Json::array({{{"type", type}, {"status", status}, {"message", "why"}}})}}}};
  };
  CHECK(assess(with("Ready", "True")).health == Health::current);
  CHECK(assess(with("Ready", "False")).health == Health::in_progress);
  CHECK(assess(with("Ready", "Unknown")).message == "why");
  CHECK(assess(with("Stalled", "True")).health == Health::failed);
  CHECK(assess(with("Reconciling", "True")).health == Health::in_progress);
  CHECK(assess(object(R"({"apiVersion":"v1","kind":"ServiceAccount"})")).health == Health::current);
}

TEST_CASE("a Job is current when it completed and failed when it says so") {
  const auto job = [](const char* type) {
    return Json{{"apiVersion", "batch/v1"},
                {"kind", "Job"},
                {"status",
                 {{"startTime", "2026-01-01T00:00:00Z"},
                  {"conditions", Json::array({{{"type", type}, {"status", "True"}, {"message", "why"}}})}}}};
  };
  CHECK(assess(job("Complete")).health == Health::current);
  CHECK(assess(job("Failed")).message == "Job failed: why");
  CHECK(assess(job("Suspended")).health == Health::in_progress);
}

TEST_CASE("a suspended Job is current, and of several conditions of a Job the first decides") {
  Json job = object(R"({"apiVersion":"batch/v1","kind":"Job","spec":{"suspend":true},"status":{}})");
  CHECK(assess(job).health == Health::current);
  job["spec"]["suspend"] = false;
  job["status"]["conditions"] = object(R"([{"type":"Failed","status":"True"},{"type":"Complete","status":"True"}])");
  CHECK(assess(job).health == Health::failed);
  // What holds for other kinds says nothing of a Job, but that it is being deleted.
  job["status"]["conditions"] = object(R"([{"type":"Stalled","status":"True"},{"type":"Complete","status":"True"}])");
  CHECK(assess(job).health == Health::current);
  job["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  CHECK(assess(job).health == Health::terminating);
}

TEST_CASE("a StatefulSet with a partition, be it the 0 that the server writes, is judged by what is updated") {
  Json set = object(R"({"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"generation":1},
    "spec":{"replicas":3,"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"partition":0}}},
    "status":{"observedGeneration":1,"replicas":3,"readyReplicas":3,"currentReplicas":3,"updatedReplicas":2,
              "currentRevision":"a","updateRevision":"a"}})");
  CHECK(assess(set).message == "Updated: 2/3");
  set["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 1;
  CHECK(assess(set).health == Health::current);
  set["spec"]["updateStrategy"].erase("rollingUpdate");
  CHECK(assess(set).health == Health::current);
  set["status"]["updateRevision"] = "b";
  CHECK(assess(set).health == Health::in_progress);
}

TEST_CASE("a Deployment with a deadline waits for its Progressing condition, one without does not") {
  Json web = deployment(2, 2, 2, 2, "True");
  web["spec"]["progressDeadlineSeconds"] = 600;
  CHECK(assess(web).health == Health::current);
  web["status"]["conditions"][1] = object(R"({"type":"Progressing","status":"Unknown","reason":"DeploymentPaused"})");
  CHECK(assess(web).health == Health::in_progress);
  web["status"]["conditions"].erase(1);
  CHECK(assess(web).health == Health::in_progress);
  web["spec"]["progressDeadlineSeconds"] = 2147483647;
  CHECK(assess(web).health == Health::current);
}

TEST_CASE("of several conditions the first decides") {
  const auto widget = [](const char* conditions) {
    Json made{{"apiVersion", "example.com/v1"}, {"kind", "Widget"}};
    made["status"]["conditions"] = object(conditions);
    return assess(made).health;
  };
  CHECK(widget(R"([{"type":"Stalled","status":"True"},{"type":"Reconciling","status":"True"}])") == Health::failed);
  CHECK(widget(R"([{"type":"Reconciling","status":"True"},{"type":"Stalled","status":"True"}])") ==
        Health::in_progress);
  CHECK(widget(R"([{"type":"Ready","status":""},{"type":"Ready","status":"False"}])") == Health::in_progress);
  CHECK(widget(R"([{"type":"Ready","status":"true"}])") == Health::current);
}

TEST_CASE("of an object whose status has another shape nobody can tell whether it is ready") {
  for (const char* status : {R"("x")", R"({"conditions":{"Ready":"True"}})", R"({"conditions":["x"]})",
                             R"({"conditions":[{"type":"Ready","status":true}]})", R"({"observedGeneration":"1"})",
                             R"({"observedGeneration":null})", R"({"observedGeneration":1.5})"}) {
    INFO(status);
    Json made{{"apiVersion", "example.com/v1"}, {"kind", "Widget"}, {"metadata", {{"generation", 1}}}};
    made["status"] = object(status);
    CHECK(assess(made).health == Health::in_progress);
  }
}

TEST_CASE("a crash-looping Pod has failed and names the container") {
  const auto readiness = assess(object(R"({"apiVersion":"v1","kind":"Pod","status":{"phase":"Running",
    "containerStatuses":[{"name":"web","state":{"waiting":{"reason":"CrashLoopBackOff"}}},{"name":"ok","state":{}}]}})"));
  CHECK(readiness.health == Health::failed);
  CHECK(readiness.message == "Containers in a crash loop: web");
}

TEST_CASE("a CustomResourceDefinition is current once established") {
  CHECK(assess(object(R"({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
    "status":{"conditions":[{"type":"Established","status":"True"}]}})"))
            .health == Health::current);
  CHECK(assess(object(R"({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
    "status":{"conditions":[{"type":"NamesAccepted","status":"False","reason":"Taken","message":"short name"}]}})"))
            .message == "Taken: short name");
  const auto crd = [](const char* conditions) {
    Json made{{"apiVersion", "apiextensions.k8s.io/v1"}, {"kind", "CustomResourceDefinition"}};
    made["status"]["conditions"] = object(conditions);
    return assess(made).health;
  };
  CHECK(crd(R"([{"type":"Established","status":"Unknown","reason":"x"}])") == Health::in_progress);
  CHECK(crd(R"([{"type":"Established","status":"False","reason":"x"}])") == Health::failed);
  CHECK(crd(R"([{"type":"Established","status":"True"},{"type":"NamesAccepted","status":"False"}])") ==
        Health::current);
}

TEST_CASE("a status of the wrong shape is in progress or current, never a crash") {
  CHECK_NOTHROW(assess(object(R"({"apiVersion":7,"kind":[],"metadata":"x","status":{"conditions":{"type":1}}})")));
  CHECK(assess(object(R"({"apiVersion":"apps/v1","kind":"DaemonSet","status":{"conditions":[1,null,"x"]}})")).health ==
        Health::in_progress);
}
