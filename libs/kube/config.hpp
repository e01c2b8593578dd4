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
  std::map<std::string, std::string> env;  // wins over what is inherited
  std::string cluster_info;                // JSON for spec.cluster, if provideClusterInfo asks for it
};

// Whom to speak as ("Authentication: User impersonation").
struct Impersonation {
  std::string user;
  std::string uid;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;
};

struct Config {
  std::string server;  // "https://host:port"
  std::string ca_pem;
  std::string tls_server_name;
  std::string proxy_url;  // "http://host:port", empty: none
  bool insecure_skip_tls_verify = false;
  std::string token;
  std::string token_file;  // read again every minute (bound service account tokens); wins over `token`
  std::string username;
  std::string password;
  std::string client_certificate_pem;
  std::string client_key_pem;
  std::optional<ExecPlugin> exec;
  std::optional<Impersonation> impersonate;
  std::string namespace_ = "default";
  std::size_t max_connections = 32;
};

struct LoadOptions {
  std::string kubeconfig;  // file; empty: $KUBECONFIG (a list, merged), in-cluster, ~/.kube/config
  std::string context;     // empty: current-context
  bool allow_exec = true;
  std::string service_account_folder = "/var/run/secrets/kubernetes.io/serviceaccount";
};

// For the daemon's own cluster, from what its operator wrote. `not_found` if
// there is none, `invalid` naming file, entry and field.
base::Result<Config> load_config(const LoadOptions& options);

// What a kubeconfig held in memory may do. It comes from a user's Secret
// (spec.kubeConfig of a Kustomization), who must not read the daemon's files or
// run programs in its container through it.
struct KubeconfigOptions {
  std::string context;              // empty: current-context
  bool allow_exec = false;          // Flux: --insecure-kubeconfig-exec
  bool allow_insecure_tls = false;  // Flux: --insecure-kubeconfig-tls
  bool allow_files = false;         // tokenFile, certificate-authority, client-certificate, client-key
  std::string folder;               // that relative file names start from
};

// `forbidden` names the field that asks for more than `options` allow.
base::Result<Config> parse_kubeconfig(const std::string& text, const KubeconfigOptions& options = {});

}  // namespace sluice::kube
