#include "kube/detail/kubeconfig.hpp"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/digest.hpp"

namespace sluice::kube::detail {

using base::ErrorKind;
using base::Result;
using doc::Json;

namespace {

// The lists of a kubeconfig, and under which key an entry keeps its content.
struct Section {
  const char* list;
  const char* content;
};
constexpr Section kClusters{"clusters", "cluster"};
constexpr Section kUsers{"users", "user"};
constexpr Section kContexts{"contexts", "context"};

std::string text_at(const Json& entry, std::string_view field) { return std::string(doc::find_string(entry, {field})); }

bool flag_at(const Json& entry, std::string_view field) {
  const Json* found = doc::find(entry, {field});
  return found != nullptr && found->is_boolean() && found->get<bool>();
}

base::Unexpected not_allowed(const std::string& field, const char* does) {
  return base::unexpected(ErrorKind::forbidden,
                          fmt::format("kubeconfig: {} {}, which is not allowed here", field, does));
}

// The content of the entry called `name`.
Result<Json> named_entry(const Json& config, const Section& section, const std::string& name) {
  const Json* entries = doc::find(config, {section.list});
  if (entries != nullptr && entries->is_array()) {
    for (const Json& entry : *entries) {
      if (doc::find_string(entry, {"name"}) != name) continue;
      const Json* found = doc::find(entry, {section.content});
      return found == nullptr ? Json::object() : *found;
    }
  }
  return base::unexpected(ErrorKind::invalid, fmt::format("kubeconfig: no entry '{}' in {}", name, section.list));
}

std::string path_of(const std::string& path, const KubeconfigOptions& options) {
  return (std::filesystem::path(options.folder) / path).string();
}

// A field given in base64 (`<field>-data`) or as a file's path.
Result<std::string> data_or_file(const Json& entry, const std::string& field, const KubeconfigOptions& options) {
  if (const std::string data = text_at(entry, field + "-data"); !data.empty()) {
    auto decoded = base::base64_decode(data);
    if (!decoded) return base::unexpected(std::move(decoded).error().with_context("kubeconfig: " + field + "-data"));
    return decoded;
  }
  const std::string path = text_at(entry, field);
  if (path.empty()) return std::string();
  if (!options.allow_files) return not_allowed(field, "names a local file");
  auto bytes = read_file(path_of(path, options));
  if (!bytes) return base::unexpected(std::move(bytes).error().with_context("kubeconfig: " + field));
  return bytes;
}

Result<std::vector<std::string>> texts_at(const Json& entry, const char* field) {
  std::vector<std::string> out;
  const Json* list = doc::find(entry, {field});
  if (list == nullptr || list->is_null()) return out;
  if (!list->is_array()) return base::unexpected(ErrorKind::invalid, fmt::format("kubeconfig: {} is no list", field));
  for (const Json& text : *list) {
    if (!text.is_string()) {
      return base::unexpected(ErrorKind::invalid, fmt::format("kubeconfig: {} holds a non-string", field));
    }
    out.push_back(text.get<std::string>());
  }
  return out;
}

// What the plugin is told of the cluster (client.authentication.k8s.io/v1, Cluster).
std::string cluster_info(const Json& cluster, const Config& config) {
  Json info{{"server", config.server}};
  if (!config.tls_server_name.empty()) info["tls-server-name"] = config.tls_server_name;
  if (config.insecure_skip_tls_verify) info["insecure-skip-tls-verify"] = true;
  if (!config.ca_pem.empty()) info["certificate-authority-data"] = base::base64_encode(config.ca_pem);
  if (!config.proxy_url.empty()) info["proxy-url"] = config.proxy_url;
  const Json* extensions = doc::find(cluster, {"extensions"});
  if (extensions != nullptr && extensions->is_array()) {
    for (const Json& extension : *extensions) {
      if (doc::find_string(extension, {"name"}) != "client.authentication.k8s.io/exec") continue;
      if (const Json* value = doc::find(extension, {"extension"})) info["config"] = *value;
    }
  }
  return doc::print_json(info);
}

Result<ExecPlugin> parse_exec(const Json& value, const Json& cluster, const Config& config) {
  ExecPlugin plugin;
  plugin.api_version = text_at(value, "apiVersion");
  plugin.command = text_at(value, "command");
  if (plugin.command.empty()) return base::unexpected(ErrorKind::invalid, "kubeconfig: exec.command is empty");
  if (text_at(value, "interactiveMode") == "Always") {
    return base::unexpected(ErrorKind::invalid, "kubeconfig: exec.interactiveMode is Always, and there is no terminal");
  }
  SLUICE_TRY(plugin.args, texts_at(value, "args"));
  if (const Json* vars = doc::find(value, {"env"}); vars != nullptr && vars->is_array()) {
    for (const Json& var : *vars) plugin.env[text_at(var, "name")] = text_at(var, "value");
  }
  if (flag_at(value, "provideClusterInfo")) plugin.cluster_info = cluster_info(cluster, config);
  return plugin;
}

Result<void> read_cluster(Config& config, const Json& cluster, const KubeconfigOptions& options) {
  config.server = text_at(cluster, "server");
  if (config.server.empty()) return base::unexpected(ErrorKind::invalid, "kubeconfig: the cluster has no server");
  SLUICE_TRY(config.ca_pem, data_or_file(cluster, "certificate-authority", options));
  config.tls_server_name = text_at(cluster, "tls-server-name");
  config.proxy_url = text_at(cluster, "proxy-url");
  config.insecure_skip_tls_verify = flag_at(cluster, "insecure-skip-tls-verify");
  if (config.insecure_skip_tls_verify && !options.allow_insecure_tls) {
    return not_allowed("insecure-skip-tls-verify", "trusts every server");
  }
  return {};
}

Result<void> read_token(Config& config, const Json& user, const KubeconfigOptions& options) {
  config.token = text_at(user, "token");
  const std::string file = text_at(user, "tokenFile");
  if (file.empty()) return {};
  if (!options.allow_files) return not_allowed("tokenFile", "names a local file");
  config.token_file = path_of(file, options);
  auto token = read_file(config.token_file);
  if (token) {
    config.token = trimmed(*std::move(token));
  } else if (config.token.empty()) {
    return base::unexpected(std::move(token).error().with_context("kubeconfig: tokenFile"));
  }
  return {};
}

Result<std::optional<Impersonation>> read_impersonation(const Json& user) {
  Impersonation who;
  who.user = text_at(user, "as");
  who.uid = text_at(user, "as-uid");
  SLUICE_TRY(who.groups, texts_at(user, "as-groups"));
  const Json* extra = doc::find(user, {"as-user-extra"});
  if (extra != nullptr && extra->is_object()) {
    for (const auto& [key, value] : extra->items()) {
      SLUICE_TRY(who.extra[key], texts_at(*extra, key.c_str()));
    }
  }
  if (!who.user.empty()) return std::optional<Impersonation>(std::move(who));
  if (who.uid.empty() && who.groups.empty() && who.extra.empty()) return std::optional<Impersonation>();
  return base::unexpected(ErrorKind::invalid, "kubeconfig: as-uid, as-groups or as-user-extra without as");
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(in), {});
  if (!in || in.bad() || std::filesystem::is_directory(path)) {
    const bool missing = !std::filesystem::exists(path);
    return base::unexpected(missing ? ErrorKind::not_found : ErrorKind::io,
                            fmt::format("{}: {}", path, missing ? "no such file" : "cannot be read"));
  }
  return bytes;
}

std::string trimmed(std::string text) {
  constexpr std::string_view kBlank = " \t\r\n";
  text.erase(text.find_last_not_of(kBlank) + 1);
  text.erase(0, text.find_first_not_of(kBlank));
  return text;
}

void resolve_files(Json& config, const std::string& folder) {
  const auto resolve = [&folder](Json& content, const char* field, bool only_with_slash) {
    const auto found = content.find(field);
    if (found == content.end() || !found->is_string()) return;
    const auto& path = found->get_ref<const std::string&>();
    if (path.empty() || (only_with_slash && path.find('/') == std::string::npos)) return;
    *found = (std::filesystem::path(folder) / path).string();
  };
  const auto each = [&config](const Section& section, const auto& change) {
    const auto list = config.find(section.list);
    if (list == config.end() || !list->is_array()) return;
    for (Json& entry : *list) {
      if (!entry.is_object()) continue;
      const auto content = entry.find(section.content);
      if (content != entry.end() && content->is_object()) change(*content);
    }
  };
  if (!config.is_object()) return;
  each(kClusters, [&](Json& cluster) { resolve(cluster, "certificate-authority", false); });
  each(kUsers, [&](Json& user) {
    for (const char* field : {"client-certificate", "client-key", "tokenFile"}) resolve(user, field, false);
    const auto exec = user.find("exec");
    // A command without a '/' is looked for in PATH.
    if (exec != user.end() && exec->is_object()) resolve(*exec, "command", true);
  });
}

Json merge_kubeconfigs(std::vector<Json> configs) {
  Json merged = Json::object();
  for (Json& config : configs) {
    if (const std::string context = text_at(config, "current-context");
        !context.empty() && !merged.contains("current-context")) {
      merged["current-context"] = context;
    }
    for (const Section& section : {kClusters, kUsers, kContexts}) {
      const Json* entries = doc::find(config, {section.list});
      if (entries == nullptr || !entries->is_array()) continue;
      Json& all = merged[section.list];
      if (all.is_null()) all = Json::array();
      // Entries are looked up from the front, so a later namesake is never found.
      for (const Json& entry : *entries) all.push_back(entry);
    }
  }
  return merged;
}

Result<Config> config_of(const Json& kubeconfig, const KubeconfigOptions& options) {
  const std::string context = options.context.empty() ? text_at(kubeconfig, "current-context") : options.context;
  if (context.empty()) return base::unexpected(ErrorKind::invalid, "kubeconfig: current-context is empty");
  SLUICE_TRY(const Json chosen, named_entry(kubeconfig, kContexts, context));
  SLUICE_TRY(const Json cluster, named_entry(kubeconfig, kClusters, text_at(chosen, "cluster")));
  Json user = Json::object();
  if (const std::string name = text_at(chosen, "user"); !name.empty()) {
    SLUICE_TRY(user, named_entry(kubeconfig, kUsers, name));
  }
  Config config;
  SLUICE_CHECK(read_cluster(config, cluster, options));
  SLUICE_TRY(config.client_certificate_pem, data_or_file(user, "client-certificate", options));
  SLUICE_TRY(config.client_key_pem, data_or_file(user, "client-key", options));
  SLUICE_CHECK(read_token(config, user, options));
  config.username = text_at(user, "username");
  config.password = text_at(user, "password");
  SLUICE_TRY(config.impersonate, read_impersonation(user));
  if (const Json* provider = doc::find(user, {"auth-provider"}); provider != nullptr && !provider->is_null()) {
    return base::unexpected(ErrorKind::unsupported, "kubeconfig: users[].auth-provider was removed in Kubernetes 1.26");
  }
  if (const Json* exec = doc::find(user, {"exec"}); exec != nullptr && exec->is_object()) {
    if (!options.allow_exec) return not_allowed("users[].exec", "runs a program");
    SLUICE_TRY(config.exec, parse_exec(*exec, cluster, config));
  }
  if (const std::string name = text_at(chosen, "namespace"); !name.empty()) config.namespace_ = name;
  return config;
}

}  // namespace sluice::kube::detail
