// Repositories and a plain HTTP server that the tests of this program share,
// as starting a server costs more than a test may take.
#pragma once

#include "git/remote.hpp"
#include "git/repository_cache.hpp"
#include "support/git_fixture.hpp"

namespace sluice::test {

struct Shared {
  TempDir root;
  GitHttpServer http{root.path()};
  // A repository of its own for each test.
  BareRepository repository() { return BareRepository(root.path(), "r" + std::to_string(++count)); }
  int count = 0;
};
inline Shared& shared() {
  static Shared instance;
  return instance;
}

constexpr auto kTimeout = std::chrono::seconds(20);

inline git::Endpoint endpoint(const std::string& url) { return *git::parse_endpoint(url); }

inline base::Result<git::Remote> connect(const std::string& url, git::Auth auth = git::HttpAuth{},
                                         std::chrono::milliseconds timeout = kTimeout, std::stop_token stop = {}) {
  return git::Remote::connect(endpoint(url), std::move(auth), timeout, std::move(stop));
}

// Path -> content of a commit; links as "-> target", submodules as "@ commit".
inline std::map<std::string, std::string> files_of(const git::Snapshot& snapshot) {
  std::map<std::string, std::string> files;
  const auto walked = snapshot.walk(
      [&](const git::TreeEntry& entry) -> base::Result<git::Walk> {
        const std::string path(entry.path);
        if (entry.type == git::EntryType::folder) return git::Walk::go_on;
        if (entry.type == git::EntryType::submodule) {
          files[path] = "@ " + std::string(entry.oid);
          return git::Walk::go_on;
        }
        SLUICE_TRY(const auto bytes, snapshot.read(entry, 1U << 20U));
        files[path] = (entry.type == git::EntryType::symlink ? "-> " : "") + bytes;
        return git::Walk::go_on;
      },
      {});
  if (!walked) throw std::runtime_error(walked.error().message);
  return files;
}

}  // namespace sluice::test
