// Which files of a repository go into its artifact. Blocking (disk only), on
// the pool.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "base/result.hpp"
#include "git/snapshot.hpp"
#include "text/gitignore.hpp"

namespace sluice::source_controller {

// The rules for one commit, lowest precedence first:
//   Git's own files, always;
//   the default exclusions, unless what follows holds any pattern at all;
//   the repository's .sourceignore files, each for its folder;
//   spec.ignore.
// Facts: fluxcd/pkg sourceignore (lists and order) and artifact/storage/archive.go
// (SourceIgnoreFilter: one pattern takes the place of all default exclusions).
//
// `too_large` for a .sourceignore of over 1 MiB, over 2 MiB of them, over 10,000
// patterns in all (they are matched with every path), or more entries than an
// artifact may hold. Errors name the file.
base::Result<text::IgnoreRules> ignore_rules(const git::Snapshot& snapshot,
                                             const std::optional<std::string>& spec_ignore, std::stop_token stop);

}  // namespace sluice::source_controller
