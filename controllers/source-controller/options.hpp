// The flags of source-controller beyond those that all daemons have. Names and
// defaults are upstream's (compat page 4.7).
#pragma once

#include <string>

#include "artifact/store.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "controller/flags.hpp"
#include "controller/options.hpp"

namespace sluice::source_controller {

struct SourceOptions {
  std::string storage_path = "/data";
  std::string storage_addr = ":9090";
  std::string storage_adv_addr;  // empty: made from storage_addr
  base::Duration artifact_retention_ttl = std::chrono::minutes(1);
  int artifact_retention_records = 2;
  std::string artifact_digest_algo = "sha256";
};

// With what the environment says (STORAGE_PATH, STORAGE_ADDRESS, STORAGE_ADV_ADDR) filled in.
SourceOptions default_source_options();
void add_flags(controller::FlagSet& flags, SourceOptions& options);

// `invalid`, naming the flag. `hostname` is what 0.0.0.0 is advertised as.
base::Result<artifact::StoreOptions> store_options(const SourceOptions& options, const std::string& hostname);

// Threads that the pool needs so that repositories that keep every worker
// waiting for the network leave some for the disk.
int worker_threads_for(int concurrent);

}  // namespace sluice::source_controller
