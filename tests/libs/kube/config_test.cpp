#include "kube/config.hpp"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "support/temp_folder.hpp"

using sluice::base::ErrorKind;
using sluice::kube::KubeconfigOptions;
using sluice::kube::load_config;
using sluice::kube::parse_kubeconfig;
using sluice::test::TempFolder;

namespace {

const std::string kConfig = R"(apiVersion: v1
kind: Config
current-context: a
clusters:
- name: c
  cluster:
    server: "https://example.com:6443"
    certificate-authority-data: Q0E=
    tls-server-name: kube
    proxy-url: "http://p:3128"
users:
- name: u
  user: {token: t0ken}
- name: plugin
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: get-token
      args: [a, b]
      env: [{name: X, value: "1"}]
      provideClusterInfo: true
- name: other
  user: {token: t, as: jane, as-uid: "7", as-groups: [g1, g2], as-user-extra: {scopes: [s]}}
contexts:
- name: a
  context: {cluster: c, user: u, namespace: ns}
- name: b
  context: {cluster: c, user: plugin}
- name: as
  context: {cluster: c, user: other}
- name: broken
  context: {cluster: missing, user: u}
)";

KubeconfigOptions in_context(const char* context) {
  KubeconfigOptions options;
  options.context = context;
  return options;
}

// One cluster and one user, each with the fields given.
std::string kubeconfig(const std::string& cluster, const std::string& user) {
  return "current-context: x\nclusters: [{name: c, cluster: {" + cluster + "}}]\nusers: [{name: u, user: {" + user +
         "}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n";
}
const std::string kServer = "server: \"https://s\"";

// Environment variables as they were, after the test.
class Environment {
 public:
  explicit Environment(std::map<std::string, std::string> values) {
    for (const auto& [name, value] : values) {
      const char* before = ::getenv(name.c_str());
      before_[name] = before == nullptr ? std::nullopt : std::optional<std::string>(before);
      value.empty() ? ::unsetenv(name.c_str()) : ::setenv(name.c_str(), value.c_str(), 1);
    }
  }
  ~Environment() {
    for (const auto& [name, value] : before_) {
      value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
    }
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::map<std::string, std::optional<std::string>> before_;
};

}  // namespace

TEST_CASE("a kubeconfig gives server, CA, credentials and namespace of its current context") {
  const auto config = parse_kubeconfig(kConfig);
  REQUIRE(config);
  CHECK(config->server == "https://example.com:6443");
  CHECK(config->ca_pem == "CA");
  CHECK(config->tls_server_name == "kube");
  CHECK(config->proxy_url == "http://p:3128");
  CHECK(config->token == "t0ken");
  CHECK(config->namespace_ == "ns");
  CHECK_FALSE(config->exec);
  CHECK_FALSE(config->impersonate);
}

TEST_CASE("another context may be chosen, with an exec plugin where that is allowed") {
  KubeconfigOptions options = in_context("b");
  CHECK(parse_kubeconfig(kConfig, options).error().kind == ErrorKind::forbidden);
  options.allow_exec = true;
  const auto config = parse_kubeconfig(kConfig, options);
  REQUIRE(config);
  REQUIRE(config->exec);
  CHECK(config->exec->command == "get-token");
  CHECK(config->exec->args == std::vector<std::string>{"a", "b"});
  CHECK(config->exec->env.at("X") == "1");
  CHECK(config->exec->cluster_info ==
        R"({"certificate-authority-data":"Q0E=","proxy-url":"http://p:3128",)"
        R"("server":"https://example.com:6443","tls-server-name":"kube"})");
}

TEST_CASE("whom a user speaks as is honoured, and half of it is refused") {
  const auto config = parse_kubeconfig(kConfig, in_context("as"));
  REQUIRE(config);
  REQUIRE(config->impersonate);
  CHECK(config->impersonate->user == "jane");
  CHECK(config->impersonate->uid == "7");
  CHECK(config->impersonate->groups == std::vector<std::string>{"g1", "g2"});
  CHECK(config->impersonate->extra.at("scopes") == std::vector<std::string>{"s"});
  CHECK(parse_kubeconfig(kubeconfig(kServer, "as-groups: [g]")).error().kind == ErrorKind::invalid);
}

TEST_CASE("what is missing or malformed in a kubeconfig is named") {
  const auto message = [](const std::string& text, const char* context) {
    const auto config = parse_kubeconfig(text, in_context(context));
    REQUIRE_FALSE(config);
    return config.error().message;
  };
  CHECK(message(kConfig, "nope") == "kubeconfig: no entry 'nope' in contexts");
  CHECK(message(kConfig, "broken") == "kubeconfig: no entry 'missing' in clusters");
  CHECK(message("{}", "") == "kubeconfig: current-context is empty");
  CHECK(message("a: [", "").find("line") != std::string::npos);
  CHECK(message(kubeconfig("", "token: t"), "") == "kubeconfig: the cluster has no server");
  std::string bad = kConfig;
  bad.replace(bad.find("Q0E="), 4, "Q0!=");
  CHECK(message(bad, "").find("certificate-authority-data") != std::string::npos);
  CHECK(parse_kubeconfig(kubeconfig(kServer, "auth-provider: {name: gcp}")).error().kind == ErrorKind::unsupported);
  for (const char* text : {"[]", "3", "null", "clusters: 3\ncurrent-context: x", "current-context: [x]",
                           "current-context: x\ncontexts: [1, {name: x, context: 3}]"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_kubeconfig(text));
  }
}

TEST_CASE("a kubeconfig from a Secret reads no file, runs no program and trusts no stranger") {
  const TempFolder folder;
  folder.write("secret", "of the daemon");
  const std::string file = (folder.path() / "secret").string();
  const std::string refused[] = {
      kubeconfig(kServer, "tokenFile: " + file),
      kubeconfig(kServer, "token: t, tokenFile: " + file),
      kubeconfig(kServer, "client-certificate: " + file),
      kubeconfig(kServer, "client-key: " + file),
      kubeconfig(kServer + ", certificate-authority: " + file, "token: t"),
      kubeconfig(kServer, "exec: {apiVersion: v1, command: sh}"),
      kubeconfig(kServer + ", insecure-skip-tls-verify: true", "token: t"),
  };
  for (const std::string& text : refused) {
    CAPTURE(text);
    const auto config = parse_kubeconfig(text);
    REQUIRE_FALSE(config);
    CHECK(config.error().kind == ErrorKind::forbidden);
    CHECK(config.error().message.find("of the daemon") == std::string::npos);
  }
  KubeconfigOptions all;
  all.allow_exec = all.allow_files = all.allow_insecure_tls = true;
  for (const std::string& text : refused) CHECK(parse_kubeconfig(text, all));
  CHECK(parse_kubeconfig(refused[0], all)->token == "of the daemon");
}

TEST_CASE("files of a list are merged: the first of a name counts, paths start from their own file") {
  const TempFolder folder;
  folder.write("one/config",
               "users: [{name: u, user: {tokenFile: token}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n");
  folder.write("one/token", " first\n");
  folder.write("two/config", "current-context: x\n" +
                                 kubeconfig("server: \"https://two\", certificate-authority: ca", "token: second")
                                     .substr(std::string("current-context: x\n").size()));
  folder.write("two/ca", "CA two");
  folder.write("three/config", kubeconfig("server: \"https://three\"", "token: third"));
  const auto path = [&folder](const char* name) { return (folder.path() / name).string(); };
  const Environment environment({{"KUBECONFIG", path("none") + ":" + path("one/config") + "::" + path("two/config") +
                                                    ":" + path("three/config")}});
  const auto config = load_config({});
  REQUIRE(config);
  CHECK(config->server == "https://two");
  CHECK(config->ca_pem == "CA two");
  CHECK(config->token == "first");
  CHECK(config->token_file == path("one/token"));
}

TEST_CASE("one bad file of a list is an error that names it; none at all is not found") {
  const TempFolder folder;
  folder.write("bad", "a: [");
  folder.write("good", kubeconfig(kServer, "token: t"));
  const auto path = [&folder](const char* name) { return (folder.path() / name).string(); };
  {
    const Environment environment({{"KUBECONFIG", path("good") + ":" + path("bad")}});
    const auto config = load_config({});
    REQUIRE_FALSE(config);
    CHECK(config.error().message.find(path("bad")) == 0);
  }
  const Environment environment({{"KUBECONFIG", path("x") + ":" + path("y")}});
  CHECK(load_config({}).error().kind == ErrorKind::not_found);
  sluice::kube::LoadOptions options;
  options.kubeconfig = path("good");
  CHECK(load_config(options)->token == "t");
}

TEST_CASE("in a cluster, the service account's folder and the environment say it all") {
  const TempFolder folder;
  folder.write("ca.crt", "CA");
  folder.write("token", "bound\n");
  folder.write("namespace", "flux-system");
  sluice::kube::LoadOptions options;
  options.service_account_folder = folder.path().string();
  {
    const Environment environment(
        {{"KUBECONFIG", ""}, {"KUBERNETES_SERVICE_HOST", "10.0.0.1"}, {"KUBERNETES_SERVICE_PORT", "443"}});
    const auto config = load_config(options);
    REQUIRE(config);
    CHECK(config->server == "https://10.0.0.1:443");
    CHECK(config->ca_pem == "CA");
    CHECK(config->token == "bound");
    CHECK(config->token_file == (folder.path() / "token").string());
    CHECK(config->namespace_ == "flux-system");
  }
  const Environment environment(
      {{"KUBECONFIG", ""}, {"KUBERNETES_SERVICE_HOST", "fd00::1"}, {"KUBERNETES_SERVICE_PORT", "6443"}});
  CHECK(load_config(options)->server == "https://[fd00::1]:6443");
  std::filesystem::remove(folder.path() / "ca.crt");
  CHECK_FALSE(load_config(options));
}
