// The cluster that $KUBECONFIG names, for tests: a client, a mapper, and a
// namespace of its own for each test.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "kube/client.hpp"
#include "kube/rest_mapper.hpp"
#include "support/run_task.hpp"

namespace sluice::test {

struct Cluster {
  rt::Runtime runtime;
  std::shared_ptr<kube::Client> client;
  std::shared_ptr<kube::RestMapper> mapper;
  std::string namespace_;

  Cluster() {
    auto config = kube::load_config({});
    REQUIRE(config);
    auto made = kube::Client::create(runtime, *std::move(config));
    REQUIRE(made);
    client = *std::move(made);
    mapper = std::make_shared<kube::RestMapper>(client);
    static int count = 0;
    namespace_ = "test-" + std::to_string(++count);
    auto created = run(
        client->create(resource("v1", "Namespace"),
                       {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", namespace_}}}}, "test"));
    REQUIRE(created);
  }

  template <class T>
  T run(rt::Task<T> task) {
    return test::run(runtime, std::move(task));
  }

  kube::Resource resource(const std::string& api_version, const std::string& kind) {
    auto gvk = api::GroupVersionKind::parse(api_version, kind);
    REQUIRE(gvk);
    auto found = run(mapper->resource_for(*gvk));
    if (!found) FAIL(found.error().message);
    REQUIRE(found);
    return *found;
  }

  doc::Json config_map(const std::string& name, const std::string& value) const {
    return {{"apiVersion", "v1"},
            {"kind", "ConfigMap"},
            {"metadata", {{"name", name}, {"namespace", namespace_}}},
            {"data", {{"key", value}}}};
  }
};

}  // namespace sluice::test
