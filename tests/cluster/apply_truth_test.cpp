// Faults after which an object is wrong for ever, or runs for ever, while all looks well.
#include <algorithm>

#include "cluster/cluster.hpp"
#include "cluster/owned.hpp"

using sluice::apply::Action;
using sluice::apply::Outcome;
using sluice::doc::Json;
using sluice::test::actions;
using sluice::test::Cluster;
using sluice::test::Owned;
using sluice::test::owned_by;
namespace api = sluice::api;
namespace kube = sluice::kube;

namespace {

Json deployment(const Cluster& cluster, std::optional<int> history) {
  Json object = Json::parse(R"({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
    "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
             "spec": {"containers": [{"name": "web", "image": "example.com/web:1"}]}}}})");
  object["metadata"]["namespace"] = cluster.namespace_;
  if (history) object["spec"]["revisionHistoryLimit"] = *history;
  return object;
}

Json job(const Cluster& cluster, const char* image = "example.com/job:1") {
  Json object = Json::parse(R"({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"},
    "spec": {"ttlSecondsAfterFinished": 0, "template": {"spec": {"restartPolicy": "Never",
             "containers": [{"name": "once"}]}}}})");
  object["metadata"]["namespace"] = cluster.namespace_;
  object["spec"]["template"]["spec"]["containers"][0]["image"] = image;
  return object;
}

struct Drifts {
  explicit Drifts(Owned& set) {
    set.live->on_drift = [this](const api::ObjectKey&, const api::ObjectId& id) { seen.push_back(id.display()); };
    set.live->on_vanished = [this, &set](const api::ObjectKey& owner, const api::ObjectId& id, std::uint64_t desired) {
      vanished.push_back(id.display());
      set.vanished->note_gone(owner, id, desired, std::chrono::steady_clock::now());
    };
  }
  std::vector<std::string> seen;
  std::vector<std::string> vanished;
};

void patch_as(Cluster& cluster, const kube::Resource& resource, const char* name, Json patch, const char* manager,
              const char* subresource = "") {
  kube::PatchOptions options;
  options.field_manager = manager;
  options.subresource = subresource;
  auto patched = cluster.run(
      cluster.client->patch(resource, {cluster.namespace_, name}, kube::PatchType::merge, std::move(patch), options));
  if (!patched) FAIL(patched.error().message);
}

Json get(Cluster& cluster, const kube::Resource& resource, const char* name) {
  auto found = cluster.run(cluster.client->get(resource, {cluster.namespace_, name}));
  return found ? *found : Json();
}

// As the TTL controller does it: with the status that ends it, and then away.
void finish(Cluster& cluster, const kube::Resource& jobs, const char* condition) {
  const Json status = Json::parse(R"({"status": {"startTime": "2026-01-01T00:00:00Z",
    "completionTime": "2026-01-01T00:00:01Z", "succeeded": 1, "uncountedTerminatedPods": {}, "conditions": [
    {"type": "SuccessCriteriaMet", "status": "True", "lastTransitionTime": "2026-01-01T00:00:01Z"},
    {"type": "Complete", "status": "True", "lastTransitionTime": "2026-01-01T00:00:01Z"}]}})");
  if (std::string_view(condition) == "Complete") patch_as(cluster, jobs, "once", status, "job-controller", "status");
  REQUIRE(cluster.run(cluster.client->remove(jobs, {cluster.namespace_, "once"}, {})));
}

}  // namespace

TEST_CASE("a field that has the wanted value already becomes ours, and who changes it later is seen") {
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  Drifts drifts(set);
  const auto deployments = cluster.resource("apps/v1", "Deployment");
  const bool is_default = GENERATE(true, false);
  const int value = is_default ? 10 : 7;  // 10 is what the server fills in
  REQUIRE_FALSE(cluster.run(set.apply({deployment(cluster, std::nullopt)}, {})).error);
  const Json other = {{"spec", {{"revisionHistoryLimit", value}}}};
  if (!is_default) patch_as(cluster, deployments, "web", other, "another-manager");

  CHECK(actions(cluster.run(set.apply({deployment(cluster, value)}, {}))) == std::vector{Action::configured});
  CHECK(actions(cluster.run(set.apply({deployment(cluster, value)}, {}))) == std::vector{Action::unchanged});
  CHECK(drifts.seen.empty());
  patch_as(cluster, deployments, "web", {{"spec", {{"revisionHistoryLimit", 3}}}}, "another-manager");
  CHECK(set.until([&] { return !drifts.seen.empty(); }));
  CHECK(actions(cluster.run(set.apply({deployment(cluster, value)}, {}))) == std::vector{Action::configured});
  CHECK(get(cluster, deployments, "web")["spec"]["revisionHistoryLimit"] == Json(value));
}

TEST_CASE("what the server is asked about anew becomes ours, too") {
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  REQUIRE_FALSE(cluster.run(set.apply({deployment(cluster, std::nullopt)}, {})).error);
  Owned restarted = owned_by(cluster, "apps");
  CHECK(actions(cluster.run(restarted.apply({deployment(cluster, 10)}, {}))) == std::vector{Action::configured});
}

TEST_CASE("an object of which more is ours than the manifest says is not touched") {
  Cluster cluster;
  Owned upstream = owned_by(cluster, "apps");
  const auto deployments = cluster.resource("apps/v1", "Deployment");
  REQUIRE_FALSE(cluster.run(upstream.apply({deployment(cluster, 10)}, {})).error);
  const std::string before(api::resource_version_of(get(cluster, deployments, "web")));
  Owned ours = owned_by(cluster, "apps");
  CHECK(actions(cluster.run(ours.apply({deployment(cluster, std::nullopt)}, {}))) == std::vector{Action::unchanged});
  CHECK(actions(cluster.run(ours.apply({deployment(cluster, std::nullopt)}, {}))) == std::vector{Action::unchanged});
  CHECK(api::resource_version_of(get(cluster, deployments, "web")) == before);
}

TEST_CASE("a Job that its TTL has deleted is no drift, and stays away until it is wanted again") {
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  Drifts drifts(set);
  const auto jobs = cluster.resource("batch/v1", "Job");
  sluice::apply::ApplyOptions options;
  options.vanished_rest = std::chrono::hours(1);
  const bool once = GENERATE(false, true);
  const auto wanted = [&](const char* image) {
    Json object = job(cluster, image);
    if (once) object["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/ssa"] = "IfNotPresent";
    return std::vector<Json>{object};
  };
  CHECK(actions(cluster.run(set.apply(wanted("example.com/job:1"), options))) == std::vector{Action::created});
  finish(cluster, jobs, "Complete");
  REQUIRE(set.until([&] { return !drifts.vanished.empty(); }));
  CHECK(drifts.seen.empty());
  CHECK(actions(cluster.run(set.apply(wanted("example.com/job:1"), options))) == std::vector{Action::unchanged});
  options.verify = true;
  CHECK(actions(cluster.run(set.apply(wanted("example.com/job:1"), options))) == std::vector{Action::unchanged});
  CHECK(get(cluster, jobs, "once").is_null());
  SECTION("another manifest") {
    CHECK(actions(cluster.run(set.apply(wanted("example.com/job:2"), options))) == std::vector{Action::created});
  }
  SECTION("somebody asks for it") {
    options.renew_vanished = true;
    CHECK(actions(cluster.run(set.apply(wanted("example.com/job:1"), options))) == std::vector{Action::created});
  }
  SECTION("it has been away for long enough") {
    options.vanished_rest = std::chrono::milliseconds(1);
    CHECK(actions(cluster.run(set.apply(wanted("example.com/job:1"), options))) == std::vector{Action::created});
  }
}

TEST_CASE("a Job that somebody deletes before it has finished is drift") {
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  Drifts drifts(set);
  const auto jobs = cluster.resource("batch/v1", "Job");
  sluice::apply::ApplyOptions options;
  options.vanished_rest = std::chrono::hours(1);
  CHECK(actions(cluster.run(set.apply({job(cluster)}, options))) == std::vector{Action::created});
  finish(cluster, jobs, "");
  CHECK(set.until([&] { return !drifts.seen.empty(); }));
  CHECK(drifts.vanished.empty());
  CHECK(actions(cluster.run(set.apply({job(cluster)}, options))) == std::vector{Action::created});
}

TEST_CASE("fields of other tools are taken over before the dry run where that is asked for") {
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  const auto maps = cluster.resource("v1", "ConfigMap");
  Json by_kubectl = cluster.config_map("a", "1");
  by_kubectl["data"]["theirs"] = "x";
  REQUIRE(cluster.run(cluster.client->create(maps, by_kubectl, "kubectl-client-side-apply")));
  std::vector<std::string> verbs;
  cluster.client->on_request([&](const std::string& verb, int, std::chrono::nanoseconds) { verbs.push_back(verb); });
  sluice::apply::ApplyOptions options;
  options.take_over_before_dry_run = GENERATE(true, false);
  CHECK(actions(cluster.run(set.apply({cluster.config_map("a", "1")}, options))) == std::vector{Action::configured});
  const auto patched = std::find(verbs.begin(), verbs.end(), "patch");
  const auto applied = std::find(verbs.begin(), verbs.end(), "apply");
  REQUIRE(patched != verbs.end());
  REQUIRE(applied != verbs.end());
  CHECK((patched < applied) == options.take_over_before_dry_run);
  CHECK(get(cluster, maps, "a")["data"] == Json({{"key", "1"}}));
}

TEST_CASE("what is there and is only to be created is left, though the server would refuse the manifest") {
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  const auto secret = [&cluster](const char* value) {
    return Json{{"apiVersion", "v1"},
                {"kind", "Secret"},
                {"metadata",
                 {{"name", "s"},
                  {"namespace", cluster.namespace_},
                  {"annotations", {{"kustomize.toolkit.fluxcd.io/ssa", "IfNotPresent"}}}}},
                {"immutable", true},
                {"stringData", {{"k", value}}}};
  };
  CHECK(actions(cluster.run(set.apply({secret("1")}, {}))) == std::vector{Action::created});
  CHECK(actions(cluster.run(set.apply({secret("2")}, {}))) == std::vector{Action::skipped});
}

TEST_CASE("entries of a Secret that are no strings are an error that names them and not their values") {
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  const char* map = GENERATE("stringData", "data");
  Json secret{
      {"apiVersion", "v1"}, {"kind", "Secret"}, {"metadata", {{"name", "s"}, {"namespace", cluster.namespace_}}}};
  secret[map] = Json::parse(R"({"fine": "MQ==", "pin": 987654321})");
  const Outcome outcome = cluster.run(set.apply({secret}, {}));
  REQUIRE(outcome.error);
  CHECK(outcome.error->message.find("Secret/" + cluster.namespace_ + "/s") != std::string::npos);
  CHECK(outcome.error->message.find(std::string(map) + ".pin") != std::string::npos);
  CHECK(outcome.error->message.find("987654321") == std::string::npos);
}

TEST_CASE("the server's words about a Secret are told without its values") {
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  Json secret{
      {"apiVersion", "v1"}, {"kind", "Secret"}, {"metadata", {{"name", "s"}, {"namespace", cluster.namespace_}}}};
  SECTION("as a value of another field, where it is repeated") {
    secret["stringData"]["password"] = "hunter2-hunter2";
    secret["type"] = "hunter2-hunter2";
    secret["immutable"] = "hunter2-hunter2";
  }
  SECTION("not base64") { secret["data"]["password"] = "hunter2-hunter2!"; }
  const Outcome outcome = cluster.run(set.apply({secret}, {}));
  REQUIRE(outcome.error);
  CHECK(outcome.error->message.find("Secret/" + cluster.namespace_ + "/s") != std::string::npos);
  CHECK(outcome.error->message.find("hunter2") == std::string::npos);
}

TEST_CASE("a hand edit that changes the owner's labels as well is drift of the one who left the object") {
  const Json labels = GENERATE(
      Json{{"kustomize.toolkit.fluxcd.io/name", "other"}}, Json{{"kustomize.toolkit.fluxcd.io/namespace", "elsewhere"}},
      Json{{"kustomize.toolkit.fluxcd.io/name", ""}}, Json{{"kustomize.toolkit.fluxcd.io/name", nullptr}});
  CAPTURE(labels.dump());
  Cluster cluster;
  Owned set = owned_by(cluster, "apps");
  std::vector<std::string> drifted;
  set.live->on_drift = [&](const api::ObjectKey& owner, const api::ObjectId&) { drifted.push_back(owner.str()); };
  const auto maps = cluster.resource("v1", "ConfigMap");
  REQUIRE_FALSE(cluster.run(set.apply({cluster.config_map("a", "1")}, {})).error);
  patch_as(cluster, maps, "a", {{"data", {{"key", "by hand"}}}, {"metadata", {{"labels", labels}}}}, "kubectl-patch");
  CHECK(set.until([&] { return drifted.size() == 1; }));
  if (labels.begin()->is_string()) {
    patch_as(cluster, maps, "a", {{"data", {{"key", "once more"}}}}, "kubectl-patch");
    CHECK(set.until([&] { return drifted.size() >= 2; }));
  }
  for (const std::string& owner : drifted) CHECK(owner == "flux-system/apps");
  CHECK(cluster.run(set.apply({cluster.config_map("a", "1")}, {})).changes.size() == 1);
  CHECK(get(cluster, maps, "a")["data"]["key"] == Json("1"));
  CHECK(get(cluster, maps, "a")["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] == Json("apps"));
}

TEST_CASE("what another owner applies is not answered by the former, whose daemon it was not") {
  Cluster cluster;
  Owned first = owned_by(cluster, "apps");
  Owned second = owned_by(cluster, "other");  // with records of its own
  std::vector<std::string> drifted;
  first.live->on_drift = [&](const api::ObjectKey& owner, const api::ObjectId&) { drifted.push_back(owner.name); };
  const auto maps = cluster.resource("v1", "ConfigMap");
  REQUIRE_FALSE(cluster.run(first.apply({cluster.config_map("a", "1")}, {})).error);
  REQUIRE_FALSE(cluster.run(second.apply({cluster.config_map("a", "2")}, {})).error);
  CHECK(first.until([&] { return !drifted.empty(); }));
  // What happens to it now is the other one's business, whatever is done to its labels.
  const Json edit = {{"data", {{"key", "by hand"}}},
                     {"metadata", {{"labels", {{"kustomize.toolkit.fluxcd.io/name", "x"}}}}}};
  patch_as(cluster, maps, "a", edit, "kubectl-patch");
  const api::ObjectKey key{cluster.namespace_, "a"};
  CHECK(first.until([&] { return first.live->find(maps, key)->owner.name == "x"; }));
  CHECK(drifted == std::vector<std::string>{"other"});
}
