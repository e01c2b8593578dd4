#include "kube/config.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "doc/yaml.hpp"
#include "kube/detail/kubeconfig.hpp"

namespace sluice::kube {

using base::ErrorKind;
using base::Result;
using doc::Json;

namespace {

std::string env(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Result<Config> in_cluster(const std::string& folder) {
  const std::string host = env("KUBERNETES_SERVICE_HOST");
  const std::string port = env("KUBERNETES_SERVICE_PORT");
  Config config;
  config.server = fmt::format("https://{}:{}", host.find(':') == std::string::npos ? host : "[" + host + "]",
                              port.empty() ? "443" : port);
  SLUICE_TRY(config.ca_pem, detail::read_file(folder + "/ca.crt"));
  config.token_file = folder + "/token";
  SLUICE_TRY(config.token, detail::read_file(config.token_file));
  config.token = detail::trimmed(std::move(config.token));
  if (auto name = detail::read_file(folder + "/namespace")) config.namespace_ = detail::trimmed(*std::move(name));
  return config;
}

Result<Json> document_of(const std::string& path) {
  SLUICE_TRY(const std::string text, detail::read_file(path));
  auto document = doc::parse_yaml(text);
  if (!document) return base::unexpected(std::move(document).error().with_context(path));
  detail::resolve_files(*document, std::filesystem::absolute(path).parent_path().string());
  return document;
}

// Files that do not exist are passed over, unless none does.
Result<Config> from_files(const std::vector<std::string>& paths, const LoadOptions& options) {
  std::vector<Json> documents;
  std::string shown;
  for (const std::string& path : paths) {
    if (path.empty()) continue;
    shown += (shown.empty() ? "" : ":") + path;
    auto document = document_of(path);
    if (document) {
      documents.push_back(*std::move(document));
    } else if (document.error().kind != ErrorKind::not_found) {
      return base::unexpected(std::move(document).error());
    }
  }
  if (documents.empty()) return base::unexpected(ErrorKind::not_found, fmt::format("kubeconfig: no file at {}", shown));
  KubeconfigOptions allowed;
  allowed.context = options.context;
  allowed.allow_exec = options.allow_exec;
  allowed.allow_insecure_tls = true;
  allowed.allow_files = true;
  auto config = detail::config_of(detail::merge_kubeconfigs(std::move(documents)), allowed);
  if (!config) return base::unexpected(std::move(config).error().with_context(shown));
  return config;
}

std::vector<std::string> split_list(std::string_view list) {
  std::vector<std::string> out;
  while (!list.empty()) {
    const std::size_t colon = list.find(':');
    out.emplace_back(list.substr(0, colon));
    list = colon == std::string_view::npos ? std::string_view() : list.substr(colon + 1);
  }
  return out;
}

}  // namespace

Result<Config> parse_kubeconfig(const std::string& text, const KubeconfigOptions& options) {
  SLUICE_TRY(const Json document, doc::parse_yaml(text));
  return detail::config_of(document, options);
}

Result<Config> load_config(const LoadOptions& options) {
  if (!options.kubeconfig.empty()) return from_files({options.kubeconfig}, options);
  if (const std::string listed = env("KUBECONFIG"); !listed.empty()) return from_files(split_list(listed), options);
  if (!env("KUBERNETES_SERVICE_HOST").empty()) return in_cluster(options.service_account_folder);
  return from_files({env("HOME") + "/.kube/config"}, options);
}

}  // namespace sluice::kube
