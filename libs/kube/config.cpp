#include "kube/config.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/digest.hpp"
#include "doc/yaml.hpp"

namespace sluice::kube {

using base::ErrorKind;
using base::Result;
using doc::Json;

namespace {

constexpr const char* kServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/";

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return base::unexpected(ErrorKind::not_found, fmt::format("{}: cannot be read", path));
  return std::string(std::istreambuf_iterator<char>(in), {});
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  return text;
}

std::string env(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string text_at(const Json& entry, std::string_view field) { return std::string(doc::find_string(entry, {field})); }

bool flag_at(const Json& entry, std::string_view field) {
  const Json* found = doc::find(entry, {field});
  return found != nullptr && found->is_boolean() && found->get<bool>();
}

// The entry called `name` in a list such as `clusters`, its `inner` object.
Result<Json> named_entry(const Json& config, const char* list, const char* inner, const std::string& name) {
  const Json* entries = doc::find(config, {list});
  if (entries != nullptr && entries->is_array()) {
    for (const Json& entry : *entries) {
      if (doc::find_string(entry, {"name"}) != name) continue;
      const Json* found = doc::find(entry, {inner});
      return found == nullptr ? Json::object() : *found;
    }
  }
  return base::unexpected(ErrorKind::invalid, fmt::format("kubeconfig: no entry '{}' in {}", name, list));
}

// A field given in base64 (`<field>-data`) or as a file's path, relative to the kubeconfig.
Result<std::string> data_or_file(const Json& entry, const std::string& field, const std::string& folder) {
  if (const std::string data = text_at(entry, field + "-data"); !data.empty()) {
    auto decoded = base::base64_decode(data);
    if (!decoded) return base::unexpected(std::move(decoded).error().with_context("kubeconfig: " + field + "-data"));
    return decoded;
  }
  const std::string path = text_at(entry, field);
  if (path.empty()) return std::string();
  auto bytes = read_file((std::filesystem::path(folder) / path).string());
  if (!bytes) return base::unexpected(std::move(bytes).error().with_context("kubeconfig: " + field));
  return bytes;
}

Result<ExecPlugin> parse_exec(const Json& value) {
  ExecPlugin plugin;
  plugin.api_version = text_at(value, "apiVersion");
  plugin.command = text_at(value, "command");
  if (plugin.command.empty()) return base::unexpected(ErrorKind::invalid, "kubeconfig: exec.command is empty");
  if (const Json* args = doc::find(value, {"args"}); args != nullptr && args->is_array()) {
    for (const Json& arg : *args) {
      if (!arg.is_string()) return base::unexpected(ErrorKind::invalid, "kubeconfig: exec.args holds a non-string");
      plugin.args.push_back(arg.get<std::string>());
    }
  }
  if (const Json* vars = doc::find(value, {"env"}); vars != nullptr && vars->is_array()) {
    for (const Json& var : *vars) plugin.env[text_at(var, "name")] = text_at(var, "value");
  }
  return plugin;
}

Result<Config> in_cluster() {
  const std::string host = env("KUBERNETES_SERVICE_HOST");
  const std::string port = env("KUBERNETES_SERVICE_PORT");
  Config config;
  config.server = fmt::format("https://{}:{}", host.find(':') == std::string::npos ? host : "[" + host + "]",
                              port.empty() ? "443" : port);
  SLUICE_TRY(config.ca_pem, read_file(std::string(kServiceAccount) + "ca.crt"));
  config.token_file = std::string(kServiceAccount) + "token";
  SLUICE_TRY(config.token, read_file(config.token_file));
  config.token = trimmed(config.token);
  if (auto name = read_file(std::string(kServiceAccount) + "namespace")) config.namespace_ = trimmed(*name);
  return config;
}

Result<Config> from_file(const std::string& path, const std::string& context) {
  SLUICE_TRY(const std::string text, read_file(path));
  auto config = parse_kubeconfig(text, context, std::filesystem::path(path).parent_path().string());
  if (!config) return base::unexpected(std::move(config).error().with_context(path));
  return config;
}

}  // namespace

Result<Config> parse_kubeconfig(const std::string& text, const std::string& context, const std::string& folder) {
  SLUICE_TRY(const Json document, doc::parse_yaml(text));
  const std::string context_name = context.empty() ? text_at(document, "current-context") : context;
  if (context_name.empty()) return base::unexpected(ErrorKind::invalid, "kubeconfig: current-context is empty");
  SLUICE_TRY(const Json chosen, named_entry(document, "contexts", "context", context_name));
  SLUICE_TRY(const Json cluster, named_entry(document, "clusters", "cluster", text_at(chosen, "cluster")));
  Json user = Json::object();
  if (const std::string name = text_at(chosen, "user"); !name.empty()) {
    SLUICE_TRY(user, named_entry(document, "users", "user", name));
  }

  Config config;
  config.server = text_at(cluster, "server");
  if (config.server.empty()) return base::unexpected(ErrorKind::invalid, "kubeconfig: the cluster has no server");
  SLUICE_TRY(config.ca_pem, data_or_file(cluster, "certificate-authority", folder));
  config.tls_server_name = text_at(cluster, "tls-server-name");
  config.insecure_skip_tls_verify = flag_at(cluster, "insecure-skip-tls-verify");
  SLUICE_TRY(config.client_certificate_pem, data_or_file(user, "client-certificate", folder));
  SLUICE_TRY(config.client_key_pem, data_or_file(user, "client-key", folder));
  config.token = text_at(user, "token");
  if (const std::string file = text_at(user, "tokenFile"); !file.empty()) {
    config.token_file = (std::filesystem::path(folder) / file).string();
    SLUICE_TRY(config.token, read_file(config.token_file));
    config.token = trimmed(config.token);
  }
  config.username = text_at(user, "username");
  config.password = text_at(user, "password");
  if (const Json* exec = doc::find(user, {"exec"}); exec != nullptr && exec->is_object()) {
    SLUICE_TRY(config.exec, parse_exec(*exec));
  }
  if (const std::string name = text_at(chosen, "namespace"); !name.empty()) config.namespace_ = name;
  return config;
}

Result<Config> load_config(const LoadOptions& options) {
  auto load = [&options]() -> Result<Config> {
    if (!options.kubeconfig.empty()) return from_file(options.kubeconfig, options.context);
    if (const std::string listed = env("KUBECONFIG"); !listed.empty()) {
      // Of a list of files the first that exists is taken; kubectl would merge them.
      std::string first = listed.substr(0, listed.find(':'));
      for (std::string_view rest = listed; !rest.empty();) {
        const std::size_t colon = rest.find(':');
        if (std::filesystem::exists(rest.substr(0, colon))) {
          first = std::string(rest.substr(0, colon));
          break;
        }
        rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
      }
      return from_file(first, options.context);
    }
    if (!env("KUBERNETES_SERVICE_HOST").empty()) return in_cluster();
    return from_file(env("HOME") + "/.kube/config", options.context);
  };
  SLUICE_TRY(Config config, load());
  if (config.exec && !options.allow_exec) {
    return base::unexpected(ErrorKind::forbidden, "kubeconfig: users[].exec is not allowed here");
  }
  return config;
}

}  // namespace sluice::kube
