// Artifacts as sources publish them in `status.artifact`, and the grammar of
// revisions. Facts: fluxcd/pkg apis/meta/artifact.go; Flux RFC 0005. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"

namespace sluice::api {

struct Artifact {
  std::string digest;    // `<algorithm>:<hex>` of the file
  std::string path;      // below the storage root: <kind>/<namespace>/<name>/<file>
  std::string url;       // where it is served
  std::string revision;  // see Revision
  base::TimePoint last_update_time{};
  std::optional<std::int64_t> size;  // bytes
  StringMap metadata;

  bool operator==(const Artifact&) const = default;
};

// `invalid` naming the field ("status.artifact.url: is required").
base::Result<Artifact> parse_artifact(const doc::Json& value);
// The artifact of a source of any kind; nothing where there is none yet.
base::Result<std::optional<Artifact>> artifact_of(const doc::Json& object);
doc::Json to_json(const Artifact& artifact);

// `[pointer][@]<algorithm>:<hash>`, split at the last '@'.
//   main@sha1:<40 hex>      a branch, tag or version and what it pointed to
//   sha256:<64 hex>         content without a pointer
//   6.0.3                   a pointer alone (HelmChart)
struct Revision {
  std::string pointer;
  std::string algorithm;
  std::string hash;

  bool operator==(const Revision&) const = default;
  std::string str() const;
  // For people: the hash cut to `digits` (never below 7), all else whole.
  std::string shorten(std::size_t digits = 8) const;
};

// Never fails: text without `<algorithm>:<hex>` at its end is a pointer.
Revision parse_revision(std::string_view text);

}  // namespace sluice::api
