// An API server that says what a test tells it to, and keeps what it was asked.
#pragma once

#include <catch2/catch.hpp>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "http/server.hpp"
#include "kube/client.hpp"
#include "support/run_task.hpp"

namespace sluice::test {

struct ScriptedServer {
  rt::Runtime runtime;
  std::vector<http::Request> requests;
  std::deque<http::Reply> replies;  // when they are used up: 200 and "{}"
  std::unique_ptr<http::Server> server;

  ScriptedServer() {
    auto started = http::Server::start(runtime, "127.0.0.1:0", [this](http::Request request) {
      requests.push_back(std::move(request));
      http::Reply reply;
      reply.body = std::string("{}");
      if (!replies.empty()) {
        reply = std::move(replies.front());
        replies.pop_front();
      }
      return answer(std::move(reply));
    });
    REQUIRE(started);
    server = *std::move(started);
  }

  void then(int status, std::string body, http::Headers headers = {}) {
    http::Reply reply;
    reply.status = status;
    reply.headers = std::move(headers);
    reply.body = std::move(body);
    replies.push_back(std::move(reply));
  }

  kube::Config config() const {
    kube::Config config;
    config.server = "http://127.0.0.1:" + std::to_string(server->port());
    return config;
  }
  std::shared_ptr<kube::Client> client(kube::Config config) {
    auto client = kube::Client::create(runtime, std::move(config));
    REQUIRE(client);
    return *std::move(client);
  }
  std::shared_ptr<kube::Client> client() { return client(config()); }

  template <class T>
  T run(rt::Task<T> task) {
    return test::run(runtime, std::move(task));
  }

  static std::vector<std::string> values(const http::Request& request, const std::string& name) {
    std::vector<std::string> out;
    for (const auto& [field, value] : request.headers.all()) {
      if (field == name) out.push_back(value);
    }
    return out;
  }

 private:
  static rt::Task<http::Reply> answer(http::Reply reply) { co_return reply; }
};

inline const kube::Resource kMaps{"", "v1", "ConfigMap", "configmaps", true};
inline const kube::Resource kRoles{"rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false};

}  // namespace sluice::test
