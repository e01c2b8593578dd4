// Where the API server is and how to speak to it: kubeconfig files and the
// in-cluster environment ("Organizing Cluster Access Using kubeconfig Files").
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace sluice::kube {

// A program that prints an ExecCredential (client.authentication.k8s.io/v1).
struct ExecPlugin {
  std::string api_version;
  std::string command;
  std::vector<std::string> args;
  std::map<std::string, std::string> env;
};

struct Config {
  std::string server;  // "https://host:port"
  std::string ca_pem;
  std::string tls_server_name;
  bool insecure_skip_tls_verify = false;
  std::string token;
  std::string token_file;  // read again when it changes (bound service account tokens)
  std::string username;
  std::string password;
  std::string client_certificate_pem;
  std::string client_key_pem;
  std::optional<ExecPlugin> exec;
  std::string namespace_ = "default";
  std::size_t max_connections = 32;
};

struct LoadOptions {
  std::string kubeconfig;  // file; empty: $KUBECONFIG (a list), in-cluster, ~/.kube/config
  std::string context;     // empty: current-context
  bool allow_exec = true;
};

// `not_found` if there is none, `invalid` naming file, entry and field.
base::Result<Config> load_config(const LoadOptions& options);
// A kubeconfig held in memory (spec.kubeConfig of a Kustomization).
base::Result<Config> parse_kubeconfig(const std::string& text, const std::string& context, const std::string& folder);

}  // namespace sluice::kube
