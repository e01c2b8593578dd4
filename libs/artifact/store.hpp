// Artifacts on the local disk: who made what, under which path, with which
// digest. Owned by a daemon that publishes artifacts; one Store per folder.
//
// Layout (compat page 4.6): `<root>/<kind>/<namespace>/<name>/<file>`, as
// fluxcd/pkg artifact/storage has it, so a volume can change hands between us
// and upstream. What is being written lies in `<root>/.partial` and appears
// under its path all at once (write, fsync, rename), so a kill at any
// instruction leaves whole artifacts and at worst a partial file that the next
// open() removes.
//
// Blocking (disk only), but for the pure url_of(). Safe from any thread.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "api/artifact.hpp"
#include "api/object_meta.hpp"
#include "archive/stream.hpp"
#include "base/clock.hpp"
#include "base/digest.hpp"
#include "base/result.hpp"

namespace sluice::artifact {

struct StoreOptions {
  std::filesystem::path root;
  // What consumers reach us under: "host", "host:port", or either behind a scheme of its own.
  std::string advertised_address;
  base::DigestAlgorithm digest_algorithm = base::DigestAlgorithm::sha256;
  base::Duration retention_ttl = std::chrono::minutes(1);
  std::size_t retention_records = 2;
};

// Whose artifacts: an object of a kind.
struct Owner {
  std::string kind;  // "GitRepository"
  api::ObjectKey key;
};

enum class Condition { whole, missing, damaged };

class Store {
 public:
  // Writes the bytes of an artifact.
  using Fill = std::function<base::Result<void>(archive::ByteSink&)>;

  // The root must exist and be writable. Removes what a killed process left half-written.
  static base::Result<std::shared_ptr<Store>> open(StoreOptions options, const base::Clock& clock);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Stores what `fill` writes as `file` (one name: "<commit>.tar.gz") of the
  // owner, replacing a file of that name. Errors: those of `fill`, as they are;
  // `invalid` for names that cannot be a path; `io` with the reason
  // kFolderFailed where the owner's folder cannot be made.
  base::Result<api::Artifact> publish(const Owner& owner, std::string_view file, std::string_view revision,
                                      const Fill& fill) const;
  static constexpr std::string_view kFolderFailed = "FolderFailed";

  // Whether the file that the artifact names is there and has its digest. The
  // bytes of a file are read once: afterwards it is known by inode, size and times.
  // `missing` also where the path is not one of the owner's.
  base::Result<Condition> check(const Owner& owner, const api::Artifact& artifact, std::stop_token stop) const;

  // Removes the owner's files that are older than the TTL, and the oldest ones
  // beyond the number to retain; `current` (what the status names) never.
  // Returns how many.
  base::Result<std::size_t> collect(const Owner& owner, const api::Artifact& current) const;
  base::Result<void> remove(const Owner& owner, const api::Artifact& artifact) const;
  // All files of the owner, and its folder; how many there were.
  base::Result<std::size_t> remove_all(const Owner& owner) const;

  // Where `path` (of an artifact) is served.
  std::string url_of(std::string_view path) const;
  const std::filesystem::path& root() const noexcept;

 private:
  struct State;
  explicit Store(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// What to advertise where nothing else was asked for: the address that is
// listened on, with "localhost" for an empty host and `hostname` for 0.0.0.0.
// Fact: fluxcd/pkg artifact/config, GetAdvertisedAddress.
base::Result<std::string> advertised_address(std::string_view asked_for, std::string_view listen_address,
                                             std::string_view hostname);

}  // namespace sluice::artifact
