// Packs the files of a commit into an artifact. Blocking (disk and CPU), on the
// pool; memory is bounded by the largest file.
#pragma once

#include <cstddef>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "archive/stream.hpp"
#include "base/result.hpp"
#include "git/snapshot.hpp"
#include "text/gitignore.hpp"

namespace sluice::source_controller {

// What of a tree is in no artifact, though no rule leaves it out.
class LeftOut {
 public:
  void add_link(std::string_view path) { links_.add(path); }
  void add_submodule(std::string_view path) { submodules_.add(path); }
  // For people: how many, the first few by name, and why. Empty if there is nothing to say.
  std::vector<std::string> texts() const;

 private:
  struct Some {
    std::size_t count = 0;
    std::vector<std::string> first;
    void add(std::string_view path);
    std::string text() const;
  };
  Some links_;
  Some submodules_;
};

// Writes a tar.gz of what the rules leave in. The same tree and rules give the
// same bytes. As upstream has it: symbolic links are left out, a submodule is an
// empty folder, folders are entries of their own, and a file below an ignored
// folder is in if a later pattern brings it back.
// Fact: fluxcd/pkg artifact/storage/archive.go.
base::Result<LeftOut> pack(const git::Snapshot& snapshot, const text::IgnoreRules& rules, archive::ByteSink& out,
                           std::stop_token stop);

}  // namespace sluice::source_controller
