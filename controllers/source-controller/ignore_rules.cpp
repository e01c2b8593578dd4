#include "ignore_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "archive/limits.hpp"

namespace sluice::source_controller {

using base::ErrorKind;
using base::Result;

namespace {

constexpr std::string_view kIgnoreFile = ".sourceignore";
constexpr std::uint64_t kMaxIgnoreFile = 1U << 20U;
// Of all together: one blob may be the .sourceignore of a hundred thousand folders.
constexpr std::size_t kMaxIgnoreBytes = 2U << 20U;
constexpr std::size_t kMaxPatterns = 10'000;

// Facts: fluxcd/pkg sourceignore.go, ExcludeVCS, ExcludeExt, ExcludeCI, ExcludeExtra.
constexpr std::string_view kVersionControl[] = {".git/", ".gitignore", ".gitmodules", ".gitattributes"};
constexpr std::string_view kDefaults[] = {
    // Media and archives.
    "*.jpg", "*.jpeg", "*.gif", "*.png", "*.wmv", "*.flv", "*.tar.gz", "*.zip",
    // Continuous integration.
    ".github/", ".circleci/", ".travis.yml", ".gitlab-ci.yml", "appveyor.yml", ".drone.yml", "cloudbuild.yaml",
    "codeship-services.yml", "codeship-steps.yml",
    // Settings of tools.
    "**/.goreleaser.yml", "**/.sops.yaml", "**/.flux.yaml"};

bool is_ignore_file(std::string_view path) {
  return path == kIgnoreFile || (path.ends_with(kIgnoreFile) && path[path.size() - kIgnoreFile.size() - 1] == '/');
}

// The .sourceignore files of a tree, each with its folder, a folder's before
// those below it.
struct IgnoreFiles {
  struct File {
    std::string folder;
    std::string text;
  };
  std::vector<File> files;
};

Result<IgnoreFiles> find_ignore_files(const git::Snapshot& snapshot, const std::stop_token& stop) {
  IgnoreFiles found;
  std::size_t bytes = 0;
  const auto visit = [&](const git::TreeEntry& entry) -> Result<git::Walk> {
    const bool is_file = entry.type == git::EntryType::file || entry.type == git::EntryType::executable;
    if (!is_file || !is_ignore_file(entry.path)) return git::Walk::go_on;
    SLUICE_TRY(std::string text, snapshot.read(entry, kMaxIgnoreFile));
    bytes += text.size() + entry.path.size();
    if (bytes > kMaxIgnoreBytes) {
      return base::unexpected(
          ErrorKind::too_large,
          fmt::format("the {} files of the repository have more than {} bytes", kIgnoreFile, kMaxIgnoreBytes));
    }
    const std::size_t slash = entry.path.rfind('/');
    std::string folder(slash == std::string_view::npos ? std::string_view() : entry.path.substr(0, slash));
    found.files.push_back({std::move(folder), std::move(text)});
    return git::Walk::go_on;
  };
  SLUICE_CHECK(snapshot.walk(visit, stop, archive::Limits().max_entries));
  // The walk may meet a folder's subfolders before its .sourceignore: they sort
  // by name. The deeper file must win, so it comes later.
  std::stable_sort(found.files.begin(), found.files.end(), [](const auto& left, const auto& right) {
    return std::count(left.folder.begin(), left.folder.end(), '/') + (left.folder.empty() ? 0 : 1) <
           std::count(right.folder.begin(), right.folder.end(), '/') + (right.folder.empty() ? 0 : 1);
  });
  return found;
}

}  // namespace

Result<text::IgnoreRules> ignore_rules(const git::Snapshot& snapshot, const std::optional<std::string>& spec_ignore,
                                       std::stop_token stop) {
  SLUICE_TRY(const IgnoreFiles found, find_ignore_files(snapshot, stop));
  text::IgnoreRules own;
  for (const auto& file : found.files) own.add_lines(file.text, file.folder);
  if (spec_ignore) own.add_lines(*spec_ignore);
  if (own.size() > kMaxPatterns) {
    return base::unexpected(ErrorKind::too_large,
                            fmt::format("{} patterns in .sourceignore files and spec.ignore, more than {}", own.size(),
                                        kMaxPatterns));
  }
  text::IgnoreRules rules;
  for (const auto pattern : kVersionControl) rules.add(pattern);
  if (own.empty()) {
    for (const auto pattern : kDefaults) rules.add(pattern);
  }
  rules.append(std::move(own));
  return rules;
}

}  // namespace sluice::source_controller
