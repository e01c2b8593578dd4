// An unpacked artifact in one file: the bytes of its files back to back, found by the
// manifest. Thousands of small files cost as much to read as one large one; thousands
// of inodes cost half a second to make, and as much to remove. Private to this library.
//
//   SLUICE_TRY(PackWriter pack, PackWriter::create(folder));
//   archive::read_tar_gz(source, limits, pack, stop);    // what strangers may put into paths is checked there
//   SLUICE_TRY(auto packed, pack.finish());
//   packed.files->read("app/web.yaml");
//
// The file has no name, so nobody else comes by it, and it is gone with its last reader.
// No link is in it, and no mode.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "archive/fd.hpp"
#include "archive/unpack.hpp"
#include "artifact/tree_manifest.hpp"
#include "base/file_view.hpp"
#include "base/result.hpp"

namespace sluice::artifact {

struct PackedTree {
  std::shared_ptr<const TreeManifest> manifest;
  std::unique_ptr<base::FileView> files;  // answers as make_disk_view() of the unpacked folder would
};

// Blocking. Of a path that comes twice the last file wins.
class PackWriter final : public archive::TreeSink {
 public:
  // A file in an existing folder. `io`.
  static base::Result<PackWriter> create(const std::string& folder);

  // `invalid` (a file that is a folder as well), `io`; any error once the tree has too many
  // entries for a manifest.
  base::Result<void> add_folder(const std::string& path) override;
  base::Result<void> begin_file(const archive::Entry& entry) override;
  base::Result<void> write(std::string_view bytes) override;
  // That was why: such a tree has to be unpacked otherwise.
  bool has_too_many() const noexcept { return manifest_.gave_up(); }
  // Once, at the end. The last entry may be one too many.
  base::Result<PackedTree> finish();

 private:
  explicit PackWriter(archive::Fd file) : file_(std::move(file)) {}
  base::Result<void> unless_too_many() const;
  base::Result<void> flush();

  archive::Fd file_;
  std::string buffer_;
  TreeManifest::Builder manifest_;
};

}  // namespace sluice::artifact
