// Reads a tar stream entry by entry and trusts nothing in it. Blocking.
//
// Formats: POSIX ustar and pax, GNU long names, and the old v7 form; what Go's
// archive/tar, GNU tar, bsdtar and Python write. An entry is handed out only
// after its path was proven to stay below the root. What an artifact has no
// business to hold is refused by name: hard links, devices, fifos, sparse files.
// A symbolic link that leads out of the tree says so (Entry::escape), and must not
// be made.
//
//   TarReader tar(gunzipped, limits);
//   while (true) {
//     SLUICE_TRY(auto entry, tar.next());
//     if (!entry) break;
//     ... tar.read(buffer) until 0 ...
//   }
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "archive/limits.hpp"
#include "archive/stream.hpp"
#include "base/result.hpp"

namespace sluice::archive {

enum class EntryType { file, folder, symlink };

struct Entry {
  std::string path;  // relative, '/'-separated, without "." and ".."; "" is the root (a folder)
  EntryType type = EntryType::file;
  bool executable = false;  // any x bit; set-id and sticky bits are dropped
  std::uint64_t size = 0;   // bytes; 0 unless it is a file
  std::string target;       // of a symlink
  std::string escape;       // of a symlink that leads out of the tree: how, e.g. "is absolute"
};

class TarReader {
 public:
  // `tar` yields the uncompressed archive and outlives the reader.
  TarReader(ByteSource& tar, const Limits& limits);
  ~TarReader();

  // The next entry, skipping what was not read of the current one; nothing
  // after the last. `invalid` (damaged, truncated, an escaping path, a
  // forbidden type), `unsupported` (sparse), `too_large`; the message names the
  // entry. An archive without its end marker is truncated: half a tree must
  // never pass for a whole one, as whoever prunes by it would delete the rest.
  base::Result<std::optional<Entry>> next();
  // Bytes of the current entry; 0 at its end.
  base::Result<std::size_t> read(std::span<char> into);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::archive
