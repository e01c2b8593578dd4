// An owner that applies to the cluster of cluster.hpp, for tests.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apply/apply_set.hpp"
#include "cluster/cluster.hpp"

namespace sluice::test {

// With live records of its own, as one daemon has them.
struct Owned {
  Cluster& cluster;
  apply::Owner owner;
  std::shared_ptr<apply::LiveObjects> live;
  std::shared_ptr<apply::Vanished> vanished;
  apply::ApplySet set;

  rt::Task<apply::Outcome> apply(std::vector<doc::Json> objects, apply::ApplyOptions options) {
    auto made = apply::make_manifests(std::move(objects), owner);
    REQUIRE(made);
    return set.apply(std::make_shared<const std::vector<apply::Manifest>>(*std::move(made)), std::move(options));
  }
  rt::Task<apply::Outcome> prune(std::vector<api::InventoryEntry> entries, apply::PruneOptions options = {}) {
    return set.prune(std::move(entries), {}, std::move(options));
  }
  // Lets the loop turn until it is so; false after some seconds.
  bool until(const std::function<bool()>& is_so) const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!is_so() && std::chrono::steady_clock::now() < deadline) {
      cluster.runtime.context().run_one_for(std::chrono::milliseconds(5));
    }
    return is_so();
  }
};

// A client that speaks as an account of the test's namespace with these rights to ConfigMaps there, and no others.
inline std::shared_ptr<kube::Client> account_that_may(Cluster& cluster, std::vector<std::string> verbs) {
  const std::string rbac = "rbac.authorization.k8s.io/v1";
  const doc::Json meta = {{"name", "deployer"}, {"namespace", cluster.namespace_}};
  doc::Json role = {{"apiVersion", rbac}, {"kind", "Role"}, {"metadata", meta}};
  role["rules"] = doc::Json::array({{{"apiGroups", {""}}, {"resources", {"configmaps"}}, {"verbs", std::move(verbs)}}});
  doc::Json binding = {{"apiVersion", rbac}, {"kind", "RoleBinding"}, {"metadata", meta}};
  binding["roleRef"] = {{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "Role"}, {"name", "deployer"}};
  binding["subjects"] =
      doc::Json::array({{{"kind", "ServiceAccount"}, {"name", "deployer"}, {"namespace", cluster.namespace_}}});
  REQUIRE(cluster.run(cluster.client->create(cluster.resource(rbac, "Role"), role, "test")));
  REQUIRE(cluster.run(cluster.client->create(cluster.resource(rbac, "RoleBinding"), binding, "test")));
  auto client = cluster.client->impersonate("system:serviceaccount:" + cluster.namespace_ + ":deployer", {});
  const kube::Resource maps = cluster.resource("v1", "ConfigMap");
  // The server takes up rights a moment later.
  for (int attempt = 0; attempt < 500; ++attempt) {
    auto seen = cluster.run(client->get(maps, {cluster.namespace_, "kube-root-ca.crt"}));
    if (seen || seen.error().kind == base::ErrorKind::not_found) break;
    cluster.runtime.context().restart();
    cluster.runtime.context().run_for(std::chrono::milliseconds(10));
  }
  return client;
}

// `client` applies; unless set, that of the cluster.
inline Owned owned_by(Cluster& cluster, const std::string& name, std::shared_ptr<kube::Client> client = nullptr) {
  apply::LiveOptions options;
  options.owner_group = "kustomize.toolkit.fluxcd.io";
  options.field_manager = "kustomize-controller";
  options.foreign = apply::foreign_managers(options.field_manager, {});
  auto live = apply::LiveObjects::create(cluster.runtime, cluster.client, base::Logger::discard(), std::move(options));
  auto vanished = std::make_shared<apply::Vanished>();
  const apply::Owner owner{"kustomize.toolkit.fluxcd.io", name, "flux-system", "kustomize-controller"};
  return {cluster, owner, live, vanished,
          apply::ApplySet({cluster.runtime, client ? client : cluster.client, cluster.mapper, live, vanished}, owner)};
}

inline std::vector<apply::Action> actions(const apply::Outcome& outcome) {
  std::vector<apply::Action> out;
  for (const auto& change : outcome.changes) out.push_back(change.action);
  return out;
}

inline std::vector<api::InventoryEntry> entries(const apply::Outcome& outcome) {
  std::vector<api::InventoryEntry> out;
  for (const auto& change : outcome.changes) out.push_back(change.entry());
  return out;
}

}  // namespace sluice::test
