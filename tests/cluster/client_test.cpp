#include "cluster/cluster.hpp"
#include "support/temp_folder.hpp"

using sluice::base::ErrorKind;
using sluice::test::Cluster;
namespace kube = sluice::kube;
namespace api = sluice::api;
using namespace std::chrono_literals;

TEST_CASE("discovery maps kinds to resources and says which kind is not served") {
  Cluster cluster;
  const auto deployment = cluster.resource("apps/v1", "Deployment");
  CHECK(deployment.plural == "deployments");
  CHECK(deployment.namespaced);
  CHECK_FALSE(cluster.resource("rbac.authorization.k8s.io/v1", "ClusterRole").namespaced);
  auto any = cluster.run(cluster.mapper->resource_for_group_kind("autoscaling", "HorizontalPodAutoscaler"));
  REQUIRE(any);
  CHECK(any->version == "v2");
  auto unknown = cluster.run(cluster.mapper->resource_for({"example.com", "v1", "Widget"}));
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().kind == ErrorKind::not_found);
  CHECK(unknown.error().reason == "NoKindMatch");
}

TEST_CASE("server-side apply creates, leaves alone, changes; a dry run writes nothing") {
  Cluster cluster;
  const auto maps = cluster.resource("v1", "ConfigMap");
  kube::ApplyOptions dry{"test", true, true};
  REQUIRE(cluster.run(cluster.client->apply(maps, cluster.config_map("a", "1"), dry)));
  auto missing = cluster.run(cluster.client->get(maps, {cluster.namespace_, "a"}));
  REQUIRE_FALSE(missing);
  CHECK(missing.error().kind == ErrorKind::not_found);

  kube::ApplyOptions wet{"test", true, false};
  auto created = cluster.run(cluster.client->apply(maps, cluster.config_map("a", "1"), wet));
  REQUIRE(created);
  auto again = cluster.run(cluster.client->apply(maps, cluster.config_map("a", "1"), wet));
  REQUIRE(again);
  CHECK(api::resource_version_of(*again) == api::resource_version_of(*created));
  auto changed = cluster.run(cluster.client->apply(maps, cluster.config_map("a", "2"), wet));
  REQUIRE(changed);
  CHECK(api::resource_version_of(*changed) != api::resource_version_of(*created));
}

TEST_CASE("of a dry run the answer may be metadata alone, and a refusal says what it always does") {
  Cluster cluster;
  const auto maps = cluster.resource("v1", "ConfigMap");
  kube::ApplyOptions dry{"test", true, true, true};
  auto absent = cluster.run(cluster.client->apply(maps, cluster.config_map("a", "1"), dry));
  REQUIRE(absent);
  CHECK(api::kind_of(*absent) == "PartialObjectMetadata");
  CHECK(api::name_of(*absent) == "a");
  CHECK(api::resource_version_of(*absent).empty());

  kube::ApplyOptions wet{"test", true, false};
  auto created = cluster.run(cluster.client->apply(maps, cluster.config_map("a", "1"), wet));
  REQUIRE(created);
  auto there = cluster.run(cluster.client->apply(maps, cluster.config_map("a", "2"), dry));
  REQUIRE(there);
  CHECK(api::resource_version_of(*there) == api::resource_version_of(*created));

  auto refused = cluster.run(cluster.client->apply(maps, cluster.config_map("Not_A_Name", "1"), dry));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::invalid);
  CHECK(refused.error().reason == "Invalid");
  CHECK(refused.error().message.find("metadata.name") != std::string::npos);
}

TEST_CASE("a watch passes over the version of an object that is known, and tells every other") {
  Cluster cluster;
  const auto maps = cluster.resource("v1", "ConfigMap");
  const auto version = cluster.run(cluster.client->list(maps, {.namespace_ = cluster.namespace_}))->resource_version;
  auto first = cluster.run(cluster.client->create(maps, cluster.config_map("a", "1"), "test"));
  REQUIRE(first);
  auto changed = cluster.config_map("a", "2");
  auto second = cluster.run(cluster.client->update(maps, changed, "test"));
  REQUIRE(second);
  kube::WatchOptions options;
  options.namespace_ = cluster.namespace_;
  options.resource_version = version;
  options.knows = [&](const api::ObjectKey& key, std::string_view uid, std::string_view told) {
    return key.name == "a" && uid == api::uid_of(*first) && told == api::resource_version_of(*first);
  };
  auto watch = cluster.run(cluster.client->watch(maps, options));
  REQUIRE(watch);
  std::vector<std::string> versions;
  while (versions.empty() || versions.back() != api::resource_version_of(*second)) {
    auto event = cluster.run((*watch)->next());
    REQUIRE(event);
    REQUIRE(*event);
    const std::string told(api::resource_version_of((*event)->object));
    if (told != api::resource_version_of(*first) && told != api::resource_version_of(*second)) continue;
    versions.push_back(told);
    CHECK((*event)->is_known == (versions.size() == 1));
    CHECK((*event)->object.contains("data") != (*event)->is_known);
  }
  CHECK(versions.size() == 2);
}

TEST_CASE("the server's refusals come back as the kind of error they are, with field and cause") {
  Cluster cluster;
  const auto maps = cluster.resource("v1", "ConfigMap");
  REQUIRE(cluster.run(cluster.client->create(maps, cluster.config_map("a", "1"), "test")));
  auto twice = cluster.run(cluster.client->create(maps, cluster.config_map("a", "1"), "test"));
  REQUIRE_FALSE(twice);
  CHECK(twice.error().kind == ErrorKind::already_exists);

  auto stale = cluster.config_map("a", "2");
  stale["metadata"]["resourceVersion"] = "1";
  auto conflict = cluster.run(cluster.client->update(maps, stale, "test"));
  REQUIRE_FALSE(conflict);
  CHECK(conflict.error().kind == ErrorKind::conflict);

  auto bad_name = cluster.run(cluster.client->create(maps, cluster.config_map("Not_A_Name", "1"), "test"));
  REQUIRE_FALSE(bad_name);
  CHECK(bad_name.error().kind == ErrorKind::invalid);
  CHECK(bad_name.error().message.find("metadata.name") != std::string::npos);

  kube::ApplyOptions polite{"somebody-else", false, false};
  auto owned = cluster.run(cluster.client->apply(maps, cluster.config_map("a", "3"), polite));
  REQUIRE_FALSE(owned);
  CHECK(owned.error().kind == ErrorKind::conflict);

  auto nobody = cluster.client->impersonate("nobody", {"nothing"});
  auto forbidden = cluster.run(nobody->get(maps, {cluster.namespace_, "a"}));
  REQUIRE_FALSE(forbidden);
  CHECK(forbidden.error().kind == ErrorKind::forbidden);
}

TEST_CASE("a list comes in pages and is whole; metadata alone can be asked for") {
  Cluster cluster;
  const auto maps = cluster.resource("v1", "ConfigMap");
  for (int i = 0; i < 7; ++i) {
    REQUIRE(cluster.run(cluster.client->create(maps, cluster.config_map("m" + std::to_string(i), "x"), "test")));
  }
  int requests = 0;
  cluster.client->on_request([&requests](const std::string&, int, std::chrono::nanoseconds) { ++requests; });
  kube::ListOptions options;
  options.namespace_ = cluster.namespace_;
  options.page_size = 3;
  auto list = cluster.run(cluster.client->list(maps, options));
  REQUIRE(list);
  CHECK(list->items.size() == 7);
  CHECK(requests == 3);
  CHECK(list->items[0]["kind"] == "ConfigMap");
  options.metadata_only = true;
  auto metadata = cluster.run(cluster.client->list(maps, options));
  REQUIRE(metadata);
  CHECK(metadata->items.size() == 7);
  CHECK_FALSE(metadata->items[0].contains("data"));
}

TEST_CASE("a watch tells of every change in order and ends when the server's time is up") {
  Cluster cluster;
  const auto maps = cluster.resource("v1", "ConfigMap");
  kube::ListOptions list_options;
  list_options.namespace_ = cluster.namespace_;
  auto list = cluster.run(cluster.client->list(maps, list_options));
  REQUIRE(list);
  kube::WatchOptions options;
  options.namespace_ = cluster.namespace_;
  options.resource_version = list->resource_version;
  options.timeout = 1s;
  auto watch = cluster.run(cluster.client->watch(maps, options));
  REQUIRE(watch);
  REQUIRE(cluster.run(cluster.client->create(maps, cluster.config_map("w", "1"), "test")));
  REQUIRE(cluster.run(
      cluster.client->patch(maps, {cluster.namespace_, "w"}, kube::PatchType::merge, {{"data", {{"key", "2"}}}}, {})));
  REQUIRE(cluster.run(cluster.client->remove(maps, {cluster.namespace_, "w"}, {})));
  std::vector<kube::WatchEventType> seen;
  while (true) {
    auto event = cluster.run((*watch)->next());
    REQUIRE(event);
    if (!event->has_value()) break;
    if ((*event)->type != kube::WatchEventType::bookmark) seen.push_back((*event)->type);
  }
  using enum kube::WatchEventType;
  CHECK(seen == std::vector{added, modified, deleted});
}

TEST_CASE("a watch from a version that the server has forgotten is gone") {
  Cluster cluster;
  kube::WatchOptions options;
  options.resource_version = "1";
  auto watch = cluster.run(cluster.client->watch(cluster.resource("v1", "ConfigMap"), options));
  // The server says so in the status or in the first event.
  if (watch) {
    auto event = cluster.run((*watch)->next());
    // A young etcd has compacted nothing and may still know version 1.
    if (!event) CHECK(event.error().kind == ErrorKind::gone);
  } else {
    CHECK(watch.error().kind == ErrorKind::gone);
  }
}

TEST_CASE("a delete with the UID of another object is refused") {
  Cluster cluster;
  const auto maps = cluster.resource("v1", "ConfigMap");
  REQUIRE(cluster.run(cluster.client->create(maps, cluster.config_map("a", "1"), "test")));
  kube::DeleteOptions options;
  options.uid = "00000000-0000-0000-0000-000000000000";
  auto refused = cluster.run(cluster.client->remove(maps, {cluster.namespace_, "a"}, options));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::conflict);
  CHECK(cluster.run(cluster.client->get(maps, {cluster.namespace_, "a"})));
}

TEST_CASE("a server whose certificate is signed by another CA is not trusted, and a wrong token is unauthorized") {
  Cluster cluster;
  auto config = kube::load_config({});
  REQUIRE(config);
  auto without_ca = *config;
  without_ca.ca_pem.clear();
  auto stranger = kube::Client::create(cluster.runtime, without_ca);
  REQUIRE(stranger);
  auto untrusted = cluster.run((*stranger)->raw_get("/version"));
  REQUIRE_FALSE(untrusted);
  CHECK(untrusted.error().kind == ErrorKind::untrusted);
  auto wrong = *config;
  wrong.token = "not-a-token";
  auto guest = kube::Client::create(cluster.runtime, wrong);
  REQUIRE(guest);
  auto refused = cluster.run((*guest)->raw_get("/api"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::unauthorized);
}

TEST_CASE("the server sees whom we impersonate: user, UID, every group and every extra field") {
  Cluster cluster;
  kube::Impersonation who;
  who.user = "system:serviceaccount:apps:robot";
  who.uid = "1234";
  who.groups = {"system:serviceaccounts", "system:serviceaccounts:apps", "system:authenticated"};
  who.extra = {{"example.com/scopes", {"read", "write"}}};
  const auto robot = cluster.client->impersonate_as(who);
  const kube::Resource reviews{"authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", false};
  const sluice::doc::Json question{{"apiVersion", "authentication.k8s.io/v1"}, {"kind", "SelfSubjectReview"}};
  const auto review = cluster.run(robot->create(reviews, question, "test"));
  if (!review) FAIL(review.error().message);
  const sluice::doc::Json seen = review->at("status").at("userInfo");
  CHECK(seen.at("username") == who.user);
  CHECK(seen.at("uid") == who.uid);
  CHECK(seen.at("groups") == who.groups);
  CHECK(seen.at("extra").at("example.com/scopes") == sluice::doc::Json{"read", "write"});
}

TEST_CASE("the server adds a service account's groups where none are named") {
  Cluster cluster;
  const auto robot = cluster.client->impersonate("system:serviceaccount:apps:robot", {});
  const kube::Resource reviews{"authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", false};
  const sluice::doc::Json question{{"apiVersion", "authentication.k8s.io/v1"}, {"kind", "SelfSubjectReview"}};
  const auto review = cluster.run(robot->create(reviews, question, "test"));
  if (!review) FAIL(review.error().message);
  const sluice::doc::Json seen = review->at("status").at("userInfo");
  CHECK(seen.at("username") == "system:serviceaccount:apps:robot");
  CHECK(seen.at("groups") ==
        sluice::doc::Json{"system:serviceaccounts", "system:serviceaccounts:apps", "system:authenticated"});
}

TEST_CASE("a token file that is replaced is read again when the server refuses the old token") {
  Cluster cluster;
  const sluice::test::TempFolder folder;
  auto config = kube::load_config({});
  REQUIRE(config);
  const std::string good = config->token;
  REQUIRE_FALSE(good.empty());
  folder.write("token", "stale");
  config->token_file = (folder.path() / "token").string();
  auto client = kube::Client::create(cluster.runtime, *config);
  REQUIRE(client);
  CHECK(cluster.run((*client)->raw_get("/api")).error().kind == ErrorKind::unauthorized);
  folder.write("token", good + "\n");
  CHECK(cluster.run((*client)->raw_get("/api")));
}

TEST_CASE("a name from an inventory that leads elsewhere deletes nothing") {
  Cluster cluster;
  const auto maps = cluster.resource("v1", "ConfigMap");
  REQUIRE(cluster.run(cluster.client->create(maps, cluster.config_map("a", "1"), "test")));
  for (const char* name : {"", ".", "..", "../configmaps", "a/../a"}) {
    const auto refused = cluster.run(cluster.client->remove(maps, {cluster.namespace_, name}, {}));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::invalid);
  }
  CHECK(cluster.run(cluster.client->get(maps, {cluster.namespace_, "a"})));
}
