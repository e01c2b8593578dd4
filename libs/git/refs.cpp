#include "git/refs.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "text/semver.hpp"

namespace sluice::git {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::unexpected;

namespace {

constexpr std::string_view kHeads = "refs/heads/";
constexpr std::string_view kTags = "refs/tags/";
constexpr std::string_view kPeeled = "^{}";

base::Unexpected not_found(std::string message) { return unexpected(ErrorKind::not_found, std::move(message)); }

std::string revision_of(std::string_view pointer, const Oid& commit) {
  return pointer.empty() ? fmt::format("sha1:{}", commit) : fmt::format("{}@sha1:{}", pointer, commit);
}

Target advertised(const Ref& ref, std::string_view pointer) {
  return {.commit = ref.target(),
          .wanted = ref.oid,
          .ref = ref.name,
          .revision = revision_of(pointer, ref.target()),
          .advertised = true,
          .must_be_found_from = {}};
}

Result<Target> resolve_under(std::string_view prefix, std::string_view what, const std::string& name,
                             const RefList& refs) {
  const Ref* ref = refs.find(fmt::format("{}{}", prefix, name));
  if (!ref) return not_found(fmt::format("{} '{}' not found in the repository", what, name));
  return advertised(*ref, name);
}

// Git's commands complete short names, `ref.name` does not: what was meant is said, and not guessed.
std::string full_names(std::string_view name, const RefList& refs) {
  std::string found;
  for (const std::string_view prefix : {std::string_view("refs/"), kHeads, kTags}) {
    const std::string full = fmt::format("{}{}", prefix, name);
    if (refs.find(full)) found += (found.empty() ? "" : " or ") + full;
  }
  return found.empty() ? found : ": a full name is needed: " + found;
}

// Flux accepts the name of an annotated tag with and without "^{}".
Result<Target> resolve_name(const std::string& name, const RefList& refs) {
  if (name.starts_with('/') || name.ends_with('/')) {
    return unexpected(ErrorKind::invalid, fmt::format("reference '{}' begins or ends with '/'", name));
  }
  std::string_view bare = name;
  if (bare.ends_with(kPeeled)) bare.remove_suffix(kPeeled.size());
  const Ref* ref = refs.find(bare);
  if (!ref) return not_found(fmt::format("reference '{}' not found in the repository{}", name, full_names(bare, refs)));
  return advertised(*ref, name);
}

Result<Target> resolve_semver(const std::string& range_text, const RefList& refs) {
  auto range = text::SemverRange::parse(range_text);
  if (!range) return unexpected(std::move(range).error().with_context(fmt::format("semver range '{}'", range_text)));
  const Ref* best = nullptr;
  std::optional<text::Semver> newest;
  for (const auto& ref : refs.refs) {
    if (!ref.name.starts_with(kTags)) continue;
    auto version = text::Semver::parse(std::string_view(ref.name).substr(kTags.size()));
    if (!version || !range->matches(*version)) continue;
    // Refs are sorted by name, so of equal versions the last stays.
    if (newest && *version < *newest) continue;
    newest = *std::move(version);
    best = &ref;
  }
  if (!best) return not_found(fmt::format("no tag matches semver range '{}'", range_text));
  return advertised(*best, std::string_view(best->name).substr(kTags.size()));
}

Result<Target> resolve_commit(const RefSpec& spec, const RefList& refs) {
  if (!is_oid(spec.commit)) {
    return unexpected(ErrorKind::invalid,
                      fmt::format("commit '{}' is not a full SHA-1 of 40 lower-case digits", spec.commit));
  }
  Target target{.commit = spec.commit,
                .wanted = spec.commit,
                .ref = {},
                .revision = {},
                .advertised = false,
                .must_be_found_from = {}};
  std::string pointer;
  if (!spec.branch.empty()) {
    target.ref = fmt::format("{}{}", kHeads, spec.branch);
    pointer = spec.branch;
    const Ref* branch = refs.find(target.ref);
    if (!branch) return not_found(fmt::format("branch '{}' not found in the repository", spec.branch));
    if (branch->target() != spec.commit) target.must_be_found_from = branch->oid;
  }
  if (!spec.name.empty()) pointer = spec.name;
  target.revision = revision_of(pointer, spec.commit);
  // A tip can be had from any server, another commit only from some.
  target.advertised =
      std::any_of(refs.refs.begin(), refs.refs.end(), [&](const Ref& ref) { return ref.oid == spec.commit; });
  return target;
}

}  // namespace

bool is_oid(std::string_view text) noexcept {
  return text.size() == 40 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

const Ref* RefList::find(std::string_view name) const {
  const auto at = std::lower_bound(refs.begin(), refs.end(), name,
                                   [](const Ref& ref, std::string_view wanted) { return ref.name < wanted; });
  return at != refs.end() && at->name == name ? &*at : nullptr;
}

Result<Target> resolve(const RefSpec& spec, const RefList& refs) {
  if (refs.empty()) {
    Error error;
    error.kind = ErrorKind::not_found;
    error.reason = "EmptyGitRepository";
    error.message = "git repository is empty";
    return unexpected(std::move(error));
  }
  if (!spec.commit.empty()) return resolve_commit(spec, refs);
  if (!spec.name.empty()) return resolve_name(spec.name, refs);
  if (!spec.semver.empty()) return resolve_semver(spec.semver, refs);
  if (!spec.tag.empty()) return resolve_under(kTags, "tag", spec.tag, refs);
  return resolve_under(kHeads, "branch", spec.branch.empty() ? "master" : spec.branch, refs);
}

}  // namespace sluice::git
