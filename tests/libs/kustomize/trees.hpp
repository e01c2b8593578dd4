// Trees of files for the tests of the engine.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/file_view.hpp"

namespace sluice::kustomize::testing {

using Files = std::map<std::string, std::string, std::less<>>;

inline std::unique_ptr<base::FileView> view_of(Files files) { return base::make_memory_view(std::move(files)); }

inline std::string config_map(const std::string& name, const std::string& value = "x") {
  return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\ndata:\n  key: " + value + "\n";
}

// A fleet: `count` leaf folders below one overlay in "top".
inline Files fleet(int count) {
  Files files;
  std::string resources = "namePrefix: p-\nresources:\n";
  for (int i = 0; i < count; ++i) {
    const std::string leaf = "leaf" + std::to_string(i);
    resources += "- ../" + leaf + "\n";
    files[leaf + "/kustomization.yaml"] = "resources: [cm.yaml]\n";
    files[leaf + "/cm.yaml"] = config_map(leaf);
  }
  files["top/kustomization.yaml"] = resources;
  return files;
}

}  // namespace sluice::kustomize::testing
