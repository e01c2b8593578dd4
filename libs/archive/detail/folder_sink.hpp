// Writes a tree below a folder, one path segment at a time from an open
// descriptor of that folder, never through a symbolic link: even a link planted
// by somebody else while we work leads nowhere. Private to libs/archive.
#pragma once

#include <string>

#include "archive/fd.hpp"
#include "archive/unpack.hpp"

namespace sluice::archive::detail {

class FolderSink final : public TreeSink {
 public:
  static base::Result<FolderSink> open(const std::string& root);
  base::Result<void> add_folder(const std::string& path) override;
  base::Result<void> begin_file(const Entry& entry) override;
  base::Result<void> write(std::string_view bytes) override;

 private:
  explicit FolderSink(Fd root) : root_(std::move(root)) {}
  // Opens the folder at `path`, making what is missing. Stays open until the next call.
  base::Result<int> enter(std::string_view path);

  Fd root_;
  Fd folder_;  // the last one entered, as siblings follow each other
  std::string folder_path_;
  Fd file_;
  std::string file_path_;
};

}  // namespace sluice::archive::detail
