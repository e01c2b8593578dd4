// Files and folders as a kustomization names them, within its restrictions.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kustomize/kustomize.hpp"
#include "kustomize/objects/resource_set.hpp"
#include "kustomize/reading/kustomization.hpp"

namespace sluice::kustomize {

// What one build has read so far, against its limits.
struct Budget {
  const Limits& limits;
  std::size_t bytes = 0;
  std::size_t objects = 0;
  bool unknown_kinds = false;  // one was met that kustomize has to look up in a schema
};

// The folder of one kustomization, and how it was reached.
class Folder {
 public:
  Folder(const base::FileView& files, std::string root, const BuildOptions& options, Budget& budget)
      : files_(&files), root_(std::move(root)), options_(options), budget_(budget) {}

  const std::string& root() const { return root_; }
  std::size_t depth() const { return depth_; }

  // Bytes of the file (or http URL) that an entry names.
  base::Result<std::string> load(const std::string& entry) const;
  // A file of configuration, read as sigs.k8s.io/yaml does.
  base::Result<doc::Json> load_yaml(const std::string& entry) const;
  // True if the entry names a folder that is there.
  bool is_folder(const std::string& entry) const;
  bool is_file(const std::string& entry) const;
  // The folder (or remote tree) that an entry names; `invalid` for one that
  // contains this folder or one on the way to it, `too_large` when too deep.
  base::Result<Folder> enter(const std::string& entry) const;

  // The kustomization file in this folder; `not_found` without one.
  base::Result<Kustomization> kustomization(Strictness strictness = Strictness::file) const;
  // The path of that file in the view; "" without one. `invalid` with several.
  base::Result<std::string> kustomization_file() const;

  // What objects are read for: in patches a null deletes.
  enum class For { resources, patches };
  // Objects in a text; `file` is for messages.
  base::Result<std::vector<std::unique_ptr<Resource>>> parse(std::string_view text, const std::string& file,
                                                             For use = For::resources) const;
  // Objects that an entry itself holds; nothing if it is no text of objects,
  // and so has to be a path.
  std::optional<std::vector<std::unique_ptr<Resource>>> inline_objects(const std::string& entry,
                                                                       const std::string& file,
                                                                       For use = For::resources) const;
  // Objects of the file that an entry names.
  base::Result<std::vector<std::unique_ptr<Resource>>> resources(const std::string& entry,
                                                                 For use = For::resources) const;
  std::string path_of(const std::string& entry) const;

  const base::FileView& files() const { return *files_; }
  Budget& budget() const { return budget_; }
  // `too_large` past what a build may read.
  base::Result<void> spend(std::size_t bytes, std::size_t objects) const;

 private:
  bool may_read(const std::string& path) const;
  base::Result<std::string> resolve(const std::string& entry) const;

  const base::FileView* files_;
  std::shared_ptr<const base::FileView> owner_;  // keeps a remote tree alive
  std::string root_;
  const Folder* referrer_ = nullptr;
  std::size_t depth_ = 0;
  bool remote_ = false;
  const BuildOptions& options_;
  Budget& budget_;
};

bool is_url(std::string_view entry);

// An entry that a RemoteLoader would have to get.
inline bool is_http(const std::string& entry) { return entry.starts_with("http://") || entry.starts_with("https://"); }

}  // namespace sluice::kustomize
