#include "kube/config.hpp"

#include <catch2/catch.hpp>

#include "kube/detail/credentials.hpp"

using sluice::base::ErrorKind;
using sluice::kube::parse_kubeconfig;

namespace {

const std::string kConfig = R"(apiVersion: v1
kind: Config
current-context: a
clusters:
- name: c
  cluster: {server: "https://example.com:6443", certificate-authority-data: Q0E=, tls-server-name: kube}
users:
- name: u
  user: {token: t0ken}
- name: plugin
  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: get-token, args: [a, b], env: [{name: X, value: "1"}]}}
contexts:
- name: a
  context: {cluster: c, user: u, namespace: ns}
- name: b
  context: {cluster: c, user: plugin}
- name: broken
  context: {cluster: missing, user: u}
)";

}  // namespace

TEST_CASE("a kubeconfig gives server, CA, credentials and namespace of its current context") {
  const auto config = parse_kubeconfig(kConfig, "", "");
  REQUIRE(config);
  CHECK(config->server == "https://example.com:6443");
  CHECK(config->ca_pem == "CA");
  CHECK(config->tls_server_name == "kube");
  CHECK(config->token == "t0ken");
  CHECK(config->namespace_ == "ns");
  CHECK_FALSE(config->exec);
}

TEST_CASE("another context may be chosen, with an exec plugin") {
  const auto config = parse_kubeconfig(kConfig, "b", "");
  REQUIRE(config);
  REQUIRE(config->exec);
  CHECK(config->exec->command == "get-token");
  CHECK(config->exec->args == std::vector<std::string>{"a", "b"});
  CHECK(config->exec->env.at("X") == "1");
}

TEST_CASE("what is missing or malformed in a kubeconfig is named") {
  const auto message = [](const std::string& text, const char* context) {
    const auto config = parse_kubeconfig(text, context, "");
    REQUIRE_FALSE(config);
    return config.error().message;
  };
  CHECK(message(kConfig, "nope") == "kubeconfig: no entry 'nope' in contexts");
  CHECK(message(kConfig, "broken") == "kubeconfig: no entry 'missing' in clusters");
  CHECK(message("{}", "") == "kubeconfig: current-context is empty");
  CHECK(message("a: [", "").find("line") != std::string::npos);
  std::string bad = kConfig;
  bad.replace(bad.find("Q0E="), 4, "Q0!=");
  CHECK(message(bad, "").find("certificate-authority-data") != std::string::npos);
}

TEST_CASE("an exec plugin's output is read, its failure and its absence are errors") {
  using sluice::kube::detail::run_exec_plugin;
  const auto good =
      run_exec_plugin({"client.authentication.k8s.io/v1", "sh", {"-c", "printf %s \"$WORD\""}, {{"WORD", "hi"}}}, {});
  REQUIRE(good);
  CHECK(*good == "hi");
  CHECK(run_exec_plugin({"v1", "sh", {"-c", "exit 3"}, {}}, {}).error().kind == ErrorKind::unauthorized);
  CHECK(run_exec_plugin({"v1", "/does/not/exist", {}, {}}, {}).error().kind == ErrorKind::unauthorized);
}
