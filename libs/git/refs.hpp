// The references of a repository, and which commit a GitRepository means.
// Pure; safe from any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace sluice::git {

// A SHA-1 object id: 40 lower-case hex digits. Repositories with SHA-256 ids are
// refused as `unsupported` when connecting.
using Oid = std::string;

bool is_oid(std::string_view text) noexcept;

struct Ref {
  std::string name;  // refs/heads/main
  Oid oid;
  Oid peeled;  // what an annotated tag points to in the end; else ""

  const Oid& target() const noexcept { return peeled.empty() ? oid : peeled; }
};

// What the server listed, sorted by name.
struct RefList {
  std::vector<Ref> refs;
  std::string head;  // the ref that HEAD points to; "" if the server does not say

  const Ref* find(std::string_view name) const;
  bool empty() const noexcept { return refs.empty(); }
};

// `spec.ref` of a GitRepository.
struct RefSpec {
  std::string branch{};
  std::string tag{};
  std::string semver{};
  std::string name{};
  std::string commit{};
};

struct Target {
  Oid commit;
  Oid wanted;               // what to ask the server for: the commit, or the tag object that leads to it
  std::string ref;          // the full name it was found under; "" for a bare commit
  std::string revision;     // as status.artifact.revision prints it
  bool advertised = false;  // false: a commit that no listed reference points to
  // Not empty: the commit stands only if it is in the history of `ref`, whose head this is.
  Oid must_be_found_from{};
};

// Precedence: commit, name, semver, tag, branch; nothing means branch "master".
// Revisions (Flux: pkg git/git.go, source-controller commitReference):
//   branch main     main@sha1:<oid>            name refs/heads/x   refs/heads/x@sha1:<oid>
//   tag or semver   v1.2.0@sha1:<oid>          commit              sha1:<oid>
//   branch+commit   main@sha1:<oid>            name+commit         refs/heads/x@sha1:<oid>
// With branch and commit the commit must be in the history of that branch (Flux since
// 2.10), which RepositoryCache::fetch proves.
// Of several tags with equal versions (they differ in build metadata) the one
// that sorts last by name wins: commit times are not known before a fetch.
//
// `not_found` names the reference; `invalid` for a malformed semver range or
// commit; an empty repository is `not_found` with the reason "EmptyGitRepository".
base::Result<Target> resolve(const RefSpec& spec, const RefList& refs);

}  // namespace sluice::git
