// Which files of a repository go into its artifact. Blocking (disk only), on
// the pool.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "base/result.hpp"
#include "git/snapshot.hpp"
#include "text/gitignore.hpp"

namespace sluice::source {

// The rules for one commit, lowest precedence first:
//   Git's own files, always;
//   the default exclusions, unless the following say anything at all;
//   the repository's .sourceignore files, each for its folder;
//   spec.ignore.
// Facts: fluxcd/pkg sourceignore (lists and order), artifact/storage/archive.go
// (any pattern takes the place of the default exclusions).
base::Result<text::IgnoreRules> ignore_rules(const git::Snapshot& snapshot, const std::optional<std::string>& spec_ignore,
                                             std::stop_token stop);

}  // namespace sluice::source
