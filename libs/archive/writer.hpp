// Writes reproducible tar.gz archives: the same calls give the same bytes on
// any machine, at any time, for any user. Blocking.
//
// Form as Flux's source-controller writes it (fluxcd/pkg artifact/storage
// archive.go): owner 0 without names, times 0, modes 0600, 0700 for executables
// and 0750 for folders, so that its consumers read ours like their own.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "archive/stream.hpp"
#include "base/digest.hpp"
#include "base/result.hpp"

namespace sluice::archive {

struct Summary {
  std::string digest;      // `<algorithm>:<hex>` of the compressed archive; "" if none was asked for
  std::uint64_t size = 0;  // its bytes
  std::size_t entries = 0;
};

// Entries appear in the order of the calls; the caller sorts. Every path must be
// clean (relative, no ".", ".." or empty segments, no trailing slash): anything
// else is `invalid`. After a failure only destroying it makes sense.
class Writer {
 public:
  // Without an algorithm nothing is hashed: for sinks that hash themselves.
  explicit Writer(ByteSink& out,
                  std::optional<base::DigestAlgorithm> algorithm = base::DigestAlgorithm::sha256);
  ~Writer();

  base::Result<void> add_folder(std::string_view path);
  base::Result<void> add_file(std::string_view path, std::string_view bytes, bool executable = false);
  // A file whose bytes come from elsewhere; `invalid` unless they are `size` many.
  base::Result<void> add_file(std::string_view path, ByteSource& bytes, std::uint64_t size, bool executable);
  // `invalid` if the target leaves the tree. Flux's sources leave links out, and
  // so should a source that wants to look the same.
  base::Result<void> add_symlink(std::string_view path, std::string_view target);
  // Ends the archive. Nothing may be added afterwards.
  base::Result<Summary> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::archive
