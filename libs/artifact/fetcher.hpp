// Brings the artifact that a source names in status.artifact to this machine.
// Runs on the loop; hashing and unpacking on the pool.
//
//   auto tree = co_await fetcher->fetch(artifact, source.namespace_);
//   if (!tree) ...                        // `untrusted`: not the bytes that the source promised
//   (*tree)->files()                      // a base::FileView, for as long as the handle lives
//
// The archive is streamed with its digest computed on the way, and not looked
// into before the digest is proven. It is unpacked once for each digest
// (tree_cache.hpp), however many ask for it at the same time.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "api/artifact.hpp"
#include "archive/limits.hpp"
#include "artifact/tree_cache.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "http/client.hpp"
#include "rt/runtime.hpp"

namespace sluice::artifact {

struct FetcherOptions {
  TreeCacheOptions cache;
  std::uint64_t max_archive_bytes = 1ULL << 30U;  // of the compressed archive
  archive::Limits limits;                         // of what is in it
  int retries = 2;                                // of a server that cannot be reached, or answers 5xx
  std::chrono::milliseconds retry_delay{250};     // doubles
  std::chrono::nanoseconds idle_timeout = std::chrono::seconds(30);  // between two pieces
  // A server that sends less than this in a window is given up, and not asked again:
  // one byte now and then must not hold whoever waits for the artifact.
  std::chrono::nanoseconds rate_window = std::chrono::seconds(20);
  std::uint64_t min_bytes_in_window = 20U << 10U;
  // For all attempts together, however fast. Whoever asks may have a nearer deadline, and cancels.
  std::chrono::nanoseconds total_timeout = std::chrono::minutes(10);
  // "host:port" in place of the URL's; Flux: $SOURCE_CONTROLLER_LOCALHOST.
  std::string host_override;
};

class Fetcher {
 public:
  static base::Result<std::shared_ptr<Fetcher>> create(rt::Runtime& runtime, FetcherOptions options);

  // `owner` is whose share of connections and of the pool it takes: the namespace of the source,
  // as several ask for one download, and nobody shall wait for what another one has under way.
  // `not_found` (HTTP 404: the source has replaced it), `untrusted` (no digest,
  // or another one), `unavailable`, `timeout`, `too_large`, `invalid` (not a tar.gz, or one
  // that reaches out of its folder), `unsupported` (digest algorithm), `io`.
  rt::Task<base::Result<std::shared_ptr<const Tree>>> fetch(api::Artifact artifact, std::string owner);

  TreeCache& cache() noexcept { return *cache_; }
  const TreeCache& cache() const noexcept { return *cache_; }
  std::uint64_t downloads() const noexcept { return downloads_; }

 private:
  struct Flight;
  Fetcher(rt::Runtime& runtime, FetcherOptions options, std::shared_ptr<TreeCache> cache)
      : runtime_(runtime), options_(std::move(options)), cache_(std::move(cache)) {}

  rt::Task<base::Result<std::shared_ptr<const Tree>>> fetch_alone(api::Artifact artifact, std::string owner);
  rt::Task<base::Result<UnpackedTree>> download_and_unpack(api::Artifact artifact, std::string owner,
                                                           base::SteadyPoint deadline);
  base::Result<std::shared_ptr<http::Client>> client_for(const http::Url& url);

  rt::Runtime& runtime_;
  FetcherOptions options_;
  std::shared_ptr<TreeCache> cache_;
  std::map<std::string, std::shared_ptr<Flight>> flights_;        // by digest
  std::map<std::string, std::shared_ptr<http::Client>> clients_;  // by origin
  std::uint64_t downloads_ = 0;
};

}  // namespace sluice::artifact
