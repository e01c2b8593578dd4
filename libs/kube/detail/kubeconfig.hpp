// From the documents of kubeconfig files to one Config. Private to libs/kube.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "doc/json.hpp"
#include "kube/config.hpp"

namespace sluice::kube::detail {

base::Result<std::string> read_file(const std::string& path);
// Without the line ends and blanks that editors leave behind a token.
std::string trimmed(std::string text);

// Makes the file names in one kubeconfig absolute, as seen from its folder.
void resolve_files(doc::Json& config, const std::string& folder);

// clientcmd's rule for a list of files: of entries with the same name, and of
// current-context, the first file's counts.
doc::Json merge_kubeconfigs(std::vector<doc::Json> configs);

base::Result<Config> config_of(const doc::Json& kubeconfig, const KubeconfigOptions& options);

}  // namespace sluice::kube::detail
