// Packs the files of a commit into an artifact. Blocking (disk and CPU), on the
// pool; memory is bounded by the largest file.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "archive/stream.hpp"
#include "base/result.hpp"
#include "git/snapshot.hpp"
#include "text/gitignore.hpp"

namespace sluice::source {

// Writes a tar.gz of what the rules leave in. The same tree and rules give the
// same bytes. As upstream has it: symbolic links are left out, a submodule is an
// empty folder, folders are entries of their own, and a file below an ignored
// folder is in if a later pattern brings it back.
// Fact: fluxcd/pkg artifact/storage/archive.go.
base::Result<void> pack(const git::Snapshot& snapshot, const text::IgnoreRules& rules, archive::ByteSink& out,
                        std::stop_token stop);

}  // namespace sluice::source
