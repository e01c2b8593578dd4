#include "options.hpp"

#include <algorithm>

namespace sluice::source_controller {

namespace {

constexpr int kThreadsForTheDisk = 2;

}  // namespace

SourceOptions default_source_options() {
  SourceOptions options;
  options.storage_path = controller::environment("STORAGE_PATH", options.storage_path);
  options.storage_addr = controller::environment("STORAGE_ADDRESS", options.storage_addr);
  options.storage_adv_addr = controller::environment("STORAGE_ADV_ADDR", options.storage_adv_addr);
  return options;
}

void add_flags(controller::FlagSet& flags, SourceOptions& options) {
  flags.add("storage-path", options.storage_path, "Folder of the artifacts and of the local copies of repositories.");
  flags.add("storage-addr", options.storage_addr, "Address that the artifact server listens on.");
  flags.add("storage-adv-addr", options.storage_adv_addr,
            "Address that consumers reach the artifact server under; made from --storage-addr if empty.");
  flags.add("artifact-retention-ttl", options.artifact_retention_ttl,
            "Age from which an artifact that is no longer current is removed.");
  flags.add("artifact-retention-records", options.artifact_retention_records,
            "How many artifacts of an object are kept at most.");
  flags.add("artifact-digest-algo", options.artifact_digest_algo,
            "Algorithm of the artifacts' digests: sha256, sha384 or sha512.");
  for (const char* name : {"helm-index-max-size", "helm-chart-max-size", "helm-chart-file-max-size",
                           "helm-cache-max-size", "helm-cache-ttl", "helm-cache-purge-interval"}) {
    flags.accept_without_effect(name, false, "Helm repositories and charts are not implemented yet.");
  }
  for (const char* name : {"ssh-kex-algos", "ssh-hostkey-algos"}) {
    flags.accept_without_effect(name, false, "the SSH library's own safe list is used.");
  }
}

base::Result<artifact::StoreOptions> store_options(const SourceOptions& options, const std::string& hostname) {
  artifact::StoreOptions store;
  store.root = options.storage_path;
  store.retention_ttl = options.artifact_retention_ttl;
  if (options.artifact_retention_records < 1) {
    return base::unexpected(base::ErrorKind::invalid, "--artifact-retention-records: must be at least 1");
  }
  store.retention_records = static_cast<std::size_t>(options.artifact_retention_records);
  auto algorithm = base::parse_digest_algorithm(options.artifact_digest_algo);
  if (!algorithm) return base::unexpected(std::move(algorithm).error().with_context("--artifact-digest-algo"));
  store.digest_algorithm = *algorithm;
  auto address = artifact::advertised_address(options.storage_adv_addr, options.storage_addr, hostname);
  if (!address) return base::unexpected(std::move(address).error().with_context("--storage-addr"));
  store.advertised_address = *std::move(address);
  return store;
}

int worker_threads_for(int concurrent) { return std::max(1, concurrent) + kThreadsForTheDisk; }

}  // namespace sluice::source_controller
