// Unpacks tar.gz archives that strangers made: into a folder, into memory, or
// into a TreeSink of the caller's. Blocking; memory bounded by one piece and,
// for memory, by the limits.
//
// Symbolic links are left out, as Flux's consumers do (fluxcd/pkg tar,
// WithSkipSymlinks), so no path that is written can lead through one; the report
// names those that would have led out of the tree. Of entries with the same path the last one wins.
#pragma once

#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "archive/limits.hpp"
#include "archive/stream.hpp"
#include "archive/tar_reader.hpp"
#include "base/result.hpp"

namespace sluice::archive {

// Receives a tree. Paths are those of Entry: proven to stay below the root.
class TreeSink {
 public:
  virtual ~TreeSink() = default;
  virtual base::Result<void> add_folder(const std::string& path) = 0;
  // A file's bytes follow through write(), exactly entry.size of them.
  virtual base::Result<void> begin_file(const Entry& entry) = 0;
  virtual base::Result<void> write(std::string_view bytes) = 0;
};

struct UnpackReport {
  std::size_t files = 0;
  std::size_t folders = 0;
  std::size_t skipped_links = 0;   // all symbolic links
  std::size_t escaping_links = 0;  // of them, those with an absolute target or one that leaves the tree
  // "'l' -> '/etc/passwd', which is absolute": the first kMaxNames of those.
  static constexpr std::size_t kMaxNames = 16;
  std::vector<std::string> escaping_link_names;
  std::uint64_t bytes = 0;  // of the files
};

// Errors: those of GzipReader and TarReader, those of the sink, `cancelled`.
base::Result<UnpackReport> read_tar_gz(ByteSource& compressed, const Limits& limits, TreeSink& sink,
                                       std::stop_token stop);

using Files = std::map<std::string, std::string, std::less<>>;

// Path -> bytes, for base::make_memory_view. `invalid` where a path is both a
// file and a folder.
base::Result<Files> unpack_to_memory(ByteSource& compressed, const Limits& limits, std::stop_token stop);

// Unpacks into `folder`, which must not exist or be empty; its parent must
// exist. It appears whole or not at all: the work is done in a sibling
// (`<folder>.partial-XXXXXX`) that is renamed at the end and removed on failure.
// After a kill such a sibling may remain, for the owner of the parent to remove.
// Files get mode 0600 or 0700, folders 0700. Not synced to the disk.
// Also `already_exists`, `io`.
base::Result<UnpackReport> unpack_to_folder(ByteSource& compressed, const std::string& folder, const Limits& limits,
                                            std::stop_token stop);

// `invalid`: the archive contradicts itself. For sinks, as each of them has to find that out.
base::Unexpected file_and_folder(std::string_view path);

}  // namespace sluice::archive
